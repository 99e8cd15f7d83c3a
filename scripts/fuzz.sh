#!/usr/bin/env bash
# Coverage-guided fuzzing of whatever takes bytes from outside (docs/fuzzing.md). Builds into .build-fuzz, keeps what it found worth keeping in
# .cache/fuzz/TARGET, and fails where a target ended by itself.
# Usage: scripts/fuzz.sh [--seconds S] [TARGET…]      S seconds a target (20)
set -euo pipefail
cd "$(dirname "$0")/.."
all=(consensus blocks transactions state block-requests light discovery blobs frames journal toml json import tokenizers programs witness walk asks text engine onnx)
seconds=20
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        -*) echo "usage: scripts/fuzz.sh [--seconds S] [${all[*]}]" >&2; exit 64 ;;
        *)
            if [[ " ${all[*]} " != *" $1 "* ]]; then
                echo "There is no target $1: take one of ${all[*]}" >&2
                exit 64
            fi
            targets+=("$1")
            shift
            ;;
    esac
done
if [ ${#targets[@]} = 0 ]; then targets=("${all[@]}"); fi
./scripts/setup.sh >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Building (the first time takes some minutes) …" >&2
if ! PLASMA_FUZZ=1 swift build --scratch-path .build-fuzz -j 2 --product Fuzz >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
binary=.build-fuzz/debug/Fuzz
failed=0
printf '%-15s %10s %8s %7s %7s %8s  %s\n' target executions "a second" edges corpus "new of it" result
for target in "${targets[@]}"; do
    folder=.cache/fuzz/$target
    mkdir -p "$folder/corpus" "$folder/crashes"
    export PLASMA_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0
    PLASMA_FUZZ_SEEDS=$folder/corpus "$binary"
    before=$(find "$folder/corpus" -type f | wc -l)
    result=ok
    # An input that takes over 10 s or 2 GB is a fault too. Leaks are not looked for: Swift's runtime keeps what it makes once.
    nice -n 19 "$binary" "$folder/corpus" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$folder/crashes/" >"$log" 2>&1 || result=FAILED
    after=$(find "$folder/corpus" -type f | wc -l)
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -1)
    printf '%-15s %10s %8s %7s %7s %8s  %s\n' "$target" "${runs:--}" "${rate:--}" "${edges:--}" "$after" $((after - before)) "$result"
    if [ "$result" != ok ]; then
        failed=1
        grep -E "Fatal error|broken law|ERROR:|SUMMARY:" "$log" | head -5 | sed 's/^/    /' || true
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
        echo "    replay: PLASMA_FUZZ_TARGET=$target $binary ${input:-$folder/corpus -runs=0}"
    fi
done
exit "$failed"
