//! Trying something for real, where it changes nothing: in a child that ends with the answer.
//!
//! The child is a copy of a process that may have many threads, so it makes system calls only: it takes no lock and
//! allocates nothing.

use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use ringfence_init::abi;
use ringfence_init::sys::{self, Errno, Fd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::launch::with_signals_blocked;
use crate::pump::pipe;
use crate::relay::timespec;

macro_rules! calls {
    ($($name:ident = $shown:literal),* $(,)?) => {
        /// A call that a trial makes, by the name that people are told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Call { $($name),* }

        impl Call {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// As the manual pages spell it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown),* }
            }
        }
    };
}

calls! {
    Fork = "clone",
    Clone3 = "clone3",
    Unshare = "unshare",
    WriteMap = "write uid_map",
    ReadBack = "read back",
    SetAttributes = "mount_setattr",
    NewFileSystem = "fsopen",
    Configure = "fsconfig",
    NewMount = "fsmount",
    MoveMount = "move_mount",
    OpenTree = "open_tree",
    OldMount = "mount",
    PivotRoot = "pivot_root",
    Open = "open",
    WriteLimit = "write max_user_namespaces",
    Socket = "socket",
    InterfaceUp = "ioctl SIOCSIFFLAGS",
    NoNewPrivileges = "prctl PR_SET_NO_NEW_PRIVS",
    Filter = "seccomp",
    Listen = "seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER",
    Continue = "ioctl SECCOMP_IOCTL_NOTIF_SEND",
    PidfdOpen = "pidfd_open",
    PidfdSignal = "pidfd_send_signal",
    Poll = "poll",
    CloseRange = "close_range",
    MemoryFile = "memfd_create",
    Execute = "execveat",
    Ruleset = "landlock_create_ruleset",
    Restrict = "landlock_restrict_self",
}

/// Where a trial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The kernel's answer to a call.
    At(Call, i32),
    /// It was killed by a signal: a filter of system calls may do that.
    Killed(i32),
    /// It ended, or was stopped for taking too long, without an answer.
    Silent,
}

impl Failed {
    /// The kernel's answer, where there is one.
    pub(crate) const fn errno(self) -> Option<i32> {
        match self {
            Self::At(_, errno) => Some(errno),
            Self::Killed(_) | Self::Silent => None,
        }
    }
}

/// The outcome of a trial.
pub(crate) type Tried = Result<(), Failed>;

/// Gives an answer of the kernel the name of its call.
pub(crate) trait Named<T> {
    /// The same, naming the call.
    fn of(self, call: Call) -> Result<T, Failed>;
}

impl<T> Named<T> for Result<T, Errno> {
    fn of(self, call: Call) -> Result<T, Failed> {
        self.map_err(|Errno(number)| Failed::At(call, number))
    }
}

/// What was expected and did not come.
pub(crate) fn expect(holds: bool) -> Tried {
    if holds { Ok(()) } else { Err(Failed::At(Call::ReadBack, ringfence_init::wire::fault::MISMATCH)) }
}

/// How long a trial may take: each is some system calls.
const LONGEST: Duration = Duration::from_secs(20);

const WORKS: u8 = 1;
const FAILS: u8 = 2;
const KILLED: u8 = 3;

/// Does `work` in a child. It must make system calls only.
pub(crate) fn in_child(work: impl FnOnce() -> Tried) -> Tried {
    let Ok((read, write)) = pipe() else { return Err(Failed::Silent) };
    let to = Fd(write.as_raw_fd());
    // Signals stay blocked in the child: no handler of the caller's runs there.
    let forked = with_signals_blocked(|| match sys::fork() {
        Ok(None) => finish(to, work()),
        other => other,
    });
    drop(write);
    let child = match forked {
        Ok(Ok(Some(child))) => child,
        Ok(Ok(None)) => sys::exit(0),
        Ok(Err(Errno(number))) | Err(Errno(number)) => return Err(Failed::At(Call::Fork, number)),
    };
    let answer = read_answer(read.as_fd(), child);
    let status = Pid::from_raw(child).and_then(|pid| waitpid(Some(pid), WaitOptions::empty()).ok().flatten());
    let signal = status.and_then(|(_, status)| status.terminating_signal());
    answer.unwrap_or_else(|| Err(signal.map_or(Failed::Silent, Failed::Killed)))
}

/// What the child said; `None` when it ended without a word.
fn read_answer(read: BorrowedFd<'_>, child: i32) -> Option<Tried> {
    let mut said = [0_u8; 6];
    let ready = poll(&mut [PollFd::new(&read, PollFlags::IN)], Some(&timespec(LONGEST)));
    if ready != Ok(1) {
        // It is alive, or its end of the pipe would be closed: the number is still its own.
        let _it_may_just_have_ended = sys::kill(child, abi::SIGKILL);
        return None;
    }
    let mut file = std::fs::File::from(read.try_clone_to_owned().ok()?);
    file.read_exact(&mut said).ok()?;
    let number = i32::from_ne_bytes([said[2], said[3], said[4], said[5]]);
    match said[0] {
        WORKS => Some(Ok(())),
        FAILS => Call::ALL.get(usize::from(said[1])).map(|call| Err(Failed::At(*call, number))),
        KILLED => Some(Err(Failed::Killed(number))),
        _ => None,
    }
}

/// In the child: says the answer and ends.
fn finish(to: Fd, outcome: Tried) -> ! {
    let (kind, call, number) = match outcome {
        Ok(()) => (WORKS, 0, 0),
        Err(Failed::At(call, errno)) => (FAILS, call as u8, errno),
        Err(Failed::Killed(signal)) => (KILLED, 0, signal),
        Err(Failed::Silent) => sys::exit(1),
    };
    let [a, b, c, d] = number.to_ne_bytes();
    let _nobody_else_to_tell = sys::write(to, &[kind, call, a, b, c, d]);
    sys::exit(0)
}

/// Inside a trial: does `work` in a further child, as PID 1 where a PID namespace was just made.
pub(crate) fn in_grandchild(work: impl FnOnce() -> Tried) -> Tried {
    let (here, there) = sys::socket_pair().of(Call::Socket)?;
    match sys::fork().of(Call::Fork)? {
        None => finish(there, work()),
        Some(_) => {
            sys::close(there).of(Call::Open)?;
            let mut said = [0_u8; 6];
            let length = sys::read(here, &mut said).of(Call::ReadBack)?;
            let status = loop {
                match sys::reap().of(Call::ReadBack)? {
                    Some((_, status, _)) => break status,
                    None => {
                        let tick = abi::Timespec { seconds: 0, nanoseconds: 1_000_000 };
                        let _a_pause = sys::poll(&mut [], Some(tick));
                    }
                }
            };
            let number = i32::from_ne_bytes([said[2], said[3], said[4], said[5]]);
            match (length, said[0]) {
                (6, WORKS) => Ok(()),
                (6, FAILS) => Err(Call::ALL
                    .get(usize::from(said[1]))
                    .map_or(Failed::Silent, |call| Failed::At(*call, number))),
                _ if libc::WIFSIGNALED(status) => Err(Failed::Killed(libc::WTERMSIG(status))),
                _ => Err(Failed::Silent),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_tells_what_became_of_it() {
        assert_eq!(in_child(|| Ok(())), Ok(()));
        let failed = Failed::At(Call::PivotRoot, libc::EINVAL);
        assert_eq!(in_child(|| Err(failed)), Err(failed));
        assert_eq!(in_child(|| in_grandchild(|| Err(failed))), Err(failed));
        assert_eq!(in_child(|| in_grandchild(|| Ok(()))), Ok(()));
        let die = || {
            let _it_ends_here = sys::kill(sys::getpid(), libc::SIGKILL);
            Ok(())
        };
        assert_eq!(in_child(die), Err(Failed::Killed(libc::SIGKILL)));
        assert_eq!(in_child(|| in_grandchild(die)), Err(Failed::Killed(libc::SIGKILL)));
        assert_eq!(in_child(|| sys::exit(0)), Err(Failed::Silent));
    }

    #[test]
    fn a_trial_changes_nothing_here() {
        let before = std::fs::read_link("/proc/self/ns/uts").unwrap();
        let _either_way = in_child(|| sys::unshare(abi::CLONE_NEWUSER | abi::CLONE_NEWUTS).of(Call::Unshare));
        assert_eq!(std::fs::read_link("/proc/self/ns/uts").unwrap(), before);
    }
}
