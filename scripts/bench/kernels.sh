#!/usr/bin/env bash
# The exact f32 contraction beside ONNX Runtime, OpenBLAS (through numpy) and, where `pip install mkl` works, MKL: one core, the same run.
# Everything it installs goes to a folder of its own (PLASMA_BENCH_CACHE, by default .build/bench).
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${PLASMA_BENCH_CACHE:-.build/bench}
mkdir -p "$cache"
if [ ! -x "$cache/venv/bin/python" ]; then
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet numpy onnx onnxruntime
    "$cache/venv/bin/pip" install --quiet mkl || true
fi
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
"$clang" -std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -fPIC -shared -ISources/CKernels/include \
    Sources/CKernels/*.c scripts/bench/kernels.c -o "$cache/libckernels.so" -lm
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$cache/venv/bin/python" scripts/bench/kernels.py "$cache" "$@"
