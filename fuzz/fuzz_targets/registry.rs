//! Files of live sandboxes: what is read is written and read again as the same; anything else is no entry.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ringfence::registry::fuzzed::entry(data));
