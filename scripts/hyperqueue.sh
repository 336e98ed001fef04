#!/bin/sh
# Puts HyperQueue's package of PyPI into a virtual environment of its own: `hyperqueue.sh DIRECTORY`. A benchmark compares with
# it; where it cannot be had, that comparison is skipped.
set -eu
dir=$1
version=0.27.0

[ "$(cat "$dir/version" 2>/dev/null)" != "$version" ] || exit 0
parent=$(dirname "$dir")
mkdir -p "$parent"
rm -rf "$dir"
if python3 -m venv "$dir" >&2 &&
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "hyperqueue==$version" >&2; then
    echo "$version" >"$dir/version"
else
    rm -rf "$dir"
    echo "hyperqueue cannot be had on this system: what needs it will be skipped" >&2
fi
