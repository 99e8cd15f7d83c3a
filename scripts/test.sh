#!/usr/bin/env bash
# Installs what is missing, fetches the model that some tests use, and runs every test in the release build.
# With arguments (--filter …) it hands them to swift test.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh
./scripts/fetch_model.sh
swift format lint --strict --recursive Sources Tests Package.swift
# Built like this, and not by swift test, the program is the same that the other scripts build: it is compiled once.
swift build -c release -j 2 --build-tests
if [ $# -gt 0 ]; then exec swift test -c release --skip-build "$@"; fi
# Those with sockets and processes come after those that compute, so that neither takes the other's processor away.
swift test -c release --skip-build --skip 'NetworkingTests|ProcessTests'
exec swift test -c release --skip-build --filter 'NetworkingTests|ProcessTests'
