//! The system's answer to a file that could not be read or written, as a problem says it.

use std::io;

use ringfence::policy::Problem;
use rustix::io::Errno;

/// The names of what files answer; others are given by number.
const NAMES: [(Errno, &str); 17] = [
    (Errno::ACCESS, "EACCES"),
    (Errno::BADF, "EBADF"),
    (Errno::DQUOT, "EDQUOT"),
    (Errno::FBIG, "EFBIG"),
    (Errno::IO, "EIO"),
    (Errno::ISDIR, "EISDIR"),
    (Errno::LOOP, "ELOOP"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NOENT, "ENOENT"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::NXIO, "ENXIO"),
    (Errno::PERM, "EPERM"),
    (Errno::PIPE, "EPIPE"),
    (Errno::ROFS, "EROFS"),
];

/// `what` could not be done, because of `error`.
pub(crate) fn problem(code: &str, what: &str, error: &io::Error) -> Problem {
    let Some(number) = error.raw_os_error() else {
        return Problem::request(code, format!("{what}: {error}"));
    };
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or_default();
    let name =
        NAMES.iter().find(|(errno, _)| errno.raw_os_error() == number).map(|(_, name)| (*name).to_owned());
    Problem::request(code, format!("{what}: {why}")).errno(name.unwrap_or_else(|| format!("errno {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_its_name() {
        let said =
            |number| problem("x", "cannot read `f`", &io::Error::from_raw_os_error(number)).to_string();
        assert_eq!(said(2), "cannot read `f`: No such file or directory (ENOENT)");
        assert!(said(4095).ends_with("(errno 4095)"), "{}", said(4095));
        assert_eq!(problem("x", "y", &io::Error::other("z")).to_string(), "y: z");
    }
}
