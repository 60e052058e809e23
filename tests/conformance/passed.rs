//! Open files that the caller passes, and runs that end with their input.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio as PlainStdio;
use std::time::{Duration, Instant};

use ringfence::policy::Reason;
use ringfence::{Policy, Sandbox, Stdio};
use support::{Outcome, Run, Scene};

use crate::tools::{finish, text};

/// Runs with redirections of a shell in front.
fn with_files(scene: &Scene, redirections: &str, flags: &[&str], line: &str) -> Outcome {
    let wrapper = ["/bin/bash", "-c", &format!("exec \"$@\" {redirections}"), "bash"];
    let run = Run::new(scene).flags(flags).through(wrapper);
    let report = scene.outside_path("report");
    finish(run.flags(["--report", text(&report)]).command(["/bin/bash", "-c", line]))
}

#[test]
fn a_passed_file_is_open_under_its_number_and_nothing_else_is() {
    let scene = Scene::new();
    let (output, secret) = (scene.path("output"), scene.file("secret", "x"));
    let files = format!("3<{} 5>{} 7< <(echo from a pipe)", text(&secret), text(&output));
    let line = "ls /proc/self/fd; read word <&7; echo \"$word\"; echo to a file >&5";
    let outcome = with_files(&scene, &files, &["--pass-fd", "5", "--pass-fd=7"], line);
    // 3 is the folder that `ls` reads.
    assert_eq!(outcome.stdout, "0\n1\n2\n3\n5\n7\nfrom a pipe\n", "{outcome:#?}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "to a file\n");
    let row = outcome.row("fds");
    assert!(
        row["detail"].as_str().unwrap().ends_with("as asked for: 5, 7") && row["by"] == "verified",
        "{row}"
    );
    // Control: not passed, it is not there.
    let control = with_files(&scene, &files, &[], line);
    assert!(control.stdout.starts_with("0\n1\n2\n3\n\n"), "{control:#?}");
}

#[test]
fn what_would_lead_out_is_not_passed() {
    let scene = Scene::new();
    let file = scene.file("file", "x");
    for (redirection, words) in [
        ("4<.".to_owned(), "it is a folder"),
        (format!("4<{}", text(&file)), "open for reading"),
        ("4<&-".to_owned(), "it is not open"),
    ] {
        let outcome = with_files(&scene, &redirection, &["--pass-fd", "4"], "echo ran");
        outcome.expect_refusal(&["descriptor 4 cannot be passed", words]);
        assert_eq!(outcome.field("/error/code"), "pass-fd");
    }
    for number in ["0", "2", "1024", "-1", "x"] {
        Run::new(&scene).flag(format!("--pass-fd={number}")).shell("echo ran").expect_refusal(&["--pass-fd"]);
    }
    let twice = with_files(&scene, "4>/dev/null", &["--pass-fd", "4", "--pass-fd", "4"], "echo ran");
    twice.expect_refusal(&["descriptor 4"]);
}

#[test]
fn the_library_passes_files_under_any_number() {
    let scene = Scene::new();
    let mut command = Sandbox::new(Policy::builtin("default").unwrap()).command("/bin/bash");
    command
        .args(["-c", "for n in 3 4 5 6 7 8 9 10 11 12; do echo $n >&$n; done"])
        .current_dir(scene.path("here"));
    // The numbers are those that this process' own files have: none may end up under another's.
    let mut readers = Vec::new();
    for number in 3..=12 {
        let (read, write) = std::io::pipe().unwrap();
        command.pass_fd(number, OwnedFd::from(write));
        readers.push((number, read));
    }
    let report = command.stdin(Stdio::null()).status().unwrap();
    assert_eq!(report.exit.code, Some(0), "{report:?}");
    for (number, mut read) in readers {
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("{number}\n"), "each ends, so nobody of ours holds it");
    }
}

#[test]
fn the_end_of_a_passed_pipe_is_the_programs_own() {
    let scene = Scene::new();
    let mut command = Sandbox::new(Policy::builtin("default").unwrap()).command("/bin/bash");
    command.args(["-c", "echo ready >&9; exec 9>&-; read line; exit 8"]).current_dir(scene.path("here"));
    let (mut read, write) = std::io::pipe().unwrap();
    command.pass_fd(9, OwnedFd::from(write)).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    // While it still runs.
    read.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    assert!(child.try_wait().is_none());
    assert_eq!(child.wait().exit.code, Some(8));
}

#[test]
fn a_run_ends_with_its_input_when_it_is_told_to() {
    let scene = Scene::new();
    let report = scene.outside_path("report");
    let flags = ["--end-with-stdin", "--grace", "300ms", "--report", text(&report)];
    let deaf = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"];
    let mut child = Run::new(&scene).flags(flags).command(deaf).stdin(PlainStdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(child.try_wait().unwrap().is_none(), "control: while it is open, it runs");
    let begun = Instant::now();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(137));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(5), "{took:?}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["exit"]["reason"], "killed");
    assert!(report["exit"]["detail"].as_str().unwrap().contains("standard input was closed"), "{report:#}");
    // In its grace it may end by itself.
    let polite = ["/bin/sh", "-c", "cat >/dev/null; exit 6"];
    assert_eq!(finish(Run::new(&scene).flag("--end-with-stdin").command(polite)).status, 6);
}

#[test]
fn a_file_as_input_never_closes_early() {
    let scene = Scene::new();
    let file = scene.file("input", "one line\n");
    let run = || Run::new(&scene).flags(["--end-with-stdin", "--grace", "100ms"]);
    let slow = ["/bin/sh", "-c", "cat; sleep 0.7; echo went on"];
    for stdin in [PlainStdio::from(std::fs::File::open(&file).unwrap()), PlainStdio::null()] {
        let output = run().command(slow).stdin(stdin).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.ends_with(b"went on\n"));
    }
    // Control: a pipe that is closed at once does end it.
    assert_eq!(finish(run().command(slow)).status, 137);
}

#[test]
fn the_library_ends_a_run_with_its_input() {
    let scene = Scene::new();
    let mut policy = Policy::builtin("default").unwrap();
    policy.limits.grace = Some(Duration::from_millis(200));
    let mut command = Sandbox::new(policy).command("/bin/sleep");
    command.arg("60").current_dir(scene.path("here")).stdin(Stdio::piped()).end_with_stdin(true);
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let waiting = std::thread::spawn(move || child.wait());
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "control");
    drop(stdin);
    assert_eq!(waiting.join().unwrap().exit.reason, Reason::Killed);
}
