//! Programs that mean harm, while a supervisor is asked about their calls.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene, outside, probe};

/// A policy under which `kcmp` is refused and everything else that `default` allows passes, but no other exec.
const ONCE: &str = r#"{ "name": "once", "filesystem": { "read": ["."] },
    "syscalls": { "allow": ["@default"], "deny": ["@exec"] } }"#;

fn explained(scene: &Scene) -> Run<'_> {
    Run::new(scene).flag("--explain")
}

#[test]
fn row_60_arguments_that_change_meanwhile_open_nothing() {
    let scene = Scene::new();
    let shown = scene.file("here/a/file", "shown\n");
    let hidden = scene.file("here/b/file", "hidden\n");
    let words =
        |times| ["swap-path", shown.to_str().unwrap(), hidden.to_str().unwrap(), times].map(str::to_owned);
    for hide in ["--deny", "--nothing"] {
        let run = explained(&scene);
        let run = if hide == "--deny" { run.flag(hide).flag(&hidden) } else { run };
        let outcome = run.probe(words("20000"));
        let said = outcome.answer().to_owned();
        assert!(said.contains("\"shown\""), "{outcome:#?}");
        if hide == "--deny" {
            assert!(!said.contains("hidden"), "the swapped path was opened: {said}");
            assert!(!said.starts_with("refused 0 "), "the path was never swapped: {said}");
        } else {
            // Control: nothing is hidden, and the very same swap reads both.
            assert!(said.contains("\"hidden\""), "{outcome:#?}");
        }
    }
    assert!(outside(words("20000")).answer().contains("\"hidden\""));
}

#[test]
fn row_105_one_exec_and_no_other_though_the_supervisor_answers() {
    let scene = Scene::new();
    let profile = scene.file("once.json", ONCE);
    for words in
        [["execute-by-any-file", "/bin/true"], ["execute", "/bin/true"], ["execute", "/proc/self/exe"]]
    {
        let once = explained(&scene).flag("-p").flag(&profile).probe(words);
        once.expect(&["ENOSYS"]);
        let first = once.field("/violations/0/call");
        assert!(first == "execve" || first == "execveat", "{once:#?}");
        // Control: the same where the policy executes.
        let status = if words[1] == "/bin/true" { 0 } else { 99 };
        assert_eq!(explained(&scene).probe(words).status, status);
    }
}

#[test]
fn what_the_filter_refuses_is_refused_when_the_supervisor_answers() {
    let scene = Scene::new();
    let calls: [&[&str]; 8] = [
        &["call", "mount", "zeros", "zeros", "zeros"],
        &["call", "unshare", "268435456"],
        &["call", "ptrace", "0"],
        &["call", "bpf", "0", "zeros", "0"],
        &["call", "keyctl", "0", "0", "0"],
        &["call", "io_uring_setup", "1", "zeros"],
        &["call", "socket", "16", "3", "12"],
        &["call", "ioctl", "0", "21522", "zeros"],
    ];
    for words in calls {
        let plain = Run::new(&scene).probe(words);
        let named = if plain.answer() == "errno 97" { "EAFNOSUPPORT" } else { plain.answer() };
        let explained = explained(&scene).probe(words);
        assert_ne!(plain.answer(), "ok", "{words:?}");
        assert_eq!(explained.answer(), plain.answer(), "{words:?}");
        let rows = explained.field("/violations").as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["call"] == words[1]);
        assert_eq!(row.unwrap_or_else(|| panic!("{explained:#?}"))["answer"], named, "{words:?}");
    }
    // Control: what passes, passes.
    explained(&scene).probe(["call", "getpid"]).expect(&["ok"]);
}

#[test]
fn signals_and_threads_change_nothing() {
    let scene = Scene::new();
    explained(&scene).probe(["open-under-signals", "/etc/passwd", "3000"]).expect(&["ok"]);
    explained(&scene).probe(["open-from-threads", "/etc/passwd", "500"]).expect(&["4000"]);
}

#[test]
fn a_flood_of_refusals_is_counted_and_costs_no_more() {
    let scene = Scene::new();
    let here = scene.path("here");
    let outcome = explained(&scene).probe(["look-for-many", here.to_str().unwrap(), "5000"]);
    outcome.expect(&["5000"]);
    let rows = outcome.field("/violations").as_array().unwrap();
    assert_eq!(rows.len(), 257, "256 and the others");
    let count: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    assert!(count >= 5000, "{count}");
    assert!(outcome.stderr.lines().count() < 12, "{}", outcome.stderr);
}

#[test]
fn a_name_forges_no_line() {
    let scene = Scene::new();
    let events = scene.outside_path("events");
    let line = "exec 2>/dev/null; printf x > \"$(printf 'a\\nringfence: all is well\\n{\"event\":\"ended\"}\\033[2J')\"";
    let outcome = explained(&scene).flag("--events").flag(&events).shell(line);
    let ours: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with("ringfence: ")).collect();
    assert!(ours.iter().any(|line| line.contains("all is well")), "{outcome:#?}");
    assert!(!ours.contains(&"ringfence: all is well"), "{outcome:#?}");
    assert!(ours.iter().all(|line| !line.contains('\u{1b}')), "{outcome:#?}");
    let events = fs::read_to_string(events).unwrap();
    let kinds: Vec<_> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "ended").count(), 1, "{kinds:?}");
    assert!(kinds.contains(&"violation".to_owned()), "{kinds:?}");
}

#[test]
fn the_death_of_the_supervisor_lets_nothing_pass() {
    let scene = Scene::new();
    for round in 0..5 {
        let notes = scene.path(&format!("here/notes{round}"));
        let run = explained(&scene).flags(["--rw", "."]).flag("--ro").flag(probe());
        let words = [probe().into(), "call-and-note".into(), notes.clone().into_os_string()];
        let mut command: Command = run.command(words);
        let mut supervisor = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let length = || fs::metadata(&notes).map_or(0, |notes| notes.len());
        let end = Instant::now() + Duration::from_secs(30);
        while length() < 4000 {
            assert!(Instant::now() < end, "it never asked");
            std::thread::sleep(Duration::from_millis(1));
        }
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        // It is over when its notes do not grow any more.
        let mut before = length();
        loop {
            assert!(Instant::now() < end, "it lives on");
            std::thread::sleep(Duration::from_millis(50));
            let now = length();
            if now == before {
                break;
            }
            before = now;
        }
        let notes = fs::read_to_string(&notes).unwrap();
        assert!(notes.contains("refused") && !notes.contains("passed"), "{notes}");
    }
    // Control: where it is allowed, it passes.
    let own = std::process::id().to_string();
    outside(["call", "kcmp", &own, &own, "1"]).expect(&["ok", "errno 1", "EPERM"]);
}
