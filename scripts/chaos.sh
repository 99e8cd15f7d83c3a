#!/usr/bin/env bash
# A network of real processes under faults while transfers flow, and a check at the end that nothing was lost. Needs root or user namespaces for
# faults of the network and of a disk; without, it says so and keeps to killing and pausing.
# Usage: scripts/chaos.sh [--seed S] [--minutes M] [--nodes N] [--restarts R] [--rate T] [--base-port P] [--keep] [-o json]
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh >&2
swift build -c release -j 2 --product plasma >&2
exec python3 scripts/chaos.py "$@"
