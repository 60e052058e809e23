//! config.toml: no mistake in it waives anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_policy::Config;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text) {
        Ok(config) => assert!(config.allow_degraded.iter().all(|guarantee| guarantee.is_waivable())),
        Err(mistakes) => assert!(!mistakes.all().is_empty(), "refused without a reason"),
    }
});
