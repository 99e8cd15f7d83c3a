#!/usr/bin/env bash
# Weakens the consensus engine rule by rule and shows what catches each: the tests of the rules, or the simulator. Fails where nothing does.
# Usage: scripts/mutants.sh [NAME …]   (some minutes; builds in a folder of its own)
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh >&2
exec python3 scripts/mutants.py "$@"
