//! `--diff`: what became weaker, what stronger.

use serde_json::Value;
use support::Scene;

use crate::tools::{EMPTY, call};

/// The changes, as `class name before after`, by direction; and the exit status.
fn changes(scene: &Scene, words: &[&str]) -> (Vec<String>, Vec<String>, i32) {
    let said = call(scene, &[&["--json"], words].concat());
    let told: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:#?}"));
    assert_eq!(told["schema"], 1);
    let of = |direction: &str| {
        let all = told["changes"].as_array().expect("changes").iter();
        let word = |change: &Value, key: &str| change[key].as_str().expect("a word").to_owned();
        let line =
            |change: &Value| ["class", "name", "before", "after"].map(|key| word(change, key)).join(" ");
        // A scene is below /tmp, which is the sandbox's own: to the host that is nothing.
        let line = |change: &Value| line(change).replace(" own-write", " no");
        all.filter(|change| change["direction"] == direction).map(line).collect()
    };
    (of("weaker"), of("stronger"), said.status)
}

/// The same change seen from the other side.
fn turned(changes: &[String]) -> Vec<String> {
    let turn = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        let [rest @ .., before, after] = &words[..] else { panic!("{line}") };
        [rest, &[after, before]].concat().join(" ")
    };
    let mut turned: Vec<_> = changes.iter().map(turn).collect();
    turned.sort();
    turned
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn there_and_back_are_mirror_images() {
    let scene = Scene::new();
    let (weaker, stronger, status) = changes(&scene, &["-p", "minimal", "--diff", "default"]);
    assert_eq!((weaker.len(), status), (0, 1), "minimal reaches nothing that default does not: {weaker:?}");
    for expected in ["syscall execve always no", "ipc sysv-shm yes no", "family inet:stream make no"] {
        assert!(stronger.iter().any(|line| line == expected), "{expected}: {stronger:#?}");
    }
    let (back_weaker, back_stronger, status) = changes(&scene, &["--diff", "minimal"]);
    assert_eq!((back_stronger.len(), status), (0, 1));
    assert_eq!(turned(&stronger), sorted(back_weaker));
}

#[test]
fn the_same_is_no_difference() {
    let scene = Scene::new();
    let profile = scene.file("p.json", r#"{"extends": "default", "filesystem": {"base": "empty"}}"#);
    let profile = profile.to_str().expect("UTF-8");
    let words = ["-p", profile, "--diff", profile];
    assert_eq!(changes(&scene, &words), (vec![], vec![], 0));
    let said = call(&scene, &words);
    assert_eq!((said.status, said.stdout.as_str()), (0, "no difference\n"));
}

#[test]
fn each_flag_is_the_change_that_it_makes() {
    let scene = Scene::new();
    let profile = |name: &str, more: &str| {
        let text = format!(r#"{{"extends": "default", "filesystem": {{"base": "empty"{more}}}}}"#);
        scene.file(name, &text).display().to_string()
    };
    let work = scene.folder("work").display().to_string();
    let file = scene.file("work/.env", "x").display().to_string();
    let (plain, shown) =
        (profile("plain.json", ""), profile("shown.json", &format!(r#", "read": ["{work}"]"#)));
    let changed = |words: &[&str], other: &str| {
        let (weaker, stronger, status) = changes(&scene, &[&EMPTY[..], words, &["--diff", other]].concat());
        assert_eq!(status, i32::from(!(weaker.is_empty() && stronger.is_empty())));
        (weaker, stronger)
    };
    let lines = |lines: &[String]| lines.to_vec();
    assert_eq!(changed(&[], &plain), (vec![], vec![]));
    let weaker = lines(&[format!("secret {file} no read"), format!("folder {work} no read")]);
    assert_eq!(changed(&["--ro", &work], &plain), (weaker, vec![]));
    let weaker = lines(&[format!("secret {file} read read-write"), format!("folder {work} read write")]);
    assert_eq!(changed(&["--rw", &work], &shown), (weaker, vec![]));
    let stronger = lines(&[format!("secret {file} read no"), format!("file {file} read no")]);
    assert_eq!(changed(&["--ro", &work, "--deny", &file], &shown), (vec![], stronger));
    let stronger = lines(&[format!("secret {file} read no"), format!("folder {work} read no")]);
    assert_eq!(changed(&[], &shown), (vec![], stronger));
    // What the capability is for is found, too.
    let weaker =
        ["privilege CAP_NET_RAW no effective", "family inet6:raw no make", "family inet:raw no make"];
    let weaker = lines(&weaker.map(str::to_owned));
    assert_eq!(changed(&["--keep-cap", "net_raw"], &plain), (weaker, vec![]));
    let weaker = lines(&["variable X no set".to_owned()]);
    assert_eq!(changed(&["--env", "X=1"], &plain), (weaker, vec![]));
    let (weaker, stronger) = changed(&["--nofile", "17"], &plain);
    assert!(
        weaker.is_empty() && stronger[0].starts_with("limit open-files ") && stronger[0].ends_with(" 17")
    );
}

#[test]
fn trouble_is_no_difference() {
    let scene = Scene::new();
    let status = |words: &[&str]| {
        let said = call(&scene, words);
        assert_eq!(said.stdout, "", "{words:?}");
        assert!(said.stderr.starts_with("ringfence: "), "{said:?}");
        said.status
    };
    assert_eq!(status(&["--diff", "no-such-profile"]), 2);
    assert_eq!(status(&["-p", "no-such-profile"]), 2);
    assert_eq!(status(&["--ro", "/no/such/path", "--diff", "default"]), 2);
    assert_eq!(status(&["--ro", "/no/such/path"]), 1);
    assert_eq!(status(&["--", "no-such-program-at-all"]), 1);
}
