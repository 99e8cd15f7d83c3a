#!/usr/bin/env bash
# Times MiniLM in ONNX Runtime, one JSON line a case. The packages go into .cache/venv, never into the system.
set -euo pipefail
cd "$(dirname "$0")/../.."
./scripts/fetch_model.sh >&2
source scripts/bench/python.sh
python=$(python_with .cache/venv numpy onnx onnxruntime)
exec "$python" -I scripts/bench/onnxruntime_minilm.py --check Tests/RuntimeTests/Fixtures/minilm-reference.json "$@"
