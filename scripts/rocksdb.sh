#!/bin/sh
# Builds librocksdb.a of one librocksdb-sys version into a directory: `rocksdb.sh VERSION DIR`.
# The optimised archive serves every profile, so the C++ is compiled once a machine and not once a profile.
set -eu
version=$1
dir=$2
work=$dir.build

echo "building RocksDB $version once; this takes some 25 CPU-minutes" >&2
rm -rf "$work"
mkdir -p "$work/src" "$dir"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "rocksdb-archive"
version = "0.0.0"
edition = "2024"
[dependencies]
librocksdb-sys = { version = "=${version%%+*}", default-features = false, features = ["bindgen-runtime"] }
[workspace]
TOML
: >"$work/src/lib.rs"
unset ROCKSDB_LIB_DIR ROCKSDB_STATIC
(cd "$work" && CARGO_TARGET_DIR="$work/target" cargo build --release)
built=$(find "$work/target/release/build" -path '*/out/librocksdb.a')
# Renamed into place, so that a build cut short leaves nothing that looks whole.
cp "$built" "$dir/librocksdb.a.partial"
mv "$dir/librocksdb.a.partial" "$dir/librocksdb.a"
rm -rf "$work"
