//! Fuzzes [`fuzzing::fragments`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::fragments(input));
