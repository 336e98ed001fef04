#!/bin/sh
# Runs hello.py. Makes its virtual environment and stubs in the cache first, where they are missing or outdated.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
protos=$here/../../proto
cache=${PROFFER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proffer}
# What the environment and the stubs are made of names them, so none is ever outdated.
made_of=$(cat "$here/requirements.txt" "$protos"/proffer/v1/*.proto | cksum | cut -d ' ' -f 1)
made=$cache/python-$made_of

if [ ! -d "$made" ]; then
    mkdir -p "$cache"
    making=$(mktemp -d "$cache/python.XXXXXX")
    trap 'rm -rf "$making"' EXIT
    python3 -m venv "$making/venv" >&2
    "$making/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    mkdir "$making/stubs"
    "$making/venv/bin/python" -m grpc_tools.protoc -I "$protos" \
        --python_out="$making/stubs" --grpc_python_out="$making/stubs" "$protos"/proffer/v1/*.proto
    # Another run may have been faster: then its result serves as well.
    mv -T "$making" "$made" 2>/dev/null || { rm -rf "$making" && [ -d "$made" ]; }
fi

PYTHONPATH="$made/stubs" exec "$made/venv/bin/python" "$here/hello.py" "$@"
