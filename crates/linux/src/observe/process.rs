//! What can be read of a process whose call waits for an answer. For describing only: all of it may change.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// A thread that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) i32);

/// As long as a path may be (PATH_MAX).
const LONGEST_PATH: usize = 4096;
const PAGE: usize = 4096;

impl Caller {
    /// Bytes of its memory: fewer than asked for where it ends before.
    pub(super) fn bytes(self, address: u64, length: usize) -> Option<Vec<u8>> {
        let address = usize::try_from(address).ok().filter(|address| *address != 0)?;
        let mut bytes = vec![0_u8; length];
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
        // Whole parts are read or none, so each ends at a page's end (process_vm_readv(2)).
        let first = length.min(PAGE - address % PAGE);
        let part = |at: usize, size: usize| libc::iovec { iov_base: at as *mut _, iov_len: size };
        let parts = [part(address, first), part(address.wrapping_add(first), length - first)];
        let count = if length > first { 2 } else { 1 };
        // SAFETY: the local part is `bytes`, which lives on; addresses of the other process are only numbers here.
        let read = unsafe { libc::process_vm_readv(self.0, &raw const local, 1, parts.as_ptr(), count, 0) };
        bytes.truncate(usize::try_from(read).ok().filter(|read| *read > 0)?);
        Some(bytes)
    }

    /// A terminated string of its memory.
    pub(super) fn path(self, address: u64) -> Option<PathBuf> {
        let mut bytes = self.bytes(address, LONGEST_PATH)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        Some(std::ffi::OsString::from_vec(bytes).into())
    }

    /// A word of its memory.
    pub(super) fn word(self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(address, 8)?.try_into().ok()?))
    }

    /// Where a relative path begins: its working directory, or one of its open folders.
    pub(super) fn folder(self, file: i32) -> Option<PathBuf> {
        let link = match file {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.0),
            _ => format!("/proc/{}/fd/{file}", self.0),
        };
        fs::read_link(link).ok().filter(|path| path.is_absolute())
    }

    /// Its root.
    pub(super) fn root(self) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(format!("/proc/{}/root", self.0), flags, Mode::empty()).ok()?;
        crate::image::above_streams(root).ok()
    }

    /// The name that the kernel knows it under.
    pub(super) fn name(self) -> Option<String> {
        let name = fs::read(format!("/proc/{}/comm", self.0)).ok()?;
        Some(String::from_utf8_lossy(&name).trim_end().to_owned())
    }

    /// The lines of its status.
    pub(super) fn status(self) -> Status {
        let text = fs::read(format!("/proc/{}/status", self.0)).unwrap_or_default();
        Status(String::from_utf8_lossy(&text).into_owned())
    }

    /// Does somebody listen on a port in its network namespace?
    pub(super) fn listens(self, port: u16) -> bool {
        listens(Path::new(&format!("/proc/{}/net", self.0)), port)
    }
}

/// Does somebody listen on a port, TCP or UDP, as these files say (proc_pid_net(5))?
pub(super) fn listens(folder: &Path, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    // 0A is a listening socket of TCP, 07 an open one of UDP.
    let found = |(file, state): (&str, &str)| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().is_some_and(|local| local.ends_with(&wanted));
            local && words.nth(1) == Some(state)
        })
    };
    [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")].into_iter().any(found)
}

/// The text of /proc/PID/status (proc_pid_status(5)); empty when the process is gone.
pub(super) struct Status(String);

impl Status {
    fn value(&self, name: &str) -> Option<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()
    }

    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.value(name)?.parse().ok()
    }

    pub(super) fn bits(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.value(name)?, 16).ok()
    }

    /// Nothing keeps this signal from ending it.
    pub(super) fn dies_of(&self, signal: i32) -> bool {
        let bit = 1_u64 << (signal - 1);
        ["SigBlk", "SigIgn", "SigCgt"].iter().all(|name| self.bits(name).is_some_and(|bits| bits & bit == 0))
    }

    /// It has these capabilities and no others, no way to gain one, and one filter of system calls more than we have.
    pub(super) fn is_confined(&self, capabilities: u64) -> bool {
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        let own = Caller(std::process::id().cast_signed()).status().number("Seccomp_filters");
        sets.iter().all(|set| self.bits(set) == Some(capabilities))
            && self.number("NoNewPrivs") == Some(1)
            && self.number("Seccomp") == Some(2)
            && self.number("Seccomp_filters") == own.map(|own| own + 1)
    }
}
