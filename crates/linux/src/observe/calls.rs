//! Which system calls name a file or an address, and where: the arguments of linux/syscalls.h.

/// What a call wants of the file that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// To know of it.
    Look,
    /// Its content.
    Read,
    /// To change it.
    Write,
    /// To change it, and to make it where it is not there.
    WriteOrMake,
    /// That it be made.
    Make,
    /// That it be made, as a folder.
    MakeFolder,
    /// That it be gone.
    Remove,
    /// To be executed.
    Execute,
}

impl Want {
    /// As a denial says it.
    pub(super) const fn access(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Read => "read",
            Self::Execute => "execute",
            Self::Write | Self::WriteOrMake | Self::Make | Self::MakeFolder | Self::Remove => "write",
        }
    }
}

/// How a call says what it wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Says {
    /// Always the same.
    Always(Want),
    /// By the flags of open(2) in this argument.
    Flags(u8),
    /// By the structure of openat2(2) that this argument points to.
    How(u8),
    /// By the mode of access(2) in this argument.
    Mode(u8),
}

/// One path among a call's arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) call: &'static str,
    /// The argument that points to it.
    pub(super) path: u8,
    /// The argument that says where it begins, if it is relative.
    pub(super) folder: Option<u8>,
    pub(super) says: Says,
    /// A symlink at its end is itself meant.
    pub(super) link: bool,
}

const fn path(call: &'static str, path: u8, folder: Option<u8>, says: Says) -> Path {
    Path { call, path, folder, says, link: false }
}

const fn link(call: &'static str, path: u8, folder: Option<u8>, says: Says) -> Path {
    Path { call, path, folder, says, link: true }
}

use Says::{Always, Flags, How, Mode};
use Want::{Execute, Look, Make, MakeFolder, Read, Remove, Write, WriteOrMake};

/// Every path of every call that is watched.
pub(super) const PATHS: &[Path] = &[
    path("open", 0, None, Flags(1)),
    path("openat", 1, Some(0), Flags(2)),
    path("openat2", 1, Some(0), How(2)),
    path("creat", 0, None, Always(WriteOrMake)),
    path("stat", 0, None, Always(Look)),
    link("lstat", 0, None, Always(Look)),
    path("newfstatat", 1, Some(0), Always(Look)),
    path("statx", 1, Some(0), Always(Look)),
    path("access", 0, None, Mode(1)),
    path("faccessat", 1, Some(0), Mode(2)),
    path("faccessat2", 1, Some(0), Mode(2)),
    link("readlink", 0, None, Always(Look)),
    link("readlinkat", 1, Some(0), Always(Look)),
    path("chdir", 0, None, Always(Read)),
    path("execve", 0, None, Always(Execute)),
    path("execveat", 1, Some(0), Always(Execute)),
    path("mkdir", 0, None, Always(MakeFolder)),
    path("mkdirat", 1, Some(0), Always(MakeFolder)),
    link("mknod", 0, None, Always(Make)),
    link("mknodat", 1, Some(0), Always(Make)),
    link("symlink", 1, None, Always(Make)),
    link("symlinkat", 2, Some(1), Always(Make)),
    link("link", 1, None, Always(Make)),
    link("linkat", 3, Some(2), Always(Make)),
    link("rename", 0, None, Always(Remove)),
    link("renameat", 1, Some(0), Always(Remove)),
    link("renameat2", 1, Some(0), Always(Remove)),
    link("unlink", 0, None, Always(Remove)),
    link("unlinkat", 1, Some(0), Always(Remove)),
    link("rmdir", 0, None, Always(Remove)),
    path("truncate", 0, None, Always(Write)),
    path("chmod", 0, None, Always(Write)),
    path("fchmodat", 1, Some(0), Always(Write)),
    path("fchmodat2", 1, Some(0), Always(Write)),
    path("chown", 0, None, Always(Write)),
    link("lchown", 0, None, Always(Write)),
    path("fchownat", 1, Some(0), Always(Write)),
    path("utime", 0, None, Always(Write)),
    path("utimes", 0, None, Always(Write)),
    path("futimesat", 1, Some(0), Always(Write)),
    path("utimensat", 1, Some(0), Always(Write)),
    path("setxattr", 0, None, Always(Write)),
    path("inotify_add_watch", 1, None, Always(Look)),
    path("statfs", 0, None, Always(Look)),
];

/// Calls that name an address, and the argument that points to it; its length follows.
pub(super) const ADDRESSES: &[(&str, usize)] = &[("connect", 1), ("bind", 1)];

/// The same of what is sent without a connection: there are many of these, so only where the network is off.
pub(super) const MESSAGES: &[(&str, usize)] = &[("sendto", 4)];

/// The calls that are watched though they pass.
pub(super) fn watched(network_off: bool) -> Vec<&'static str> {
    let messages = MESSAGES.iter().filter(|_| network_off);
    let addresses = ADDRESSES.iter().chain(messages).map(|(call, _)| *call);
    PATHS.iter().map(|path| path.call).chain(addresses).collect()
}

/// The path that a call names.
pub(super) fn path_of(call: &str) -> Option<&'static Path> {
    PATHS.iter().find(|path| path.call == call)
}

/// The argument of a call that points to an address.
pub(super) fn address_of(call: &str) -> Option<usize> {
    ADDRESSES.iter().chain(MESSAGES).find(|(name, _)| *name == call).map(|(_, argument)| *argument)
}

/// What the flags of open(2) want.
pub(super) fn wanted_by_flags(flags: u64) -> Want {
    let flags = i32::try_from(flags & 0x7fff_ffff).unwrap_or(0);
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
    if flags & libc::O_PATH != 0 {
        Want::Look
    } else if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        Want::Write
    } else if flags & libc::O_CREAT != 0 {
        Want::WriteOrMake
    } else if writes {
        Want::Write
    } else {
        Want::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_speaks_of_calls_that_exist_and_of_their_pointers() {
        for path in PATHS {
            let arguments = ringfence_seccomp::arguments(path.call).expect(path.call);
            assert_eq!(arguments[usize::from(path.path)], u64::MAX, "{path:?}");
            if let Some(folder) = path.folder {
                assert_eq!(arguments[usize::from(folder)], 0xffff_ffff, "{path:?}");
            }
        }
        for (call, argument) in ADDRESSES.iter().chain(MESSAGES) {
            assert_eq!(ringfence_seccomp::arguments(call).expect(call)[*argument], u64::MAX, "{call}");
        }
    }

    #[test]
    fn flags_say_what_is_wanted() {
        let wanted = |flags: i32| wanted_by_flags(u64::from(flags.cast_unsigned()));
        assert_eq!(wanted(libc::O_RDONLY | libc::O_DIRECTORY), Want::Read);
        assert_eq!(wanted(libc::O_RDWR), Want::Write);
        assert_eq!(wanted(libc::O_RDONLY | libc::O_TRUNC), Want::Write);
        assert_eq!(wanted(libc::O_WRONLY | libc::O_CREAT), Want::WriteOrMake);
        assert_eq!(wanted(libc::O_PATH), Want::Look);
    }
}
