//! What several topics need beside `support`: other homes, other callers, commands run to their end with a
//! limit, and the machine's own programs.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Outcome, Run, Scene};

/// As `support` has it: no test of a sandbox takes longer, one that does hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// A path as a word of a command line.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// Runs a command to its end; the report is the one that `--report` named, when it did.
pub(crate) fn finish(command: Command) -> Outcome {
    finish_with_input(command, b"")
}

/// The same with bytes on standard input.
pub(crate) fn finish_with_input(mut command: Command, input: &[u8]) -> Outcome {
    let begun = Instant::now();
    let named = |pair: &[&OsStr]| (pair[0] == "--report").then(|| PathBuf::from(pair[1]));
    let words: Vec<&OsStr> = command.get_args().collect();
    let report = words.windows(2).find_map(named);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let id = child.id();
    let (done, finished) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let timed_out = finished.recv_timeout(LONGEST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if timed_out {
            // SAFETY: no pointers; the process is our child and not yet reaped.
            unsafe { libc::kill(id.cast_signed(), libc::SIGKILL) };
        }
        timed_out
    });
    let mut stdin = child.stdin.take().expect("it was piped");
    let input = input.to_vec();
    // A program that does not read its input closes it: that is its right.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    drop(done);
    assert!(!guard.join().expect("the guard ended"), "hung for {LONGEST:?}: {command:?}");
    writer.join().expect("the writer ended");
    Outcome {
        status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        report: report.and_then(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()),
        time: begun.elapsed(),
    }
}

/// A run whose caller has another home than the scene's.
pub(crate) fn at_home<I: IntoIterator<Item: AsRef<OsStr>>>(run: Run<'_>, home: &str, words: I) -> Outcome {
    let mut command = run.command(words);
    command.env("HOME", home);
    finish(command)
}

/// A line of shell outside: a control, or what prepares a test.
pub(crate) fn shell_outside(line: &str) -> Outcome {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    finish(command)
}

/// Makes a file that can be executed.
pub(crate) fn executable(scene: &Scene, name: &str, content: &str) -> PathBuf {
    // Written here and copied by another process: see `Scene::program`.
    let draft = scene.file(&format!("{name}.draft"), content);
    let path = scene.program(name, &draft);
    std::fs::remove_file(draft).expect("it was just made");
    set_mode(&path, 0o755);
    path
}

/// Sets permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Where a program is in this process' PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// `python` as a document's example says it; many systems have `python3` only.
pub(crate) fn python() -> &'static str {
    if find_program("python").is_some() { "python" } else { "python3" }
}

/// The processes that are alive and have this word in their command line. (A zombie has no command line.)
pub(crate) fn alive(marker: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("there is a proc").flatten();
    let of_marker = |entry: std::fs::DirEntry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes()).then_some(id)
    };
    entries.filter_map(of_marker).collect()
}

/// Waits until something holds; fails when it does not in time.
#[track_caller]
pub(crate) fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
