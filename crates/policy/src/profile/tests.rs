use super::*;

#[test]
fn every_builtin_profile_loads_under_its_own_name() {
    for (name, file) in BUILTIN_PROFILES {
        let profile = Profile::builtin(name).unwrap();
        assert_eq!(profile.name, name);
        assert!(!profile.description.is_empty());
        // Both readers say the same, and the one that judges finds nothing.
        let judged =
            Profile::parse(file, Format::Json).unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
        assert_eq!(Profile::builtin_file(name).unwrap(), judged, "{name}");
        profile.into_policy().check().unwrap();
    }
}

fn said(text: &str) -> String {
    Profile::parse(text, Format::Json).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_an_error() {
    assert_eq!(
        said("{\n  \"filesystem\": {\"raed\": [\"/\"]}\n}"),
        "the profile:2:18: unknown key `raed`; did you mean `read`?"
    );
}

#[test]
fn a_limit_that_is_not_built_yet_is_an_error() {
    let error = said(r#"{"name": "x", "description": "y", "limits": {"output": 1}}"#);
    assert!(error.contains("this version") && error.contains("the profile:1:"), "{error}");
}

#[test]
fn a_limit_without_meaning_is_an_error() {
    for limit in [
        r#""memory": 0"#,
        r#""memory": "10 bananas""#,
        r#""cpus": 0"#,
        r#""cpus": "-1""#,
        r#""cpus": 0.0001"#,
        r#""pids": 0"#,
        r#""pids": -1"#,
        r#""pids": 99999999999"#,
        r#""cpu_time": "0s""#,
        r#""cpuset": "3-1""#,
    ] {
        let error = said(&format!(r#"{{"name": "x", "description": "y", "limits": {{{limit}}}}}"#));
        assert!(error.contains("the profile:1:"), "{limit}: {error}");
    }
}

#[test]
fn limits_of_cgroups_are_read_with_their_units() {
    let text =
        r#"{"limits": {"memory": "512M", "cpus": 1.5, "pids": 64, "cpu_time": "10s", "cpuset": "0-1"}}"#;
    let limits = Profile::parse(text, Format::Json).unwrap().into_policy().limits;
    assert_eq!((limits.memory.unwrap().0, limits.cpus.unwrap().0, limits.pids), (512 << 20, 1500, Some(64)));
    assert_eq!(limits.cpu_time, Some(std::time::Duration::from_secs(10)));
    assert_eq!(limits.cpuset.unwrap().count(), 2);
}

#[test]
fn an_unknown_profile_lists_the_known() {
    let problem = Profile::builtin("python").unwrap_err();
    assert!(problem.to_string().contains("python-safe"), "{problem}");
}
