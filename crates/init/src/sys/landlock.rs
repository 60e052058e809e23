//! Landlock (landlock(7)): its three calls, and its rights (include/uapi/linux/landlock.h).

use super::{Fd, Result, check, fresh, raw};
use crate::abi::nr;

/// Rights on files and folders, one bit each; those after `MAKE_SYMLINK` came with later ABIs.
pub mod right {
    /// Execute a file.
    pub const EXECUTE: u64 = 1;
    /// Open a file for writing.
    pub const WRITE_FILE: u64 = 1 << 1;
    /// Open a file for reading.
    pub const READ_FILE: u64 = 1 << 2;
    /// List a folder.
    pub const READ_FOLDER: u64 = 1 << 3;
    /// Remove or rename a folder.
    pub const REMOVE_FOLDER: u64 = 1 << 4;
    /// Remove or rename anything else.
    pub const REMOVE_FILE: u64 = 1 << 5;
    /// Make a character device.
    pub const MAKE_CHARACTER_DEVICE: u64 = 1 << 6;
    /// Make a folder.
    pub const MAKE_FOLDER: u64 = 1 << 7;
    /// Make a regular file.
    pub const MAKE_FILE: u64 = 1 << 8;
    /// Make a socket.
    pub const MAKE_SOCKET: u64 = 1 << 9;
    /// Make a FIFO.
    pub const MAKE_FIFO: u64 = 1 << 10;
    /// Make a block device.
    pub const MAKE_BLOCK_DEVICE: u64 = 1 << 11;
    /// Make a symlink.
    pub const MAKE_SYMLINK: u64 = 1 << 12;
    /// Rename or link from one folder to another (ABI 2).
    pub const REFER: u64 = 1 << 13;
    /// Truncate a file (ABI 3).
    pub const TRUNCATE: u64 = 1 << 14;
    /// ioctl(2) on a device that is opened from now on (ABI 5).
    pub const DEVICE_IOCTL: u64 = 1 << 15;
    /// Connect to a socket with a path that was made outside (ABI 9).
    pub const RESOLVE_SOCKET: u64 = 1 << 16;
}

/// What stays inside (ABI 6), one bit each.
pub mod scope {
    /// Connections to abstract sockets.
    pub const ABSTRACT_SOCKETS: u64 = 1;
    /// Signals.
    pub const SIGNALS: u64 = 1 << 1;
}

/// Flags of landlock_restrict_self(2) (ABI 7): nothing is logged, neither of this process before it executes another
/// program nor of what restricts itself further.
pub const QUIET: u32 = 1 | 1 << 2;

const VERSION: u32 = 1;
const PATH_BENEATH: u32 = 1;

/// `struct landlock_ruleset_attr`. Kernels that know less take it when what they do not know is zero.
#[repr(C)]
struct Attributes {
    files: u64,
    network: u64,
    scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// landlock_create_ruleset(2): which ABI the kernel has.
pub fn version() -> Result<usize> {
    // SAFETY: this question has no structure.
    unsafe { call!(nr::SYS_landlock_create_ruleset, 0, 0, VERSION) }
}

/// landlock_create_ruleset(2): a ruleset that refuses these rights where no rule allows them.
pub fn create_ruleset(files: u64, scopes: u64) -> Result<Fd> {
    let attributes = Attributes { files, network: 0, scopes };
    let size = size_of::<Attributes>();
    // SAFETY: a whole structure of the size given.
    unsafe { call!(nr::SYS_landlock_create_ruleset, &raw const attributes, size, 0) }.and_then(fresh)
}

/// landlock_add_rule(2): allows rights on an open file, or on an open folder and what is in it.
pub fn allow(ruleset: Fd, file: Fd, allowed: u64) -> Result<()> {
    let rule = PathBeneath { allowed, parent: file.0 };
    // SAFETY: a whole structure of that kind.
    unsafe { call!(nr::SYS_landlock_add_rule, ruleset.0, PATH_BENEATH, &raw const rule, 0) }.map(drop)
}

/// landlock_restrict_self(2).
pub fn restrict_self(ruleset: Fd, flags: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_landlock_restrict_self, ruleset.0, flags) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_size() {
        assert_eq!((size_of::<Attributes>(), size_of::<PathBeneath>()), (24, 12));
    }
}
