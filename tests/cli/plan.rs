//! `plan`: what a run would do, in the words of what it does.

use serde_json::Value;
use support::{Scene, is_root};

use crate::tools::{call, one_line, text};

fn json(scene: &Scene, words: &[&str]) -> Value {
    let said = call(scene, [&["plan", "--json"], words].concat());
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
    serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.stdout))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|word| word.as_str().expect("text").to_owned()).collect()
}

/// Flags of many kinds, so that many kinds of step are in the plan.
fn policies(scene: &Scene) -> Vec<Vec<String>> {
    scene.file("work/secret", "x");
    scene.folder("work/below");
    let work = scene.path("work");
    let work = text(&work);
    let words = |line: &str| line.split(' ').map(|word| word.replace("WORK", work)).collect::<Vec<_>>();
    [
        "-p minimal",
        "-p default",
        "-p build --net host",
        "-p agent --timeout 10s --nofile 64",
        "--rw WORK --deny WORK/secret --ro WORK/below --tmpfs /m:1M",
        "--bind WORK:/elsewhere:ro --hostname box --uid 7 --gid 8 --stack 8M --file-size 1M",
    ]
    .into_iter()
    .map(words)
    .collect()
}

#[test]
fn the_printed_steps_are_the_ones_that_a_run_carries_out() {
    let scene = Scene::new();
    for policy in policies(&scene) {
        let policy: Vec<_> = policy.iter().map(String::as_str).collect();
        let command = ["--", "/bin/true"];
        let planned = strings(&json(&scene, &[&policy[..], &command].concat())["steps"]);
        let printed = call(&scene, [&["plan"], &policy[..], &command].concat()).stdout;
        let ran = call(&scene, [&["run", "--verbose"], &policy[..], &command].concat());
        assert_eq!(ran.status, 0, "{ran:#?}");
        let numbered = |(index, step): (usize, &String)| format!("{:3}. {step}", index + 1);
        let expected: Vec<_> = planned.iter().enumerate().map(numbered).collect();
        let before_the_blank = printed.lines().take_while(|line| !line.is_empty());
        assert_eq!(before_the_blank.collect::<Vec<_>>(), expected, "{policy:?}");
        let said = ran.stderr.lines().filter_map(|line| line.strip_prefix("ringfence: "));
        assert_eq!(said.take(expected.len()).collect::<Vec<_>>(), expected, "{policy:?}");
    }
}

#[test]
fn the_planned_receipt_is_what_a_run_verifies() {
    let scene = Scene::new();
    let report = scene.folder("reports").join("report.json");
    for policy in policies(&scene) {
        let policy: Vec<_> = policy.iter().map(String::as_str).collect();
        let planned = json(&scene, &[&policy[..], &["--", "/bin/true"]].concat())["receipt"].clone();
        let ran =
            call(&scene, [&["run", "--report", text(&report)], &policy[..], &["--", "/bin/true"]].concat());
        assert_eq!(ran.status, 0, "{ran:#?}");
        let verified = crate::tools::take_report(&report).expect("a report")["receipt"].clone();
        assert_eq!(
            comparable(&planned, &["planned"]),
            comparable(&verified, &["verified", "constructed"]),
            "{policy:?}"
        );
    }
}

/// The rows without who established them, and without the id that every run of root has for itself.
fn comparable(receipt: &Value, by: &[&str]) -> Vec<Value> {
    let mut rows = receipt.as_array().expect("rows").clone();
    assert!(rows.len() > 8);
    for row in &mut rows {
        assert!(row["by"].as_str().is_some_and(|word| by.contains(&word)), "{row}");
        row["by"] = Value::Null;
        if row["guarantee"] == "host-root" {
            assert!(is_root());
            row["detail"] = Value::Null;
        }
    }
    rows
}

#[test]
fn a_plan_runs_nothing_and_changes_nothing() {
    let scene = Scene::new();
    let here = scene.path("here");
    let before = scene.listing();
    let words = ["plan", "--rw", ".", "--", "/usr/bin/touch", "made"];
    assert_eq!(call(&scene, words).status, 0);
    assert_eq!(scene.listing(), before);
    // Control: run, it makes the file.
    assert_eq!(call(&scene, [&["run"], &words[1..]].concat()).status, 0);
    assert!(here.join("made").exists());
}

#[test]
fn what_a_run_would_refuse_a_plan_refuses_with_the_same_words() {
    let scene = Scene::new();
    scene.file("here/plain", "x");
    for (words, status) in [
        (&["--ro", "missing", "--", "true"][..], 1),
        (&["--", "no-such-program"], 1),
        (&["--", "./plain"], 1),
        (&["--deny", "/usr/bin/env", "--", "env"], 1),
        (&["--workdir", "/nowhere", "--", "true"], 1),
        (&["--ro", "plain", "--rw", "plain", "--", "true"], 2),
        (&["--timeout", "soon", "--", "true"], 2),
    ] {
        let planned = call(&scene, [&["plan"], words].concat());
        let ran = call(&scene, [&["run"], words].concat());
        assert_eq!((planned.status, planned.stdout.as_str()), (status, ""), "{words:?}: {planned:#?}");
        assert!([125, 126, 127].contains(&ran.status), "{words:?}: {ran:#?}");
        let same = |line: &str| line.replace("ringfence run", "ringfence plan");
        assert_eq!(one_line(&planned), same(one_line(&ran)), "{words:?}");
    }
}

#[test]
fn notes_are_in_the_plan_as_a_run_says_them() {
    let scene = Scene::new();
    let home = scene.home();
    let mut line = crate::tools::command(&scene, ["plan", "--json", "--", "true"]);
    line.current_dir(&home);
    let planned: Value = serde_json::from_str(&crate::tools::finish(line).stdout).unwrap();
    let mut line = crate::tools::command(&scene, ["run", "--", "true"]);
    line.current_dir(&home);
    let ran = crate::tools::finish(line);
    let notes = strings(&planned["notes"]);
    assert_eq!(notes.len(), 1, "{planned:#}");
    assert_eq!(one_line(&ran), notes[0]);
    assert_eq!(strings(&json(&scene, &["--", "true"])["notes"]), [""; 0], "control: elsewhere there is none");
}

#[test]
fn a_passed_file_is_in_the_plan_as_in_the_run() {
    let scene = Scene::new();
    let shell = |task: &str, redirections: &str| {
        let line = format!("exec {redirections}; exec \"$0\" {task} --pass-fd 7 -- /bin/true");
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", &line, text(&support::ringfence())]).current_dir(scene.path("here"));
        command.env("HOME", scene.home()).env("RINGFENCE_RUNTIME_DIR", scene.runtime());
        crate::tools::finish(command)
    };
    let planned = shell("plan", "7>passed");
    let ran = shell("run --verbose", "7>passed");
    assert_eq!((planned.status, ran.status), (0, 0), "{planned:#?} {ran:#?}");
    let steps: Vec<_> = planned.stdout.lines().take_while(|line| !line.is_empty()).collect();
    let said = ran.stderr.lines().filter_map(|line| line.strip_prefix("ringfence: "));
    assert_eq!(said.take(steps.len()).collect::<Vec<_>>(), steps);
    // Control: it is a step that differs.
    let without = call(&scene, ["plan", "--", "/bin/true"]).stdout;
    assert_ne!(without.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>(), steps);
    for redirections in ["7>&-", "7<.", "7</etc/passwd"] {
        let (planned, ran) = (shell("plan", redirections), shell("run", redirections));
        assert_eq!((planned.status, ran.status), (1, 125), "{redirections}: {planned:#?} {ran:#?}");
        assert_eq!(one_line(&planned), one_line(&ran), "{redirections}");
    }
}
