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
    for (limit, value) in [("memory", "1"), ("cpus", "1"), ("pids", "2"), ("cpu_time", "\"1s\"")] {
        let text = format!(r#"{{"name": "x", "description": "y", "limits": {{"{limit}": {value}}}}}"#);
        let error = said(&text);
        assert!(error.contains("this version") && error.contains("the profile:1:"), "{error}");
    }
    assert!(Profile::parse(r#"{"limits": {"pids": 1}}"#, Format::Json).is_ok());
}

#[test]
fn an_unknown_profile_lists_the_known() {
    let problem = Profile::builtin("python").unwrap_err();
    assert!(problem.to_string().contains("python-safe"), "{problem}");
}
