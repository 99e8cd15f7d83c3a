#!/usr/bin/env bash
# A network of 4 validators and 3 providers on this machine: demo [FILE] [--lie] [--keep], up, down, status, logs NODE.
# Installs what is missing, builds, and hands over to `plasma devnet`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
here=$PWD
command=${1:-}
case $command in
    demo | up | down | status | logs) ;;
    *)
        echo "usage: scripts/devnet.sh demo [FILE] [--lie] [--keep] | up | down | status | logs NODE" >&2
        exit 64
        ;;
esac
shift
# A file of the user's own is named from where the user stands.
arguments=()
for argument in "$@"; do
    if [ "$command" = demo ] && [ "${argument#[-/]}" = "$argument" ] && [ -e "$here/$argument" ]; then
        argument=$here/$argument
    fi
    arguments+=("$argument")
done
cd "$root"
case $command in
    demo | up)
        ./scripts/setup.sh >&2
        echo "Building (the first time takes some minutes) …" >&2
        log=$(mktemp)
        trap 'rm -f "$log"' EXIT
        if ! swift build -c release -j 2 --product plasma >"$log" 2>&1; then
            cat "$log" >&2
            exit 1
        fi
        ;;
    *)
        if [ ! -x .build/release/plasma ]; then
            echo "Nothing is built yet: run scripts/devnet.sh up first." >&2
            exit 1
        fi
        ;;
esac
if [ "$command" = demo ]; then ./scripts/fetch_model.sh >&2; fi
.build/release/plasma devnet "$command" ${arguments[@]+"${arguments[@]}"}
