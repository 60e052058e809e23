//! The system's answer to a file that could not be read or written, as a problem says it.

use std::io;

use ringfence::errno_name;
use ringfence::policy::Problem;

/// `what` could not be done, because of `error`.
pub(crate) fn problem(code: &str, what: &str, error: &io::Error) -> Problem {
    let Some(number) = error.raw_os_error() else {
        return Problem::request(code, format!("{what}: {error}"));
    };
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or_default();
    Problem::request(code, format!("{what}: {why}")).errno(errno_name(number))
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
