#!/usr/bin/env bash
# Long runs of the simulator: new seeds of every profile, 4 to 10 validators, until the time is over. What fails is printed with its replay.
# Usage: scripts/simulate.sh [--hours H] [--views N] [--scope consensus|node]
set -euo pipefail
cd "$(dirname "$0")/.."
hours=1
views=200
scope=consensus
while [ $# -gt 0 ]; do
    case $1 in
        --hours) hours=$2; shift 2 ;;
        --views) views=$2; shift 2 ;;
        --scope) scope=$2; shift 2 ;;
        *) echo "usage: scripts/simulate.sh [--hours H] [--views N] [--scope consensus|node]" >&2; exit 64 ;;
    esac
done
./scripts/setup.sh >&2
swift build -c release -j 2 --product plasma >&2
exec python3 scripts/simulate.py .build/release/plasma "$hours" "$views" "$scope"
