//! Fuzzes [`fuzzing::virtio`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::virtio(input));
