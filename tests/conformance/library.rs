//! The library's face, used as its documentation says: from any thread, any number at once. This test is a
//! process with many threads itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::Command as Plain;
use std::time::{Duration, Instant};

use ringfence::policy::Reason;
use ringfence::{Guarantee, Policy, Report, Sandbox, Stdio};
use support::{Scene, caller};

use crate::tools::{alive, finish, text, wait_for};

fn sandbox(profile: &str) -> Sandbox {
    Sandbox::new(Policy::builtin(profile).expect("a built-in profile"))
}

/// A line of shell, in a folder that no other test uses.
fn shell(scene: &Scene, policy: Policy, line: &str) -> ringfence::Command {
    let mut command = Sandbox::new(policy).command("/bin/sh");
    command.args(["-c", line]).current_dir(scene.path("here"));
    command
}

fn default_policy() -> Policy {
    Policy::builtin("default").expect("a built-in profile")
}

fn ending(report: &Report) -> (Reason, Option<i32>, Option<i32>) {
    (report.exit.reason, report.exit.code, report.exit.signal)
}

#[test]
fn output_collects_both_streams_and_the_report() {
    let scene = Scene::new();
    let output = shell(&scene, default_policy(), "cat; echo out; echo err >&2; exit 3").output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(ending(&output.report), (Reason::Exited, Some(3), None));
    assert_eq!(output.report.command[..2], ["/bin/sh", "-c"]);
    assert!(
        output.report.receipt.iter().any(|row| row.guarantee == Guarantee::Files && row.by == "verified")
    );
    // More than any pipe holds, on both at once.
    let both =
        shell(&scene, default_policy(), "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait");
    let output = { both }.output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_000, 3_000_000));
}

#[test]
fn status_waits_and_says_how_it_ended() {
    let scene = Scene::new();
    let mut command = shell(&scene, default_policy(), "sleep 0.1; kill -15 $$");
    let report = command.stdin(Stdio::null()).status().unwrap();
    assert_eq!(ending(&report), (Reason::Signalled, None, Some(libc::SIGTERM)));
    assert_eq!(report.exit.status(), 143);
}

#[test]
fn spawn_gives_pipes_that_talk_both_ways() {
    let scene = Scene::new();
    let mut command =
        shell(&scene, default_policy(), "while read line; do echo \"got $line\"; done; echo end >&2");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for word in ["one", "two"] {
        writeln!(stdin, "{word}").unwrap();
        let expected = format!("got {word}\n");
        let mut answer = vec![0; expected.len()];
        stdout.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expected.as_bytes(), "each answer comes before the next question");
    }
    drop(stdin);
    let mut rest = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), ending(&child.wait())), ("end\n", (Reason::Exited, Some(0), None)));
}

#[test]
fn wait_closes_the_input_first_and_says_the_same_again() {
    let scene = Scene::new();
    let mut command = shell(&scene, default_policy(), "cat >/dev/null; exit 4");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let first = child.wait();
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited for input that could not come");
    assert_eq!(ending(&first), (Reason::Exited, Some(4), None));
    assert_eq!(ending(&child.wait()), ending(&first));
    assert_eq!(child.try_wait().map(|report| ending(&report)), Some(ending(&first)));
}

#[test]
fn try_wait_never_waits() {
    let scene = Scene::new();
    let mut child =
        shell(&scene, default_policy(), "read line; exit 5").stdin(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    assert!(child.try_wait().is_none());
    assert!(begun.elapsed() < Duration::from_secs(1));
    drop(child.stdin.take());
    let mut last = None;
    wait_for("it ends", Duration::from_secs(10), || {
        last = child.try_wait();
        last.is_some()
    });
    assert_eq!(last.map(|report| ending(&report)), Some((Reason::Exited, Some(5), None)));
}

#[test]
fn kill_and_terminate_end_the_whole_tree() {
    let scene = Scene::new();
    let marker = format!("9{}.5", std::process::id());
    let line = format!("sleep {marker} & echo ready; sleep {marker}");
    let run = |policy: Policy| {
        let mut child =
            shell(&scene, policy, &line).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        child
    };
    let mut killed = run(default_policy());
    wait_for("control: its processes run", Duration::from_secs(5), || alive(&marker).len() >= 2);
    killed.kill();
    assert_eq!(ending(&killed.wait()), (Reason::Killed, None, Some(libc::SIGKILL)));
    assert_eq!(alive(&marker), [0; 0]);
    let mut asked = run(default_policy());
    asked.terminate();
    assert_eq!(ending(&asked.wait()), (Reason::Signalled, None, Some(libc::SIGTERM)));
    assert_eq!(alive(&marker), [0; 0]);
    // Dropped, it is gone when the drop returns.
    drop(run(default_policy()));
    assert_eq!(alive(&marker), [0; 0]);
}

#[test]
fn a_failure_holds_the_problem_and_the_whole_report() {
    let scene = Scene::new();
    let missing = scene.path("missing");
    for (failure, reason, errno) in [
        (
            shell(&scene, default_policy().ro(&missing), "true").output().unwrap_err(),
            Reason::Setup,
            Some("ENOENT"),
        ),
        (
            sandbox("default").command("/no/such/program").output().unwrap_err(),
            Reason::NotFound,
            Some("ENOENT"),
        ),
        (sandbox("default").command("a\0b").output().unwrap_err(), Reason::Setup, None),
        (sandbox("default").command("").output().unwrap_err(), Reason::Setup, None),
    ] {
        assert_eq!((failure.report.exit.reason, failure.problem.reason), (reason, reason), "{failure}");
        assert_eq!(failure.problem.errno.as_deref(), errno, "{failure}");
        assert_eq!(failure.report.error.as_ref(), Some(&failure.problem));
        assert!(failure.report.usage.is_none() && failure.report.receipt.is_empty(), "{failure}");
        assert!(!failure.to_string().is_empty());
    }
    // Control: with the folder there it runs.
    scene.folder("missing");
    assert!(shell(&scene, default_policy().ro(&missing), "true").output().is_ok());
}

#[test]
fn streams_are_taken_by_one_run_as_the_documentation_says() {
    let scene = Scene::new();
    let file = scene.path("output");
    let mut command = shell(&scene, default_policy(), "echo to the file");
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&file).unwrap().into());
    assert_eq!(command.status().unwrap().exit.code, Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "to the file\n");
    // The same command again, with streams set again.
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"to the file\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "to the file\n", "the first run's file is closed");
}

#[test]
fn a_callers_folder_and_environment_can_be_said() {
    let scene = Scene::new();
    scene.file("elsewhere/file", "x");
    let variables: BTreeMap<OsString, OsString> =
        [("PATH", "/usr/bin"), ("TERM", "dumb"), ("SECRET", "s"), ("HOME", "/home/of-the-caller")]
            .map(|(n, v)| (n.into(), v.into()))
            .into();
    let mut policy = default_policy();
    policy.environment.pass.push("SECRET".to_owned());
    let mut command = Sandbox::new(policy).command("sh");
    command
        .args(["-c", "pwd; ls; echo $PATH $TERM $SECRET"])
        .current_dir(scene.path("elsewhere"))
        .callers_environment(variables.clone());
    let output = command.output().unwrap();
    let expected = format!("{}\nfile\n/usr/bin dumb s\n", text(&scene.path("elsewhere")));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let json = serde_json::to_string(&output.report).unwrap();
    assert!(json.contains("SECRET") && !json.contains("of-the-caller"), "{json}");
    // Its HOME is the caller's too: who asks for another environment asks for another caller.
    let mut command = sandbox("default").command("/bin/sh");
    command.args(["-c", "echo $HOME"]).current_dir(scene.path("elsewhere")).callers_environment(variables);
    assert_eq!(String::from_utf8_lossy(&command.output().unwrap().stdout), "/home/of-the-caller\n");
}

#[test]
fn a_plan_runs_nothing_and_says_what_a_run_would_do() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let command = shell(&scene, default_policy().rw(&folder), &format!("touch {}/made", text(&folder)));
    let plan = command.plan().unwrap();
    assert!(
        plan.lines().len() > 30 && plan.lines().last().is_some_and(|line| line.contains("/bin/sh")),
        "{:?}",
        plan.lines()
    );
    assert_eq!(plan.writable(), std::slice::from_ref(&folder));
    assert!(plan.receipt().iter().all(|row| row.by == "planned"));
    assert!(!folder.join("made").exists(), "it ran");
    assert_eq!({ command }.output().unwrap().report.exit.code, Some(0));
    assert!(folder.join("made").exists(), "control: the run makes it");
}

#[test]
fn many_threads_with_many_policies_get_each_their_own() {
    let scene = Scene::new();
    let one = |number: usize| {
        let scene = &scene;
        move || {
            let folder = scene.folder(&format!("of-{number}"));
            let mut policy = default_policy().rw(&folder);
            policy.process.hostname = format!("host-{number}");
            policy.environment.set.insert("NUMBER".to_owned(), number.to_string());
            let line = format!(
                "cat /proc/sys/kernel/hostname; echo $NUMBER; ls {}; echo x >{}/made; exit {number}",
                text(&scene.path("")),
                text(&folder)
            );
            let output = shell(scene, policy, &line).output().unwrap();
            let expected = format!("host-{number}\n{number}\nhere\nof-{number}\n");
            (
                String::from_utf8_lossy(&output.stdout) == expected,
                output.report.exit.code == Some(number as i32),
                output.report.id,
            )
        }
    };
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|number| scope.spawn(one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|(seen, status, _)| *seen && *status), "{ids:?}");
    assert_eq!(ids.iter().map(|(_, _, id)| id).collect::<BTreeSet<_>>().len(), 16);
    assert!((0..16).all(|number| scene.path(&format!("of-{number}/made")).exists()));
}

#[test]
fn a_child_may_be_waited_for_by_another_thread_than_its_own() {
    fn may_move<T: Send>(_: &T) {}
    fn may_be_shared<T: Send + Sync>(_: &T) {}
    let scene = Scene::new();
    let mut command = shell(&scene, default_policy(), "read line; echo got $line; exit 6");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    may_be_shared(&sandbox("default"));
    may_move(&command);
    let mut child = std::thread::spawn(move || command.spawn().unwrap()).join().unwrap();
    may_move(&child);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let waiting = std::thread::spawn(move || child.wait());
    writeln!(stdin, "this").unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), waiting.join().unwrap().exit.code), ("got this\n", Some(6)));
}

#[test]
fn sixty_four_threads_at_once_leak_no_handle_into_any_child() {
    let mut command = Plain::new(caller());
    command.arg("many-threads");
    let outcome = finish(command);
    assert_eq!(outcome.answer(), "64 right, 0 leaked", "{outcome:#?}");
}

#[test]
fn nothing_of_the_calling_process_changes() {
    let scene = Scene::new();
    // What the promise names: signal handling, umask, working directory, dumpable, limits.
    let state = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let wanted = [
            "SigBlk",
            "SigIgn",
            "SigCgt",
            "Umask",
            "CapEff",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp:",
            "Groups",
            "Uid",
            "Gid",
        ];
        let lines: Vec<_> = status
            .lines()
            .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect();
        // SAFETY: no pointers.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        (
            lines,
            dumpable,
            limits,
            std::env::current_dir().unwrap(),
            std::fs::read_link("/proc/thread-self/ns/mnt").unwrap(),
        )
    };
    let before = state();
    shell(&scene, default_policy(), "true").output().unwrap();
    sandbox("default").command("/no/such").output().unwrap_err();
    let child = shell(&scene, default_policy(), "sleep 30").stdin(Stdio::null()).spawn().unwrap();
    assert_eq!(state(), before, "while one runs");
    drop(child);
    assert_eq!(state(), before);
}

#[test]
fn the_id_of_a_child_is_its_first_process_on_the_host() {
    let scene = Scene::new();
    let mut child = shell(&scene, default_policy(), "sleep 30").stdin(Stdio::null()).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    // It names itself when it has begun.
    wait_for("its name", Duration::from_secs(5), || {
        std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "ringfence-init")
    });
    child.kill();
    child.wait();
    assert!(!std::path::Path::new(&format!("/proc/{}", child.id())).exists(), "it is reaped");
}

/// RINGFENCE_ASYNC_ROUNDS=50 for the whole promise; a default that every run of the tests can afford.
#[test]
fn dropped_and_cancelled_futures_leave_nothing_behind() {
    let rounds: usize =
        std::env::var("RINGFENCE_ASYNC_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let output = Plain::new(caller()).args(["async", "64", &rounds.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    let expected = format!("{} right, 0 wrong, 0 leaked, 0 alive, every way of ending", 64 * rounds);
    assert_eq!(said, expected, "{output:?}");
}
