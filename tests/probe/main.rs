//! The program that attempts things: outside as a control, inside as a check. One attempt a run; it answers one
//! line: `ok`, an error's name, or what it found.

mod attempts;
mod fingerprint;
mod judged;
mod kernel;
mod landlock;
mod processes;
mod raw;
mod resources;
mod tools;
mod watched;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = attempts::attempt(&words)
        .or_else(|| kernel::attempt(&words))
        .or_else(|| processes::attempt(&words))
        .or_else(|| raw::attempt(&words))
        .or_else(|| resources::attempt(&words))
        .or_else(|| landlock::attempt(&words))
        .or_else(|| judged::attempt(&words))
        .or_else(|| fingerprint::attempt(&words))
        .or_else(|| tools::attempt(&words))
        .or_else(|| watched::attempt(&words));
    let Some(answer) = answer else {
        eprintln!("probe: no attempt is called {words:?}");
        return ExitCode::from(99);
    };
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{answer}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(98),
    }
}

/// `ok`, or the error's name.
pub(crate) fn said<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => name(&error),
    }
}

/// The same of a C call that answers -1.
pub(crate) fn called(answer: libc::c_long) -> String {
    if answer == -1 { name(&std::io::Error::last_os_error()) } else { "ok".to_owned() }
}

fn name(error: &std::io::Error) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::EBADF, "EBADF"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::ESTALE, "ESTALE"),
        (libc::E2BIG, "E2BIG"),
        (libc::EXDEV, "EXDEV"),
    ];
    let number = error.raw_os_error().unwrap_or(0);
    known
        .iter()
        .find(|(code, _)| *code == number)
        .map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned())
}
