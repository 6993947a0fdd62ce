//! Fuzzes [`fuzzing::outside`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::outside(input));
