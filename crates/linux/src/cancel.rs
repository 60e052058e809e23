//! Ending a run from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A word that ends runs: given to them before they start, said from any thread, at any time, once and for all.
#[derive(Clone, Debug)]
pub struct Cancellation {
    file: Arc<OwnedFd>,
}

impl Cancellation {
    /// One that has not been said.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> io::Result<Self> {
        let file = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { file: Arc::new(crate::image::above_streams(file)?) })
    }

    /// Kills everything in every run that was given it. A run that has not started yet does not start.
    pub fn cancel(&self) {
        // A counter of 64 bits does not fill up, and says the same at any height.
        let _said_already_is_fine = rustix::io::write(&*self.file, &1_u64.to_ne_bytes());
    }

    /// Was it said?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut file = [PollFd::new(&*self.file, PollFlags::IN)];
        poll(&mut file, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Cancellation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
