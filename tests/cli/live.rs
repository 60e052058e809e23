//! `ps` and `kill`: who runs, told by files that a crash leaves behind and nobody believes.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Run, Scene};

use crate::tools::{Said, call, take_report, text};

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in 10 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ps(scene: &Scene) -> Vec<Value> {
    let said = call(scene, ["ps", "--json"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{said:#?}");
    let list: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:#?}"));
    assert_eq!(list["schema"], 1, "{said:#?}");
    list["sandboxes"].as_array().unwrap_or_else(|| panic!("{said:#?}")).clone()
}

fn live(scene: &Scene) -> Vec<Value> {
    ps(scene).into_iter().filter(|entry| !entry["init"].is_null()).collect()
}

fn names(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["name"].as_str().unwrap_or("-")).collect()
}

fn sleeper(scene: &Scene, flags: &[&str]) -> Child {
    let before = live(scene).len();
    let line = "sleep 600 & sleep 600 & wait";
    let mut command = Run::new(scene).flags(flags).command(["/bin/sh", "-c", line]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for("it is listed", || live(scene).len() > before);
    child
}

fn end(mut child: Child) {
    child.kill().expect("our child");
    child.wait().expect("our child");
}

/// What is in the registry's folder.
fn files(scene: &Scene) -> Vec<String> {
    let folder = scene.runtime().join("ringfence");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn is_there(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn the_living_are_listed_and_the_ended_are_not() {
    let scene = Scene::new();
    assert_eq!(ps(&scene), [Value::Null; 0]);
    let (one, two) = (sleeper(&scene, &["--name", "one"]), sleeper(&scene, &["-p", "build"]));
    let entries = live(&scene);
    assert_eq!(names(&entries), ["one", "-"]);
    let of = |index: usize, key: &str| entries[index][key].clone();
    assert_eq!((of(0, "profile"), of(1, "profile")), ("default".into(), "build".into()));
    assert_eq!(of(0, "command")[0], "/bin/sh");
    for (entry, child) in entries.iter().zip([&one, &two]) {
        assert_eq!(entry["supervisor"]["pid"], child.id());
        let init = entry["init"]["pid"].as_i64().unwrap();
        let comm = std::fs::read_to_string(format!("/proc/{init}/comm")).unwrap();
        assert_eq!(comm.trim(), "ringfence-init");
        assert!(entry["id"].as_str().is_some_and(|id| id.len() == 16));
        assert!(entry["started_at"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
    let table = call(&scene, ["ps"]).stdout;
    assert!(table.starts_with("ID") && table.lines().count() == 3 && table.contains(" one "), "{table}");
    // One that is killed by force leaves its file; nobody believes it, and it is swept.
    end(one);
    assert_eq!(files(&scene).len(), 2, "control: the file is left");
    wait_for("the dead are not listed", || names(&live(&scene)) == ["-"]);
    assert_eq!(files(&scene).len(), 1);
    end(two);
    // One that ends leaves none.
    assert_eq!(Run::new(&scene).flags(["--name", "three"]).run(["/bin/true"]).status, 0);
    wait_for("all are swept", || ps(&scene).is_empty() && files(&scene).is_empty());
}

#[test]
fn a_name_belongs_to_one_live_sandbox() {
    let scene = Scene::new();
    let first = sleeper(&scene, &["--name", "worker"]);
    let second = Run::new(&scene).flags(["--name", "worker"]).run(["/bin/echo", "ran"]);
    second.expect_refusal(&["a live sandbox is called `worker`", "ringfence kill worker"]);
    assert_eq!((second.field("/error/code"), second.field("/name")), (&"name".into(), &"worker".into()));
    // A crash does not keep it.
    end(first);
    wait_for("the name is free", || {
        Run::new(&scene).flags(["--name", "worker"]).run(["/bin/true"]).status == 0
    });
    assert_eq!(Run::new(&scene).flags(["--name", "worker"]).run(["/bin/true"]).status, 0);
}

#[test]
fn one_is_killed_by_id_or_name_and_the_others_go_on() {
    let scene = Scene::new();
    let report = scene.outside_path("report");
    let mut one = sleeper(&scene, &["--name", "one", "--report", text(&report)]);
    let mut two = sleeper(&scene, &[]);
    let three = sleeper(&scene, &["--name", "three"]);
    let id = live(&scene)[1]["id"].as_str().unwrap().to_owned();
    let said = call(&scene, ["kill", "one", &id, "nobody"]);
    assert_eq!(said.status, 1, "{said:#?}");
    let lines: Vec<_> = said.stdout.lines().collect();
    assert!(lines[0].starts_with("killed ") && lines[0].ends_with("(one)"), "{said:#?}");
    assert_eq!(lines[1..], [format!("killed {id}")]);
    assert!(said.stderr.contains("no live sandbox is called `nobody`"), "{said:#?}");
    assert_eq!((one.wait().unwrap().code(), two.wait().unwrap().code()), (Some(137), Some(137)));
    let report = take_report(&report).unwrap();
    assert_eq!((&report["exit"]["reason"], &report["error"]), (&"killed".into(), &Value::Null), "{report:#}");
    assert!(report["exit"]["detail"].as_str().unwrap().contains("ringfence kill"), "{report:#}");
    assert_eq!(names(&live(&scene)), ["three"]);
    end(three);
    wait_for("all are swept, marks too", || ps(&scene).is_empty() && files(&scene).is_empty());
}

#[test]
fn kill_all_freezes_and_kills_every_one_and_says_so() {
    let scene = Scene::new();
    let nothing = call(&scene, ["kill", "--all"]);
    assert_eq!((nothing.status, nothing.stdout.as_str()), (0, "no sandbox was live\n"));
    let children: Vec<_> = (0..4).map(|_| sleeper(&scene, &[])).collect();
    let inits: Vec<i64> = live(&scene).iter().map(|entry| entry["init"]["pid"].as_i64().unwrap()).collect();
    let said = call(&scene, ["kill", "--all"]);
    assert_eq!((said.status, said.stdout.lines().count()), (0, 4), "{said:#?}");
    // PID 1, the shell, two sleepers.
    assert!(
        said.stdout.lines().all(|line| line.contains("(4 of its processes were frozen first)")),
        "{said:#?}"
    );
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(137));
    }
    assert!(inits.iter().all(|pid| !is_there(*pid)));
    assert_eq!(ps(&scene), [Value::Null; 0]);
}

#[test]
fn an_entry_that_lies_kills_nobody() {
    let scene = Scene::new();
    let sandbox = sleeper(&scene, &[]);
    let folder = scene.runtime().join("ringfence");
    let file = folder.join(&files(&scene)[0]);
    // A process of this user that is no sandbox's first: it stands in a forged entry, with its own start time.
    let mut victim = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", victim.id())).unwrap();
    let started: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let honest = std::fs::read_to_string(&file).unwrap();
    let first = honest.lines().next().unwrap().replace("\"id\":\"", "\"id\":\"f");
    let forged = format!("{first}\n{{\"pid\":{},\"started\":{started}}}\n", victim.id());
    std::fs::write(folder.join("i-forged"), forged).unwrap();
    let said: Said = call(&scene, ["kill", "--all"]);
    assert!(said.status == 1 && said.stdout.contains("is not a sandbox's first"), "{said:#?}");
    assert!(said.stdout.contains("\nkilled ") || said.stdout.starts_with("killed "), "control: {said:#?}");
    assert!(victim.try_wait().unwrap().is_none(), "it was killed by a lie");
    victim.kill().unwrap();
    victim.wait().unwrap();
    end(sandbox);
}

#[test]
fn a_sandbox_does_not_reach_the_registry() {
    let scene = Scene::new();
    let runtime = scene.runtime();
    let line = format!("ls {0}/ringfence/*; ls -d {0}; touch {0}/ringfence/x", text(&runtime));
    let inside = Run::new(&scene).flag("--rw").flag(&runtime).shell(&line);
    assert_eq!(inside.stdout, format!("{}\n", text(&runtime)), "{inside:#?}");
    assert_ne!(inside.status, 0, "{inside:#?}");
    assert_eq!(files(&scene), [""; 0]);
    // Control: what lies beside it is writable.
    let beside = Run::new(&scene).flag("--rw").flag(&runtime).shell(&format!("touch {}/x", text(&runtime)));
    assert_eq!(beside.status, 0, "{beside:#?}");
}

#[test]
fn a_wrong_request_is_a_usage_error() {
    let scene = Scene::new();
    for words in [&["kill"][..], &["kill", "--all", "x"], &["ps", "x"], &["kill", "--bogus"]] {
        assert_eq!(call(&scene, words).status, 2, "{words:?}");
    }
}

/// PID 1 of the sandbox that a process starts, as soon as it is there.
fn init_of(supervisor: u32) -> Option<i32> {
    let end = Instant::now() + Duration::from_secs(10);
    let is_init = |id: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let own = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        own.split_whitespace().count() > 1 && own.split_whitespace().last() == Some("1")
    };
    while Instant::now() < end {
        let children = format!("/proc/{supervisor}/task/{supervisor}/children");
        let children = std::fs::read_to_string(children).ok()?;
        if let Some(init) = children.split_whitespace().find(is_init) {
            return init.parse().ok();
        }
    }
    None
}

#[test]
fn a_slow_set_up_is_told_of_after_a_second_and_a_fast_one_is_not() {
    let scene = Scene::new();
    let events = |name: &str| scene.outside_path(name);
    let run = |file: &Path| {
        let run = Run::new(&scene).flags(["--events", text(file)]);
        let mut command = run.command(["/bin/true"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let said = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
    let is_told = |file: &Path| said(file).contains("still-starting");
    // PID 1 may be faster than we are.
    let slow = (0..50).map(|number| events(&format!("slow-{number}"))).find(|file| {
        let mut child = run(file);
        if let Some(init) = init_of(child.id()) {
            // SAFETY: no pointers; it is a process of the sandbox that we have just started.
            unsafe { libc::kill(init, libc::SIGSTOP) };
            std::thread::sleep(Duration::from_millis(1500));
            // SAFETY: as above; it is stopped, or has ended with its parent still there.
            unsafe { libc::kill(init, libc::SIGCONT) };
        }
        assert!(child.wait().expect("our child").success());
        is_told(file)
    });
    let slow = slow.expect("in fifty tries one set-up was stopped");
    assert_eq!(said(&slow).matches("still-starting").count(), 1, "{}", said(&slow));
    let order: Vec<_> = ["still-starting", "started", "ended"].map(|word| said(&slow).find(word)).into();
    assert!(order.is_sorted() && order[0].is_some(), "{}", said(&slow));
    // Control: a start that nobody stops.
    let fast = events("fast");
    assert!(run(&fast).wait().expect("our child").success());
    assert!(said(&fast).contains("started") && !is_told(&fast), "{}", said(&fast));
}
