//! A good host, and what a host lacks that is said of one.

use support::{Run, Scene};

use crate::worse::{Host, missing};

#[test]
fn a_good_host_has_everything_and_doctor_says_so_by_its_status() {
    let scene = Scene::new();
    let (status, said) = Run::new(&scene).doctor();
    assert_eq!(status, 0, "{said:#}");
    assert_eq!((&said["schema"], &said["rung"], &said["full"]), (&1.into(), &"full".into(), &true.into()));
    assert!(missing(&said, true).is_empty(), "{said:#}");
    assert_eq!(said["sandbox"]["ran"], true);
    let rows = said["sandbox"]["receipt"].as_array().unwrap();
    assert!(rows.len() > 8 && rows.iter().all(|row| row["status"] == "enforced"), "{said:#}");
}

#[test]
fn the_table_says_the_same_without_colour() {
    let scene = Scene::new();
    let text = |host: &Host| host.doctor_text(&scene);
    let good = text(&Host::plain("good"));
    assert!(good.contains("user-namespace") && good.contains("yes"), "{good}");
    assert!(!good.contains('\u{1b}'), "{good}");
    let poor = text(&Host::namespace("no user namespaces", "echo 0 >/proc/sys/user/max_user_namespaces"));
    for part in ["no sandbox can be started", "NO", "concerns: files", "remedy: ", "does not run: "] {
        assert!(poor.contains(part), "no `{part}`: {poor}");
    }
}

#[test]
fn a_wrong_word_is_a_usage_error() {
    let mut command = std::process::Command::new(support::ringfence());
    let output = command.args(["doctor", "--everything"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
