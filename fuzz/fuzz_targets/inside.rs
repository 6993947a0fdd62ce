//! Fuzzes [`fuzzing::inside`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::inside(input));
