#!/bin/bash
# Runs every test with the output of each, and counts at the end what could not run here and why.
# The binary and the author's example come first: the cluster tests start them.
set -euo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo build --locked -p proffer
cargo build --locked -p proffer-sdk --examples
cargo test --workspace --locked --no-fail-fast -- --show-output 2>&1 | tee "$log"

skipped=$(grep -c '^skipped: ' "$log" || true)
echo
if [ "$skipped" -gt 0 ]; then
    echo "$skipped could not run here:"
    grep '^skipped: ' "$log" | sort | uniq -c
fi
passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
echo "$passed passed, 0 failed, $skipped skipped"
