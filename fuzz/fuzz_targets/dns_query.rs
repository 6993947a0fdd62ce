//! Fuzzes [`fuzzing::dns_query`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::dns_query(input));
