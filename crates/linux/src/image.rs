//! PID 1's executable, in a sealed memory file that this process makes once.
//!
//! Sealed: nothing inside or outside can change what a later sandbox will run (CVE-2019-5736).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use ringfence_init::abi;
use ringfence_init::sys::{self, Errno, Fd};
use ringfence_init::wire::fault;
use ringfence_policy::Problem;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use crate::probe::trial::{Call, Failed};
use crate::resolve::SameFile;
use crate::{errno, look, why};

/// The file, and its inode: its number may be somebody else's by now.
static EXECUTABLE: OnceLock<(OwnedFd, u64)> = OnceLock::new();

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::WRITE).union(SealFlags::GROW).union(SealFlags::SHRINK);

/// The sealed executable.
pub(crate) fn executable() -> Result<BorrowedFd<'static>, Problem> {
    if EXECUTABLE.get().is_none() {
        let made = make().map_err(|e| {
            let failed = e.raw_os_error().map(|number| Failed::At(Call::MemoryFile, number));
            let lack = why::sealed_executable(failed.unwrap_or(Failed::Silent));
            let what = format!("PID 1's executable cannot be put into a memory file: {}", lack.why);
            errno::problem("init", what, e).remedy(lack.remedy)
        })?;
        // Another thread may have been faster: then its file stays and this one closes.
        let _lost_the_race = EXECUTABLE.set(made);
    }
    let made = EXECUTABLE.get().map(|(file, inode)| (file.as_fd(), *inode));
    let (file, inode) = made.ok_or_else(|| Problem::request("init", "PID 1's executable vanished".into()))?;
    // A caller that closes every file (a daemon) leaves a number behind that may be anything by now.
    let look =
        || -> io::Result<bool> { Ok(inode_of(file)? == inode && fcntl_get_seals(file)?.contains(SEALS)) };
    let gone = || {
        Problem::request("init", "this process has closed PID 1's executable, a memory file".into())
            .remedy("do not close file descriptors that are not yours")
    };
    match look() {
        Ok(true) => Ok(file),
        Ok(false) => Err(gone()),
        Err(e) => Err(gone().errno(e.raw_os_error().map_or_else(|| e.to_string(), errno::name))),
    }
}

fn make() -> io::Result<(OwnedFd, u64)> {
    let file = made_of("ringfence-init", ringfence_init::IMAGE)?;
    let inode = inode_of(file.as_fd())?;
    Ok((file, inode))
}

/// An executable in a sealed memory file.
fn made_of(name: &str, image: &[u8]) -> io::Result<OwnedFd> {
    check_file_size(image.len())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 there was no flag: every memory file could be executed.
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags)?,
        other => other?,
    };
    let mut file = File::from(above_streams(file)?);
    file.write_all(image)?;
    seal(&file)?;
    Ok(file.into())
}

/// The prober of `inspect`, in a sealed memory file, and which file that is.
///
/// # Errors
/// No memory file can be had, or none that can be executed.
pub fn prober() -> Result<(OwnedFd, SameFile), Problem> {
    let failed = |e: io::Error| errno::problem("inspect", "the prober cannot be put into a memory file", e);
    let file = made_of("ringfence-inspect", ringfence_init::PROBER).map_err(failed)?;
    let seen = sys::statx(Fd(file.as_raw_fd()), c"", abi::AT_EMPTY_PATH);
    let seen = seen.map_err(|e| failed(errno::error(e)))?;
    let device = rustix::fs::makedev(seen.dev_major, seen.dev_minor);
    Ok((file, SameFile { device, inode: seen.ino }))
}

/// Seals a memory file, and reads that back.
fn seal(file: &File) -> io::Result<()> {
    fcntl_add_seals(file, SEALS)?;
    if fcntl_get_seals(file)?.contains(SEALS) { Ok(()) } else { Err(not_so()) }
}

fn inode_of(file: BorrowedFd<'_>) -> io::Result<u64> {
    match sys::statx(Fd(file.as_raw_fd()), c"", abi::AT_EMPTY_PATH) {
        Ok(seen) => Ok(seen.ino),
        Err(e) => Err(errno::error(e)),
    }
}

fn not_so() -> io::Error {
    errno::error(Errno(fault::MISMATCH))
}

/// The plan, in a memory file of its own.
pub(crate) fn plan_file(image: &[u8]) -> Result<OwnedFd, Problem> {
    let failed = |e: io::Error| {
        errno::problem("plan", "the plan cannot be put into a memory file", e)
            .remedy("raise `ulimit -f` and `ulimit -n`")
    };
    check_file_size(image.len()).map_err(failed)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = memfd_create("ringfence-plan", flags).map_err(|e| failed(e.into()))?;
    let mut file = File::from(above_streams(made).map_err(failed)?);
    file.write_all(image).map_err(failed)?;
    seal(&file).map_err(failed)?;
    Ok(file.into())
}

/// A memory file obeys the limit on file sizes, and a write beyond that would end the caller with SIGXFSZ.
fn check_file_size(bytes: usize) -> io::Result<()> {
    let limit = sys::prlimit(abi::RLIMIT_FSIZE, None);
    match limit {
        Ok(limit) if limit.soft < bytes as u64 => Err(io::Error::from_raw_os_error(libc::EFBIG)),
        Ok(_) => Ok(()),
        Err(e) => Err(errno::error(e)),
    }
}

/// A file with a number above the three streams: in a caller whose streams are closed a new file would land
/// there, and be taken for one.
pub(crate) fn above_streams(file: OwnedFd) -> io::Result<OwnedFd> {
    let file = look::ours(file)?;
    if file.as_raw_fd() > 2 {
        return Ok(file);
    }
    look::ours(rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 3)?)
}
