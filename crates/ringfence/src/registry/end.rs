//! Ending live sandboxes from outside: freeze, then kill, by cgroup or by pidfd, and say what was done.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ringfence_linux::Freezer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process::{descendants, is_alive, is_first, stat};
use super::{Entry, Registry, folder};

/// How long the kernel may take to end a namespace.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long processes are stopped one by one before they are killed.
const STOPPING: Duration = Duration::from_secs(1);
/// How often new ones are looked for.
const ROUNDS: usize = 20;

/// What was done to one sandbox.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub entry: Entry,
    /// How many of its processes were stopped before anything was killed.
    pub stopped: usize,
    /// All of them at once, by the freezer of its cgroup; else one by one, by signals.
    pub by_cgroup: bool,
    /// It is gone; else why not.
    pub result: Result<(), String>,
}

/// A sandbox's first process, held so that its number cannot become another's.
fn hold(entry: &Entry) -> Result<OwnedFd, String> {
    let who = entry.init.ok_or("it is just starting")?;
    let pid = Pid::from_raw(who.pid).ok_or("its process has no number")?;
    let file = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| e.to_string())?;
    // Asked after it is held: now the number stays.
    if !is_alive(who) {
        return Err("it has ended by itself".to_owned());
    }
    if !is_first(who.pid) {
        return Err(format!("process {} is not a sandbox's first: the entry lies", who.pid));
    }
    Ok(file)
}

/// Kills one sandbox, and waits until it is gone.
#[must_use]
pub fn kill(entry: &Entry) -> Ended {
    let result = hold(entry).and_then(|file| finish(entry, &file, None));
    Ended { entry: entry.clone(), stopped: 0, by_cgroup: false, result }
}

/// Stops every process of every sandbox of this user, then kills them all: none of them sees another end. Goes on
/// until none is left, those that start meanwhile included.
#[must_use]
pub fn kill_all() -> Vec<Ended> {
    let mut done: Vec<Ended> = Vec::new();
    for round in 0..ROUNDS {
        let entries = Registry::list();
        if entries.is_empty() {
            break;
        }
        let mut held: Vec<_> = entries.into_iter().map(Held::new).collect();
        freeze_by_cgroup(&mut held);
        stop_by_signal(&mut held);
        for Held { file, entry, freezer, stopped } in held {
            let result = file.and_then(|file| finish(&entry, &file, freezer.as_ref()));
            let again = done.iter().position(|ended| ended.entry.id == entry.id);
            let ended = Ended { entry, stopped, by_cgroup: freezer.is_some(), result };
            match again {
                Some(index) => done[index] = ended,
                None => done.push(ended),
            }
        }
        if round > 0 {
            // Whoever is just starting is given the time to.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    done
}

/// One that is to be ended.
struct Held {
    entry: Entry,
    /// Its first process; else why it cannot be ended.
    file: Result<OwnedFd, String>,
    /// What froze it, and must let it go.
    freezer: Option<Freezer>,
    stopped: usize,
}

impl Held {
    fn new(entry: Entry) -> Self {
        let file = hold(&entry);
        let init = entry.init.filter(|_| file.is_ok());
        let supervisor = (entry.supervisor.pid, entry.supervisor.started);
        let freezer = init.and_then(|init| Freezer::of(init.pid, supervisor));
        Self { entry, file, freezer, stopped: 0 }
    }
}

/// Freezes those whose cgroup can be: all of them begin before any is waited for.
fn freeze_by_cgroup(held: &mut [Held]) {
    for one in held.iter_mut() {
        one.freezer = one.freezer.take().filter(|freezer| freezer.begin().is_ok());
    }
    for one in held {
        // What does not freeze in time is killed as it is, by its cgroup.
        if let Some(Ok(count)) = one.freezer.as_ref().map(Freezer::wait) {
            one.stopped = count;
        }
    }
}

/// Stops the others, twice: a process may have forked meanwhile. Their first processes come last: as long as these reap, what
/// forks and ends does not fill the host with dead processes, and what cannot be caught in time is killed as it is.
fn stop_by_signal(held: &mut [Held]) {
    let by_signal = |one: &&mut Held| one.freezer.is_none();
    let end = Instant::now() + STOPPING;
    let mut seen = Vec::new();
    for _ in 0..2 {
        for one in held.iter_mut().filter(by_signal) {
            let (Ok(_), Some(init)) = (&one.file, one.entry.init) else { continue };
            for (pid, parent) in descendants(&[init.pid]) {
                if Instant::now() < end && !seen.contains(&pid) && stop(pid, parent) {
                    seen.push(pid);
                    one.stopped += 1;
                }
            }
        }
    }
    for one in held.iter_mut().filter(by_signal) {
        let first = one.file.as_ref().is_ok_and(|file| pidfd_send_signal(file, Signal::STOP).is_ok());
        one.stopped += usize::from(first);
    }
}

/// Stops a process, if it still has this parent.
fn stop(pid: i32, parent: i32) -> bool {
    let Some(file) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    stat(pid).is_some_and(|(_, of, _)| of == parent) && pidfd_send_signal(&file, Signal::STOP).is_ok()
}

/// Kills the first process, and with it everything in its namespace, and waits until it is gone.
fn finish(entry: &Entry, file: &OwnedFd, freezer: Option<&Freezer>) -> Result<(), String> {
    mark(entry);
    let by_cgroup = freezer.map(Freezer::kill);
    match pidfd_send_signal(file, Signal::KILL) {
        // Its cgroup has been faster.
        Err(rustix::io::Errno::SRCH) if matches!(by_cgroup, Some(Ok(()))) => {}
        killed => killed.map_err(|e| e.to_string())?,
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        let mut files = [PollFd::new(file, PollFlags::IN)];
        match poll(&mut files, Some(&timeout)) {
            Ok(0) => return Err(format!("it was killed, and is not gone after {} s", PATIENCE.as_secs())),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Leaves word for the supervisor: its sandbox did not end by itself.
fn mark(entry: &Entry) {
    for place in folder::places() {
        let Ok(at) = folder::open(&place, false) else { continue };
        let file =
            entry.name.as_ref().map_or_else(|| folder::id_file(&entry.id), |name| folder::name_file(name));
        if rustix::fs::accessat(&at, &file, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok() {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mark = folder::mark_file(&entry.id);
            let _only_the_reason_is_lost = openat(&at, &mark, flags, Mode::from_raw_mode(0o600));
            if rustix::fs::accessat(&at, &file, rustix::fs::Access::EXISTS, AtFlags::empty()).is_err() {
                // It ended in between: nobody looks for the mark any more.
                let _gone_is_fine = unlinkat(&at, &mark, AtFlags::empty());
            }
        }
    }
}
