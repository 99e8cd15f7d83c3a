#!/usr/bin/env bash
# Runs every kernel on this machine and, under qemu, on AArch64, and fails where a variant's results differ in a bit.
# Needs gcc-aarch64-linux-gnu and qemu-user (Debian), and Swift's clang, which compiles for both.
set -euo pipefail
cd "$(dirname "$0")/.."
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -Wall -Wextra -Werror -ISources/CKernels/include)

"$clang" "${flags[@]}" Sources/CKernels/*.c scripts/check_kernels.c -o "$work/native" -lm
mkdir "$work/objects"
for source in Sources/CKernels/*.c scripts/check_kernels.c; do
    "$clang" --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include "${flags[@]}" -c "$source" \
        -o "$work/objects/$(basename "$source" .c).o"
done
aarch64-linux-gnu-gcc -static "$work"/objects/*.o -o "$work/aarch64" -lm

echo "contractions     rows             functions        variant"
{ "$work/native"; "$qemu" "$work/aarch64"; } | tee "$work/digests"
if [ "$(cut -d' ' -f1-3 "$work/digests" | sort -u | wc -l)" != 1 ]; then
    echo "The variants disagree: look for the first column that differs." >&2
    exit 1
fi
