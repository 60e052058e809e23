//! The report: the fields that scripts read, on every ending, and nothing in it that is secret.

use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Outcome, Run, Scene, not_reachable};

use crate::tools::{finish, finish_with_input, set_mode, shell_outside, text};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn report(outcome: &Outcome) -> &Value {
    outcome.report.as_ref().unwrap_or_else(|| panic!("no report: {outcome:#?}"))
}

#[test]
fn every_field_of_the_contract_is_there_on_every_ending() {
    let scene = Scene::new();
    let run = || Run::new(&scene).flags(["--name", "a-run"]);
    let endings = [
        run().run(["/bin/true"]),
        run().shell("kill -9 $$"),
        run().flags(["--timeout", "100ms", "--grace", "100ms"]).run(["/bin/sleep", "30"]),
        run().run(["/no/such/program"]),
        run().flags(["--ro", "/no/such/path"]).run(["/bin/true"]),
    ];
    for outcome in &endings {
        let report = report(outcome);
        for field in [
            "schema",
            "version",
            "id",
            "name",
            "command",
            "profile",
            "policy",
            "policy_sha256",
            "started_at",
            "exit",
            "error",
            "usage",
            "receipt",
            "waived",
        ] {
            assert!(report.get(field).is_some(), "{field} is missing: {report:#}");
        }
        assert_eq!(
            (&report["schema"], &report["profile"], &report["name"]),
            (&1.into(), &"default".into(), &"a-run".into())
        );
        assert_eq!(keys(&report["exit"]), ["code", "detail", "exceeded", "reason", "signal"]);
        if !report["error"].is_null() {
            assert_eq!(keys(&report["error"]), ["code", "errno", "message", "path", "remedy", "step"]);
        }
        let id = report["id"].as_str().expect("an id");
        assert!(id.len() >= 8 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{id}");
    }
    let ids: std::collections::BTreeSet<_> =
        endings.iter().map(|outcome| outcome.field("/id").to_string()).collect();
    assert_eq!(ids.len(), endings.len(), "two runs have the same id");
}

#[test]
fn the_time_of_the_start_is_utc_and_now() {
    let scene = Scene::new();
    let outcome = Run::new(&scene).run(["/bin/true"]);
    let started = outcome.field("/started_at").as_str().expect("a time").to_owned();
    assert!(started.ends_with('Z'), "{started}");
    let age = shell_outside(&format!("echo $(( $(date +%s) - $(date -d {started} +%s) ))"));
    let age: i64 = age.answer().parse().unwrap_or_else(|_| panic!("`{started}` is no time: {age:#?}"));
    assert!((0..30).contains(&age), "{started} is {age} s ago");
}

#[test]
fn usage_is_what_the_program_used() {
    let scene = Scene::new();
    let script = "import time\nx = bytearray(60_000_000)\nend = time.process_time() + 0.3\n\
                  while time.process_time() < end: pass\n";
    let busy = Run::new(&scene).run(["/usr/bin/python3", "-c", script]);
    let number = |outcome: &Outcome, name: &str| {
        outcome.field(&format!("/usage/{name}")).as_u64().unwrap_or_else(|| panic!("{name}: {outcome:#?}"))
    };
    let used = |name: &str| number(&busy, name);
    assert!((300_000..3_000_000).contains(&used("cpu_us")), "{busy:#?}");
    assert!(used("wall_us") >= 300_000 && u128::from(used("wall_us")) < busy.time.as_micros(), "{busy:#?}");
    assert!(used("setup_us") > 0 && u128::from(used("setup_us")) < busy.time.as_micros(), "{busy:#?}");
    assert_eq!(used("cpu_us"), used("cpu_user_us") + used("cpu_system_us"), "{busy:#?}");
    assert!((60_000_000..300_000_000).contains(&used("max_rss_bytes")), "{busy:#?}");
    assert_eq!(busy.field("/usage/memory_source"), "rusage", "{busy:#?}");
    // Control: a program that does nothing used little; a sleeper's time is no processor's.
    let idle = Run::new(&scene).run(["/bin/sleep", "0.3"]);
    assert!(number(&idle, "cpu_us") < 100_000 && number(&idle, "wall_us") >= 300_000, "{idle:#?}");
    assert!(number(&idle, "max_rss_bytes") < 30_000_000, "{idle:#?}");
    // Children count, those that were waited for and orphans alike.
    let burn = "import time\nwhile time.process_time() < 0.2: pass\n";
    let line = "python3 -c \"$0\"; (sh -c 'python3 -c \"$0\"; touch /tmp/done' \"$0\" &); \
                while test ! -e /tmp/done; do sleep 0.05; done";
    let tree = Run::new(&scene).run(["/bin/sh", "-c", line, burn]);
    assert!(number(&tree, "cpu_us") > 400_000, "{tree:#?}");
}

#[test]
fn streams_that_were_passed_directly_have_no_count() {
    let scene = Scene::new();
    let outcome = Run::new(&scene).run(["/bin/echo", "hello"]);
    assert!(outcome.field("/usage/stdout_bytes").is_null() && outcome.field("/usage/stderr_bytes").is_null());
    // Control: what the library collects is counted.
    let policy = ringfence::Policy::builtin("minimal").unwrap();
    let output = ringfence::Sandbox::new(policy).command("/bin/echo").arg("hello").output().unwrap();
    let usage = output.report.usage.unwrap();
    assert_eq!((usage.stdout_bytes, usage.stderr_bytes), (Some(6), Some(0)));
}

#[test]
fn the_receipt_has_a_row_for_every_guarantee_that_was_asked_for() {
    let scene = Scene::new();
    let outcome = Run::new(&scene).flags(["--timeout", "20s", "--file-size", "1M"]).run(["/bin/true"]);
    let always = [
        "files",
        "devices",
        "processes",
        "network",
        "ipc",
        "privileges",
        "kernel-surface",
        "time",
        "output",
        "environment",
        "fds",
        "terminal",
        "cleanup",
    ];
    for guarantee in always {
        let row = outcome.row(guarantee);
        assert_eq!(keys(row), ["by", "detail", "guarantee", "layers", "status"], "{guarantee}");
        // Three are so by construction: the kernel has no state of theirs to read back.
        let by =
            if ["environment", "time", "cleanup"].contains(&guarantee) { "constructed" } else { "verified" };
        assert_eq!(row["by"], by, "{guarantee}: {row}");
        assert!(["enforced", "partial"].contains(&row["status"].as_str().unwrap()), "{row}");
        assert!(
            !row["layers"].as_array().unwrap().is_empty()
                && row["detail"].as_str().is_some_and(|d| !d.is_empty()),
            "{row}"
        );
    }
    // What was not asked for is not claimed.
    let plain = Run::new(&scene).run(["/bin/true"]);
    for guarantee in ["time", "output", "memory", "cpu", "pids"] {
        assert!(plain.row(guarantee).is_null(), "{guarantee}: {plain:#?}");
    }
    assert_eq!(outcome.row("host-root").is_null(), !support::is_root());
}

#[test]
fn the_policys_hash_is_the_policys_alone() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let hash = |flags: &[&str]| {
        let outcome = Run::new(&scene).flags(flags).run(["/bin/true"]);
        let hash =
            outcome.field("/policy_sha256").as_str().unwrap_or_else(|| panic!("{outcome:#?}")).to_owned();
        assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
        hash
    };
    let plain = hash(&[]);
    assert_eq!(plain, hash(&[]));
    assert_eq!(plain, hash(&["--name", "other", "-p", "default"]), "what is no policy does not count");
    assert_eq!(plain, hash(&["--net=none"]));
    let files = ["one/x.json", "two/y.json"]
        .map(|name| scene.file(name, r#"{"extends": "default", "network": "host"}"#));
    assert_eq!(
        hash(&["-p", text(&files[0])]),
        hash(&["-p", text(&files[1])]),
        "a file is one policy in every checkout"
    );
    let others = [
        hash(&["--net=host"]),
        hash(&["--ro", text(&folder)]),
        hash(&["--rw", text(&folder)]),
        hash(&["-p", "build"]),
        hash(&["--env", "A=1"]),
    ];
    let distinct: std::collections::BTreeSet<_> = others.iter().chain([&plain]).collect();
    assert_eq!(distinct.len(), 6, "{others:?}");
    // Values are not in the report, so they are not in its hash either.
    assert_eq!(hash(&["--env", "A=1"]), hash(&["--env", "A=2"]));
    assert_eq!(Run::new(&scene).run(["/bin/true"]).field("/policy/network"), "none");
}

#[test]
fn the_policys_hash_can_be_taken_again_from_the_report() {
    let scene = Scene::new();
    let outcome =
        Run::new(&scene).flags(["--rw", ".", "--timeout", "20s", "--env", "A=1"]).run(["/bin/true"]);
    // The policy as it stands in the report, without white space and without where its profile was found.
    let mut policy = outcome.field("/policy").clone();
    policy["profile"] = "".into();
    policy.as_object_mut().expect("an object").remove("files");
    let policy = serde_json::to_vec(&policy).unwrap();
    let sum = finish_with_input(Command::new("sha256sum"), &policy);
    let sum = sum.stdout.split_whitespace().next().expect("a sum");
    assert_eq!(outcome.field("/policy_sha256"), sum, "{outcome:#?}");
}

#[test]
fn a_report_goes_to_a_file_that_appears_whole_or_to_a_descriptor() {
    let scene = Scene::new();
    let file = scene.outside_path("report.json");
    std::fs::write(&file, "of an older run").unwrap();
    let mut command = Run::new(&scene).flag("--report").flag(&file).command(["/bin/cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "of an older run",
        "it is replaced at the end, at once"
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["exit"]["code"], 0);
    let beside: Vec<_> =
        std::fs::read_dir(file.parent().unwrap()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside, ["report.json"], "nothing is left beside it");
    // A descriptor that the caller opened, which the program does not have.
    let line = format!(
        "exec 7>{}; exec '{}' run --report fd:7 -- /bin/sh -c 'ls /proc/self/fd | tr \"\\n\" \" \"'",
        text(&scene.outside_path("by-fd")),
        text(&support::ringfence())
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).current_dir(scene.path("here")).env("HOME", scene.home());
    let outcome = finish(shell);
    assert_eq!((outcome.status, outcome.answer()), (0, "0 1 2 3"), "{outcome:#?}");
    let report: Value = serde_json::from_slice(&std::fs::read(scene.outside_path("by-fd")).unwrap()).unwrap();
    assert_eq!(report["exit"]["reason"], "exited");
}

#[test]
fn a_report_that_cannot_be_written_starts_nothing() {
    let scene = Scene::new();
    let open = scene.folder("open");
    let made = open.join("made");
    let link = scene.path("link");
    symlink("/dev/null", &link).unwrap();
    let closed = scene.folder("closed");
    set_mode(&closed, 0o555);
    let inside = open.join("report");
    for (target, part) in [
        ("/no/such/folder/report", "ENOENT"),
        (text(&open), "not a plain file"),
        ("/dev/null", "not a plain file"),
        (text(&link), "not a plain file"),
        ("fd:0", "stdin"),
        ("fd:99", "EBADF"),
        ("fd:x", "not a file descriptor"),
        ("-", "fd:1"),
        (text(&inside), "the program can write"),
    ] {
        let run = Run::new(&scene).flags(["--report", target]).flag("--rw").flag(&open);
        let outcome = finish(run.command(["/usr/bin/touch", text(&made)]));
        outcome.expect_refusal(&[part]);
        assert!(!made.exists(), "{target}: it ran");
        assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0, "{target}: something was left behind");
    }
    if support::is_root() {
        not_reachable("closed folder", "root writes everywhere");
    } else {
        let outcome =
            finish(Run::new(&scene).flag("--report").flag(closed.join("report")).command(["/bin/true"]));
        outcome.expect_refusal(&["EACCES"]);
    }
}

/// A limit on file sizes would end us by a signal, and nobody would hear why.
#[test]
fn a_report_that_outgrows_the_callers_limit_is_a_failure_that_is_said() {
    let scene = Scene::new();
    let file = scene.outside_path("report-on-a-limit");
    let report = text(&file);
    // One block of 512 or 1,024 bytes: the start itself has no room, and the report of that has none either.
    let limited = ["/bin/sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"];
    let run = Run::new(&scene).through(limited).flags(["--report", report]);
    finish(run.command(["/bin/true"])).expect_refusal(&["EFBIG", "the report cannot be written"]);
    assert!(!file.exists(), "half a report");
    // Room for the start, not for one more line at the end of a long file.
    std::fs::write(&file, vec![b'\n'; 200 << 10]).unwrap();
    let appended = ["/bin/sh", "-c", &format!("ulimit -f 200; exec \"$@\" 7>>{report}"), "sh"];
    let run = |flags: &[&str]| finish(Run::new(&scene).through(appended).flags(flags).command(["/bin/true"]));
    run(&["--report", "fd:7"]).expect_refusal(&["EFBIG"]);
    // Control: without a report there it runs.
    assert_eq!(run(&["--report", "fd:1"]).status, 0);
}

#[test]
fn a_report_is_readable_for_its_caller_and_says_what_was_typed() {
    let scene = Scene::new();
    let words = ["/bin/echo", "a b", "--flag=x", "", "ünï\ncode"];
    let outcome = Run::new(&scene).run(words);
    assert_eq!(outcome.field("/command"), &serde_json::json!(words));
    assert_eq!(outcome.stdout, "a b --flag=x  ünï\ncode\n");
    assert_eq!(outcome.field("/version").as_str(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_descriptor_for_a_report_may_be_a_pipe_or_a_socket() {
    let scene = Scene::new();
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours alone. The second is leaked into one child on purpose.
    let (read, write): (std::os::unix::net::UnixStream, OwnedFd) = unsafe {
        assert_eq!(
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()),
            0
        );
        (OwnedFd::from_raw_fd(ends[0]).into(), OwnedFd::from_raw_fd(ends[1]))
    };
    let mut command = Run::new(&scene).flags(["--report", "fd:1"]).command(["/bin/sh", "-c", "echo x >&2"]);
    let status = command.stdout(write).stderr(Stdio::null()).status().unwrap();
    drop(command);
    assert!(status.success());
    let mut line = String::new();
    std::io::Read::read_to_string(&mut { read }, &mut line).unwrap();
    assert_eq!(line.lines().count(), 1, "one line of JSON: {line}");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["exit"]["code"], 0);
}
