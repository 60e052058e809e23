//! Error numbers by name, as documentation spells them.

use std::io;

use ringfence_init::sys::Errno;
use ringfence_init::wire::fault;
use ringfence_policy::{Problem, Reason};

/// Numbers and names, as documentation spells them.
const NAMES: &[(i32, &str)] = &[
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ESRCH, "ESRCH"),
    (libc::EINTR, "EINTR"),
    (libc::EIO, "EIO"),
    (libc::ENXIO, "ENXIO"),
    (libc::E2BIG, "E2BIG"),
    (libc::ENOEXEC, "ENOEXEC"),
    (libc::EBADF, "EBADF"),
    (libc::ECHILD, "ECHILD"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EFAULT, "EFAULT"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::EXDEV, "EXDEV"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::EINVAL, "EINVAL"),
    (libc::ENFILE, "ENFILE"),
    (libc::EMFILE, "EMFILE"),
    (libc::ETXTBSY, "ETXTBSY"),
    (libc::EFBIG, "EFBIG"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EROFS, "EROFS"),
    (libc::EPIPE, "EPIPE"),
    (libc::ERANGE, "ERANGE"),
    (libc::EDEADLK, "EDEADLK"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTEMPTY, "ENOTEMPTY"),
    (libc::ELOOP, "ELOOP"),
    (libc::EOVERFLOW, "EOVERFLOW"),
    (libc::ELIBBAD, "ELIBBAD"),
    (libc::EUSERS, "EUSERS"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::ESTALE, "ESTALE"),
    (libc::EDQUOT, "EDQUOT"),
    (libc::EKEYREVOKED, "EKEYREVOKED"),
    (libc::EPROTO, "EPROTO"),
    (fault::MISMATCH, "it reported success, and its answer cannot be"),
];

/// The name of an error number (errno(3)).
#[must_use]
pub fn name(number: i32) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned())
}

/// The number of a name.
pub(crate) fn number(name: &str) -> Option<i32> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// A failure of the supervisor's own side, with the kernel's answer.
pub(crate) fn problem(code: &str, what: impl Into<String>, error: impl Into<io::Error>) -> Problem {
    let error = error.into();
    let problem = Problem::new(Reason::Setup, code, what.into());
    match error.raw_os_error() {
        Some(number) => problem.errno(name(number)),
        None => problem.errno(error.to_string()),
    }
}

/// A raw call's error as the standard library's. What is no number of the kernel's is said in words.
pub(crate) fn error(errno: Errno) -> io::Error {
    if errno.0 == fault::MISMATCH {
        io::Error::other(name(errno.0))
    } else {
        io::Error::from_raw_os_error(errno.0)
    }
}
