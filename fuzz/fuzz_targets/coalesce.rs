//! Fuzzes [`fuzzing::coalesce`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::coalesce(input));
