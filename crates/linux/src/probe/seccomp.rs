//! Filters of system calls, and calls that wait for somebody's answer.

use ringfence_init::abi;
use ringfence_init::sys;
use ringfence_policy::Guarantee as G;
use ringfence_seccomp::Instruction;

use super::trial::{Call, Named as _, Tried, expect, in_child};
use super::{Mechanism, Subject};
use crate::why;

const FILTER: Subject = Subject::needed("seccomp-filter", &[G::KernelSurface, G::Ipc]);
const NOTIFY: Subject = Subject::needed("seccomp-notify", &[G::KernelSurface]);

/// Load of the call's number, comparison, return (linux/bpf_common.h).
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// The call that the filters of the trials answer: nothing in them makes it otherwise.
const ANSWERED: u32 = libc::SYS_getppid as u32;

/// `action` for [`ANSWERED`], and everything else passes; as the kernel reads it.
fn filter(action: u32) -> [u8; 32] {
    let lines = [
        Instruction { code: LOAD, jt: 0, jf: 0, k: 0 },
        Instruction { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: ANSWERED },
        Instruction { code: RETURN, jt: 0, jf: 0, k: action },
        Instruction { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ];
    let mut bytes = [0; 32];
    for (line, room) in lines.iter().zip(bytes.chunks_exact_mut(8)) {
        room[..2].copy_from_slice(&line.code.to_ne_bytes());
        (room[2], room[3]) = (line.jt, line.jf);
        room[4..].copy_from_slice(&line.k.to_ne_bytes());
    }
    bytes
}

pub(crate) fn all() -> [Mechanism; 2] {
    let refuse = filter(libc::SECCOMP_RET_ERRNO | libc::EXDEV.unsigned_abs());
    let notify = filter(libc::SECCOMP_RET_USER_NOTIF);
    [
        FILTER.tried(in_child(|| refused(&refuse)), |failed| why::refused(Call::Filter, (3, 17), failed)),
        NOTIFY.tried(in_child(|| answered(&notify)), why::no_listener),
    ]
}

/// What a trial asks: -1 where the filter refuses it.
fn ask() -> libc::c_long {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) }
}

fn refused(filter: &[u8]) -> Tried {
    sys::prctl(abi::PR_SET_NO_NEW_PRIVS, 1, 0).of(Call::NoNewPrivileges)?;
    sys::set_filter(filter).of(Call::Filter)?;
    expect(ask() == -1)
}

/// A child asks, this process lets it go on.
fn answered(filter: &[u8]) -> Tried {
    sys::prctl(abi::PR_SET_NO_NEW_PRIVS, 1, 0).of(Call::NoNewPrivileges)?;
    let listener = sys::set_listened_filter(filter).of(Call::Listen)?;
    let Some(_asks) = sys::fork().of(Call::Fork)? else { sys::exit(i32::from(ask() == -1)) };
    let call = sys::next_notification(listener).of(Call::Continue)?;
    sys::let_continue(listener, call.id).of(Call::Continue)?;
    loop {
        match sys::reap().of(Call::Continue)? {
            Some((_, status, _)) => return expect(status == 0),
            None => {
                let tick = abi::Timespec { seconds: 0, nanoseconds: 1_000_000 };
                let _a_pause = sys::poll(&mut [], Some(tick));
            }
        }
    }
}
