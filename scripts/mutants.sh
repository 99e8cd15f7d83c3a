#!/usr/bin/env bash
# Weakens the consensus engine rule by rule and shows what catches each: the tests of the rules, or the simulator. Fails where nothing does.
# Usage: scripts/mutants.sh [--both] [NAME …]   (half a minute each; builds in a folder of its own). The simulator is asked where the tests of the
# rules notice nothing; with --both always, which takes some minutes more for each.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh >&2
exec python3 scripts/mutants.py "$@"
