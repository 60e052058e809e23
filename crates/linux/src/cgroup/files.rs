//! The files of a cgroup: written, and read back.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringfence_init::sys::Errno;
use ringfence_init::wire::fault;
use ringfence_policy::{Problem, Reason};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open};

use crate::image::above_streams;
use crate::{errno, look};

/// The number that a file holds.
pub(super) fn number(folder: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

/// The number after a word at the start of a line (`oom_kill 3`).
pub(super) fn field(folder: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(folder.join(file)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// What block devices have read and written, by the two words for that. A device that lies on another counts as well.
pub(super) fn transferred(folder: &Path, file: &str, words: [&str; 2]) -> Option<(u64, u64)> {
    let text = fs::read_to_string(folder.join(file)).ok()?;
    let mut sums = [0_u64; 2];
    // `8:0 rbytes=1 wbytes=2 ...` in version 2, `8:0 Read 1` in the first.
    let mut parts = text.split(|c: char| c.is_whitespace() || c == '=').peekable();
    while let Some(part) = parts.next() {
        if let Some(index) = words.iter().position(|word| *word == part) {
            sums[index] += parts.peek()?.parse::<u64>().ok()?;
        }
    }
    Some((sums[0], sums[1]))
}

/// The words of a file.
pub(super) fn words(folder: &Path, file: &str) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(folder.join(file))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The words of a file that must be there.
pub(super) fn known_words(folder: &Path, file: &str) -> Result<Vec<String>, Problem> {
    words(folder, file).map_err(|e| unreadable(folder, file, e))
}

/// Is the file there? Some kernels lack some.
pub(super) fn has(folder: &Path, file: &str) -> Result<bool, Problem> {
    folder.join(file).try_exists().map_err(|e| unreadable(folder, file, e))
}

fn unreadable(folder: &Path, file: &str, error: io::Error) -> Problem {
    errno::problem("cgroup", format!("{file} cannot be read"), error).at(folder.join(file))
}

/// Has this host memory that lies on a disk (proc(5))?
pub(super) fn host_has_swap() -> Result<bool, Problem> {
    let path = Path::new("/proc/swaps");
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().count() > 1),
        // A kernel without swap has no such file.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(errno::problem("cgroup", "whether this host has swap cannot be read", e).at(path)),
    }
}

/// How often a write that a signal interrupts is made again.
const WRITES: usize = 16;

/// Writes a file in one piece: the kernel takes each write for a value of its own. A limit of memory is not taken while
/// a signal is pending, be it one that only stopped this process for a while (`mem_cgroup_resize_max`, mm/memcontrol-v1.c).
pub(super) fn write_whole(path: &Path, value: &str) -> io::Result<()> {
    let file = look::ours(open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    let mut tries = 0;
    loop {
        match rustix::io::write(&file, value.as_bytes()) {
            Ok(length) if length == value.len() => return Ok(()),
            Ok(_) => return Err(errno::error(Errno(fault::MISMATCH))),
            Err(rustix::io::Errno::INTR) if tries < WRITES => tries += 1,
            Err(e) => return Err(e.into()),
        }
    }
}

/// Writes a value.
pub(super) fn write(folder: &Path, file: &str, value: &str) -> Result<(), Problem> {
    let path = folder.join(file);
    write_whole(&path, value).map_err(|e| {
        let what = format!("the cgroup does not take {value} as {file}");
        errno::problem("cgroup", what, e).at(&path).remedy("is it more than what holds this process itself?")
    })
}

/// Writes a value and reads it back.
pub(super) fn set(folder: &Path, file: &str, value: &str) -> Result<(), Problem> {
    write(folder, file, value)?;
    read_back(folder, file, value)
}

/// A size: the kernel keeps whole pages, rounded down.
pub(super) fn set_bytes(folder: &Path, file: &str, bytes: u64) -> Result<(), Problem> {
    write(folder, file, &bytes.to_string())?;
    let page = rustix::param::page_size() as u64;
    read_back(folder, file, &(bytes / page * page).to_string())
}

pub(super) fn read_back(folder: &Path, file: &str, value: &str) -> Result<(), Problem> {
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == value => Ok(()),
        Ok(text) => {
            let what = format!("the cgroup took {value} as {file} and says {}", text.trim());
            Err(Problem::new(Reason::Setup, "cgroup", what).at(path).remedy("nothing was run"))
        }
        Err(e) => Err(errno::problem("cgroup", format!("{file} cannot be read back"), e).at(path)),
    }
}

/// A process' number as it is written. It begins with blanks, which the kernel skips: the first digits alone would be
/// the number of another process, and a write of root's that is cut short would move that.
fn padded(process: i32) -> String {
    format!("{process:>16}")
}

/// Moves a process and reads that back.
pub(super) fn add(folder: &Path, process: i32) -> Result<(), Problem> {
    let path = folder.join("cgroup.procs");
    let failed = |e: io::Error| {
        errno::problem("cgroup", "PID 1 cannot be moved into its cgroup", e)
            .at(&path)
            .remedy("start from a cgroup that is delegated to this user as a whole")
    };
    write_whole(&path, &padded(process)).map_err(failed)?;
    let text = fs::read_to_string(&path).map_err(failed)?;
    if text.lines().any(|line| line.parse() == Ok(process)) {
        Ok(())
    } else {
        let what = "the kernel reported success, but PID 1 is not in its cgroup".to_owned();
        Err(Problem::new(Reason::Setup, "verify", what).at(path).remedy("nothing was run"))
    }
}

/// Opens a file, to read from it.
pub(super) fn open_file(folder: &Path, file: &str) -> Result<OwnedFd, Problem> {
    let path = folder.join(file);
    let opened = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from);
    opened
        .and_then(above_streams)
        .map_err(|e| errno::problem("cgroup", format!("{file} of the cgroup cannot be opened"), e).at(path))
}

/// May this caller write there, by its effective ids?
pub(super) fn may_write(path: &Path) -> Result<(), rustix::io::Errno> {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)
}

/// How long what has just ended may take to leave its cgroup.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried in spite of any other error.
const TRIES: usize = 5;

/// A folder that is removed with its handle.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    owner: i32,
}

impl Folder {
    /// Makes it, under a name that says whose it is, after sweeping what dead supervisors left beside it.
    pub(super) fn make(parent: &Path, name: &str) -> Result<Self, Problem> {
        super::name::sweep(parent);
        let path = parent.join(name);
        fs::create_dir(&path).map_err(|e| errno::problem("cgroup", "no cgroup can be made", e).at(parent))?;
        Ok(Self { path, owner: rustix::process::getpid().as_raw_nonzero().get() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes a cgroup. Only what cannot be found is gone, whatever was answered.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_dir(path)?;
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.and(Err(io::ErrorKind::AlreadyExists.into())),
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A forked copy of the caller does nothing.
        if self.owner != rustix::process::getpid().as_raw_nonzero().get() {
            return;
        }
        let end = Instant::now() + PATIENCE;
        let mut tries = TRIES;
        // What stays is swept by a later run.
        while let Err(e) = remove(&self.path) {
            // Busy: the kernel has not let go of the last process yet.
            tries -= usize::from(e.raw_os_error() != Some(libc::EBUSY));
            if tries == 0 || Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_of_both_versions_are_summed() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str, words| {
            fs::write(folder.path().join("io"), text).unwrap();
            transferred(folder.path(), "io", words)
        };
        let second = "8:0 rbytes=10 wbytes=3 rios=1 wios=1 dbytes=9 dios=1\n253:0 rbytes=5 wbytes=0\n";
        assert_eq!(read(second, ["rbytes", "wbytes"]), Some((15, 3)));
        let first = "8:0 Read 10\n8:0 Write 3\n8:0 Sync 13\n8:0 Total 13\n9:0 Read 1\nTotal 13\n";
        assert_eq!(read(first, ["Read", "Write"]), Some((11, 3)));
        assert_eq!(read("", ["rbytes", "wbytes"]), Some((0, 0)));
        assert_eq!(read("8:0 rbytes=x", ["rbytes", "wbytes"]), None);
        assert_eq!(transferred(folder.path(), "absent", ["Read", "Write"]), None);
    }

    #[test]
    fn a_number_that_is_cut_short_is_nobodys() {
        assert_eq!(padded(14_819).trim().parse(), Ok(14_819));
        assert!(padded(i32::MAX)[..4].trim().is_empty());
    }
}
