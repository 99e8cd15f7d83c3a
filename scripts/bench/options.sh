# Sourced. With the variables that a bench lets be set in `takes`, `options NAME "$@"` sets them from its arguments: takes=(rounds seconds) takes --rounds R and
# --seconds S, and anything else is told the usage.
options() {
    local bench=$1 name usage="" known
    shift
    for name in "${takes[@]}"; do usage+=" [--$name $(printf %s "${name:0:1}" | tr a-z A-Z)]"; done
    while [ $# -gt 0 ]; do
        known=""
        for name in "${takes[@]}"; do if [ "$1" = "--$name" ] && [ $# -gt 1 ]; then known=$name; fi; done
        if [ -z "$known" ]; then
            echo "usage: scripts/bench.sh $bench$usage" >&2
            exit 64
        fi
        printf -v "$known" %s "$2"
        shift 2
    done
}
