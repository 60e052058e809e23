//! Batch: the contract's wire, what a request may not do, and what a client's end does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Scene;

use crate::tools::{command, text};

/// A batch, and the two sides of its wire.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Option<Lines<BufReader<ChildStdout>>>,
}

impl Client {
    fn new(scene: &Scene, flags: &[&str]) -> Self {
        let mut line = command(scene, ["batch"]);
        line.args(flags).env("TMPDIR", scene.folder("tmp")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = line.spawn().expect("it starts");
        let stdin = child.stdin.take();
        let answers = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Self { child, stdin, answers }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it is read");
    }

    fn ask(&mut self, request: &Value) {
        self.say(&request.to_string());
    }

    fn answer(&mut self) -> Value {
        let line = self.answers.as_mut().and_then(Iterator::next).expect("an answer").expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// One request, one answer.
    fn run(&mut self, request: &Value) -> Value {
        self.ask(request);
        self.answer()
    }

    /// Ends the input, and reads what is left.
    fn end(mut self) -> (Vec<Value>, Option<i32>) {
        drop(self.stdin.take());
        let rest = self.answers.take().into_iter().flatten();
        let rest = rest.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
        (rest, self.child.wait().expect("our child").code())
    }
}

fn shell(id: impl Into<Value>, line: &str) -> Value {
    json!({"id": id.into(), "command": ["/bin/sh", "-c", line]})
}

/// A request with more in it.
fn with(mut request: Value, more: Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    request.as_object_mut().expect("an object").extend(more);
    request
}

fn alive(marker: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("there is a proc").flatten();
    let of_marker = |line: Vec<u8>| line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes());
    entries.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(of_marker)).count()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn left_in(scene: &Scene) -> usize {
    std::fs::read_dir(scene.folder("tmp")).expect("the folder").count()
}

#[test]
fn answers_have_every_field_and_come_in_order_of_completion() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["--jobs", "2"]);
    client.ask(&shell("slow", "sleep 1; echo slow"));
    client.ask(&shell(7, "echo out; echo err >&2; exit 3"));
    let quick = client.answer();
    assert_eq!(
        (&quick["id"], &quick["stdout"], &quick["stderr"]),
        (&7.into(), &"out\n".into(), &"err\n".into())
    );
    assert_eq!(
        (&quick["encoding"], &quick["truncated"], &quick["files"]),
        (&"utf-8".into(), &json!({}), &json!({}))
    );
    assert_eq!((&quick["report"]["exit"]["code"], &quick["report"]["schema"]), (&3.into(), &1.into()));
    assert!(quick["report"]["receipt"].as_array().is_some_and(|rows| rows.len() > 5));
    // The end of the input finishes what runs.
    let (rest, status) = client.end();
    assert_eq!(
        (rest.len(), &rest[0]["id"], &rest[0]["stdout"], status),
        (1, &"slow".into(), &"slow\n".into(), Some(0))
    );
}

#[test]
fn a_bad_line_is_answered_and_the_next_is_read() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &[]);
    for (line, id) in [
        ("not json", Value::Null),
        ("{}", Value::Null),
        (r#"{"id": "a", "command": []}"#, "a".into()),
        (r#"{"id": "a", "command": ["true"], "bogus": 1}"#, "a".into()),
        (r#"{"cancel": "nobody"}"#, "nobody".into()),
    ] {
        client.say(line);
        let answer = client.answer();
        assert!(answer["id"] == id && answer["error"]["message"].is_string(), "{line}: {answer}");
        assert!(answer.get("report").is_none(), "{answer}");
    }
    client.say("");
    let fine = client.run(&shell("b", "echo fine"));
    assert_eq!(fine["stdout"], "fine\n");
    // A run that was not started has its report.
    let missing = client.run(&json!({"id": "c", "command": ["/no/such/program"]}));
    assert_eq!(missing["report"]["exit"]["reason"], "not-found", "{missing}");
    assert_eq!(client.end(), (Vec::new(), Some(0)));
}

#[test]
fn a_request_may_only_tighten_the_policy() {
    let scene = Scene::new();
    let secret = scene.file("secret", "secret\n");
    let shown = scene.file("shown/file", "shown\n");
    let flags =
        ["--timeout", "5s", "--nofile", "64", "--env", "TOKEN", "--ro", text(shown.parent().unwrap())];
    let mut client = Client::new(&scene, &flags);
    for (more, part) in [
        (json!({"limits": {"timeout": "6s"}}), "limits.timeout"),
        (json!({"limits": {"nofile": 65}}), "limits.nofile"),
        (json!({"limits": {"output": "1G"}}), "limits.output"),
        (json!({"env": {"LD_PRELOAD": "/x"}}), "LD_PRELOAD"),
        (json!({"env": {"PATH": "/x"}}), "PATH"),
        (json!({"stdin_file": secret}), "no file that the policy lets the program read"),
        (json!({"stdout_file": shown}), "no file that the policy lets the program write"),
        (json!({"stdout_file": scene.path("made")}), "no file that the policy lets the program write"),
        (json!({"stdin_file": "/etc/shadow"}), "no file that the policy"),
    ] {
        let answer = client.run(&with(shell(1, "echo ran"), more));
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{part}: {answer}");
    }
    assert!(!scene.path("made").exists());
    let outside = client.run(&with(shell(1, "pwd"), json!({"cwd": scene.folder("hidden")})));
    assert_eq!(
        (&outside["report"]["exit"]["reason"], &outside["stdout"]),
        (&"setup".into(), &"".into()),
        "{outside}"
    );
    // Control: what is as strict, or stricter, is carried out.
    let folder = shown.parent().unwrap();
    let more = json!({"limits": {"timeout": "4s", "nofile": 50}, "env": {"TOKEN": "t", "LANG": "x"}, "cwd": folder, "stdin_file": shown});
    let fine = client.run(&with(shell(1, "echo $TOKEN $LANG; pwd; ulimit -n; cat"), more));
    assert_eq!(fine["stdout"], format!("t x\n{}\n50\nshown\n", text(folder)), "{fine}");
    assert_eq!(fine["report"]["policy"]["limits"]["timeout"], "4000ms");
    let late =
        client.run(&with(shell(1, "sleep 9"), json!({"limits": {"timeout": "100ms", "grace": "100ms"}})));
    assert_eq!(late["report"]["exit"]["reason"], "timeout");
    assert_eq!(client.end().1, Some(0));
}

#[test]
fn files_go_in_and_come_out_of_a_folder_of_the_runs_own() {
    let scene = Scene::new();
    scene.file("outside-file", "outside\n");
    for flags in [&["-p", "default"][..], &["-p", "build"], &["--tmpfs", "/tmp/other"]] {
        let mut client = Client::new(&scene, flags);
        let line = "pwd; ls; cat in/a; cat; echo made >out; mkdir d; echo deep >d/e; \
                    ln -s /etc/passwd link; ln -s /etc way; mkfifo fifo; chmod 0 d/.. 2>/dev/null; echo done";
        let more = json!({
            "files": {"in/a": "first\n", "b": ""}, "stdin": "typed\n",
            "collect": ["out", "d/e", "link", "way/passwd", "fifo", "none", "d"],
        });
        let answer = client.run(&with(shell("f", line), more));
        assert_eq!(answer["stdout"], "/tmp/job\nb\nin\nfirst\ntyped\ndone\n", "{flags:?}: {answer}");
        let expected = json!({"out": "made\n", "d/e": "deep\n", "link": null, "way/passwd": null, "fifo": null, "none": null, "d": null});
        assert_eq!(answer["files"], expected, "{flags:?}");
        // The next has another one, and nothing of the first is left.
        let next = client.run(&with(shell("g", "ls"), json!({"files": {"c": "x"}})));
        assert_eq!(next["stdout"], "c\n");
        // Streams may be files of the folder.
        let more =
            json!({"files": {"i": "from a file\n"}, "stdin_file": "i", "stdout_file": "o", "collect": ["o"]});
        let streams = client.run(&with(shell("h", "cat"), more));
        assert_eq!(
            (&streams["stdout"], &streams["files"]["o"]),
            (&"".into(), &"from a file\n".into()),
            "{streams}"
        );
        // A program may come with its request.
        let files = json!({"files": {"sub/run": "#!/bin/sh\necho $0 $1\n"}});
        for program in ["./sub/run", "sub/run", "/tmp/job/sub/run"] {
            let own = client.run(&with(json!({"id": "j", "command": [program, "x"]}), files.clone()));
            assert_eq!(own["stdout"], "/tmp/job/sub/run x\n", "{own}");
        }
        // A run without any of this has no such folder.
        assert_eq!(client.run(&shell("i", "ls -d /tmp/job 2>&1 || echo none"))["report"]["exit"]["code"], 0);
        assert_eq!(client.end().1, Some(0));
        assert_eq!(left_in(&scene), 0, "{flags:?}");
    }
}

#[test]
fn bytes_that_are_no_text_go_both_ways_in_base64() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["--output-limit", "10:truncate"]);
    let more = json!({"encoding": "base64", "stdin": "/wAB", "files": {"f": "gIE="}, "collect": ["f"]});
    let answer = client.run(&with(shell("b", "cat; head -c 20 /dev/zero"), more));
    assert_eq!(
        (&answer["stdout"], &answer["encoding"]),
        (&"/wABAAAAAAAAAA==".into(), &"base64".into()),
        "{answer}"
    );
    assert_eq!((&answer["files"]["f"], &answer["truncated"]), (&"gIE=".into(), &json!({"stdout": 13})));
}

#[test]
fn a_run_is_cancelled_by_its_id_running_or_waiting() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["--jobs", "1"]);
    client.ask(&shell("runs", "echo begun; trap '' TERM; sleep 60"));
    client.ask(&shell("waits", "echo ran"));
    let again = client.run(&shell("waits", "echo twice"));
    assert!(again["error"]["message"].as_str().unwrap().contains("runs or waits"), "{again}");
    client.ask(&json!({"cancel": "waits"}));
    std::thread::sleep(Duration::from_millis(300));
    client.ask(&json!({"cancel": "runs"}));
    let (first, second) = (client.answer(), client.answer());
    assert_eq!(
        (&first["id"], &first["report"]["exit"]["reason"]),
        (&"runs".into(), &"killed".into()),
        "{first}"
    );
    assert_eq!(
        (&second["id"], &second["report"]["exit"]["reason"]),
        (&"waits".into(), &"killed".into()),
        "{second}"
    );
    assert_eq!(second["stdout"], "");
    // The id is free again.
    assert_eq!(client.run(&shell("runs", "echo again"))["stdout"], "again\n");
    assert_eq!(client.end().1, Some(0));
}

/// What waits is more than the workers could begin, and a word about it is heard all the same.
#[test]
fn a_cancel_behind_many_that_wait_is_acted_on_at_once() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["--jobs", "1"]);
    client.ask(&shell("runs", "sleep 600"));
    let waiting = 200;
    for id in 0..waiting {
        client.ask(&shell(id, "echo ran"));
    }
    // One of the middle, and the one that holds all others up.
    client.ask(&json!({"cancel": 100}));
    client.ask(&json!({"cancel": "runs"}));
    let first = client.answer();
    assert_eq!(
        (&first["id"], &first["report"]["exit"]["reason"]),
        (&"runs".into(), &"killed".into()),
        "{first}"
    );
    for id in 0..waiting {
        let answer = client.answer();
        let expected = if id == 100 { ("killed", "") } else { ("exited", "ran\n") };
        let reason = answer["report"]["exit"]["reason"].as_str().unwrap_or_default();
        assert_eq!((reason, answer["stdout"].as_str().unwrap_or_default()), expected, "{answer}");
        assert_eq!(answer["id"], id, "one worker answers in the order of the lines");
    }
    assert_eq!(client.end(), (Vec::new(), Some(0)));
}

#[test]
fn what_waits_is_answered_and_not_begun_when_the_batch_is_ended() {
    let scene = Scene::new();
    let made = scene.path("here/made");
    let mut client = Client::new(&scene, &["--jobs", "1", "-p", "build"]);
    client.ask(&shell("runs", "echo begun >began; sleep 600"));
    for id in 0..100 {
        client.ask(&with(shell(id, "echo made >made"), json!({"files": {"f": "x"}})));
    }
    // The last line was read: its answer is not one of a run.
    let unknown = client.run(&json!({"cancel": "nobody"}));
    assert!(unknown["error"].is_object(), "{unknown}");
    wait_for("the first runs", || scene.path("here/began").exists());
    // SAFETY: numbers only; our own child, which we have not reaped.
    assert_eq!(unsafe { libc::kill(client.child.id().cast_signed(), libc::SIGTERM) }, 0);
    let (answers, status) = client.end();
    assert!(answers.iter().all(|answer| answer["report"]["exit"]["reason"] == "killed"), "{answers:#?}");
    assert_eq!((answers.len(), status, made.exists(), left_in(&scene)), (101, Some(143), false, 0));
}

#[test]
fn what_was_decided_about_the_policy_is_said_once_at_the_start() {
    let scene = Scene::new();
    let filter = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}"#;
    scene.file("here/engine.json", filter);
    let flags = ["--seccomp", "engine.json"];
    let mut line = command(&scene, ["batch"]);
    line.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = line.spawn().expect("it starts");
    let asked = format!("{}\n{}\n", shell(1, "true"), shell(2, "true"));
    child.stdin.take().expect("it was piped").write_all(asked.as_bytes()).expect("it is read");
    let output = child.wait_with_output().expect("our child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("ringfence: engine.json: ") && said.contains("no_such_call"), "{said}");
    assert_eq!(
        (output.stdout.iter().filter(|byte| **byte == b'\n').count(), output.status.code()),
        (2, Some(0))
    );
    let planned = crate::tools::call(&scene, [&["plan"], &flags[..], &["--", "true"]].concat());
    assert_eq!((planned.status, planned.stderr), (0, said.into_owned()));
}

#[test]
fn a_dead_client_kills_everything() {
    let scene = Scene::new();
    for (number, signal) in
        [None, Some(libc::SIGTERM), Some(libc::SIGHUP), Some(libc::SIGINT)].into_iter().enumerate()
    {
        let marker = format!("6{number}{}.25", std::process::id());
        let mut client = Client::new(&scene, &["--jobs", "3"]);
        for id in 0..3 {
            client.ask(&json!({"id": id, "command": ["/bin/sleep", marker], "files": {"f": "x"}}));
        }
        // The supervisor's children: its own line does not hold the marker.
        wait_for("all run", || alive(&marker) >= 3);
        match signal {
            // Its reader is gone, though the input is open.
            None => drop(client.answers.take()),
            // SAFETY: numbers only; our own child, which we have not reaped.
            Some(signal) => assert_eq!(unsafe { libc::kill(client.child.id().cast_signed(), signal) }, 0),
        }
        wait_for("nothing is left", || alive(&marker) == 0);
        let status = client.child.wait().unwrap().code();
        assert_eq!(status, Some(signal.map_or(1, |signal| 128 + signal)), "{signal:?}");
        assert_eq!(left_in(&scene), 0, "{signal:?}");
    }
}

#[test]
fn what_a_killed_batch_leaves_is_swept_by_the_next() {
    let scene = Scene::new();
    let request = with(shell(1, "sleep 60"), json!({"files": {"f": "x"}}));
    // One that was killed between two runs left an empty one.
    scene.folder("tmp/ringfence-batch-1-0");
    // What is not a folder of ours stays.
    scene.file("tmp/ringfence-batch-other", "x");
    let mut killed = Client::new(&scene, &[]);
    killed.ask(&request);
    wait_for("its folder is there, and no empty one", || left_in(&scene) == 2);
    let mut lives = Client::new(&scene, &[]);
    lives.ask(&with(shell(1, "sleep 60"), json!({"files": {"f": "x"}})));
    wait_for("both are there", || left_in(&scene) == 3);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let mut next = Client::new(&scene, &[]);
    let swept = next.run(&with(shell(1, "true"), json!({"files": {"f": "x"}})));
    assert_eq!(swept["report"]["exit"]["code"], 0, "{swept}");
    assert_eq!(left_in(&scene), 3, "the dead one's is gone, the living one's stays");
    lives.child.kill().unwrap();
    lives.child.wait().unwrap();
}

/// Figures of a process that could grow.
fn figures(id: u32) -> BTreeMap<&'static str, u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let of = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count) as u64;
    let mounts = std::fs::read_to_string(format!("/proc/{id}/mountinfo")).unwrap_or_default().lines().count();
    let threads = of("Threads:");
    BTreeMap::from([
        ("rss KiB", of("VmRSS:")),
        ("fds", files),
        ("mounts", mounts as u64),
        ("threads", threads),
    ])
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["--jobs", "2"]);
    let stdin = client.stdin.take().unwrap();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&written);
    // Each request is 64 KiB, each answer too: 4096 of them would be 256 MiB.
    let writer = std::thread::spawn(move || {
        let mut stdin = stdin;
        for id in 0..4096 {
            let request = with(shell(id, "cat"), json!({"stdin": "x".repeat(65_536)}));
            if stdin.write_all(format!("{request}\n").as_bytes()).is_err() {
                return;
            }
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let mut before = usize::MAX;
    wait_for("reading stops", || {
        let now = written.load(std::sync::atomic::Ordering::SeqCst);
        let stopped = now == before && now > 0;
        before = now;
        std::thread::sleep(Duration::from_millis(500));
        stopped
    });
    assert!(before < 64, "{before} requests were taken from a client that reads nothing");
    let memory = figures(client.child.id())["rss KiB"];
    assert!(memory < 64 << 10, "{memory} KiB");
    drop(client.answers.take());
    assert_eq!(client.child.wait().unwrap().code(), Some(1));
    writer.join().unwrap();
}

/// RINGFENCE_BATCH_RUNS=100000 for the whole promise; a default that every run of the tests can afford.
#[test]
fn many_short_runs_from_one_process_leave_it_as_it_was() {
    let runs: usize = std::env::var("RINGFENCE_BATCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let scene = Scene::new();
    let mut client = Client::new(&scene, &["-p", "minimal"]);
    let id = client.child.id();
    let warm = 50;
    let mut stdin = client.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..warm + runs {
            let mut request = json!({"id": number, "command": ["/bin/true"]});
            if number % 10 == 0 {
                request = with(request, json!({"files": {"f": "x"}, "collect": ["f"]}));
            }
            stdin.write_all(format!("{request}\n").as_bytes()).expect("it is read");
        }
        stdin
    });
    let right = |answer: &Value| answer["report"]["exit"]["code"] == 0;
    let wrong = (0..warm).filter(|_| !right(&client.answer())).count();
    let begun = Instant::now();
    let start = figures(id);
    let wrong = wrong + (0..runs).filter(|_| !right(&client.answer())).count();
    let took = begun.elapsed();
    let stdin = writer.join().unwrap();
    // Everything has its answer; the input is open still.
    std::thread::sleep(Duration::from_millis(100));
    let end = figures(id);
    println!("batch: {runs} runs in {took:?}\n  at the start: {start:?}\n  at the end:   {end:?}");
    drop(stdin);
    assert_eq!(wrong, 0);
    assert_eq!((start["mounts"], start["threads"]), (end["mounts"], end["threads"]));
    // What runs at the start holds a few; nothing may be left that grows with the runs.
    assert!(end["fds"] <= start["fds"], "{start:?} {end:?}");
    assert!(end["rss KiB"] < start["rss KiB"] + 4096, "{start:?} {end:?}");
    assert_eq!(client.child.wait().unwrap().code(), Some(0));
    assert_eq!(
        (left_in(&scene), std::fs::read_dir(scene.runtime().join("ringfence")).unwrap().count()),
        (0, 0)
    );
}
