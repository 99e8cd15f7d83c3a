#!/usr/bin/env bash
# A decoder of GPT-2's small shape (124 million random weights), 128 tokens of prompt, 128 more, here and in PyTorch by turns: prefill and tokens a second.
# PyTorch and transformers come from PyPI into .cache/torch (large), or PLASMA_TORCH names a Python that has them.
# With --quantize w8a8 Plasma's linear layers and the layer that gives the logits are of eight bits, with fx15 of fifteen; PyTorch stays as it is.
# Usage: scripts/bench.sh generation [--rounds R] [--quantize w8a8|fx15]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=3
quantize=""
takes=(rounds quantize)
source scripts/bench/options.sh
options generation "$@"
# Isolated (-I): beside the script lies a kernels.py that is none of transformers'.
source scripts/bench/python.sh
source scripts/bench/cores.sh
python=$(python_with .cache/torch torch numpy transformers tokenizers)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -I scripts/bench/generation_torch.py make "$work/model" >&2
prompt=$(printf 'abcdefgh%.0s' {1..16})
theirs() { "$python" -I scripts/bench/generation_torch.py run "$work/model" --threads "$1" 2>/dev/null; }
for threads in 1 2; do
    for _ in $(seq "$rounds"); do
        undisturbed .build/release/plasma model generate "$work/model" --prompt "$prompt" --max-tokens 128 --threads "$threads" --repeat 4 \
            -o json ${quantize:+--quantize "$quantize"} >"$work/plasma"
        undisturbed theirs "$threads" >"$work/torch"
        python3 - "$threads" "$work/plasma" "$work/torch" <<'PY'
import json, sys
ours, theirs = (json.load(open(path)) for path in sys.argv[2:4])
prefill = theirs["prefillSeconds"] / ours["prefillSeconds"]
decode = ours["tokensPerSecond"] / theirs["tokensPerSecond"]
print(f"threads {sys.argv[1]}: prefill {ours['prefillSeconds']:.3f} s, PyTorch {theirs['prefillSeconds']:.3f}, ratio {prefill:.2f}; "
      f"decode {ours['tokensPerSecond']:.1f} tokens/s, PyTorch {theirs['tokensPerSecond']:.1f}, ratio {decode:.2f}")
PY
    done
done
