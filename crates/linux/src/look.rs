//! Looks at the host's files that notice an answer that cannot be.
//!
//! What is looked at decides what is shown. A call that was skipped and reports success (a filter can do that)
//! leaves nothing where its answer should be: a file without a type, a link that leads nowhere, a folder without
//! entries, a file without content. Taken at its word it would show the folder above what was meant.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::FdFlags;

use crate::errno;

/// What stands at a path (lstat(2)).
pub(crate) fn at(path: &Path) -> io::Result<Metadata> {
    twice(|| fs::symlink_metadata(path)).and_then(typed)
}

/// What a path leads to (stat(2)).
pub(crate) fn behind(path: &Path) -> io::Result<Metadata> {
    twice(|| fs::metadata(path)).and_then(typed)
}

/// A path without symlinks, proven to be the same file: the kernel follows it once and says where that led
/// (`/proc/self/fd`, proc_pid_fd(5)), however deep it is.
///
/// # Errors
/// It cannot be followed, or an answer on the way cannot be.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    let file = File::from(twice(|| open(path, OFlags::PATH))?);
    let there = opened(&file)?;
    let real = target(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
    // "Not there" would be an answer about the path.
    let real = real.map_err(|e| match e.raw_os_error() {
        Some(number) if is_absent(&e) => {
            io::Error::other(format!("/proc does not say where it led: {}", errno::name(number)))
        }
        _ => e,
    })?;
    match present(at(&real))? {
        Some(found) if same(&there, &found) => Ok(real),
        _ => {
            Err(io::Error::other("its name changed while it was looked at, or nothing leads there from here"))
        }
    }
}

/// The content of a plain file that was looked at just now, when it is as long as it was then.
pub(crate) fn unchanged(path: &Path, seen: &Metadata) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::from(open(path, OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)?);
    let mut content = vec![0; usize::try_from(seen.size()).unwrap_or(0)];
    match file.read_exact(&mut content) {
        Ok(()) => Ok(Some(content)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Where a symlink points (readlink(2)). No link of Linux points at nothing.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    let target = twice(|| fs::read_link(path))?;
    if target.as_os_str().is_empty() { Err(lie("readlink", "is empty")) } else { Ok(target) }
}

/// All of a file.
pub(crate) fn content(path: &Path) -> io::Result<Vec<u8>> {
    start(path, usize::MAX)
}

/// The first bytes of a file.
pub(crate) fn start(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    twice(|| read_start(path, most))
}

/// The first bytes of a regular file; `None` when it is of another kind. Never waits: somebody may put a FIFO in a
/// file's place.
pub(crate) fn regular(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    if !behind(path)?.is_file() {
        return Ok(None);
    }
    twice(|| {
        let file = File::from(open(path, OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let is_file = opened(&file)?.is_file();
        if is_file { read_opened(file, most).map(Some) } else { Ok(None) }
    })
}

fn read_start(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read_opened(File::from(open(path, OFlags::empty())?), most)
}

fn read_opened(mut file: File, most: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece, mut ends) = (Vec::new(), vec![0; most.min(16 * 1024)], 0);
    // An end is believed when it is said twice.
    while ends < 2 && bytes.len() < most {
        match file.read(&mut piece) {
            Ok(0) => ends += 1,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(most);
    let size = opened(&file)?.size();
    // Files of proc have no size.
    if bytes.is_empty() && size > 0 { Err(lie("read", "is empty")) } else { Ok(bytes) }
}

/// All of a file that is text.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(content(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// An entry of a folder.
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    Socket,
    Fifo,
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_dir() {
            Self::Folder
        } else if kind.is_socket() {
            Self::Socket
        } else if kind.is_fifo() {
            Self::Fifo
        } else {
            Self::Other
        }
    }
}

/// What is in a folder, which must be a folder itself and not a link to one.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    twice(|| read_entries(folder))
}

fn read_entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let file = File::from(open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW)?);
    if !same(&opened(&file)?, &at(folder)?) {
        return Err(lie("openat", "is another folder"));
    }
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut raw = RawDir::new(&file, buffer.spare_capacity_mut());
    let (mut entries, mut own, mut ends) = (Vec::new(), 0, 0);
    // An end is believed when it is said twice, after the two entries that every folder has.
    while ends < 2 {
        let Some(entry) = raw.next() else {
            ends += 1;
            continue;
        };
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            own += 1;
            continue;
        }
        let kind = match entry.file_type() {
            rustix::fs::FileType::Directory => Kind::Folder,
            rustix::fs::FileType::Socket => Kind::Socket,
            rustix::fs::FileType::Fifo => Kind::Fifo,
            rustix::fs::FileType::Unknown => Kind::from(at(&folder.join(name))?.file_type()),
            _ => Kind::Other,
        };
        entries.push(Entry { name: name.to_owned(), kind });
    }
    if own == 2 { Ok(entries) } else { Err(lie("getdents64", "lacks entries")) }
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    ours(openat(CWD, path, flags, Mode::empty())?)
}

/// A descriptor that the kernel has just given us. A call that was skipped answers 0, which is the caller's own
/// standard input: not made by us, so it is not closed at exec, and must not be closed by us.
pub(crate) fn ours(file: OwnedFd) -> io::Result<OwnedFd> {
    if file.as_raw_fd() > 2 {
        return Ok(file);
    }
    match rustix::io::fcntl_getfd(file.as_fd()) {
        Ok(flags) if flags.contains(FdFlags::CLOEXEC) => Ok(file),
        _ => {
            let number = file.into_raw_fd();
            Err(lie("a call that opens a file", &format!("is {number}, a file of the caller's")))
        }
    }
}

/// Does an error say that there is nothing, or nothing for this caller? Any other says that nobody knows.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    let absent = [libc::ENOENT, libc::ENOTDIR, libc::EACCES, libc::ELOOP, libc::ENAMETOOLONG];
    error.raw_os_error().is_some_and(|number| absent.contains(&number))
}

/// The answer, or `None` for what [`is_absent`].
pub(crate) fn present<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// For a person: nobody knows what stands at a path.
pub(crate) fn unknown(path: &Path, error: io::Error) -> Problem {
    errno::problem("look", format!("`{}` cannot be looked at", path.display()), error)
        .at(path)
        .remedy("mend the file system that it is on")
}

/// Are these one file?
pub(crate) fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// "No permission" hides a file from the sandbox, so it is believed when it is said twice. An interrupted call is
/// made again.
fn twice<T>(ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let mut refused = false;
    loop {
        match ask() {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            Err(e) if e.raw_os_error() == Some(libc::EACCES) && !refused => refused = true,
            answer => return answer,
        }
    }
}

/// What an open file is (fstat(2)). It is there and it is ours: an answer that says otherwise is about no path.
fn opened(file: &File) -> io::Result<Metadata> {
    match file.metadata() {
        // By its name alone it is no longer the kernel's word that nothing is there.
        Err(e) if is_absent(&e) => {
            Err(io::Error::other(e.raw_os_error().map_or_else(|| e.to_string(), errno::name)))
        }
        answer => answer.and_then(typed),
    }
}

fn typed(metadata: Metadata) -> io::Result<Metadata> {
    if metadata.mode() & libc::S_IFMT == 0 { Err(lie("stat", "has no type")) } else { Ok(metadata) }
}

fn lie(call: &str, answer: &str) -> io::Error {
    io::Error::other(format!("{call} succeeded, and its answer {answer}: something fakes system calls here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(entries(folder.path()).unwrap().is_empty());
        for number in 0..3000 {
            fs::write(folder.path().join(format!("a-file-with-a-long-name-{number}")), "").unwrap();
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        let found = entries(folder.path()).unwrap();
        assert_eq!(found.len(), 3001);
        let folders: Vec<_> = found.iter().filter(|entry| entry.kind == Kind::Folder).collect();
        assert!(folders.len() == 1 && folders[0].name == "folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("folder", &link).unwrap();
        assert!(entries(&link).is_err(), "a link to a folder is no folder");
    }

    #[test]
    fn a_file_is_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(content(file.path()).unwrap(), b"");
        let long = "line\n".repeat(100_000);
        fs::write(file.path(), &long).unwrap();
        assert_eq!(text(file.path()).unwrap(), long);
        assert!(text(Path::new("/proc/self/status")).unwrap().contains("Uid:"));
    }

    #[test]
    fn a_file_that_became_shorter_is_not_the_one_that_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "content").unwrap();
        let seen = at(&file).unwrap();
        assert_eq!(unchanged(&file, &seen).unwrap().unwrap(), b"content");
        fs::write(&file, "cont").unwrap();
        assert_eq!(unchanged(&file, &seen).unwrap(), None);
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(unchanged(&link, &seen).is_err(), "a link that came in its place leads elsewhere");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(regular(&fifo, 16).unwrap(), None);
        assert_eq!(regular(folder.path(), 16).unwrap(), None);
        fs::write(folder.path().join("file"), "content").unwrap();
        assert_eq!(regular(&folder.path().join("file"), 4).unwrap().unwrap(), b"cont");
    }

    #[test]
    fn a_path_without_links_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", root.join("link")).unwrap();
        assert_eq!(real(&root.join("link")).unwrap(), root.join("file"));
        assert_eq!(target(&root.join("link")).unwrap(), Path::new("file"));
        assert!(is_absent(&real(&root.join("none")).unwrap_err()));
        assert!(present(at(&root.join("file/none"))).unwrap().is_none());
    }

    #[test]
    fn a_number_that_nobody_gave_us_is_refused_and_left_open() {
        use std::os::fd::FromRawFd as _;
        // SAFETY: every test has a standard input, and `ours` gives it back unclosed.
        let answer = ours(unsafe { OwnedFd::from_raw_fd(0) });
        assert!(answer.unwrap_err().to_string().contains("a file of the caller's"));
        assert!(rustix::io::fcntl_getfd(io::stdin()).is_ok());
    }
}
