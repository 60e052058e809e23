//! What is collected, and where it is told.

use std::sync::{Arc, Mutex};

use ringfence::policy::{DenialKind, Happened};
use ringfence::{Policy, Sandbox, Stdio};
use serde_json::Value;
use support::{Run, Scene, UNFILTERED};

fn explained(scene: &Scene) -> Run<'_> {
    Run::new(scene).flag("--explain")
}

#[test]
fn a_death_by_the_filter_names_its_call() {
    let scene = Scene::new();
    for flags in [&["--on-violation=kill"][..], &["--on-violation", "kill", "--timeout", "20"]] {
        let outcome = explained(&scene).flags(flags).probe(["call", "ptrace", "0"]);
        assert_eq!(outcome.status, 159, "{outcome:#?}");
        assert_eq!(outcome.field("/exit/reason"), "violation");
        assert_eq!(outcome.field("/violations/0/call"), "ptrace");
        assert_eq!(outcome.field("/violations/0/answer"), "SIGSYS");
        assert_eq!(outcome.field("/violations/0/program"), "probe");
        assert!(outcome.field("/violations/0/pid").as_i64() > Some(1));
        assert!(outcome.stderr.contains("system call ptrace"), "{}", outcome.stderr);
        // As it ends without: the same signal, the same status.
        let plain = Run::new(&scene).flags(flags).probe(["call", "ptrace", "0"]);
        assert_eq!(plain.field("/exit"), outcome.field("/exit"));
    }
}

#[test]
fn a_child_that_the_filter_ends_dies_of_its_signal() {
    let scene = Scene::new();
    let probe = support::probe();
    let line = format!("{} call ptrace 0; echo $?", probe.display());
    let run = |run: Run<'_>| run.flags(["--on-violation=kill", "--ro"]).flag(&probe).shell(&line);
    let (with, without) = (run(explained(&scene)), run(Run::new(&scene)));
    assert_eq!(with.stdout, "159\n", "{with:#?}");
    assert_eq!(without.stdout, with.stdout);
    assert_eq!(with.field("/violations/0/call"), "ptrace");
}

#[test]
fn violations_that_are_logged_are_recorded_and_the_floor_holds() {
    let scene = Scene::new();
    let logged = |words: &[&str]| Run::new(&scene).flag("--on-violation=log").probe(words);
    let passes = logged(&["call", "kcmp", "1", "1", "1"]);
    assert_eq!(
        passes.answer(),
        Run::new(&scene).probe(["call", "kcmp", "1", "1", "1"]).answer(),
        "@debug is unsafe"
    );
    assert_eq!(passes.field("/violations/0/answer"), "EPERM");
    let safe = logged(&["call", "io_setup", "1", "zeros"]);
    safe.expect(&["ok", "EINVAL"]);
    assert_eq!(safe.field("/violations/0/call"), "io_setup", "{safe:#?}");
    assert_eq!(safe.field("/violations/0/answer"), "passed");
    let floor = logged(&["call", "mount", "zeros", "zeros", "zeros"]);
    floor.expect(&["EPERM"]);
    assert_eq!(floor.field("/violations/0/call"), "mount");
    assert!(floor.field("/violations/0/allow_with").is_null());
    // Control: unlogged, the same call is refused.
    Run::new(&scene).probe(["call", "io_setup", "1", "zeros"]).expect(&["EPERM"]);
}

#[test]
fn without_explain_nothing_is_collected_and_nothing_asks() {
    let scene = Scene::new();
    let plain =
        Run::new(&scene).shell("cat /none-such; echo x > made; grep -c . /proc/self/status >/dev/null");
    assert!(plain.field("/violations").is_null(), "{plain:#?}");
    assert!(!plain.stderr.contains("refused"), "{}", plain.stderr);
    let filters = |run: Run<'_>| run.shell("grep Seccomp_filters /proc/self/status").stdout;
    assert_eq!(filters(Run::new(&scene)), filters(explained(&scene)), "one filter takes the other's place");
}

#[test]
fn what_worked_is_no_refusal() {
    let scene = Scene::new();
    scene.file("here/own", "x");
    let outcome = explained(&scene)
        .shell("cat own; ls /usr/lib >/dev/null; echo y > /tmp/mine; none-such-program; true");
    let rows = outcome.field("/violations").as_array().unwrap();
    let about = |row: &&Value| {
        let path = row["path"].as_str().unwrap_or_default();
        path.contains("own")
            || path.contains("none-such")
            || path.starts_with("/tmp/mine")
            || path == "/usr/lib"
    };
    assert_eq!(rows.iter().filter(about).count(), 0, "{rows:#?}");
}

#[test]
fn a_denial_says_that_it_stays() {
    let scene = Scene::new();
    let hidden = scene.file("here/hidden", "x");
    let outcome = explained(&scene).flag("--deny").flag(&hidden).shell("cat hidden");
    assert!(outcome.stderr.contains("hidden by the policy (EACCES); a denial stays"), "{}", outcome.stderr);
    assert!(outcome.field("/violations/0/allow_with").is_null());
    assert_eq!(outcome.field("/violations/0/access"), "read");
    assert_eq!(outcome.field("/violations/0/resolved"), hidden.to_str().unwrap());
}

#[test]
fn a_waived_filter_collects_nothing_and_says_so() {
    let scene = Scene::new();
    let outcome = explained(&scene).flag(UNFILTERED).shell("cat /none-such");
    assert!(outcome.stderr.contains("nothing was collected"), "{}", outcome.stderr);
    assert!(outcome.field("/violations").is_null());
}

#[test]
fn a_failure_without_a_refusal_says_so() {
    let scene = Scene::new();
    let outcome = explained(&scene).shell("exit 3");
    assert_eq!(outcome.status, 3);
    assert_eq!(outcome.stderr, "ringfence: exit 3; nothing that matters was refused\n");
}

#[test]
fn a_library_is_told_of_each_as_it_is_met() {
    let scene = Scene::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let mut command = Sandbox::new(Policy::builtin("default").unwrap()).command("/bin/sh");
    command.args(["-c", "for i in 1 2 3; do echo x > made; done; exit 4"]);
    command.current_dir(scene.path("here")).explain(true).stderr(Stdio::null());
    command.on_event(move |event| {
        if let Happened::Violation(denial) = &event.what {
            heard.lock().unwrap().push(denial.clone());
        }
    });
    let report = command.spawn().unwrap().wait();
    let made = |denial: &&ringfence::policy::Denial| denial.path.as_deref() == Some("made");
    let told = told.lock().unwrap();
    assert_eq!(told.iter().filter(made).count(), 1, "{told:#?}");
    let rows = report.violations.unwrap();
    let row = rows.iter().find(made).unwrap();
    assert_eq!((row.count, row.kind), (3, DenialKind::File));
    assert_eq!(row.answer.as_deref(), Some("EROFS"));
}

/// A caller that does not wait for the program must not keep it waiting.
#[test]
fn a_program_goes_on_though_its_caller_does_not_wait() {
    use std::io::Read as _;
    let scene = Scene::new();
    let mut command = Sandbox::new(Policy::builtin("default").unwrap()).command("/bin/cat");
    command.arg("/etc/passwd").current_dir(scene.path("here")).explain(true).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("root"), "{text}");
    assert_eq!(child.wait().exit.code, Some(0));
}

#[test]
fn asynchronous_code_reads_them_as_a_stream() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut request = ringfence::Request::new(["/bin/sh", "-c", "cat /etc/shadow /none-such; exit 5"]);
    request.violations = Some(sender);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (output, told) = runtime.block_on(async {
        let cancellation = ringfence::Cancellation::new().unwrap();
        let run = ringfence::execute(request, Policy::builtin("default").unwrap(), &cancellation);
        let read = async {
            let mut told = Vec::new();
            while let Some(denial) = receiver.recv().await {
                told.push(denial);
            }
            told
        };
        // No macro of tokio's: the reader is done when the run has let go of its end.
        let output = run.await;
        (output.unwrap(), read.await)
    });
    assert_eq!(output.report.exit.code, Some(5));
    let shadow = told.iter().find(|denial| denial.path.as_deref() == Some("/etc/shadow"));
    assert_eq!(shadow.unwrap_or_else(|| panic!("{told:#?}")).allow_with.as_deref(), Some("--ro /etc/shadow"));
}

/// As row 104: nothing of the caller's forked copy reaches the sandbox.
#[test]
fn a_forked_copy_that_drops_the_handle_changes_nothing() {
    let scene = Scene::new();
    let mut command = Sandbox::new(Policy::builtin("default").unwrap()).command("/bin/sh");
    command.args(["-c", "read x; cat /etc/passwd >/dev/null && echo $x"]);
    command.current_dir(scene.path("here")).explain(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // SAFETY: the copy drops the handle, which makes system calls only, and ends without running anything else.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        drop(child);
        // SAFETY: ends this copy at once.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: room for one status; the copy is our child.
    assert_eq!(unsafe { libc::waitpid(copy, &raw mut status, 0) }, copy);
    use std::io::{Read as _, Write as _};
    child.stdin.take().unwrap().write_all(b"alive\n").unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((child.wait().exit.code, text.as_str()), (Some(0), "alive\n"));
}
