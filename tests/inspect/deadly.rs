//! Policies under which a prober dies, cannot fork, or has little room: what is found does not change by it.

use serde_json::Value;
use support::Scene;

use crate::tools::{EMPTY, Found, inspect, inspect_below, inspect_empty};

/// The items without those of some classes, and without how calls were found out.
fn items(found: &Found, without: &[&str]) -> Vec<Value> {
    let kept = found.items().iter().filter(|item| !without.iter().any(|class| item["class"] == *class));
    let mut items: Vec<_> = kept.cloned().collect();
    for item in items.iter_mut().filter(|item| item["class"] == "syscall") {
        item["detail"] = Value::Null;
    }
    items
}

#[test]
fn a_filter_that_kills_hides_nothing() {
    let scene = Scene::new();
    let polite = inspect_empty(&scene, &[]);
    let deadly = inspect_empty(&scene, &["--on-violation", "kill"]);
    assert!(
        deadly.0["probers"].as_u64() > polite.0["probers"].as_u64(),
        "some died: {}",
        deadly.0["probers"]
    );
    assert_eq!(polite.0["probers"], 1);
    assert_eq!(items(&deadly, &[]), items(&polite, &[]));
    assert_eq!(deadly.not_tried(), polite.not_tried());
}

#[test]
fn where_no_process_can_be_made_one_does_it_all() {
    let scene = Scene::new();
    let many = inspect_empty(&scene, &[]);
    let alone = inspect_empty(&scene, &["--pids", "1"]);
    let different = ["syscall", "limit"];
    assert_eq!(items(&alone, &different), items(&many, &different));
    assert!(alone.not_tried().iter().any(|what| what.contains("system calls")), "{:?}", alone.not_tried());
    assert_eq!((many.reach("syscall", "fork"), alone.reach("syscall", "fork")), ("always", "no"));
}

#[test]
fn little_room_is_enough() {
    let scene = Scene::new();
    let plain = items(&inspect_empty(&scene, &[]), &["limit"]);
    for words in [["--nofile", "8"], ["--file-size", "1"], ["--stack", "256K"], ["--timeout", "30s"]] {
        let found = inspect_empty(&scene, &words);
        assert_eq!(items(&found, &["limit"]), plain, "{words:?}");
    }
    // The caller's own room: few open files, and less than the numbers that could be passed.
    let worse = [support::worse().into_os_string(), "nofile=64".into(), "--".into()];
    let found = inspect_below(&worse, &scene, &EMPTY);
    assert_eq!(items(&found, &["limit"]), plain);
}

#[test]
fn a_policy_that_ends_the_prober_is_told_as_one() {
    let scene = Scene::new();
    // Not even its own state can be read: what is left are the rules.
    let profile =
        r#"{"filesystem": {"base": "empty"}, "syscalls": {"allow": ["write"]}, "on_violation": "kill"}"#;
    let profile = scene.file("least.json", profile);
    let found = inspect(&scene, &["-p", profile.to_str().expect("UTF-8")]);
    assert_eq!(found.names("folder"), [""; 0]);
    assert_eq!(found.reach("syscall", "write"), "always");
    assert_eq!((found.reach("syscall", "read"), found.reach("syscall", "openat")), ("no", "no"));
    assert!(found.not_tried().iter().any(|what| what.contains("system calls")), "{:?}", found.not_tried());
}

#[test]
fn a_program_that_may_not_even_speak_is_told_as_that() {
    let scene = Scene::new();
    let profile =
        r#"{"filesystem": {"base": "empty"}, "syscalls": {"allow": ["read"]}, "on_violation": "kill"}"#;
    let profile = scene.file("mute.json", profile);
    let found = inspect(&scene, &["-p", profile.to_str().expect("UTF-8")]);
    assert_eq!(found.reach("syscall", "read"), "always");
    assert!(found.not_tried().iter().any(|what| what.ends_with("files")), "{:?}", found.not_tried());
}
