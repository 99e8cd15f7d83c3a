#!/usr/bin/env bash
# MiniLM with w8a8 beside ONNX Runtime's dynamic int8, by turns in one run; embeddings a second and their ratio.
# Usage: scripts/bench.sh quantized [--seconds S]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=2
takes=(seconds)
source scripts/bench/options.sh
options quantized "$@"
source scripts/bench/cores.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
undisturbed .build/release/plasma bench model .cache/all-MiniLM-L6-v2 --quantize w8a8 --seconds "$seconds" >"$work/plasma"
undisturbed ./scripts/bench/onnxruntime_minilm.sh --int8 --seconds "$seconds" >"$work/onnxruntime"
undisturbed .build/release/plasma bench model .cache/all-MiniLM-L6-v2 --quantize w8a8 --seconds "$seconds" >"$work/again"
python3 - "$work" <<'PY'
import json, sys
first, theirs, again = ([json.loads(line) for line in open(f"{sys.argv[1]}/{name}")] for name in ["plasma", "onnxruntime", "again"])
print("| threads | batch | sequence | Plasma, w8a8 | ONNX Runtime, int8 | ratio |\n| ---: | ---: | ---: | ---: | ---: | ---: |")
for a, peer, b in zip(first, theirs, again):
    x, y, z = (case["embeddingsPerSecond"] for case in (a, peer, b))
    print(f"| {a['threads']} | {a['batch']} | {a['sequence']} | {x:.0f}, {z:.0f} | {y:.0f} | {(x + z) / 2 / y:.2f} |")
PY
