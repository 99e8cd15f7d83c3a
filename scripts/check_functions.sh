#!/usr/bin/env bash
# Holds the functions of the kernels over all 2³² inputs: every variant of this machine beside the specification. A minute for each function.
# Usage: scripts/check_functions.sh [--stride N] [FUNCTION …]    all of them where none is named
set -euo pipefail
cd "$(dirname "$0")/.."
stride=1
if [ "${1:-}" = --stride ]; then stride=$2; shift 2; fi
if [ $# = 0 ]; then set -- exp log tanh erf sin cos sqrt gelu rsqrt sigmoid silu relu; fi
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# An fma in hardware gives the bits of the library's, a hundred times as fast.
flags=()
if grep -qw fma /proc/cpuinfo 2>/dev/null; then flags=(-mfma); fi
"$clang" -std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -Wall -Wextra -Werror ${flags[@]+"${flags[@]}"} -ISources/CKernels/include \
    -ISources/CKernels Sources/CKernels/*.c scripts/check_functions.c -o "$work/check" -lm
for function in "$@"; do "$work/check" "$function" "$stride"; done
