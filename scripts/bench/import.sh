#!/usr/bin/env bash
# How long a model takes from its file to a program that could run: an ONNX file of 100 MB (ResNet-50's shape) and MiniLM's safetensors, each as a process of its own.
# Usage: scripts/bench.sh import [--rounds R]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=5
takes=(rounds)
source scripts/bench/options.sh
options import "$@"
source scripts/bench/python.sh
python=$(python_with .cache/venv numpy onnx onnxruntime)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -I scripts/bench/resnet.py make "$work"
python3 - "$rounds" "$work/resnet.onnx" .cache/all-MiniLM-L6-v2 <<'PY'
import os, statistics, subprocess, sys, time
for path in sys.argv[2:]:
    times = []
    for _ in range(int(sys.argv[1])):
        start = time.perf_counter()
        subprocess.run([".build/release/plasma", "model", "show", path], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    weights = path if os.path.isfile(path) else os.path.join(path, "model.safetensors")
    print(f"{os.path.basename(path)}, {os.path.getsize(weights) / 1e6:.0f} MB: {statistics.median(times):.2f} s (median of {len(times)}, {min(times):.2f} to {max(times):.2f}; goal 1)")
PY
