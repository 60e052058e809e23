//! Programs as a judge gets them: they run for known times and sizes, and say themselves how long it was.

use std::io::Write as _;
use std::process::exit;
use std::time::{Duration, Instant};

use crate::{resources, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    let [first, rest @ ..] = words else { return None };
    if *first != "judged" {
        return None;
    }
    let number = |word: &str| word.parse::<u64>().unwrap_or(0);
    Some(match *rest {
        ["sleep", micros, manner] => sleep(Duration::from_micros(number(micros)), manner),
        ["burn", micros] => {
            let used = resources::burn(Duration::from_micros(number(micros)));
            format!("done {}", used.as_micros())
        }
        ["print", stdout, stderr] => print(number(stdout), number(stderr)),
        ["write", path, bytes] => {
            let content = vec![b'x'; usize::try_from(number(bytes)).unwrap_or(0)];
            said(std::fs::write(path, content))
        }
        ["exit", code] => exit(code.parse().unwrap_or(0)),
        ["signal", signal] => die(signal.parse().unwrap_or(0)),
        _ => return None,
    })
}

extern "C" fn end_well(_signal: libc::c_int) {
    // SAFETY: it ends this process, whatever holds a lock.
    unsafe { libc::_exit(0) };
}

/// Sleeps, and meets a polite signal in its manner: `plain` dies, `catch` ends well, `ignore` goes on.
fn sleep(time: Duration, manner: &str) -> String {
    let begun = Instant::now();
    let action = match manner {
        "catch" => end_well as extern "C" fn(libc::c_int) as libc::sighandler_t,
        "ignore" => libc::SIG_IGN,
        _ => libc::SIG_DFL,
    };
    // SAFETY: the handler only ends the process.
    unsafe { libc::signal(libc::SIGTERM, action) };
    tell(&format!("started {}\n", started_ticks()));
    while let Some(rest) = time.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) {
        std::thread::sleep(rest);
    }
    format!("done {}", begun.elapsed().as_micros())
}

/// When this process was made, in ticks since the boot (proc_pid_stat(5), field 22): before its exec.
fn started_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Whole, at once: it may be killed in the next moment.
fn tell(line: &str) {
    let mut stdout = std::io::stdout();
    stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).expect("standard output is open");
}

fn print(stdout: u64, stderr: u64) -> String {
    let bytes = |count: u64| vec![b'x'; usize::try_from(count).unwrap_or(0)];
    // Where it is killed for it, the pipe is closed first.
    let written = std::io::stdout().write_all(&bytes(stdout)).and_then(|()| std::io::stdout().flush());
    let written = written.and_then(|()| std::io::stderr().write_all(&bytes(stderr)));
    exit(i32::from(written.is_err()));
}

fn die(signal: i32) -> String {
    // SAFETY: no handler; the runtime ignores one signal, and a shell may have ignored others.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
    // A signal to oneself is there before the call returns (kill(2)).
    "alive".to_owned()
}
