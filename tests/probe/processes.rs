//! Attempts on other processes, and processes that will not go.

use std::process::Command;
use std::time::Duration;

use crate::{called, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    let id = |word: &str| word.parse::<i32>().unwrap_or(-1);
    Some(match *words {
        ["kill", process] => {
            // SAFETY: numbers only.
            called(unsafe { libc::kill(id(process), 0) }.into())
        }
        ["trace", process] => trace(id(process)),
        ["trace-own-child"] => with_child(trace),
        ["read-memory", process] => read_memory(id(process)),
        ["read-memory-of-own-child"] => with_child(read_memory),
        ["take-file", process] => take_file(id(process)),
        ["take-file-of-own-child"] => with_child(take_file),
        ["processes"] => processes(),
        ["daemon", marker] => daemon(marker),
        ["wait", seconds] => {
            std::thread::sleep(Duration::from_secs(seconds.parse().unwrap_or(1)));
            "waited".to_owned()
        }
        ["ignore-and-wait"] => {
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            std::thread::sleep(Duration::from_secs(60));
            "waited".to_owned()
        }
        ["trace-init-then-wait"] => {
            let answer = trace(1);
            std::thread::sleep(Duration::from_secs(60));
            answer
        }
        ["effective-user-of", program] => effective_user_of(program),
        ["orphans", count] => orphans(count.parse().unwrap_or(1)),
        _ => return None,
    })
}

fn trace(process: i32) -> String {
    // SAFETY: attaches; the tracee is let go when we end.
    called(unsafe { libc::ptrace(libc::PTRACE_ATTACH, process, 0, 0) })
}

fn read_memory(process: i32) -> String {
    let mut byte = 0_u8;
    let ours = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // The child is a copy of us: the same address is mapped there.
    let theirs = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one byte of our own to write to; what is read is in the other process.
    called(unsafe { libc::process_vm_readv(process, &raw const ours, 1, &raw const theirs, 1, 0) }
        as libc::c_long)
}

fn take_file(process: i32) -> String {
    // SAFETY: numbers only.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, process, 0);
        if pidfd == -1 { called(-1) } else { called(libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0)) }
    }
}

/// Tries something on a child of ours that sleeps.
fn with_child(attempt: impl Fn(i32) -> String) -> String {
    // SAFETY: the child only sleeps and ends; this program has one thread.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::sleep(30);
            libc::_exit(0);
        }
        let answer = attempt(child);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        answer
    }
}

fn processes() -> String {
    let mut ids: Vec<u32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// Leaves a process behind that has done everything to survive: its own session, an unknown parent, no streams.
fn daemon(marker: &str) -> String {
    // SAFETY: one thread; the grandchild only executes another program.
    unsafe {
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                libc::close(0);
                libc::close(1);
                libc::close(2);
                let error = std::os::unix::process::CommandExt::exec(Command::new("/bin/sleep").arg(marker));
                libc::_exit(error.raw_os_error().unwrap_or(1));
            }
            libc::_exit(0);
        }
        libc::wait(std::ptr::null_mut());
    }
    std::thread::sleep(Duration::from_millis(100));
    "left".to_owned()
}

/// Makes orphans that end at once: PID 1 must reap them.
fn orphans(count: u32) -> String {
    for _ in 0..count {
        // SAFETY: one thread; both children end at once.
        unsafe {
            if libc::fork() == 0 {
                if libc::fork() == 0 {
                    libc::_exit(0);
                }
                libc::_exit(0);
            }
            libc::wait(std::ptr::null_mut());
        }
    }
    std::thread::sleep(Duration::from_millis(200));
    processes()
}

/// Starts a program that waits for input, and reads who it runs as.
fn effective_user_of(program: &str) -> String {
    let child = Command::new(program)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return said::<()>(Err(e)),
    };
    std::thread::sleep(Duration::from_millis(200));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let user = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1).map(str::to_owned));
    drop(child.stdin.take());
    let _ended_either_way = (child.kill(), child.wait());
    user.unwrap_or_else(|| "gone".to_owned())
}
