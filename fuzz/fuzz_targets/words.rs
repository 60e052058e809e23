//! Words of the command line: paths, sizes, durations, processors, variables.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use libfuzzer_sys::fuzz_target;
use ringfence_policy::{BindSpec, CpuList, Cpus, Size, TmpfsSpec, Variable, parse_duration, parse_size};

fuzz_target!(|data: &[u8]| {
    if let Ok(variable) = Variable::parse(OsStr::from_bytes(data)) {
        assert!(!variable.name.is_empty() && !variable.name.as_bytes().contains(&b'='));
        assert!(!variable.name.as_bytes().contains(&0));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&Size(size).to_string()), Ok(size), "{text}");
    }
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format!("{}ns", duration.as_nanos())).unwrap_or(duration), duration);
    }
    if let Ok(cpus) = text.parse::<Cpus>() {
        assert_eq!(cpus.to_string().parse::<Cpus>().ok(), Some(cpus), "{text}");
    }
    if let Ok(list) = text.parse::<CpuList>() {
        assert!(list.count() > 0 && list.contains(&list), "{text}");
        assert_eq!(list.to_string().parse::<CpuList>().ok(), Some(list), "{text}");
    }
    for spec in text.parse::<BindSpec>().into_iter() {
        assert!(spec.destination.is_absolute(), "{text}");
    }
    for spec in text.parse::<TmpfsSpec>().into_iter() {
        assert!(spec.path.is_absolute(), "{text}");
    }
});
