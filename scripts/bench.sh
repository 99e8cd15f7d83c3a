#!/usr/bin/env bash
# Measures this machine and prints a table: MiniLM beside ONNX Runtime, and a devnet's transfers, finality and job overhead.
# Installs what the comparison needs (ONNX Runtime from PyPI, into .cache/venv). Everything is measured in the same run; nothing else should run.
# Usage: scripts/bench.sh [--seconds S] [--transfers N]
#        scripts/bench.sh runtime                                               all of the exact runtime beside its peers: the nine parts that follow, more than an hour
#        scripts/bench.sh encoder [--rounds R] [--seconds S]                    MiniLM in f32 beside ONNX Runtime, PyTorch and OpenVINO
#        scripts/bench.sh import [--rounds R]                                   from a model's file to its program
#        scripts/bench.sh generation [--rounds R] [--quantize w8a8|fx15]        GPT-2's shape beside PyTorch
#        scripts/bench.sh training [--steps N] [--rounds R]                     a small decoder's training beside PyTorch
#        scripts/bench.sh quantized [--seconds S]                               MiniLM with w8a8 beside ONNX Runtime's dynamic int8
#        scripts/bench.sh resnet [--rounds R] [--seconds S]                     ResNet-50's shape beside ONNX Runtime
#        scripts/bench.sh threads [--rounds R] [--seconds S]                    what a second thread gives, beside what a second process does
#        scripts/bench.sh kernels [VARIANT …]                                   contractions on one core beside ONNX Runtime, PyTorch, BLAS
#        scripts/bench.sh verification [-o json]                                what proving a result costs
#        scripts/bench.sh market [--jobs N] [--rounds R]                        jobs settled a second, pay beside computing, a dispute, on networks of this machine
#        scripts/bench.sh consensus [--history BLOCKS] [--repeat R] [-o json]   the core beside its goals, nothing to install
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = consensus ]; then
    shift
    history=100000
    repeat=3
    output=()
    while [ $# -gt 0 ]; do
        case $1 in
            --history) history=$2; shift 2 ;;
            --repeat) repeat=$2; shift 2 ;;
            -o) output=(-o "$2"); shift 2 ;;
            *) echo "usage: scripts/bench.sh consensus [--history BLOCKS] [--repeat R] [-o json]" >&2; exit 64 ;;
        esac
    done
    ./scripts/setup.sh >&2
    swift build -c release -j 2 --product plasma >&2
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    echo "Simulating 50 validators in ten regions …" >&2
    .build/release/plasma simulate --seed 1 --nodes 50 --profile wan --views 20 -o json >"$work/wan"
    echo "Timing the simulator …" >&2
    for run in "4 heartbeat 3000" "4 steady 3000" "100 heartbeat 20"; do
        read -r nodes profile views <<<"$run"
        printf '\0' >>"$work/wan"
        .build/release/plasma simulate --seed 1 --nodes "$nodes" --profile "$profile" --views "$views" -o json >>"$work/wan"
    done
    # What a busy moment can spoil is repeated; the long history and the million accounts are made once.
    for _ in $(seq "$repeat"); do
        .build/release/plasma bench consensus --part transfers ordering finality killed catch-up --directory "$work/net" \
            --base-port 29700 >>"$work/measured"
        printf '\0' >>"$work/measured"
    done
    .build/release/plasma bench consensus --part execution history --history "$history" --directory "$work/net" \
        --base-port 29700 >>"$work/measured"
    python3 scripts/bench/consensus.py "$work/measured" "$work/wan" ${output[@]+"${output[@]}"}
    exit
fi
if [ "${1:-}" = kernels ]; then
    shift
    exec ./scripts/bench/kernels.sh "$@"
fi
if [ "${1:-}" = verification ] || [ "${1:-}" = market ]; then
    ./scripts/setup.sh >&2
    ./scripts/fetch_model.sh >&2
    swift build -c release -j 2 --product plasma >&2
    exec .build/release/plasma bench "$@"
fi
if [ "${1:-}" = runtime ]; then
    if [ $# -gt 1 ]; then echo "usage: scripts/bench.sh runtime" >&2; exit 64; fi
    for part in encoder quantized kernels generation "generation --quantize w8a8" training resnet threads import; do
        printf '\n## %s\n\n' "$part"
        # A part is a command with its options.
        # shellcheck disable=SC2086
        ./scripts/bench.sh $part
    done
    exit
fi
if [ "${1:-}" = encoder ] || [ "${1:-}" = import ] || [ "${1:-}" = training ] || [ "${1:-}" = generation ] || [ "${1:-}" = quantized ] || [ "${1:-}" = resnet ] \
    || [ "${1:-}" = threads ]; then
    part=$1
    shift
    ./scripts/setup.sh >&2
    case $part in quantized | encoder | import | threads) ./scripts/fetch_model.sh >&2 ;; esac
    swift build -c release -j 2 --product plasma >&2
    exec "./scripts/bench/$part.sh" "$@"
fi
seconds=2
transfers=20000
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        --transfers) transfers=$2; shift 2 ;;
        *) echo "usage: scripts/bench.sh [--seconds S] [--transfers N]" >&2; exit 64 ;;
    esac
done
./scripts/setup.sh >&2
./scripts/fetch_model.sh >&2
swift build -c release -j 2 --product plasma >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "Timing the exact runtime …" >&2
.build/release/plasma bench model .cache/all-MiniLM-L6-v2 --seconds "$seconds" >"$work/plasma"
echo "Timing ONNX Runtime …" >&2
./scripts/bench/onnxruntime_minilm.sh --seconds "$seconds" >"$work/onnxruntime"
echo "Timing the exact runtime again, so that a change of the machine's speed shows …" >&2
.build/release/plasma bench model .cache/all-MiniLM-L6-v2 --seconds "$seconds" >"$work/again"
echo "Timing a network of this machine …" >&2
.build/release/plasma bench network --directory "$work/net" --base-port 29600 --transfers "$transfers" >"$work/network"
python3 scripts/bench/table.py "$work"
