//! A guarded stack for a child that shares our memory.

use std::io;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Room for a child that only makes system calls.
const USABLE: usize = 32 * 1024;
/// Below it: touching this ends the process instead of changing somebody's memory. A multiple of every page
/// size in use (aarch64 has up to 64 KiB).
const GUARD: usize = 64 * 1024;

/// A stack, unmapped when dropped.
pub(crate) struct GuardedStack {
    base: *mut std::ffi::c_void,
}

impl GuardedStack {
    /// Maps one.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                GUARD + USABLE,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::STACK,
            )
        }?;
        let stack = Self { base };
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the part above the guard lies inside the mapping just made, which nothing uses yet.
        unsafe { mprotect(base.cast::<u8>().add(GUARD).cast(), USABLE, access) }?;
        Ok(stack)
    }

    /// Lowest usable address.
    pub(crate) fn bottom(&self) -> u64 {
        self.base as u64 + GUARD as u64
    }

    /// Usable bytes.
    pub(crate) const fn size(&self) -> u64 {
        USABLE as u64
    }
}

impl Drop for GuardedStack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever ran on it has executed or ended: callers wait for that.
        let unmapped = unsafe { munmap(self.base, GUARD + USABLE) };
        debug_assert!(unmapped.is_ok());
    }
}
