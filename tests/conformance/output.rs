//! The limit on what is printed, events, and streams by function: as the flags say and as the library says.

use std::process::Stdio as PlainStdio;
use std::sync::{Arc, Mutex};

use ringfence::policy::{Happened, OutputLimit, Reason};
use ringfence::{Cancellation, DEFAULT_OUTPUT, Policy, Sandbox, Stdio};
use serde_json::Value;
use support::{Run, Scene};

use crate::tools::{finish, text};

fn shell(scene: &Scene, limit: Option<&str>, line: &str) -> ringfence::Command {
    let mut policy = Policy::builtin("default").expect("a built-in profile");
    policy.limits.output = limit.map(|limit| limit.parse::<OutputLimit>().expect("a limit"));
    let mut command = Sandbox::new(policy).command("/bin/sh");
    command.args(["-c", line]).current_dir(scene.path("here"));
    command
}

#[test]
fn a_program_that_prints_too_much_is_killed_and_the_report_says_so() {
    let scene = Scene::new();
    let run = |size: &str| Run::new(&scene).flags(["--output-limit", size]);
    // Both streams count together.
    let line = "trap '' TERM; head -c 600 /dev/zero; head -c 600 /dev/zero >&2; sleep 60";
    let killed = run("1000").shell(line);
    assert_eq!((killed.status, killed.field("/exit/reason")), (153, &"output".into()), "{killed:#?}");
    let exceeded = killed.field("/exit/exceeded/0");
    assert_eq!(
        (&exceeded["limit"], &exceeded["allowed"], &exceeded["used"]),
        (&"output-limit".into(), &1000.into(), &1200.into())
    );
    assert_eq!(
        killed.stdout.len() + killed.stderr.matches('\0').count(),
        1000,
        "all that may pass has: {killed:#?}"
    );
    assert!(killed.stderr.contains("ringfence: more than 1000 of output (--output-limit)"), "{killed:#?}");
    // A verdict comes from the final count, too: the program is through before anybody looks.
    let late = run("10:kill").shell("echo 12345678901");
    assert_eq!((late.status, late.field("/exit/reason")), (153, &"output".into()), "{late:#?}");
    // Control: to the byte.
    let fine = run("12").shell("echo 12345678901; exit 3");
    assert_eq!((fine.status, fine.stdout.as_str()), (3, "12345678901\n"), "{fine:#?}");
    assert_eq!(fine.field("/exit/exceeded"), &serde_json::json!([]));
    assert_eq!(fine.row("output")["status"], "enforced", "{fine:#?}");
    assert_eq!(fine.field("/usage/stdout_bytes"), 12);
}

#[test]
fn truncated_output_ends_nothing_and_is_said() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--output-limit", "1K:truncate"]);
    let outcome = run.shell("head -c 5000000 /dev/zero; echo $? >&2; exit 4");
    assert_eq!(
        (outcome.status, outcome.stdout.len(), outcome.stderr.as_str()),
        (4, 1024, ""),
        "{outcome:#?}"
    );
    assert_eq!(outcome.field("/exit/reason"), "exited");
    assert_eq!(outcome.field("/exit/exceeded/0/used"), 5_000_002, "{outcome:#?}");
    assert_eq!(outcome.field("/usage/stdout_bytes"), 5_000_000);
}

#[test]
fn a_limited_run_prints_to_files_to_nowhere_and_to_closed_streams() {
    let scene = Scene::new();
    let report = scene.outside_path("report");
    let run = || Run::new(&scene).flags(["--output-limit", "100", "--report"]).flag(&report);
    let flood = ["/bin/sh", "-c", "head -c 1000 /dev/zero"];
    let path = scene.path("output");
    let mut to_file = run().command(flood);
    to_file.stdout(std::fs::File::create(&path).unwrap()).stderr(PlainStdio::null());
    assert_eq!(to_file.status().unwrap().code(), Some(153));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 100);
    let mut to_nowhere = run().command(flood);
    to_nowhere.stdout(PlainStdio::null()).stderr(PlainStdio::null());
    assert_eq!(to_nowhere.status().unwrap().code(), Some(153));
    let closed = ["/bin/sh", "-c", "exec >&-; exec \"$@\"", "sh"];
    let outcome = finish(run().through(closed).command(flood));
    assert_eq!(outcome.status, 153, "{outcome:#?}");
    // A folder is refused, counted or not.
    let folder = ["/bin/sh", "-c", "exec >&-; exec 1<.; exec \"$@\"", "sh"];
    let outcome = finish(run().through(folder).command(flood));
    assert!(outcome.status == 125 && outcome.stderr.contains("is a folder"), "{outcome:#?}");
}

#[test]
fn a_profile_says_the_limit_by_its_own_key() {
    let text = r#"{"name": "x", "description": "y", "limits": {"output": "2K:truncate"}}"#;
    let profile: ringfence::Profile = serde_json::from_str(text).unwrap();
    assert_eq!(profile.into_policy().limits.output, Some("2K:truncate".parse().unwrap()));
    for bad in [r#"0"#, r#""2K:drop""#, r#"-1"#, r#"{"size": 1}"#] {
        let text = format!(r#"{{"name": "x", "description": "y", "limits": {{"output": {bad}}}}}"#);
        assert!(serde_json::from_str::<ringfence::Profile>(&text).is_err(), "{bad}");
    }
}

#[test]
fn the_library_collects_no_more_than_the_limit() {
    let scene = Scene::new();
    let flood = "head -c 20000 /dev/zero; head -c 20000 /dev/zero >&2; exit 5";
    let output = shell(&scene, Some("30000:truncate"), flood).output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (20_000, 10_000));
    assert_eq!((output.truncated.stdout, output.truncated.stderr), (0, 10_000));
    assert_eq!((output.report.exit.reason, output.report.exit.code), (Reason::Exited, Some(5)));
    let output = shell(&scene, Some("100"), flood).output().unwrap();
    assert_eq!((output.stdout.len() + output.stderr.len(), output.report.exit.reason), (100, Reason::Output));
    // Without a limit there is a bound, and the program goes on.
    let much = DEFAULT_OUTPUT.size.0 + 4096;
    let output = shell(&scene, None, &format!("head -c {much} /dev/zero; exit 6")).output().unwrap();
    assert_eq!((output.stdout.len() as u64, output.truncated.stdout), (DEFAULT_OUTPUT.size.0, 4096));
    assert_eq!(output.report.exit.code, Some(6));
    assert!(!shell(&scene, None, "echo x").output().unwrap().truncated.any());
    // A pipe of the caller's own cannot be counted.
    let mut piped = shell(&scene, Some("100"), flood);
    let said = piped.stdout(Stdio::piped()).spawn().unwrap_err().to_string();
    assert!(said.contains("cannot be counted"), "{said}");
}

#[test]
fn output_comes_to_a_function_as_it_is_printed() {
    let scene = Scene::new();
    let seen = Arc::new(Mutex::new((Vec::new(), 0)));
    let take = Arc::clone(&seen);
    let mut command = shell(&scene, None, "for n in 1 2 3; do echo $n; sleep 0.05; done; echo err >&2");
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::each(move |piece| {
        let mut seen = take.lock().unwrap();
        seen.0.extend_from_slice(piece);
        seen.1 += 1;
    }));
    assert_eq!(command.status().unwrap().exit.code, Some(0));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.0, b"1\n2\n3\n");
    assert!(seen.1 >= 2, "it came in pieces: {}", seen.1);
}

#[test]
fn input_comes_from_bytes_from_a_file_and_from_a_pipe() {
    let scene = Scene::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let sums = |stdin: Stdio| {
        let mut command = shell(&scene, None, "cksum");
        String::from_utf8(command.stdin(stdin).output().unwrap().stdout).unwrap()
    };
    let expected = sums(Stdio::bytes(bytes.clone()));
    assert!(expected.ends_with(" 3000000\n"), "{expected}");
    let path = scene.path("input");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(sums(std::fs::File::open(&path).unwrap().into()), expected);
    let (read, mut write) = std::io::pipe().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut write, &bytes));
    assert_eq!(sums(std::os::fd::OwnedFd::from(read).into()), expected);
    writer.join().unwrap().unwrap();
    assert!(sums(Stdio::bytes("")).ends_with(" 0\n"));
    // A program that does not read them ends all the same.
    let mut deaf = shell(&scene, None, "exit 7");
    assert_eq!(deaf.stdin(Stdio::bytes(vec![0; 1 << 20])).output().unwrap().report.exit.code, Some(7));
}

/// The events of a run of the command line, in their order.
fn events(scene: &Scene, flags: &[&str], line: &str) -> Vec<Value> {
    let file = scene.outside_path("events");
    let run = Run::new(scene).flags(flags).flags(["--events", text(&file)]);
    run.shell(line);
    let lines = std::fs::read_to_string(&file).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

#[test]
fn events_say_what_happened_in_its_order() {
    let scene = Scene::new();
    let plain = events(&scene, &[], "exit 3");
    assert_eq!(names(&plain), ["started", "ended"]);
    assert_eq!((&plain[1]["exit"]["code"], &plain[1]["exit"]["reason"]), (&3.into(), &"exited".into()));
    assert!(plain[0]["pid"].as_i64().is_some_and(|pid| pid > 1));
    let times: Vec<_> = plain.iter().map(|event| event["at_us"].as_u64().unwrap()).collect();
    assert!(times[0] > 0 && times[0] <= times[1], "{times:?}");
    let flood = events(&scene, &["--output-limit", "10"], "head -c 100 /dev/zero; sleep 60");
    assert_eq!(names(&flood), ["started", "output-limit", "ended"]);
    assert_eq!((&flood[1]["allowed"], &flood[1]["action"]), (&10.into(), &"kill".into()));
    assert_eq!(flood[2]["exit"]["exceeded"][0]["limit"], "output-limit");
    let late =
        events(&scene, &["--timeout", "200ms", "--grace", "100ms"], "trap '' TERM; sleep 60 & wait; wait");
    assert_eq!(names(&late), ["started", "deadline", "ended"]);
    let writable = Run::new(&scene).flags(["--rw", ".", "--events", "./events"]).run(["/bin/true"]);
    writable.expect_refusal(&["which the program can write"]);
}

#[test]
fn a_word_from_another_thread_ends_a_run() {
    let scene = Scene::new();
    let cancellation = Cancellation::new().unwrap();
    let happened = Arc::new(Mutex::new(Vec::new()));
    let (told, word) = (Arc::clone(&happened), cancellation.clone());
    let mut command = shell(&scene, None, "trap '' TERM; sleep 60");
    command.stdin(Stdio::null()).cancel_with(&cancellation).on_event(move |event| {
        if matches!(event.what, Happened::Started { .. }) {
            word.cancel();
        }
        told.lock().unwrap().push(event.what.clone());
    });
    let report = command.status().unwrap();
    assert_eq!((report.exit.reason, report.exit.status()), (Reason::Killed, 137));
    assert!(matches!(
        happened.lock().unwrap()[..],
        [Happened::Started { .. }, Happened::Killed, Happened::Ended { .. }]
    ));
    // Said before, nothing starts.
    let mut command = shell(&scene, None, "true");
    let failure = command.cancel_with(&cancellation).output().unwrap_err();
    assert_eq!((failure.report.exit.reason, failure.report.usage.is_none()), (Reason::Killed, true));
}
