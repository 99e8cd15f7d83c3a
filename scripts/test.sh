#!/usr/bin/env bash
# Installs what is missing, fetches the model that some tests use, and runs every test in the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh
./scripts/fetch_model.sh
swift format lint --strict --recursive Sources Tests Package.swift
exec swift test -c release -j 2 "$@"
