#!/usr/bin/env bash
# Installs the Debian packages that a build needs, where they are missing, and checks the Swift toolchain.
set -euo pipefail
packages=(libsodium-dev libssl-dev liblz4-dev liblmdb-dev pkg-config python3 python3-pip unzip ca-certificates)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
# A pip that is there without its package serves as well.
if command -v pip3 >/dev/null || python3 -m pip --version >/dev/null 2>&1; then
    missing=("${missing[@]/python3-pip/}")
fi
wanted=()
for package in "${missing[@]}"; do [ -n "$package" ] && wanted+=("$package"); done
if [ "${#wanted[@]}" -gt 0 ]; then
    echo "Installing ${wanted[*]} …"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
command -v swift >/dev/null || { echo "Swift is missing: install Swift 6.3 or newer from swift.org and put it on PATH." >&2; exit 1; }
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
if [ "$(printf '%s\n6.3\n' "$version" | sort -V | head -n 1)" != 6.3 ]; then
    echo "Swift $version is too old: Plasma needs 6.3 or newer." >&2
    exit 1
fi
