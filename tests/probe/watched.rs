//! Calls while a supervisor looks on: arguments that change meanwhile, signals, threads, many of them.

use std::ffi::CString;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::called;

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    Some(match words {
        ["swap-path", one, other, times] => swap(one, other, times.parse().unwrap_or(0)),
        ["open-under-signals", path, times] => under_signals(path, times.parse().unwrap_or(0)),
        ["open-from-threads", path, times] => from_threads(path, times.parse().unwrap_or(0)),
        ["look-for-many", folder, times] => look_for_many(folder, times.parse().unwrap_or(0)),
        ["call-and-note", file] => call_and_note(file),
        _ => return None,
    })
}

/// Opens a path that another thread changes all the while, from one file's to another's, of the same length. Says what
/// each file held, and how often it was refused.
fn swap(one: &str, other: &str, times: u32) -> String {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let path: Vec<AtomicU8> = one.iter().chain(&[0]).map(|byte| AtomicU8::new(*byte)).collect();
    let over = AtomicBool::new(false);
    let (mut refused, mut read) = (0, std::collections::BTreeMap::<String, u32>::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for text in [other, one] {
                    path.iter().zip(text).for_each(|(byte, new)| byte.store(*new, Ordering::Relaxed));
                    std::hint::black_box((0..500).sum::<u32>());
                }
            }
        });
        for _ in 0..times {
            // SAFETY: the path is always terminated; its bytes change, which is the point.
            let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
            let mut content = [0_u8; 8];
            // SAFETY: room for eight bytes; a file that is not open answers -1.
            let length = unsafe { libc::read(file, content.as_mut_ptr().cast(), 8) };
            // SAFETY: numbers only.
            unsafe { libc::close(file) };
            match usize::try_from(length) {
                Ok(length) => {
                    *read
                        .entry(String::from_utf8_lossy(&content[..length]).trim().to_owned())
                        .or_default() += 1;
                }
                Err(_) => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    format!("refused {refused} {read:?}")
}

extern "C" fn nothing(_: libc::c_int) {}

/// Opens a file while a timer interrupts all the time. Handlers restart what they interrupt.
fn under_signals(path: &str, times: u32) -> String {
    let path = CString::new(path).unwrap_or_default();
    // SAFETY: an all-zero sigaction is valid; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        let often = libc::timeval { tv_sec: 0, tv_usec: 300 };
        let timer = libc::itimerval { it_interval: often, it_value: often };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
    for _ in 0..times {
        // SAFETY: a terminated path.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
        if file < 0 {
            return called(-1);
        }
        // SAFETY: numbers only.
        unsafe { libc::close(file) };
    }
    "ok".to_owned()
}

fn from_threads(path: &str, times: u32) -> String {
    let opens = || (0..times).filter(|_| std::fs::File::open(path).is_ok()).count();
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(opens)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>()
    });
    all.to_string()
}

fn look_for_many(folder: &str, times: u32) -> String {
    (0..times).filter(|number| std::fs::write(format!("{folder}/{number}"), "").is_err()).count().to_string()
}

/// Asks for what is refused, for ever, and notes each answer.
fn call_and_note(file: &str) -> String {
    let Ok(mut file) = std::fs::File::create(file) else { return "no file".to_owned() };
    loop {
        // SAFETY: numbers only; the process is its own.
        let answer = unsafe { libc::syscall(libc::SYS_kcmp, libc::getpid(), libc::getpid(), 1, 0, 0) };
        let word: &[u8] = if answer == -1 { b"refused\n" } else { b"passed\n" };
        if file.write_all(word).is_err() {
            return "full".to_owned();
        }
    }
}
