//! Mounts: the new calls, and what is left of the old ones.

use core::ffi::CStr;

use super::{Fd, Result, check, fresh, raw};
use crate::abi::{self, nr};

/// mount(2).
pub fn mount(kind: &CStr, path: &CStr, flags: u64, options: &CStr) -> Result<()> {
    // SAFETY: all strings are terminated.
    unsafe { call!(nr::SYS_mount, kind.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, options.as_ptr()) }
        .map(drop)
}

/// umount2(2).
pub fn umount(path: &CStr, flags: u32) -> Result<()> {
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_umount2, path.as_ptr(), flags) }.map(drop)
}

/// pivot_root(2).
pub fn pivot_root(new: &CStr, old: &CStr) -> Result<()> {
    // SAFETY: both are terminated.
    unsafe { call!(nr::SYS_pivot_root, new.as_ptr(), old.as_ptr()) }.map(drop)
}

/// open_tree(2).
pub fn open_tree(at: Fd, path: &CStr, flags: u32) -> Result<Fd> {
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_open_tree, at.0, path.as_ptr(), flags) }.and_then(fresh)
}

/// move_mount(2) of a detached tree onto a path.
pub fn move_mount(tree: Fd, path: &CStr) -> Result<()> {
    let flags = abi::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both strings are terminated.
    unsafe { call!(nr::SYS_move_mount, tree.0, c"".as_ptr(), abi::AT_FDCWD, path.as_ptr(), flags) }.map(drop)
}

/// move_mount(2) of a detached tree onto a path below an open folder.
pub fn move_mount_at(tree: Fd, folder: Fd, path: &CStr) -> Result<()> {
    let flags = abi::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both strings are terminated.
    unsafe { call!(nr::SYS_move_mount, tree.0, c"".as_ptr(), folder.0, path.as_ptr(), flags) }.map(drop)
}

/// mount_setattr(2).
pub fn mount_setattr(at: Fd, path: &CStr, flags: u32, attributes: &abi::MountAttr) -> Result<()> {
    let size = size_of::<abi::MountAttr>();
    // SAFETY: `path` is terminated, `attributes` is a whole structure of the size given.
    unsafe { call!(nr::SYS_mount_setattr, at.0, path.as_ptr(), flags, core::ptr::from_ref(attributes), size) }
        .map(drop)
}

/// fsopen(2).
pub fn fsopen(kind: &CStr) -> Result<Fd> {
    // SAFETY: `kind` is terminated.
    unsafe { call!(nr::SYS_fsopen, kind.as_ptr(), abi::FSOPEN_CLOEXEC) }.and_then(fresh)
}

/// fsconfig(2) with a text value.
pub fn fsconfig_text(context: Fd, key: &CStr, value: &CStr) -> Result<()> {
    let command = abi::FSCONFIG_SET_STRING;
    // SAFETY: both strings are terminated.
    unsafe { call!(nr::SYS_fsconfig, context.0, command, key.as_ptr(), value.as_ptr(), 0) }.map(drop)
}

/// fsconfig(2) `FSCONFIG_CMD_CREATE`.
pub fn fsconfig_create(context: Fd) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fsconfig, context.0, abi::FSCONFIG_CMD_CREATE, 0, 0, 0) }.map(drop)
}

/// fsmount(2).
pub fn fsmount(context: Fd, attributes: u64) -> Result<Fd> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fsmount, context.0, abi::FSMOUNT_CLOEXEC, attributes) }.and_then(fresh)
}
