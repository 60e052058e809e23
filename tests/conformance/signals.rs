//! Polite and impolite ends: what a signal to the command line does, deadlines, and every exit status.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene};

use crate::tools::{alive, executable, finish, finish_with_input, text, wait_for};

/// A sandbox whose program has said that it is ready.
fn started(run: &Run<'_>, line: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = run
        .command(["/bin/sh", "-c", line])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    assert_eq!(next(&mut lines).as_deref(), Some("ready"));
    (child, lines)
}

fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    lines.next()?.ok()
}

fn send(child: &Child, signal: i32) {
    // SAFETY: numbers only; the process is our child and not yet reaped.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
}

/// A shell that answers a signal and then ends with 5.
const POLITE: &str = r#"trap 'echo asked; exit 5' TERM INT HUP; echo ready; while :; do sleep 0.02; done"#;
/// One that only answers.
const DEAF: &str = r#"trap 'echo asked' TERM INT HUP; echo ready; while :; do sleep 0.02; done"#;

#[test]
fn a_polite_signal_is_passed_on_and_the_program_may_finish() {
    let scene = Scene::new();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let (mut child, mut lines) = started(&Run::new(&scene), POLITE);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(5), "signal {signal}");
        assert_eq!((next(&mut lines).as_deref(), next(&mut lines)), (Some("asked"), None), "signal {signal}");
    }
}

#[test]
fn after_the_grace_what_is_left_is_killed() {
    let scene = Scene::new();
    let report = scene.outside_path("report");
    let run = Run::new(&scene).flags(["--grace", "300ms", "--report"]).flag(&report);
    let (mut child, mut lines) = started(&run, DEAF);
    let begun = Instant::now();
    send(&child, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!((next(&mut lines).as_deref(), next(&mut lines)), (Some("asked"), None));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["exit"]["reason"], "killed", "{report:#}");
    assert_eq!(report["exit"]["signal"], libc::SIGKILL, "{report:#}");
}

#[test]
fn the_second_signal_kills_at_once() {
    let scene = Scene::new();
    let (mut child, mut lines) = started(&Run::new(&scene).flags(["--grace", "1m"]), DEAF);
    send(&child, libc::SIGTERM);
    assert_eq!(next(&mut lines).as_deref(), Some("asked"));
    // Control: the first alone leaves it the minute.
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none());
    let begun = Instant::now();
    send(&child, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_killed_run_takes_the_whole_tree_with_it() {
    let scene = Scene::new();
    let marker = format!("8{}.5", std::process::id());
    let line = format!("setsid sleep {marker} & (sleep {marker} &) ; {DEAF}");
    let (mut child, _lines) = started(&Run::new(&scene).flags(["--grace", "100ms"]), &line);
    wait_for("its processes run", Duration::from_secs(5), || alive(&marker).len() >= 2);
    send(&child, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    // Gone when the command line is: nothing to wait for.
    assert_eq!(alive(&marker), [0; 0]);
}

#[test]
fn a_deadline_is_124_even_when_the_program_then_ends_well() {
    let scene = Scene::new();
    let run = || Run::new(&scene).flags(["--timeout", "300ms", "--grace", "300ms"]);
    let polite = run().shell("trap 'exit 0' TERM; while :; do sleep 0.02; done");
    assert_eq!((polite.status, polite.field("/exit/code").as_i64()), (124, Some(0)), "{polite:#?}");
    let deaf = run().shell("trap '' TERM; while :; do sleep 0.02; done");
    assert_eq!((deaf.status, deaf.field("/exit/signal").as_i64()), (124, Some(9)), "{deaf:#?}");
    for outcome in [&polite, &deaf] {
        assert_eq!(outcome.field("/exit/reason"), "timeout", "{outcome:#?}");
        let exceeded = outcome.field("/exit/exceeded/0");
        assert_eq!(
            (&exceeded["limit"], &exceeded["allowed"]),
            (&"timeout".into(), &300_000.into()),
            "{outcome:#?}"
        );
        assert!(exceeded["used"].as_u64().unwrap() >= 300_000, "{outcome:#?}");
        assert!(outcome.stderr.contains("timeout after 300ms"), "{outcome:#?}");
    }
    assert!(
        polite.time < deaf.time && deaf.time < Duration::from_secs(5),
        "{:?} {:?}",
        polite.time,
        deaf.time
    );
    // Control: within it, it is the program's own.
    let fine = Run::new(&scene).flags(["--timeout", "20s"]).shell("sleep 0.1; exit 4");
    assert_eq!((fine.status, fine.field("/exit/exceeded")), (4, &serde_json::json!([])), "{fine:#?}");
}

#[test]
fn a_stopped_program_does_not_escape_its_deadline() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--timeout", "300ms", "--grace", "200ms"]);
    let outcome = run.shell("kill -STOP $$; echo woke; sleep 60");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (124, ""), "{outcome:#?}");
    assert!(outcome.time < Duration::from_secs(5), "{outcome:#?}");
}

#[test]
fn the_exit_status_is_the_programs_own() {
    let scene = Scene::new();
    for code in [0, 1, 2, 77, 124, 125, 126, 127, 128, 137, 255] {
        let outcome = Run::new(&scene).shell(&format!("exit {code}"));
        assert_eq!(outcome.status, code, "{outcome:#?}");
        // A program may choose our numbers: the report decides.
        assert_eq!(
            (outcome.field("/exit/reason"), outcome.field("/exit/code")),
            (&"exited".into(), &code.into())
        );
        assert!(outcome.field("/error").is_null() && outcome.field("/exit/signal").is_null(), "{outcome:#?}");
    }
}

#[test]
fn a_signal_that_ends_the_program_is_128_and_its_number() {
    let scene = Scene::new();
    for (name, number) in
        [("HUP", 1), ("INT", 2), ("KILL", 9), ("SEGV", 11), ("PIPE", 13), ("TERM", 15), ("USR1", 10)]
    {
        let outcome = Run::new(&scene).shell(&format!("kill -{name} $$"));
        assert_eq!(outcome.status, 128 + number, "{outcome:#?}");
        assert_eq!(
            (outcome.field("/exit/reason"), outcome.field("/exit/signal")),
            (&"signalled".into(), &number.into())
        );
        assert!(outcome.field("/exit/code").is_null(), "{outcome:#?}");
    }
    // Inside another sandbox's idea of a shell it is the shell's: exited, not signalled.
    let nested = Run::new(&scene).shell("sh -c 'kill -9 $$'; exit $?");
    assert_eq!((nested.status, nested.field("/exit/reason")), (137, &"exited".into()), "{nested:#?}");
}

#[test]
fn every_status_of_ours_has_its_reason() {
    let scene = Scene::new();
    let plain = scene.file("here/plain", "x");
    for (flags, command, status, reason) in [
        (&["--ro", "/no/such/path"][..], "/bin/true", 125, "setup"),
        (&["--hostname", "a b"], "/bin/true", 125, "setup"),
        (&[], text(&plain), 126, "not-executable"),
        (&[], "/no/such/program", 127, "not-found"),
    ] {
        let outcome = Run::new(&scene).flags(flags).run([command]);
        assert_eq!((outcome.status, outcome.field("/exit/reason")), (status, &reason.into()), "{outcome:#?}");
        assert!(!outcome.field("/error/message").is_null(), "{outcome:#?}");
        assert!(
            outcome.field("/usage").is_null() && outcome.field("/receipt") == &serde_json::json!([]),
            "{outcome:#?}"
        );
    }
}

#[test]
fn signals_that_the_caller_ignores_or_blocks_are_fresh_inside() {
    let scene = Scene::new();
    let wrapper = ["/bin/sh", "-c", r#"trap "" TERM INT PIPE USR1; exec "$@""#, "sh"];
    let line = "grep -E '^Sig(Ign|Blk)' /proc/self/status | cut -f2 | sort -u; kill -USR1 $$";
    let outcome = Run::new(&scene).through(wrapper).shell(line);
    assert_eq!((outcome.status, outcome.answer()), (128 + 10, "0000000000000000"), "{outcome:#?}");
    // Control: without the sandbox they stay ignored.
    let script = executable(&scene, "look", &format!("#!/bin/sh\n{line}\n"));
    let mut control = std::process::Command::new(wrapper[0]);
    control.args(&wrapper[1..]).arg(script);
    let control = finish_with_input(control, b"");
    assert!(
        control.status == 0 && control.stdout.lines().any(|set| set != "0000000000000000"),
        "{control:#?}"
    );
}

#[test]
fn the_end_of_input_ends_nothing() {
    let scene = Scene::new();
    // finish() closes standard input at once.
    let outcome = finish(Run::new(&scene).command(["/bin/sh", "-c", "cat; sleep 0.3; echo went on"]));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"), "{outcome:#?}");
}
