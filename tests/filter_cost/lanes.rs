//! Processes under a filter, which measure when they are told to.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Instant;

use crate::Result;

/// The calls that are measured: one whose answer is constant, and one whose argument is looked at. Both do almost
/// nothing: personality(0xffffffff) only asks.
pub(crate) const CALLS: [Call; 2] = [Call::Constant, Call::Checked];

#[derive(Clone, Copy)]
pub(crate) enum Call {
    Constant = 1,
    Checked = 2,
}

/// Calls in a row, over which one answer is the mean.
const REPEAT: u32 = 20_000;

/// A process of its own.
pub(crate) struct Lane {
    pid: libc::pid_t,
    orders: File,
    answers: File,
}

impl Lane {
    /// Starts a process under a program; under none when it is empty.
    pub(crate) fn start(program: &[libc::sock_filter]) -> Result<Self> {
        let (ordered, orders) = pipe()?;
        let (answers, answering) = pipe()?;
        // SAFETY: this program has one thread.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error().into()),
            0 => {
                drop((orders, answers));
                let done = put_on(program).and_then(|_| serve(File::from(ordered), File::from(answering)));
                // SAFETY: ends this copy of the program without running what belongs to the first.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            pid => Ok(Self { pid, orders: orders.into(), answers: answers.into() }),
        }
    }

    /// Nanoseconds of one call.
    pub(crate) fn measure(&mut self, call: Call) -> Result<f64> {
        self.orders.write_all(&[call as u8])?;
        let mut answer = [0; 8];
        self.answers.read_exact(&mut answer)?;
        Ok(f64::from_le_bytes(answer))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // SAFETY: our own child, which nobody has waited for; it holds nothing that it must give back.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// Seconds that the kernel takes to accept a program, in a process of its own.
pub(crate) fn load_time(program: &[libc::sock_filter]) -> Result<f64> {
    let (mut answers, answering) = pipe().map(|(from, to)| (File::from(from), File::from(to)))?;
    // SAFETY: this program has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let told = put_on(program).and_then(|time| (&answering).write_all(&time.to_le_bytes()));
        // SAFETY: ends this copy of the program without running what belongs to the first.
        unsafe { libc::_exit(i32::from(told.is_err())) }
    }
    drop(answering);
    let mut answer = [0; 8];
    let heard = answers.read_exact(&mut answer);
    // SAFETY: our own child; after its answer, or its end, it only ends.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    heard?;
    Ok(f64::from_le_bytes(answer))
}

/// Loads a program, and says how long that took.
fn put_on(program: &[libc::sock_filter]) -> io::Result<f64> {
    if program.is_empty() {
        return Ok(0.0);
    }
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let start = Instant::now();
    // SAFETY: the program outlives the call.
    let failed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    let time = start.elapsed().as_secs_f64();
    if failed != 0 { Err(io::Error::last_os_error()) } else { Ok(time) }
}

fn serve(mut orders: File, mut answers: File) -> io::Result<()> {
    loop {
        let mut order = [0];
        orders.read_exact(&mut order)?;
        let (number, argument) = match order[0] {
            1 => (libc::SYS_getppid, 0),
            _ => (libc::SYS_personality, 0xffff_ffff_u64),
        };
        let start = Instant::now();
        for _ in 0..REPEAT {
            // SAFETY: asks for the parent's id, or for the personality.
            if unsafe { libc::syscall(number, argument) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let time = start.elapsed().as_secs_f64() * 1e9 / f64::from(REPEAT);
        answers.write_all(&time.to_le_bytes())?;
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for both ends.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: new, and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}
