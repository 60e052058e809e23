//! One file of a profile, or of the configuration: read whole, once, from what it is and not from what its name may become.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ringfence_linux::errno_name;
use ringfence_policy::Problem;
use rustix::fs::{Mode, OFlags};

/// More than any profile.
pub const LARGEST: u64 = 1 << 20;

/// What a file is, for what is said of it.
pub(super) const PROFILE: &str = "profile";

/// A file that was read.
pub(crate) struct FileText {
    /// Without symlinks.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) sha256: String,
}

/// Reads a file that is a `what`. One that was searched for must be the caller's or root's, and nobody else may write it.
pub(crate) fn read(what: &str, path: &Path, searched: bool) -> Result<FileText, Problem> {
    let wrong = |why: String| wrong(what, path, &why);
    let failed = |e: std::io::Error| failed(what, path, e);
    let real = std::fs::canonicalize(path).map_err(failed)?;
    // A FIFO would make the open wait, a terminal could become ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&real, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let file = File::from(file);
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(wrong("is no regular file".to_owned()).remedy("copy it into a file"));
    }
    if searched {
        check_owner(found.uid(), found.gid(), found.mode()).map_err(|(why, remedy)| {
            wrong(format!("was found by its name and does not count: {why}")).remedy(remedy)
        })?;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    FileText::of(what, path, real, bytes)
}

fn wrong(what: &str, path: &Path, why: &str) -> Problem {
    Problem::request(what, format!("the {what} `{}` {why}", path.display())).at(path)
}

fn failed(what: &str, path: &Path, e: std::io::Error) -> Problem {
    let errno = e.raw_os_error().map_or_else(|| e.to_string(), errno_name);
    let why = if e.kind() == std::io::ErrorKind::NotFound { "does not exist" } else { "cannot be read" };
    wrong(what, path, why)
        .errno(errno)
        .remedy("name a file that you can read, or a profile of `ringfence profile list`")
}

impl FileText {
    /// What was read of a file, at most one byte more than [`LARGEST`].
    fn of(what: &str, named: &Path, path: PathBuf, bytes: Vec<u8>) -> Result<Self, Problem> {
        if bytes.len() as u64 > LARGEST {
            return Err(wrong(what, named, &format!("is larger than 1 MiB, so it is no {what}"))
                .remedy("name another file"));
        }
        let sha256 = sha256(&bytes);
        let text = String::from_utf8(bytes).map_err(|e| {
            let line =
                e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count()
                    + 1;
            wrong(what, named, &format!("is not UTF-8 (line {line})")).remedy("write it as UTF-8")
        })?;
        Ok(Self { path, text, sha256 })
    }
}

/// Reads a profile that the caller gives by a pipe (`/dev/stdin`, or a shell's `<(...)`) or by a file: once, so that
/// nothing is left in it. What would be found beside it is looked for in `directory`.
pub(super) fn read_given(path: &Path, directory: &Path) -> Result<FileText, Problem> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    if !is_pipe {
        return read(PROFILE, path, false);
    }
    // Opened by the name: a pipe without one has no other path.
    let bytes = File::open(path).and_then(|pipe| {
        let mut bytes = Vec::new();
        pipe.take(LARGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    FileText::of(PROFILE, path, directory.join("-"), bytes.map_err(|e| failed(PROFILE, path, e))?)
}

fn check_owner(owner: u32, group: u32, mode: u32) -> Result<(), (String, String)> {
    let caller = rustix::process::geteuid().as_raw();
    if owner != caller && owner != 0 {
        let why = format!("it belongs to user {owner}, not to you or root");
        return Err((why, "copy it, or name it as a path (-p ./FILE)".to_owned()));
    }
    // A group of the caller's own name is usual, and then its bit says nothing about others.
    let own_group = group == rustix::process::getegid().as_raw() || group == 0;
    if mode & 0o002 != 0 || (mode & 0o020 != 0 && !own_group) {
        let why = "others may write it".to_owned();
        return Err((why, "chmod go-w it, or name it as a path (-p ./FILE)".to_owned()));
    }
    Ok(())
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
