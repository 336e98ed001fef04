//! Searches for bytes that break the target `cni`, guided by coverage.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proffer_fuzz::run("cni", input));
