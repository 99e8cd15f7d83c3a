#!/usr/bin/env bash
# MiniLM in f32 beside ONNX Runtime, PyTorch (eager, compiled) and OpenVINO: batch 1 and 32, sequence 32 and 128, one and two threads. All by turns in each round, the peers'
# embeddings held against the reference first; the medians of the rounds' medians, and the ratio to the fastest peer.
# ONNX Runtime comes from PyPI into .cache/venv, PyTorch and OpenVINO into .cache/torch (large).
# Usage: scripts/bench.sh encoder [--rounds R] [--seconds S]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=3
seconds=1
takes=(rounds seconds)
source scripts/bench/options.sh
options encoder "$@"
source scripts/bench/python.sh
source scripts/bench/cores.sh
python=$(python_with .cache/torch torch numpy openvino)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for round in $(seq "$rounds"); do
    echo "Round $round of $rounds …" >&2
    undisturbed .build/release/plasma bench model .cache/all-MiniLM-L6-v2 --seconds "$seconds" >>"$work/all"
    undisturbed ./scripts/bench/onnxruntime_minilm.sh --seconds "$seconds" >>"$work/all"
    for runtime in eager compiled openvino; do
        undisturbed "$python" -I -W ignore scripts/bench/minilm_peers.py "$runtime" --seconds "$seconds" \
            --check Tests/RuntimeTests/Fixtures/minilm-reference.json >>"$work/all"
    done
done
python3 - "$work/all" <<'PY'
import collections, json, statistics, sys
cases = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    case = json.loads(line)
    cases[case["threads"], case["batch"], case["sequence"]][case["runtime"]].append(case["embeddingsPerSecond"])
peers = ["onnxruntime", "eager", "compiled", "openvino"]
print("| threads | batch | sequence | Plasma, exact | ONNX Runtime | PyTorch eager | compiled | OpenVINO | to the fastest |\n" + "| ---: " * 9 + "|")
ratios = []
for key, found in sorted(cases.items()):
    ours, theirs = found["plasma"], [statistics.median(found[peer]) for peer in peers]
    ratios.append(statistics.median(ours) / max(theirs))
    print(f"| {key[0]} | {key[1]} | {key[2]} | {', '.join(f'{x:.0f}' for x in ours)} | " + " | ".join(f"{x:.0f}" for x in theirs) + f" | {ratios[-1]:.2f} |")
print(f"\nThe least ratio is {min(ratios):.2f} (goal 1.0), the median {statistics.median(ratios):.2f} (goal 1.1).")
PY
