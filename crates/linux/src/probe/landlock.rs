//! Landlock: is it on, which version, and does a ruleset hold?

use ringfence_init::abi;
use ringfence_init::sys::{self, Errno, Fd, landlock as kernel};
use ringfence_policy::Guarantee as G;

use super::trial::{Call, Failed, Named as _, Tried, expect, in_child};
use super::{Mechanism, Subject};
use crate::why;

const LANDLOCK: Subject = Subject::needed("landlock", &[G::Files]);

/// `LANDLOCK_ACCESS_FS_READ_DIR` (linux/landlock.h).
const READ_FOLDERS: u64 = 1 << 3;

pub(crate) fn landlock() -> Mechanism {
    let version = match kernel::version() {
        Ok(version) => version,
        Err(Errno(number)) => {
            let failed = Failed::At(Call::Ruleset, number);
            return LANDLOCK.failed(failed, why::no_landlock(failed));
        }
    };
    match in_child(holds) {
        Ok(()) => LANDLOCK.works(Some(format!("ABI {version}"))),
        Err(failed) => LANDLOCK.failed(failed, why::no_landlock(failed)),
    }
}

/// A ruleset that allows no folder to be read: then none can.
fn holds() -> Tried {
    let attributes = [READ_FOLDERS];
    let answer = |answer: libc::c_long| match i32::try_from(answer) {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))),
    };
    // SAFETY: the first version's structure is one word.
    let ruleset =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), 8_usize, 0) };
    let ruleset = answer(ruleset).of(Call::Ruleset)?;
    sys::prctl(abi::PR_SET_NO_NEW_PRIVS, 1, 0).of(Call::NoNewPrivileges)?;
    // SAFETY: numbers only.
    answer(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) }).of(Call::Restrict)?;
    let opened = sys::openat(Fd(abi::AT_FDCWD), c"/", abi::O_RDONLY | abi::O_CLOEXEC, 0);
    expect(opened == Err(Errno(libc::EACCES)))
}
