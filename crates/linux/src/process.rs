//! PID 1's process, held by its pidfd.

use std::cell::Cell;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, getpid, pidfd_send_signal, waitid};

/// PID 1 of a sandbox, seen from outside. Dropping it kills and reaps; a forked copy of the caller that drops it
/// does nothing.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: i32,
    pub(crate) pidfd: OwnedFd,
    owner: i32,
    reaped: Cell<bool>,
}

impl Process {
    pub(crate) fn new(id: i32, pidfd: OwnedFd) -> Self {
        Self { id, pidfd, owner: getpid().as_raw_nonzero().get(), reaped: Cell::new(false) }
    }

    /// Kills PID 1, and with it everything in its namespace.
    pub(crate) fn kill(&self) {
        let _already_ended_is_fine = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until PID 1 has ended, which is when everything in its namespace has.
    pub(crate) fn reap(&self) {
        if self.reaped.replace(true) {
            return;
        }
        let mut file = [PollFd::new(&self.pidfd, PollFlags::IN)];
        while poll(&mut file, None) == Err(Errno::INTR) {}
        // A caller that ignores SIGCHLD, or waits for any child, may have reaped it: the records hold the truth.
        while matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.owner == getpid().as_raw_nonzero().get() {
            self.kill();
            self.reap();
        }
    }
}
