#!/usr/bin/env bash
# Trains the small decoder of docs/training.md here and in PyTorch (eager, compiled) by turns, on the same weights and batches, and prints steps a second and
# their ratio to the faster of the two.
# PyTorch comes from PyPI into .cache/torch (large), or PLASMA_TORCH names a Python that has it.
# Usage: scripts/bench.sh training [--steps N] [--rounds R]
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=40
rounds=3
takes=(steps rounds)
source scripts/bench/options.sh
options training "$@"
source scripts/bench/python.sh
source scripts/bench/cores.sh
python=$(python_with .cache/torch torch numpy)
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
ours() {
    rm -rf "$work/run"
    .build/release/plasma train "$work/config.toml" --threads "$1" -o json
}
for threads in 1 2; do
    for _ in $(seq "$rounds"); do
        undisturbed ours "$threads" >"$work/plasma"
        undisturbed "$python" -I scripts/bench/training_torch.py --text "$work/text" --threads "$threads" --steps "$steps" >"$work/eager"
        undisturbed "$python" -I scripts/bench/training_torch.py --text "$work/text" --threads "$threads" --steps "$steps" --compile >"$work/compiled"
        python3 - "$threads" "$work/plasma" "$work/eager" "$work/compiled" <<'PY'
import json, sys
ours, eager, compiled = (json.load(open(path)) for path in sys.argv[2:5])
best = max(eager["stepsPerSecond"], compiled["stepsPerSecond"])
print(f"threads {sys.argv[1]}: Plasma {ours['stepsPerSecond']:.2f} steps/s, PyTorch eager {eager['stepsPerSecond']:.2f}, "
      f"compiled {compiled['stepsPerSecond']:.2f}, ratio {ours['stepsPerSecond'] / best:.2f}; "
      f"last loss {ours['lastLoss']:.5f}, {eager['lastLoss']:.5f}, {compiled['lastLoss']:.5f}")
PY
    done
done
