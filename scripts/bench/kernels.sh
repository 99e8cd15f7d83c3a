#!/usr/bin/env bash
# The exact contractions, f32 and i8, beside ONNX Runtime, OpenBLAS (through numpy) and, where `pip install mkl` works, MKL: one core, the same run.
# Everything it installs goes to a folder of its own (PLASMA_BENCH_CACHE, by default .build/bench). PLASMA_TORCH names a Python that has torch, numpy, onnx and
# onnxruntime: then that one is used, and PyTorch is beside them.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${PLASMA_BENCH_CACHE:-.build/bench}
mkdir -p "$cache"
python=${PLASMA_TORCH:-$cache/venv/bin/python}
if ! "$python" -c 'import numpy, onnx, onnxruntime' 2>/dev/null; then
    python=$cache/venv/bin/python
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet numpy onnx onnxruntime
    "$cache/venv/bin/pip" install --quiet mkl || true
fi
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
"$clang" -std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -fPIC -shared -ISources/CKernels/include \
    Sources/CKernels/*.c scripts/bench/kernels.c -o "$cache/libckernels.so" -lm
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$python" scripts/bench/kernels.py "$cache" "$@"
