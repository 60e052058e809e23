//! A deadline for a thread that waits in the kernel: past it, its waits end with EINTR, again and again.

use std::io;
use std::sync::Once;
use std::time::Duration;

/// How often a thread that is late is woken: once could come just before it begins to wait.
const AGAIN: Duration = Duration::from_millis(100);

/// A timer of this thread, gone when dropped.
pub(crate) struct Alarm {
    timer: libc::timer_t,
}

impl Alarm {
    /// A timer for the calling thread, not set.
    pub(crate) fn new() -> io::Result<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: all zero is a valid `struct sigaction`; the handler does nothing, so it may run anywhere.
            // Without SA_RESTART a wait that it interrupts ends.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = ignore as *const () as usize;
                libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
            }
        });
        let mut timer = std::ptr::null_mut();
        // SAFETY: all zero is a valid `struct sigevent`; the thread that is named is the one that asks, and the
        // timer goes with `self`, which that thread keeps.
        let made = unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGUSR1;
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
        };
        if made == 0 { Ok(Self { timer }) } else { Err(io::Error::last_os_error()) }
    }

    /// Rings after this time.
    pub(crate) fn set(&self, after: Duration) {
        let time = |duration: Duration| libc::timespec {
            tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: duration.subsec_nanos().into(),
        };
        // A value of zero would disarm it.
        let after = after.max(Duration::from_millis(1));
        let times = libc::itimerspec { it_interval: time(AGAIN), it_value: time(after) };
        // SAFETY: the timer is ours, the times are a whole structure.
        unsafe { libc::timer_settime(self.timer, 0, &raw const times, std::ptr::null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: made by us, and not used after this.
        unsafe { libc::timer_delete(self.timer) };
    }
}

extern "C" fn ignore(_: libc::c_int) {}
