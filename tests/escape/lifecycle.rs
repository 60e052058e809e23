//! Attempts to survive: the owner dies, at any instant; the sandbox must too.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene, caller, ringfence};

/// Every process with the marker in its command line: the supervisor, and whatever shares or copied its memory,
/// are among them. A zombie has no command line, so one that the machine has yet to reap is not.
fn anything_of(marker: &str) -> Vec<i32> {
    processes(|line| line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes()))
}

/// The programs with the marker: not their supervisor.
fn programs_of(marker: &str) -> Vec<i32> {
    let supervisor = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word.ends_with(b"ringfence-under-test"))
    };
    processes(|line| !supervisor(line) && line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes()))
}

fn processes(wanted: impl Fn(&[u8]) -> bool) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            wanted(&std::fs::read(entry.path().join("cmdline")).ok()?).then_some(id)
        })
        .collect()
}

/// Sandboxes' first processes, by the name that they give themselves, that descend from nobody we know.
fn inits() -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let state = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            name.trim() == "ringfence-init" && !state.contains("State:\tZ") && state.contains("PPid:\t1\n")
        })
        .count()
}

fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come to hold in {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn row_92_no_survivor_of_the_supervisors_death_at_any_instant() {
    let rounds: u64 = std::env::var("RINGFENCE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let scene = Scene::new();
    let marker = format!("61.{}92", std::process::id());
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let mounts_before = mounts();
    let mut random = u64::from(std::process::id()) | 1;
    let mut ran = 0;
    let start = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The instants reach from before the start to a third beyond it, however long it takes on this machine.
    let begun = Instant::now();
    let mut child = start(&mut Run::new(&scene).command(["/bin/sleep", &marker]));
    wait_for("control: the program runs", Duration::from_secs(30), || !programs_of(&marker).is_empty());
    let spread = (begun.elapsed() * 13 / 10).max(Duration::from_millis(20));
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..rounds {
        // xorshift64: any spread of instants will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = start(&mut Run::new(&scene).command(["/bin/sleep", &marker]));
        std::thread::sleep(Duration::from_nanos(random % u64::try_from(spread.as_nanos()).unwrap()));
        ran += u64::from(!programs_of(&marker).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    wait_for("no process of a killed owner is alive", Duration::from_secs(2), || {
        anything_of(&marker).is_empty()
    });
    wait_for("no orphaned init is alive", Duration::from_secs(2), || inits() == 0);
    assert_eq!(mounts(), mounts_before, "a mount was left on the host");
    // What they left in the registry is known to be dead, and swept by the next look.
    let entries = || std::fs::read_dir(scene.runtime().join("ringfence")).unwrap().count();
    let left = entries();
    let ps =
        Command::new(ringfence()).arg("ps").env("RINGFENCE_RUNTIME_DIR", scene.runtime()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ps.stdout).lines().count(), 1, "{ps:?}");
    assert_eq!(entries(), 0, "{left} entries were left, and not all are swept");
    // Control: the kills came both before and while the program ran.
    println!(
        "row 92: {rounds} kills within {spread:?}, in {ran} of them the program was already started; {left} \
         entries swept"
    );
    let mut child = Run::new(&scene).command(["/bin/sleep", &marker]).spawn().unwrap();
    wait_for("control: the program runs", Duration::from_secs(5), || !programs_of(&marker).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("and ends with its owner", Duration::from_secs(2), || programs_of(&marker).is_empty());
}

/// Runs the program that uses the library.
fn library(words: &[&str]) -> String {
    let output = Command::new(caller()).args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn row_93_the_end_of_the_spawning_thread_ends_nothing() {
    assert_eq!(library(&["spawn-in-thread"]), "exited 7");
}

#[test]
fn row_94_a_setuid_program_dies_with_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    // An exec of a setuid program clears a parent-death signal (prctl(2)); nothing here rests on one.
    let program = scene.program("setuid-sleep", std::path::Path::new("/bin/sleep"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let marker = format!("63.{}94", std::process::id());
    let run = Run::new(&scene).flags(["--uid", "1234"]).flag("--ro").flag(&program);
    let mut child = run.command([program.as_os_str(), marker.as_ref()]).spawn().unwrap();
    wait_for("it runs", Duration::from_secs(5), || !programs_of(&marker).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("it is gone", Duration::from_secs(2), || anything_of(&marker).is_empty());
}

#[test]
fn row_95_a_signal_after_the_end_reaches_nobody() {
    assert_eq!(library(&["kill-after-end"]), "exited 3, then nothing");
}

#[test]
fn row_96_a_caller_that_ignores_sigchld_gets_the_right_status() {
    let scene = Scene::new();
    let wrapper = ["/bin/sh", "-c", r#"trap "" CHLD; exec "$@""#, "sh"];
    let outcome = Run::new(&scene).through(wrapper).probe(["exit", "7"]);
    assert_eq!((outcome.status, outcome.field("/exit/code").as_i64()), (7, Some(7)), "{outcome:#?}");
    assert_eq!(library(&["ignore-sigchld"]), "exited 7");
    assert_eq!(library(&["reap-everything"]), "exited 7");
}

#[test]
fn row_104_a_forked_copy_of_the_caller_ends_nothing() {
    assert_eq!(library(&["fork-and-drop"]), "exited 7");
}

#[test]
fn dropping_the_handle_ends_everything() {
    assert_eq!(library(&["drop"]), "gone");
}

#[test]
fn a_stopped_supervisor_extends_nothing() {
    let scene = Scene::new();
    let marker = format!("62.{}77", std::process::id());
    let run = Run::new(&scene).flags(["--timeout", "1s", "--grace", "100ms"]);
    let mut child = run.command(["/bin/sleep", &marker]).spawn().unwrap();
    wait_for("it runs", Duration::from_secs(5), || !programs_of(&marker).is_empty());
    // SAFETY: our own child, which we have not reaped.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGSTOP) };
    wait_for("the deadline ends it", Duration::from_secs(3), || programs_of(&marker).is_empty());
    // SAFETY: as above.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGCONT) };
    assert_eq!(child.wait().unwrap().code(), Some(124));
}
