//! Filters of OCI engines: read or refused; what is read compiles, or is refused with words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_policy::{Facts, OciFilter};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _only_no_panic = OciFilter::is_one(text);
    let facts = Facts { kernel: (6, 12), kept: Default::default() };
    match OciFilter::parse(text, &facts) {
        Ok(filter) => drop(filter.into_profile().into_policy()),
        Err(mistakes) => assert!(!mistakes.all().is_empty(), "refused without a reason"),
    }
});
