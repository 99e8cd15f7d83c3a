#!/usr/bin/env bash
# ResNet-50's shape (25.6 million random weights, 224 × 224), batch 1 and 8, one and two threads, here and in ONNX Runtime fp32 by turns: first the outputs are compared,
# then each round times both by the clock (median) and by processor time (least). ONNX Runtime comes from PyPI into .cache/venv, or PLASMA_TORCH names a Python that has it.
# Usage: scripts/bench.sh resnet [--rounds R] [--seconds S]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=3
seconds=3
takes=(rounds seconds)
source scripts/bench/options.sh
options resnet "$@"
source scripts/bench/python.sh
source scripts/bench/cores.sh
python=$(python_with .cache/venv numpy onnx onnxruntime)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Isolated (-I), as in generation.sh.
"$python" -I scripts/bench/resnet.py make "$work"
for batch in 1 8; do
    .build/release/plasma model run "$work/resnet.onnx" --input "image=$work/image$batch.npy" --output "$work/out$batch" >/dev/null
    "$python" -I scripts/bench/resnet.py check "$work" --batch "$batch"
done
for threads in 1 2; do
    for batch in 1 8; do
        for _ in $(seq "$rounds"); do
            undisturbed .build/release/plasma bench graph "$work/resnet.onnx" --input "image=$work/image$batch.npy" --threads "$threads" \
                --seconds "$seconds" >>"$work/plasma"
            undisturbed "$python" -I scripts/bench/resnet.py run "$work" --batch "$batch" --threads "$threads" --seconds "$seconds" >>"$work/onnxruntime"
        done
    done
done
"$python" -I scripts/bench/resnet.py table "$work" --rounds "$rounds"
