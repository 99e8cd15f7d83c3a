#!/usr/bin/env bash
# Runs every kernel on this machine and, under qemu, on AArch64 and RISC-V, and fails where a variant's results differ in a bit.
# Needs gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu, their libc6-dev-…-cross and qemu-user (Debian), and Swift's clang, which compiles for all.
set -euo pipefail
cd "$(dirname "$0")/.."
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
for machine in aarch64 riscv64; do
    if ! command -v "$machine-linux-gnu-gcc" >/dev/null || ! command -v "qemu-$machine" "qemu-$machine-static" >/dev/null; then
        echo "A compiler or an emulator for $machine is missing: install gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu, libc6-dev-arm64-cross, libc6-dev-riscv64-cross and qemu-user." >&2
        exit 1
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -Wall -Wextra -Werror -ISources/CKernels/include)

"$clang" "${flags[@]}" Sources/CKernels/*.c scripts/check_kernels.c -o "$work/native" -lm
for machine in aarch64 riscv64; do
    own=(--target=$machine-linux-gnu -isystem /usr/$machine-linux-gnu/include)
    if [ "$machine" = riscv64 ]; then own+=(-march=rv64gc -mabi=lp64d); fi
    mkdir "$work/objects-$machine"
    for source in Sources/CKernels/*.c scripts/check_kernels.c; do
        "$clang" "${own[@]}" "${flags[@]}" -c "$source" -o "$work/objects-$machine/$(basename "$source" .c).o"
    done
    "$machine-linux-gnu-gcc" -static "$work/objects-$machine"/*.o -o "$work/$machine" -lm
done

echo "contractions     rows             functions        maps             variant"
{
    "$work/native" | sed "s/\$/ ($(uname -m))/"
    for machine in aarch64 riscv64; do
        qemu=$(command -v "qemu-$machine" || command -v "qemu-$machine-static")
        "$qemu" "$work/$machine" | sed "s/\$/ ($machine)/"
    done
} | tee "$work/digests"
if [ "$(cut -d' ' -f1-4 "$work/digests" | sort -u | wc -l)" != 1 ]; then
    echo "The variants disagree: look for the first column that differs." >&2
    exit 1
fi
