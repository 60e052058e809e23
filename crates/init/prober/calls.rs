//! Every system call by its number, each in a process of its own, with arguments that no call accepts: all bits set,
//! which is no file, no address, no process and no known flag. So what comes through the filter is refused by the
//! kernel, and what does not is told by how it is refused.

use crate::abi::nr;
use crate::inspect::{CALLS, Head, Kind, outcome};
use crate::sys::{self, Errno};
use crate::tell::Prober;

/// pause(2), fork(2) and vfork(2): x86_64 alone has them.
#[cfg(target_arch = "x86_64")]
const OLD: [usize; 3] = [34, 57, 58];
#[cfg(target_arch = "aarch64")]
const OLD: [usize; 0] = [];

/// Calls that need no argument to do something: end or hold the process, copy it, write every file system back, take the
/// terminal away.
const NOT_TRIED: [usize; 6] = [
    nr::SYS_exit,
    nr::SYS_exit_group,
    nr::SYS_rt_sigreturn,
    nr::SYS_restart_syscall,
    nr::SYS_sync,
    nr::SYS_vhangup,
];

pub(crate) fn probe(prober: &mut Prober) {
    for number in 0..CALLS {
        if NOT_TRIED.contains(&number) || OLD.contains(&number) {
            say(prober, number, outcome::NOT_TRIED, 0);
            continue;
        }
        match prober.fork() {
            Ok(0) => {
                // SAFETY: no pointer among them is one that the kernel would use: all bits set is no address of a process.
                let answer = unsafe { sys::any(number, [usize::MAX; 6]) };
                let errno = answer.err().map_or(0, |Errno(errno)| errno);
                let numbers = [number as u64, outcome::RETURNED, 0];
                prober.say(Head { kind: Kind::Call as u32, errno, numbers, ..Head::default() }, &[]);
                prober.flush();
                sys::exit(0)
            }
            Ok(child) => match prober.wait(child) {
                Ok(status) if status & 0x7f != 0 => {
                    say(prober, number, outcome::KILLED, (status & 0x7f) as u64);
                }
                Ok(0) => {}
                Ok(_) | Err(_) => say(prober, number, outcome::NOT_TRIED, 0),
            },
            Err(_) => say(prober, number, outcome::NOT_TRIED, 0),
        }
    }
}

fn say(prober: &mut Prober, number: usize, what: u64, signal: u64) {
    let numbers = [number as u64, what, signal];
    prober.say(Head { kind: Kind::Call as u32, numbers, ..Head::default() }, &[]);
}
