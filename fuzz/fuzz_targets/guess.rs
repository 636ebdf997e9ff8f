#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| limegate_fuzz::guess(input));
