#!/usr/bin/env bash
# The exact contractions, f32 and i8, beside ONNX Runtime, PyTorch and OpenBLAS (through numpy), and MKL where the Python has it: one core, the same run. They come
# from PyPI into .cache/torch, or PLASMA_TORCH names a Python that has them. What is compiled goes to .build/bench.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/bench/python.sh
python=$(python_with .cache/torch torch numpy onnx onnxruntime)
cache=.build/bench
mkdir -p "$cache"
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
"$clang" -std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -fPIC -shared -ISources/CKernels/include \
    Sources/CKernels/*.c scripts/bench/kernels.c -o "$cache/libckernels.so" -lm
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$python" scripts/bench/kernels.py "$cache" "$@"
