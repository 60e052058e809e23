//! Starting PID 1 and watching processes: clone3, pidfds, closing files, a sealed executable.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use ringfence_init::abi::{self, CloneArgs, PollFd};
use ringfence_init::sys::{self, Errno, Fd};
use ringfence_policy::Guarantee as G;

use super::trial::{Call, Failed, Named as _, Tried, expect, in_child};
use super::{Mechanism, Subject};
use crate::{image, why};

const CLONE3: Subject = Subject::beside("clone3", &[]);
const PIDFD: Subject = Subject::needed("pidfd", &[G::Cleanup]);
const CLOSE: Subject = Subject::needed("close-range", &[G::Fds]);
const SEALED: Subject = Subject::needed("sealed-executable", &[G::Processes, G::Cleanup]);

pub(crate) fn all() -> [Mechanism; 4] {
    [
        CLONE3.tried(in_child(clone3), |failed| why::refused(Call::Clone3, (5, 3), failed)),
        PIDFD.tried(in_child(pidfd), |failed| why::refused(Call::PidfdOpen, (5, 3), failed)),
        CLOSE.tried(in_child(close), |failed| why::refused(Call::CloseRange, (5, 11), failed)),
        sealed_executable(),
    ]
}

fn answered(answer: libc::c_long) -> sys::Result<i32> {
    if answer == -1 {
        return Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)));
    }
    Ok(i32::try_from(answer).unwrap_or(i32::MAX))
}

/// As fork; where it is missing PID 1 is started by clone(2), and cannot be born into a cgroup.
fn clone3() -> Tried {
    let arguments = CloneArgs { exit_signal: u64::from(abi::SIGCHLD.unsigned_abs()), ..CloneArgs::default() };
    let size = size_of::<CloneArgs>();
    // SAFETY: one whole structure; without CLONE_VM the child goes on with a copy of this stack.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    if child == 0 {
        sys::exit(0);
    }
    answered(child).of(Call::Clone3).map(drop)
}

/// A process is watched, killed and seen to end by a file.
fn pidfd() -> Tried {
    let Some(child) = sys::fork().of(Call::Fork)? else {
        let _until_it_is_killed = sys::poll(&mut [], Some(abi::Timespec { seconds: 5, nanoseconds: 0 }));
        sys::exit(0)
    };
    // SAFETY: numbers only.
    let file = answered(unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) }).of(Call::PidfdOpen);
    let end = |_: &Failed| {
        let _it_ends_by_itself_too = sys::kill(child, abi::SIGKILL);
    };
    let file = file.inspect_err(end)?;
    // SAFETY: numbers, and no further information.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, file, abi::SIGKILL, 0_usize, 0) };
    answered(sent).of(Call::PidfdSignal).inspect_err(end)?;
    let mut files = [PollFd { fd: file, events: abi::POLLIN, revents: 0 }];
    let ready = sys::poll(&mut files, Some(abi::Timespec { seconds: 5, nanoseconds: 0 })).of(Call::Poll)?;
    expect(ready == 1)
}

fn close() -> Tried {
    let (one, other) = sys::socket_pair().of(Call::Socket)?;
    sys::close_range(one.0.unsigned_abs(), one.0.unsigned_abs(), 0).of(Call::CloseRange)?;
    sys::close_range(other.0.unsigned_abs(), u32::MAX, abi::CLOSE_RANGE_CLOEXEC).of(Call::CloseRange)?;
    expect(sys::descriptor_flags(one) == Err(Errno(libc::EBADF)))
}

/// PID 1's own executable. Without its arguments it exits at once, with 125.
fn sealed_executable() -> Mechanism {
    let file = match image::executable() {
        Ok(file) => file,
        Err(problem) => {
            let number = problem.errno.as_deref().and_then(crate::errno::number);
            let failed = number.map_or(Failed::Silent, |number| Failed::At(Call::MemoryFile, number));
            return SEALED.failed(failed, why::sealed_executable(failed));
        }
    };
    SEALED.tried(in_child(|| executed(file)), why::sealed_executable)
}

fn executed(file: BorrowedFd<'_>) -> Tried {
    let (here, there) = sys::socket_pair().of(Call::Socket)?;
    let Some(child) = sys::fork().of(Call::Fork)? else {
        let arguments = [c"ringfence-init".as_ptr() as usize, 0];
        // SAFETY: arrays of pointers to terminated strings, ended by null.
        let Errno(number) = unsafe { sys::execveat(Fd(file.as_raw_fd()), arguments.as_ptr(), [0].as_ptr()) };
        let _the_parent_reads_it = sys::write(there, &number.to_ne_bytes());
        sys::exit(0)
    };
    sys::close(there).of(Call::Open)?;
    let mut said = [0; 4];
    if sys::read(here, &mut said).of(Call::Execute)? == 4 {
        return Err(Failed::At(Call::Execute, i32::from_ne_bytes(said)));
    }
    let mut status = 0;
    // SAFETY: room for one status; the child is ours.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    expect(ended == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 125)
}
