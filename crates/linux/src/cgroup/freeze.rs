//! The freezer of a live sandbox's cgroup: every process of it stops at once, and none can fork out of the way.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::find::hierarchies;
use super::{files, name};

/// How long the kernel may take to stop what is deep inside a call of its own.
const PATIENCE: Duration = Duration::from_secs(2);

/// A cgroup that this library made for one sandbox, and that can be frozen.
#[derive(Debug)]
pub struct Freezer {
    folder: PathBuf,
    /// Version 2; the first one has a hierarchy of its own for this.
    second: bool,
}

impl Freezer {
    /// That of a sandbox, by its first process and by who supervises it (process id and start time in clock ticks).
    /// `None` where it has none, or none that its supervisor made.
    #[must_use]
    pub fn of(init: i32, supervisor: (i32, u64)) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let places = fs::read_to_string(format!("/proc/{init}/cgroup")).ok()?;
        let mut found = None;
        for hierarchy in hierarchies(&mounts, &places) {
            let Some(folder) = hierarchy.own else { continue };
            let second = hierarchy.controllers.is_none();
            let file = if second { "cgroup.freeze" } else { "freezer.state" };
            let leaf = folder.file_name().and_then(|leaf| leaf.to_str()).unwrap_or_default();
            if name::is_of(leaf, supervisor) && files::may_write(&folder.join(file)).is_ok() {
                found = Some(Self { folder, second });
            }
        }
        found
    }

    /// Begins to freeze it.
    ///
    /// # Errors
    /// The kernel's (cgroups(7); Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`).
    pub fn begin(&self) -> io::Result<()> {
        let (file, value) = if self.second { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        files::write_whole(&self.folder.join(file), value)
    }

    /// Waits until all of it is frozen, and answers how many processes that are.
    ///
    /// # Errors
    /// It is not, after two seconds, or the kernel does not say.
    pub fn wait(&self) -> io::Result<usize> {
        let end = Instant::now() + PATIENCE;
        while !self.is_frozen()? {
            if Instant::now() >= end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(processes(&self.folder)?.len())
    }

    fn is_frozen(&self) -> io::Result<bool> {
        if !self.second {
            return Ok(fs::read_to_string(self.folder.join("freezer.state"))?.trim() == "FROZEN");
        }
        let text = fs::read_to_string(self.folder.join("cgroup.events"))?;
        Ok(text.lines().any(|line| line == "frozen 1"))
    }

    /// Kills all of it, frozen or not.
    ///
    /// # Errors
    /// The kernel's, also after all that could be was killed.
    pub fn kill(&self) -> io::Result<()> {
        if self.second {
            return files::write_whole(&self.folder.join("cgroup.kill"), "1");
        }
        // What is frozen forks no more, so the list is all of them; their ends begin when they thaw.
        let killed =
            processes(&self.folder).and_then(|ids| ids.into_iter().try_for_each(|id| self.kill_one(id)));
        files::write_whole(&self.folder.join("freezer.state"), "THAWED")?;
        killed
    }

    /// Kills a process, if it is still there and in it.
    fn kill_one(&self, id: i32) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(id) else { return Ok(()) };
        let file: OwnedFd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            other => other?,
        };
        // Asked after it is held: now the number stays.
        if processes(&self.folder)?.contains(&id) {
            match pidfd_send_signal(&file, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

fn processes(folder: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(folder.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}
