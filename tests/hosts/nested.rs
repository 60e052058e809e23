//! The rung of a container whose /proc is partly covered: the caller's is shown, what is seen there is said, and
//! everything else holds.

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{COVERED_PROC, Outcome, Run, Scene, UNFILTERED, outside};

use crate::worse::Host;

const WAIVER: &str = "--allow-degraded=processes";

fn host() -> Host {
    Host::namespace("a container", COVERED_PROC)
}

fn nested(scene: &Scene) -> Run<'_> {
    host().run(scene).flag(WAIVER)
}

#[test]
fn it_is_refused_unless_what_is_seen_is_waived_and_then_the_receipt_says_it() {
    let scene = Scene::new();
    let refused = host().run(&scene).run(["/bin/true"]);
    refused.expect_refusal(&["cannot guarantee `processes`", "partly covered", WAIVER]);
    assert_eq!((refused.field("/exit/reason"), refused.field("/rung")), (&"refused".into(), &().into()));
    let outcome = nested(&scene).run(["/bin/sh", "-c", "echo ran; exit 7"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (7, "ran\n"), "{outcome:#?}");
    assert_eq!(outcome.field("/rung"), "nested");
    let row = outcome.row("processes");
    assert_eq!((&row["status"], &row["by"]), (&"partial".into(), &"verified".into()), "{row:#}");
    let detail = row["detail"].as_str().unwrap();
    assert!(detail.contains("/proc is shown, read-only") && detail.contains("partly covered"), "{detail}");
    let rows = outcome.field("/receipt").as_array().unwrap();
    let others: Vec<_> = rows.iter().filter(|row| row["guarantee"] != "processes").collect();
    assert!(others.iter().all(|row| row["status"] == "enforced"), "{rows:#?}");
    // Control: where everything is there, the waiver changes nothing.
    let full = Run::new(&scene).flag(WAIVER).run(["/bin/true"]);
    assert_eq!((full.field("/rung"), &full.row("processes")["status"]), (&"full".into(), &"enforced".into()));
}

#[test]
fn processes_outside_are_seen_and_not_reached() {
    let scene = Scene::new();
    let own = std::process::id().to_string();
    for attempt in ["kill", "trace", "read-memory", "take-file"] {
        nested(&scene).flag(UNFILTERED).probe([attempt, &own]).expect(&["ESRCH"]);
        nested(&scene).probe([attempt, &own]).expect(&["ESRCH", "EPERM"]);
    }
    let of = |file: &str| format!("/proc/{own}/{file}");
    for file in ["environ", "mem", "maps", "root/etc/passwd", "cwd/Cargo.toml", "fd/0", "ns/mnt"] {
        let attempt = |run: Run<'_>| run.flag(UNFILTERED).probe(["read", &of(file)]);
        attempt(nested(&scene)).expect(&["EACCES", "EPERM"]);
    }
    nested(&scene).flag(UNFILTERED).probe(["write", &of("oom_score_adj"), "0"]).expect(&["EROFS", "EACCES"]);
    nested(&scene).flag(UNFILTERED).probe(["write", "/proc/self/oom_score_adj", "1"]).expect(&["EROFS"]);
    nested(&scene).flag(UNFILTERED).probe(["write", "/proc/sys/kernel/hostname", "x"]).expect(&["EROFS"]);
    // Controls: what the receipt says is seen is there; outside the process can be reached.
    let seen = nested(&scene).run(["/bin/cat", &of("comm")]);
    assert_eq!(seen.status, 0, "{seen:#?}");
    outside(["kill", &own]).expect(&["ok"]);
    assert!(std::fs::read(of("environ")).is_ok());
}

/// What descends from a process, in any depth.
fn below(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    children.into_iter().flat_map(|child| [vec![child], below(child)].concat()).collect()
}

#[test]
fn a_sibling_and_its_own_pid_1_are_seen_and_closed() {
    let scene = Scene::new();
    let mut sibling = nested(&scene).command(["/bin/sleep", "30"]).stdout(Stdio::null()).spawn().unwrap();
    let mut its = Vec::new();
    let runs = |its: &[u32]| {
        let program = its.get(1).map(|program| std::fs::read_to_string(format!("/proc/{program}/comm")));
        program.is_some_and(|name| name.is_ok_and(|name| name == "sleep\n"))
    };
    for _ in 0..600 {
        its = below(sibling.id());
        if runs(&its) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let [init, program] = its[..] else { panic!("the sibling runs: {its:?}") };
    for process in [init, program] {
        for file in ["environ", "mem", "root/etc", "fd/0"] {
            let path = format!("/proc/{process}/{file}");
            nested(&scene).flag(UNFILTERED).probe(["read", &path]).expect(&["EACCES", "EPERM"]);
        }
        let process = process.to_string();
        nested(&scene).flag(UNFILTERED).probe(["trace", &process]).expect(&["ESRCH", "EPERM"]);
    }
    // Control: it is there, and who started it may read it.
    let seen = nested(&scene).run(["/bin/cat", &format!("/proc/{program}/comm")]);
    assert_eq!(seen.stdout, "sleep\n", "{seen:#?}");
    let environment = std::fs::read(format!("/proc/{program}/environ"));
    sibling.kill().unwrap();
    sibling.wait().unwrap();
    assert!(environment.is_ok_and(|environment| !environment.is_empty()));
}

#[test]
fn what_counts_processes_by_number_works() {
    let scene = Scene::new();
    // The one exec is answered by a process' number, and its proof is read by it.
    let once = nested(&scene).flags(["-p", "minimal"]).run(["/bin/echo", "once"]);
    assert_eq!((once.status, once.stdout.as_str()), (0, "once\n"), "{once:#?}");
    let none: Outcome = nested(&scene).run(["/bin/sh", "-c", "exec /no/such/program"]);
    assert_eq!(none.status, 127, "{none:#?}");
    let late = nested(&scene).flags(["--timeout", "500ms", "--grace", "100ms"]).run(["/bin/sleep", "60"]);
    assert_eq!(late.status, 124, "{late:#?}");
    // The limit of user namespaces cannot be set here; the filter holds them by itself.
    nested(&scene).probe(["call", "unshare", "268435456"]).expect(&["EPERM"]);
    outside(["call", "unshare", "268435456"]).expect(&["ok"]);
}

/// The first try has the same streams, and takes nothing from them.
#[test]
fn a_second_try_begins_with_whole_streams() {
    let scene = Scene::new();
    let text = "a line\n".repeat(50_000);
    let mut command: Command = nested(&scene).command(["/bin/cat"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(written.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success() && output.stdout == text.as_bytes(), "{} bytes", output.stdout.len());
    // A file is relayed; nothing of it is lost either.
    let file = scene.file("input", &text);
    let mut command = nested(&scene).command(["/usr/bin/wc", "-c"]);
    let output = command.stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), text.len().to_string(), "{output:?}");
}

#[test]
fn doctor_names_the_rung_that_a_waiver_gives() {
    let scene = Scene::new();
    let (status, said) = host().run(&scene).doctor();
    assert_eq!(status, 1, "{said:#}");
    assert_eq!(said["rung"], "nested", "{said:#}");
    assert_eq!((&said["full"], &said["sandbox"]["ran"]), (&false.into(), &true.into()), "{said:#}");
    assert_eq!(said["waivers"], serde_json::json!(["processes"]), "{said:#}");
    let (_, good) = Run::new(&scene).doctor();
    assert_eq!(good["waivers"], serde_json::json!([]), "{good:#}");
}
