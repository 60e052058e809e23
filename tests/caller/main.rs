//! Programs that use the library as a caller would, in ways that need a process of their own. Each prints one
//! line: how it went.

mod asynchronous;

use std::time::{Duration, Instant};

use ringfence::policy::Tty;
use ringfence::profiles::Profiles;
use ringfence::{Child, Policy, Report, Sandbox, Stdio};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let line = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["spawn-in-thread"] => spawn_in_thread(),
        ["kill-after-end"] => kill_after_end(),
        ["ignore-sigchld"] => ignore_sigchld(),
        ["reap-everything"] => reap_everything(),
        ["fork-and-drop"] => fork_and_drop(),
        ["drop"] => drop_ends_everything(),
        ["profile", file, input, ..] => of_profile(file, input, &words[3..]),
        ["many-threads"] => many_threads(),
        ["async", tasks, rounds] => asynchronous::random_ends(number(tasks), number(rounds)),
        ["spawn-cost", megabytes, threads, rounds] => {
            spawn_cost(number(megabytes), number(threads), number(rounds))
        }
        ["panic-on-a-terminal"] => panic_on_a_terminal(),
        ["collect-a-terminal"] => collect_a_terminal(),
        ["many-at-once", count] => many_at_once(number(count)),
        _ => "no such way".to_owned(),
    };
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}

fn sandbox() -> Sandbox {
    let mut policy = Policy::builtin("default").expect("a built-in profile");
    // A test that hangs ends; long enough for many at once under an emulator.
    policy.limits.timeout = Some(Duration::from_secs(120));
    Sandbox::new(policy)
}

fn shell(line: &str) -> Child {
    let mut command = sandbox().command("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null());
    command.spawn().expect("it starts")
}

fn said(report: &Report) -> String {
    match report.exit.code {
        Some(code) => format!("exited {code}"),
        None => format!("{:?}: {:?}", report.exit, report.error),
    }
}

/// A run in the foreground is left by a panic while it has the terminal.
fn panic_on_a_terminal() -> String {
    let mut command = sandbox().command("/bin/sleep");
    command.arg("60").on_event(|event| panic!("as it was told to at {event:?}"));
    let plan = command.plan().expect("it can be planned");
    said(&command.run_in_foreground(plan))
}

/// What is printed on a terminal that only the sandbox has.
fn collect_a_terminal() -> String {
    let mut policy = Policy::builtin("default").expect("a built-in profile");
    policy.process.tty = Tty::Always;
    let mut command = Sandbox::new(policy).command("/bin/sh");
    command.args(["-c", "tty; cat; stty size >&2"]).stdin(Stdio::bytes("typed"));
    let output = command.output().expect("it starts");
    format!("{}: {:?} {:?}", said(&output.report), String::from_utf8_lossy(&output.stdout), output.stderr)
}

/// The thread that starts the sandbox ends long before the program does.
fn spawn_in_thread() -> String {
    let spawned = std::thread::spawn(|| shell("sleep 0.5; exit 7")).join();
    said(&spawned.expect("the thread ended").wait())
}

fn kill_after_end() -> String {
    let mut child = shell("exit 3");
    let first = said(&child.wait());
    child.kill();
    child.terminate();
    let again = said(&child.wait());
    if first == again { format!("{first}, then nothing") } else { format!("{first}, then {again}") }
}

/// A command under a profile's file: its report and what it printed, as JSON.
fn of_profile(file: &str, input: &str, words: &[String]) -> String {
    let found = Profiles::of_caller().and_then(|profiles| profiles.find(file)).expect("a profile");
    let mut command = Sandbox::new(found.into_policy()).command(&words[0]);
    command.args(&words[1..]).stdin(Stdio::bytes(input.as_bytes().to_vec()));
    let output = command.output().expect("it starts");
    serde_json::json!({"report": output.report, "stdout": String::from_utf8_lossy(&output.stdout)})
        .to_string()
}

fn ignore_sigchld() -> String {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    said(&shell("exit 7").wait())
}

/// Another thread waits for any child, as some runtimes do.
fn reap_everything() -> String {
    let mut child = shell("sleep 0.2; exit 7");
    let reaper = std::thread::spawn(|| {
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }
    });
    let line = said(&child.wait());
    reaper.join().expect("the reaper ended");
    line
}

/// A forked copy has the handle too. Its drop must not reach the sandbox.
fn fork_and_drop() -> String {
    let mut child = shell("sleep 0.5; exit 7");
    // SAFETY: this program has one thread; the copy drops its handle and ends.
    unsafe {
        let copy = libc::fork();
        if copy == 0 {
            drop(child);
            libc::_exit(0);
        }
        libc::waitpid(copy, std::ptr::null_mut(), 0);
    }
    said(&child.wait())
}

fn drop_ends_everything() -> String {
    let child = shell("sleep 100 & sleep 100");
    let id = child.id();
    let begun = Instant::now();
    drop(child);
    let exists = std::path::Path::new(&format!("/proc/{id}")).exists();
    if exists || begun.elapsed() > Duration::from_secs(2) {
        "still there".to_owned()
    } else {
        "gone".to_owned()
    }
}

/// 64 threads start sandboxes at once, each with a pipe for input; a handle that leaked into another child would
/// keep that pipe from ending.
fn many_threads() -> String {
    // The first sandbox leaves the cached memory file behind.
    shell("true").wait();
    let open_files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open_files();
    let threads: Vec<_> = (0..64)
        .map(|number: u32| {
            std::thread::spawn(move || {
                let mut command = sandbox().command("/bin/sh");
                // The program lists what it has open and then waits for the end of its input.
                command.args(["-c", "ls /proc/self/fd | wc -l; cat; exit $0", &number.to_string()]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
                let mut child = command.spawn().expect("it starts");
                drop(child.stdin.take());
                let mut text = String::new();
                let stdout = child.stdout.as_mut().expect("it was piped");
                std::io::Read::read_to_string(stdout, &mut text).expect("it can be read");
                let code = child.wait().exit.code;
                // Three streams and the folder that ls reads.
                text.trim() == "4" && code == Some(number.cast_signed())
            })
        })
        .collect();
    let right = threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|right| *right).count();
    format!("{right} right, {} leaked", open_files().saturating_sub(before))
}

/// Median microseconds to start and end a sandbox, in a caller of this size.
fn spawn_cost(megabytes: usize, threads: usize, rounds: usize) -> String {
    let mut memory = vec![0_u8; megabytes << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    for _ in 0..threads {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600)));
    }
    let once = || {
        let begun = Instant::now();
        let report = sandbox().command("/bin/true").stdin(Stdio::null()).status().expect("it starts");
        assert_eq!(report.exit.code, Some(0));
        begun.elapsed().as_micros()
    };
    (0..5).for_each(|_| assert!(once() > 0));
    let mut times: Vec<_> = (0..rounds).map(|_| once()).collect();
    times.sort_unstable();
    assert!(memory.iter().step_by(4096).all(|byte| *byte == 1), "the caller's memory is untouched");
    times[times.len() / 2].to_string()
}

/// Sandboxes that all run at the same time: each answers its own word when every one of them has been started.
fn many_at_once(count: usize) -> String {
    use std::io::{Read as _, Write as _};
    // A session keyring, as every login has one (pam_keyinit(8)): whoever has one pays for the next by quota.
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING of a nameless one, numbers only.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, 1, 0) };
    assert!(joined != -1, "a session keyring: {}", std::io::Error::last_os_error());
    let mut first_failure = None;
    let mut children = Vec::new();
    for _ in 0..count {
        let mut command = sandbox().command("/bin/cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        children.extend(
            command.spawn().map_err(|failure| first_failure.get_or_insert(failure.to_string()).clone()),
        );
    }
    let mut right = 0;
    for (number, mut child) in children.into_iter().enumerate() {
        let word = number.to_string();
        // A program that is not there any more reads nothing.
        let _it_says_why_below = child.stdin.take().map(|mut stdin| stdin.write_all(word.as_bytes()));
        let mut text = String::new();
        let read = child.stdout.take().map(|mut stdout| stdout.read_to_string(&mut text));
        let report = child.wait();
        right +=
            usize::from(read.is_some_and(|read| read.is_ok()) && text == word && report.exit.code == Some(0));
        if let Some(problem) = report.error {
            first_failure.get_or_insert(problem.to_string());
        }
    }
    format!("{right} of {count} right; {}", first_failure.unwrap_or_else(|| "no failure".to_owned()))
}
