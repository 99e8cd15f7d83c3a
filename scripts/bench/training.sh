#!/usr/bin/env bash
# Trains the small decoder of docs/training.md here and in PyTorch by turns, on the same weights and batches, and prints steps a second and their ratio.
# PyTorch comes from PyPI into .cache/torch (large), or PLASMA_TORCH names a Python that has it.
# Usage: scripts/bench.sh training [--steps N] [--rounds R]
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=40
rounds=3
while [ $# -gt 0 ]; do
    case $1 in
        --steps) steps=$2; shift 2 ;;
        --rounds) rounds=$2; shift 2 ;;
        *) echo "usage: scripts/bench.sh training [--steps N] [--rounds R]" >&2; exit 64 ;;
    esac
done
python=${PLASMA_TORCH:-.cache/torch/bin/python}
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    python3 -m venv .cache/torch
    .cache/torch/bin/python -m pip install --quiet --disable-pip-version-check torch numpy >&2
    python=.cache/torch/bin/python
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Real text that every clone has.
cat docs/consensus.md docs/ledger.md docs/simulation.md docs/speed.md >"$work/text"
cat >"$work/config.toml" <<TOML
[data]
text = "text"
[training]
steps = $steps
[output]
folder = "run"
checkpoint_every = $steps
TOML
for threads in 1 2; do
    for _ in $(seq "$rounds"); do
        rm -rf "$work/run"
        .build/release/plasma train "$work/config.toml" --threads "$threads" -o json >"$work/plasma"
        "$python" scripts/bench/training_torch.py --text "$work/text" --threads "$threads" --steps "$steps" >"$work/torch"
        python3 - "$threads" "$work/plasma" "$work/torch" <<'PY'
import json, sys
ours, theirs = (json.load(open(path)) for path in sys.argv[2:4])
print(f"threads {sys.argv[1]}: Plasma {ours['stepsPerSecond']:.2f} steps/s, PyTorch {theirs['stepsPerSecond']:.2f}, "
      f"ratio {ours['stepsPerSecond'] / theirs['stepsPerSecond']:.2f}; last loss {ours['lastLoss']:.5f}, {theirs['lastLoss']:.5f}")
PY
    done
done
