# Sourced. python_with FOLDER PACKAGE…: names a Python that can import these packages: PLASMA_TORCH where it is set and can, else one of a virtual
# environment in FOLDER, into which they are installed from PyPI.
python_with() {
    local folder=$1 python=${PLASMA_TORCH:-$1/bin/python}
    shift
    if ! "$python" -c "import $(IFS=,; echo "$*")" 2>/dev/null; then
        if ! python3 -c 'import ensurepip' 2>/dev/null; then
            local as_root=""
            if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
            $as_root apt-get update -qq >&2
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >&2
        fi
        python3 -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
        python=$folder/bin/python
    fi
    echo "$python"
}
