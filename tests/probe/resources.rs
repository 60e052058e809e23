//! Attempts to use up what others need: memory of every kind, processes, processors, files.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::time::{Duration, Instant};

use crate::{called, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    let number = |word: &str| word.parse::<u64>().unwrap_or(0);
    Some(match *words {
        ["eat-heap", bytes] => eat_heap(number(bytes)),
        ["eat-memfd", bytes] => {
            // SAFETY: a terminated name.
            let file = unsafe { libc::memfd_create(c"eaten".as_ptr(), 0) };
            if file < 0 {
                return Some(called(-1));
            }
            // SAFETY: made above, nobody else's.
            eat_file(unsafe { File::from_raw_fd(file) }, number(bytes))
        }
        ["eat-file", path, bytes] => match File::create(path) {
            Ok(file) => eat_file(file, number(bytes)),
            Err(e) => said::<()>(Err(e)),
        },
        ["eat-with-children", bytes] => eat_with_children(number(bytes)),
        ["fork-bomb", milliseconds] => fork_bomb(Duration::from_millis(number(milliseconds))),
        ["run-away", milliseconds] => run_away(Duration::from_millis(number(milliseconds))),
        ["zombies"] => zombies(),
        ["burn-cpu", milliseconds] => {
            burn(Duration::from_millis(number(milliseconds)));
            "burnt".to_owned()
        }
        ["burn-on-all", threads, milliseconds] => {
            burn_on_all(number(threads), Duration::from_millis(number(milliseconds)))
        }
        ["flood-files"] => flood_files(),
        ["signal-by-file", process] => signal_by_file(process.parse().unwrap_or(0)),
        ["mount-cgroups", path] => mount_cgroups(path),
        _ => return None,
    })
}

/// Touches every page.
fn eat_heap(bytes: u64) -> String {
    let mut held = Vec::new();
    for _ in 0..bytes >> 20 {
        held.push(vec![1_u8; 1 << 20]);
    }
    format!("ate {}", std::hint::black_box(held).len() << 20)
}

fn eat_file(mut file: File, bytes: u64) -> String {
    let block = vec![1_u8; 1 << 20];
    match (0..bytes >> 20).try_for_each(|_| file.write_all(&block)) {
        Ok(()) => format!("ate {bytes}"),
        Err(e) => said::<()>(Err(e)),
    }
}

/// Many small ones: none of them is large.
fn eat_with_children(bytes: u64) -> String {
    let share = bytes / 8;
    let Ok((mut told, mut tell)) = std::io::pipe() else { return "no pipe".to_owned() };
    for _ in 0..8 {
        // SAFETY: one thread; the child eats, says so, and waits.
        if unsafe { libc::fork() } == 0 {
            let _held = std::hint::black_box(vec![1_u8; usize::try_from(share).unwrap_or(0)]);
            let _the_first_may_be_gone = tell.write_all(b"x");
            std::thread::sleep(Duration::from_secs(20));
            std::process::exit(0);
        }
    }
    drop(tell);
    match told.read_exact(&mut [0; 8]) {
        Ok(()) => "ate".to_owned(),
        Err(e) => format!("not all have eaten: {e}"),
    }
}

/// Every process forks, and so do its children, until the time is over. The answer is what the first was told last.
fn fork_bomb(time: Duration) -> String {
    let first = std::process::id();
    let end = Instant::now() + time;
    let mut last = "ok".to_owned();
    // On a slow machine the first goes on until it has been refused.
    let goes_on = |last: &str| std::process::id() == first && last == "ok";
    while Instant::now() < end || (goes_on(&last) && Instant::now() < end + Duration::from_secs(15)) {
        // SAFETY: one thread in every copy; each goes on with this loop.
        if unsafe { libc::fork() } == -1 {
            last = called(-1);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if std::process::id() != first {
        std::process::exit(0);
    }
    last
}

/// Sixteen that fork and end, again and again: each is elsewhere when somebody looks for it.
fn run_away(time: Duration) -> String {
    let end = Instant::now() + time;
    for _ in 0..16 {
        // SAFETY: one thread in every copy.
        if unsafe { libc::fork() } == 0 {
            while Instant::now() < end {
                // SAFETY: as above. Where there is no room it goes on as it is.
                if unsafe { libc::fork() } > 0 {
                    std::process::exit(0);
                }
            }
            std::process::exit(0);
        }
    }
    std::thread::sleep(time);
    "ok".to_owned()
}

/// Children that end and are not waited for.
fn zombies() -> String {
    for count in 0..100_000 {
        // SAFETY: one thread; the child ends at once.
        match unsafe { libc::fork() } {
            -1 => return format!("{} after some: {}", called(-1), count > 0),
            0 => std::process::exit(0),
            _ => {}
        }
    }
    "ok".to_owned()
}

/// Uses that much processor time, and says how much it was.
pub(crate) fn burn(time: Duration) -> Duration {
    // What this process used before its exec is the set-up's.
    let before = used();
    while used() - before < time {}
    used() - before
}

fn used() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for one time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Processes, not threads: each has a limit of its own, and only their sum is too much.
fn burn_on_all(processes: u64, time: Duration) -> String {
    let end = Instant::now() + time;
    for _ in 1..processes {
        // SAFETY: one thread; the child computes and ends.
        if unsafe { libc::fork() } == 0 {
            while Instant::now() < end {}
            std::process::exit(0);
        }
    }
    while Instant::now() < end {}
    // SAFETY: waits for children of ours only.
    while unsafe { libc::wait(std::ptr::null_mut()) } > 0 {}
    "burnt".to_owned()
}

fn flood_files() -> String {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) if files.len() < 100_000 => files.push(file),
            Ok(_) => return "ok".to_owned(),
            Err(e) => return said::<()>(Err(e)),
        }
    }
}

/// Has the kernel signal a process when a pipe of ours can be read (F_SETOWN, O_ASYNC), as row 56 does.
fn signal_by_file(process: i32) -> String {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors; then numbers, and one byte of ours.
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        if libc::fcntl(ends[0], libc::F_SETOWN, process) == -1 {
            return called(-1);
        }
        libc::fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK);
        libc::write(ends[1], c"x".as_ptr().cast(), 1);
    }
    std::thread::sleep(Duration::from_millis(100));
    "ok".to_owned()
}

/// Both versions.
fn mount_cgroups(path: &str) -> String {
    let path = std::ffi::CString::new(path).unwrap_or_default();
    let mount = |kind: &std::ffi::CStr| {
        // SAFETY: terminated strings.
        called(
            unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, c"memory".as_ptr().cast()) }
                .into(),
        )
    };
    let second = |kind: &std::ffi::CStr| {
        // SAFETY: terminated strings, and no options.
        called(
            unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) }.into(),
        )
    };
    format!("{} {}", mount(c"cgroup"), second(c"cgroup2"))
}
