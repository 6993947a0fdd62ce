//! Fuzzes [`fuzzing::dns_answer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::dns_answer(input));
