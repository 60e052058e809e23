//! Whether this kernel has Landlock, and hosts that have none.

use std::ffi::OsString;

use crate::probe;

/// The ABI of this kernel's Landlock, asked of the kernel itself; `None` where it is no layer of a sandbox.
pub fn landlock_abi() -> Option<u32> {
    const VERSION: u32 = 1;
    // SAFETY: this question has no structure.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    u32::try_from(answer).ok().filter(|abi| *abi >= 2)
}

/// Starts a run on a host without Landlock: the control of what only Landlock holds.
pub fn without_landlock() -> Vec<OsString> {
    with_landlock_answering("444", "446", libc::ENOSYS)
}

/// Starts a run where calls with these numbers, among those of Landlock (444 makes a ruleset, 445 adds a rule, 446
/// restricts), answer an error.
pub fn with_landlock_answering(first: &str, last: &str, errno: i32) -> Vec<OsString> {
    let words = ["with-calls-answered", first, last, &errno.to_string()].map(OsString::from);
    [OsString::from(probe())].into_iter().chain(words).collect()
}
