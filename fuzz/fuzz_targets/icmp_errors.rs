//! Fuzzes [`fuzzing::icmp_errors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::icmp_errors(input));
