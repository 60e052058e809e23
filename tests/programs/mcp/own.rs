//! With a server and a client of our own, which every machine has.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Run, Scene, probe};

use super::session::{
    Session, alive, inside, inside_and_stubborn, left_behind, live, marker, outside, wait_for,
};

#[test]
fn a_session_reads_what_was_shown_and_only_its_bytes_are_on_stdout() {
    let scene = Scene::new();
    let (data, secret) = (scene.file("here/data", "content\n"), scene.file("home/secret", "secret\n"));
    let (data, secret) = (data.display().to_string(), secret.display().to_string());
    let mut session = Session::start(inside(&scene, &["--verbose"]));
    session.initialise();
    let tools = session.ask("tools/list", json!({}));
    assert_eq!(tools["tools"][0]["name"], "read", "{tools}");
    assert_eq!(session.read(&data), ("content\n".to_owned(), false));
    assert_eq!(session.read(&secret), ("ENOENT".to_owned(), true));
    let left = session.close();
    // `--verbose` has much to say, and none of it here.
    assert_eq!((left.status, left.stdout.as_str()), (0, ""), "{left:#?}");
    assert!(left.stderr.contains("answered 4\n") && left.stderr.contains("ringfence: "), "{left:#?}");
    // Control: the same server outside reads the secret.
    let mut control = Session::start(outside());
    control.initialise();
    assert_eq!(control.read(&secret), ("secret\n".to_owned(), false));
    assert_eq!(control.close().status, 0);
}

#[test]
fn closing_its_input_ends_a_stubborn_server_after_the_grace_and_then_the_tree() {
    let scene = Scene::new();
    let marker = marker(1);
    let report = scene.outside_path("report");
    let flags = ["--grace", "700ms", "--report", report.to_str().expect("UTF-8")];
    let mut session = Session::start(inside_and_stubborn(&scene, &flags, &marker));
    session.initialise();
    wait_for("control: it is there", || alive(&marker) > 0);
    let left = session.close();
    assert_eq!((left.status, left.stdout.as_str()), (137, ""), "{left:#?}");
    assert!(left.time >= Duration::from_millis(600), "it had no grace: {left:#?}");
    wait_for("nothing is left", || alive(&marker) == 0);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["exit"]["reason"], "killed", "{report:#}");
    assert!(report["exit"]["detail"].as_str().unwrap().contains("standard input was closed"), "{report:#}");
    assert_eq!(report["policy"]["process"]["end_with_stdin"], true);
}

#[test]
fn without_the_profiles_word_the_end_of_its_input_ends_nothing() {
    let scene = Scene::new();
    let marker = marker(2);
    let line = format!("sleep {marker}");
    let run = Run::new(&scene).flags(["--grace", "100ms"]);
    let mut child = run.command(["/bin/sh", "-c", &line]).stdin(Stdio::piped()).spawn().unwrap();
    wait_for("it runs", || alive(&marker) > 0);
    drop(child.stdin.take());
    std::thread::sleep(Duration::from_millis(1000));
    assert!(child.try_wait().unwrap().is_none() && alive(&marker) > 0, "it was ended");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("nothing is left", || alive(&marker) == 0);
}

#[test]
fn a_client_that_is_killed_leaves_nothing() {
    let scene = Scene::new();
    let marker = marker(3);
    let data = scene.file("here/data", "content\n");
    for stubborn in [false, true] {
        let server = if stubborn {
            inside_and_stubborn(&scene, &["--grace", "300ms"], &marker)
        } else {
            inside(&scene, &[])
        };
        let mut client = Command::new(probe());
        client.arg("tool-client").arg(&data).arg(server.get_program()).args(server.get_args());
        client.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        client
            .current_dir(scene.path("here"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        let said: Vec<_> = BufReader::new(client.stdout.take().unwrap()).lines().take(2).flatten().collect();
        assert!(said.len() == 2 && said[1].contains("content"), "{said:?}");
        assert_eq!((live(&scene), left_behind(&scene).len()), (1, 1), "control: it is there");
        client.kill().unwrap();
        client.wait().unwrap();
        wait_for("the sandbox has ended", || live(&scene) == 0);
        wait_for("no process is left", || alive(&marker) == 0);
        // The supervisor takes its entry away when its sandbox has ended.
        wait_for("nothing is left behind", || left_behind(&scene).is_empty());
    }
}

#[test]
fn thousands_of_messages_and_idleness_cost_the_supervisor_nothing() {
    for flags in [&[][..], &["--output-limit", "1G"]] {
        let scene = Scene::new();
        let data = scene.file("here/data", &"x".repeat(1000)).display().to_string();
        let mut session = Session::start(inside(&scene, flags));
        session.initialise();
        exchange(&mut session, &data, 500);
        let before = Held::by(session.child.id());
        exchange(&mut session, &data, 20_000);
        let after = Held::by(session.child.id());
        assert_eq!((after.files, after.threads), (before.files, before.threads), "{flags:?}");
        assert!(after.memory_kib <= before.memory_kib + 512, "{flags:?}: {before:?} became {after:?}");
        if flags.is_empty() {
            // What is passed directly passes it by.
            assert_eq!(after.woken, before.woken, "{before:?} became {after:?}");
        } else {
            assert!(after.woken > before.woken, "control: {before:?} became {after:?}");
        }
        std::thread::sleep(Duration::from_millis(1500));
        let idle = Held::by(session.child.id());
        assert_eq!(idle.woken, after.woken, "it wakes while nothing happens");
        assert_eq!(session.read(&data).0.len(), 1000, "and is there after that");
        assert_eq!(session.close().status, 0);
    }
}

/// Requests in flight at once are few enough for the pipes to hold them.
fn exchange(session: &mut Session, path: &str, count: usize) {
    let params = json!({ "name": "read", "arguments": { "path": path } });
    for _ in 0..count / 20 {
        (0..20).for_each(|_| session.send("tools/call", params.clone()));
        for _ in 0..20 {
            let answer = session.receive();
            assert_eq!(answer["result"]["content"][0]["text"].as_str().map(str::len), Some(1000), "{answer}");
        }
    }
}

/// What a process holds, and how often it was woken.
#[derive(Debug)]
struct Held {
    files: usize,
    threads: u64,
    memory_kib: u64,
    woken: u64,
}

impl Held {
    /// Looked at when it sleeps: a supervisor that is just handing a byte over is not idle yet.
    fn by(process: u32) -> Self {
        let end = Instant::now() + Duration::from_secs(60);
        let mut last = 0;
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let held = Self::now(process);
            if held.woken == last || Instant::now() > end {
                return held;
            }
            last = held.woken;
        }
    }

    fn now(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().expect(name).parse().expect(name)
        };
        Self {
            files: std::fs::read_dir(format!("/proc/{process}/fd")).expect("it is ours").count(),
            threads: field("Threads:"),
            memory_kib: field("VmRSS:"),
            woken: field("voluntary_ctxt_switches:"),
        }
    }
}
