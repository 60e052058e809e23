//! Memory, semaphores and queues that processes share, and keyrings: whether new ones can be made, and what is there
//! already. Whatever is made goes at once.

use crate::abi::nr;
use crate::tell::Prober;
use crate::{abi, own};

/// IPC_PRIVATE is 0; IPC_CREAT and the owner's rights (shmget(2)).
const NEW: usize = 0o1600;
const IPC_RMID: usize = 0;

/// O_RDWR, O_CREAT, O_EXCL of mq_open(2).
const OPEN_NEW: usize = (abi::O_RDWR | abi::O_CREAT | abi::O_EXCL | abi::O_CLOEXEC) as usize;

/// Session and user keyrings (keyctl(2)).
const SESSION: isize = -3;
const USER: isize = -4;
const USER_SESSION: isize = -5;

pub(crate) fn probe(prober: &mut Prober) {
    for (name, get, control, remove) in [
        ("sysv-shm", nr::SYS_shmget, nr::SYS_shmctl, [IPC_RMID, 0, 0]),
        ("sysv-sem", nr::SYS_semget, nr::SYS_semctl, [0, IPC_RMID, 0]),
        ("sysv-msg", nr::SYS_msgget, nr::SYS_msgctl, [IPC_RMID, 0, 0]),
    ] {
        // One page, one semaphore; a queue takes its flags second.
        let arguments = match name {
            "sysv-shm" => [0, 4096, NEW, 0, 0, 0],
            "sysv-sem" => [0, 1, NEW, 0, 0, 0],
            _ => [0, NEW, 0, 0, 0, 0],
        };
        let answer = prober.plain(get, arguments);
        if let Ok(number) = answer {
            let [a, b, c] = remove;
            let _gone = prober.plain(control, [number, a, b, c, 0, 0]);
        }
        prober.said(name, answer);
    }
    for path in [c"/proc/sysvipc/shm", c"/proc/sysvipc/sem", c"/proc/sysvipc/msg"] {
        own::text(prober, path);
    }
    queue(prober);
    keyrings(prober);
}

fn queue(prober: &mut Prober) {
    let name = c"ringfence-inspect".as_ptr() as usize;
    // SAFETY: the name is terminated; no attributes are given.
    let answer = unsafe { prober.call(nr::SYS_mq_open, [name, OPEN_NEW, 0o600, 0, 0, 0]) };
    if let Ok(queue) = answer {
        // SAFETY: the name is terminated.
        let _gone = unsafe { prober.call(nr::SYS_mq_unlink, [name, 0, 0, 0, 0, 0]) };
        prober.close(crate::sys::Fd(queue as i32));
    }
    prober.said("posix-mq", answer);
}

fn keyrings(prober: &mut Prober) {
    let get = abi::KEYCTL_GET_KEYRING_ID as usize;
    for (name, keyring) in
        [("keyring-session", SESSION), ("keyring-user", USER), ("keyring-user-session", USER_SESSION)]
    {
        // The last word: none is made where there is none.
        let answer = prober.plain(nr::SYS_keyctl, [get, keyring.cast_unsigned(), 0, 0, 0, 0]);
        prober.said(name, answer);
    }
}
