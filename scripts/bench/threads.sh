#!/usr/bin/env bash
# What a second thread gives: MiniLM, GPT-2's shape, a small decoder's training and ResNet-50's shape on one thread, on two, and as two processes of one thread at the same
# time, by turns. Two processes share nothing but the machine, so what they do together is what its memory, caches and neighbours allow at that moment.
# What was measured while the machine had no two whole cores is measured again. How fast one thread and two read memory stands below the table.
# The models are made as in generation.sh and resnet.sh; their packages come from PyPI into .cache/torch (large) and .cache/venv, or PLASMA_TORCH names a Python that has all.
# Usage: scripts/bench.sh threads [--rounds R] [--seconds S] [--only minilm|generation1|generation16|training|resnet1|resnet8]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=5
seconds=1
only=""
takes=(rounds seconds only)
source scripts/bench/options.sh
options threads "$@"
source scripts/bench/python.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Isolated (-I), as in generation.sh.
"$(python_with .cache/torch torch numpy transformers tokenizers)" -I scripts/bench/generation_torch.py make "$work/gpt2" >&2
"$(python_with .cache/venv numpy onnx onnxruntime)" -I scripts/bench/resnet.py make "$work"
# Real text that every clone has.
cat docs/consensus.md docs/ledger.md docs/simulation.md docs/speed.md >"$work/text"
python3 -I scripts/bench/threads.py "$work" --rounds "$rounds" --seconds "$seconds" ${only:+--only "$only"}
