//! Fuzzes [`fuzzing::document`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::document(input));
