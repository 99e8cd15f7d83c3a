#!/usr/bin/env bash
# A long search of the real engine: every order of events of four validators over two views, until the time is over or nothing is left.
# Usage: scripts/search.sh [--hours H] [--states N]
set -euo pipefail
cd "$(dirname "$0")/.."
hours=1
states=200000000
while [ $# -gt 0 ]; do
    case $1 in
        --hours) hours=$2; shift 2 ;;
        --states) states=$2; shift 2 ;;
        *) echo "usage: scripts/search.sh [--hours H] [--states N]" >&2; exit 64 ;;
    esac
done
./scripts/setup.sh >&2
swift build -c release -j 2 --product plasma >&2
seconds=$(awk -v hours="$hours" 'BEGIN { printf "%.0f", hours * 3600 }')
exec .build/release/plasma simulate search --states "$states" --seconds "$seconds" -o json
