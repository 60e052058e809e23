//! Profile files: no input panics; what is read is written and read again as the same; its rules compile or are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_policy::{Format, Profile};

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let format = if first & 1 == 0 { Format::Json } else { Format::Toml };
    let profile = match Profile::parse(text, format) {
        Ok(profile) => profile,
        Err(mistakes) => {
            assert!(!mistakes.all().is_empty(), "refused without a reason");
            return assert!(!mistakes.to_string().is_empty());
        }
    };
    let written = serde_json::to_string(&profile).expect("what was read can be written");
    let again = Profile::parse(&written, Format::Json).unwrap_or_else(|e| panic!("{written}: {e}"));
    let (policy, again) = (profile.into_policy(), again.into_policy());
    assert_eq!(policy, again, "{written}");
});
