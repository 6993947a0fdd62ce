//! Fuzzes [`fuzzing::control`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::control(input));
