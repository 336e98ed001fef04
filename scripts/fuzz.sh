#!/bin/sh
# Runs fuzz targets one after the other: fuzz.sh CACHE "TARGET .." SECONDS. Ends at the first find.
set -eu
cache=$1 targets=$2 seconds=$3
cd "$(dirname "$0")/.."

# A stable compiler has no sanitizers.
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
if [ ! -x "$cache/bin/cargo-fuzz" ]; then
    cargo install cargo-fuzz --locked --version 0.13.2 --root "$cache"
fi
# The versions of the workspace.
cp Cargo.lock tests/fuzz/libfuzzer/Cargo.lock
export PATH="$cache/bin:$PATH" CARGO_TARGET_DIR="$cache/target"
for target in $targets; do
    corpus="$cache/corpus/$target"
    mkdir -p "tests/fuzz/found/$target"
    cargo run --quiet --locked -p proffer-fuzz -- "$target" "$corpus"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer "$target" "$corpus" "tests/fuzz/found/$target" -- \
        -artifact_prefix="tests/fuzz/found/$target/" -max_total_time="$seconds" -max_len=8192 -timeout=10 -print_final_stats=1
done
