#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proffer_fuzz::run("records", input));
