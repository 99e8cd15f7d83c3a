#!/bin/bash
# Times MiniLM in ONNX Runtime, one JSON line a case. The packages go into .cache/venv, never into the system.
set -euo pipefail
cd "$(dirname "$0")/../.."

./scripts/fetch_model.sh >&2
if ! .cache/venv/bin/python -c 'import onnx, onnxruntime, numpy' 2>/dev/null; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        as_root=""
        if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
        $as_root apt-get update -qq >&2
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >&2
    fi
    python3 -m venv .cache/venv
    .cache/venv/bin/python -m pip install --quiet --disable-pip-version-check onnx onnxruntime numpy >&2
fi
exec .cache/venv/bin/python scripts/bench/onnxruntime_minilm.py \
    --check Tests/RuntimeTests/Fixtures/minilm-reference.json "$@"
