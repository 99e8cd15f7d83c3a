# Sourced: `undisturbed COMMAND…` prints what the command prints while the machine has two whole cores. A virtual machine's processors are at times two halves of one core; what
# was measured then, as seen right before or after, is measured again, up to five times.
has_two_cores() {
    if [ "$(nproc)" -lt 2 ]; then return; fi
    local found
    found=$(.build/release/plasma bench cores)
    # Only then: started beside the measurement, Python would take one of the two.
    python3 -I -c 'import json, sys; sys.exit(json.load(sys.stdin)["twoThreadsToOne"] < 1.75)' <<<"$found"
}

undisturbed() {
    local attempt whole printed
    for attempt in 1 2 3 4 5; do
        whole=1
        has_two_cores || whole=0
        printed=$("$@")
        has_two_cores || whole=0
        [ "$whole" = 0 ] || break
        echo "The machine had no two whole cores: attempt $attempt of 5 does not count." >&2
        # Such a while lasts seconds.
        sleep 3
    done
    [ "$whole" = 1 ] || echo "The last attempt is kept all the same." >&2
    printf '%s\n' "$printed"
}
