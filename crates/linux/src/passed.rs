//! Open files of the caller that the program keeps (`--pass-fd`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

use ringfence_init::abi::FD_CLOEXEC;
use ringfence_init::sys::{self, Fd};
use ringfence_policy::Problem;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use crate::errno;

/// How many may be passed, and the largest number that one may have inside: far below every hard limit.
const MOST: usize = 64;
const LARGEST: i32 = 1023;

/// Takes over open files that this process was started with: nobody in it owns them. A program calls it first of
/// all, before it opens anything itself.
///
/// # Errors
/// A number is named twice, is one of the streams, or nothing is open under it; then none is taken.
pub fn take_inherited(numbers: &[i32]) -> Result<Vec<(i32, OwnedFd)>, Problem> {
    for (index, number) in numbers.iter().enumerate() {
        let refused = |why: String| Problem::request("pass-fd", why);
        if *number < 3 || numbers[..index].contains(number) {
            return Err(refused(format!("descriptor {number} is passed once in any case")));
        }
        // Not for another program that we may start on the way.
        if let Err(errno) = sys::set_descriptor_flags(Fd(*number), FD_CLOEXEC) {
            let remedy = format!("open it in the caller, like {number}>file");
            return Err(refused(format!("descriptor {number} cannot be passed: it is not open"))
                .errno(errno::name(errno.0))
                .remedy(remedy));
        }
    }
    // SAFETY: each is open and named once; whoever started this process left it to us, as our documentation demands.
    let take = |number: &i32| (*number, unsafe { OwnedFd::from_raw_fd(*number) });
    Ok(numbers.iter().map(take).collect())
}

/// Judges what a request wants to pass.
///
/// # Errors
/// A number is taken, or the file would be a way out: a folder, a terminal, a mere place, or a file whose reader
/// could open it again for writing (through /proc/self/fd).
pub fn check<'a>(files: impl Iterator<Item = (i32, BorrowedFd<'a>)>) -> Result<(), Problem> {
    let mut seen = Vec::new();
    for (number, file) in files {
        let refused = |why: &str, remedy: &str| {
            let message = format!("descriptor {number} cannot be passed: {why}");
            Err(Problem::request("pass-fd", message).remedy(remedy))
        };
        if !(3..=LARGEST).contains(&number) {
            return refused("the numbers are 3 to 1023", "0, 1 and 2 are passed in any case");
        }
        if seen.contains(&number) || seen.len() == MOST {
            return refused("it is named twice, or more than 64 are", "name each once");
        }
        seen.push(number);
        let failed = |e: rustix::io::Errno| {
            errno::problem("pass-fd", format!("descriptor {number} cannot be passed"), e)
        };
        let kind = FileType::from_raw_mode(fstat(file).map_err(failed)?.st_mode);
        let flags = fcntl_getfl(file).map_err(failed)?;
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        let show = "show it with --ro or --rw";
        match kind {
            FileType::Directory => {
                return refused("it is a folder, which would lead out of the sandbox", show);
            }
            _ if flags.contains(OFlags::PATH) => return refused("it is a place and not an open file", show),
            FileType::RegularFile if !writes => {
                let why = "it is a file that is open for reading, and could be opened again for writing";
                return refused(why, "show it with --ro, or pass a pipe that it is copied into");
            }
            FileType::CharacterDevice if crate::resolve::is_terminal(file) => {
                return refused("it is a terminal, which could be controlled", "pass a pipe");
            }
            _ => {}
        }
    }
    Ok(())
}

/// A copy of a stream of the caller that tells when its other side is closed; `None` for a file or a device, which
/// nobody closes.
///
/// # Errors
/// No descriptors are left.
pub fn closable(file: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    let closes = matches!(kind, FileType::Fifo | FileType::Socket) || crate::resolve::is_terminal(&file);
    if closes { crate::pump::duplicate(file).map(Some) } else { Ok(None) }
}
