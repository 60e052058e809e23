//! Lines of `ringfence batch`: each is a request, a cancellation, or an error with words.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ringfence_cli::fuzzed::batch_lines(data));
