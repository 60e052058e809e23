//! Signals of the supervisor as something to poll, for the command line. A library does not touch them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use ringfence_init::sys::Errno;
use ringfence_init::wire::fault;

use crate::{errno, look};

/// Signals that arrive as readable records instead of handlers. Their former handling comes back on drop.
#[derive(Debug)]
pub struct Signals {
    file: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    /// Takes over the polite ways to end a process (signal(7)): interrupt, terminate, hang-up, quit. For this
    /// thread, so a program calls it before it starts others.
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn take() -> io::Result<Self> {
        Self::take_set(&[], &[])
    }

    /// The same, and those of a terminal: a new window size, the stop that it asks for, and the going on after one. What
    /// this process may not read any more answers an error, instead of stopping it (termios(3), SIGTTIN).
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn take_with_terminal() -> io::Result<Self> {
        Self::take_set(&[libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT], &[libc::SIGTTIN])
    }

    fn take_set(more: &[i32], blocked: &[i32]) -> io::Result<Self> {
        // SAFETY: the sets are initialised by sigemptyset and sigprocmask before they are read.
        unsafe {
            let mut set = empty_set();
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].iter().chain(more) {
                libc::sigaddset(&raw mut set, *signal);
            }
            let mut block = set;
            for signal in blocked {
                libc::sigaddset(&raw mut block, *signal);
            }
            // A set that is never the kernel's answer: SIGKILL cannot be blocked.
            let mut before = MaybeUninit::uninit();
            libc::sigemptyset(before.as_mut_ptr());
            libc::sigaddset(before.as_mut_ptr(), libc::SIGKILL);
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const block, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::sigismember(before.as_ptr(), libc::SIGKILL) == 1 {
                return Err(errno::error(Errno(fault::MISMATCH)));
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                let error = io::Error::last_os_error();
                libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
                return Err(error);
            }
            Ok(Self { file: look::ours(OwnedFd::from_raw_fd(fd))?, before: before.assume_init() })
        }
    }

    /// The next signal that has arrived, without waiting.
    #[must_use]
    pub fn next(&self) -> Option<i32> {
        let mut record = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: room for one record, read only when the kernel filled all of it.
        unsafe {
            let read = libc::read(self.file.as_raw_fd(), record.as_mut_ptr().cast(), size);
            (usize::try_from(read) == Ok(size)).then(|| record.assume_init().ssi_signo.cast_signed())
        }
    }
}

impl Signals {
    /// Stops this process, or its whole process group, as a terminal does; comes back when it goes on. Where nobody could
    /// let it go on (its group is orphaned) the kernel discards the stop, and this comes back at once.
    pub(crate) fn stop(&self, group: bool) {
        // SAFETY: the sets are initialised; SIGTSTP was blocked by `take_with_terminal`, and is again.
        unsafe {
            let mut stop = empty_set();
            libc::sigaddset(&raw mut stop, libc::SIGTSTP);
            libc::kill(if group { 0 } else { libc::getpid() }, libc::SIGTSTP);
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const stop, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_BLOCK, &raw const stop, std::ptr::null_mut());
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: `before` is what sigprocmask stored.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// Does something that writes files, so that a limit on file sizes (setrlimit(2)) is an error, EFBIG, and not the
/// end of this process by SIGXFSZ: the signal is blocked in this thread meanwhile, and one that comes is taken.
pub fn without_file_size_signal<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: every set is initialised before it is read; null pointers where no answer is wanted.
    unsafe {
        let (mut ours, mut before, mut pending) = (empty_set(), empty_set(), empty_set());
        libc::sigaddset(&raw mut ours, libc::SIGXFSZ);
        libc::sigpending(&raw mut pending);
        let was_pending = libc::sigismember(&raw const pending, libc::SIGXFSZ) == 1;
        let blocked = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ours, &raw mut before) == 0;
        let result = work();
        if blocked {
            if !was_pending {
                let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                libc::sigtimedwait(&raw const ours, std::ptr::null_mut(), &raw const now);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        }
        result
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}
