//! Every file: opened, not asked about, because access(2) knows nothing of Landlock.
//!
//! Nothing is written, made or left: a file is opened without truncating it, a folder is asked for a file without a
//! name. Devices that do something when they are opened are told and not opened.

use core::ffi::CStr;

use crate::abi::{self, Statx, nr};
use crate::inspect::{Head, Kind, LONGEST_TEXT, NOT_TRIED, flag};
use crate::sys::{self, Fd};
use crate::tell::Prober;
use crate::{HERE, names};

/// How deep folders are walked, and for how long: what is left is said to be so.
const DEEPEST: usize = 48;
const LONGEST_NS: u64 = 12_000_000_000;

/// O_DIRECTORY, O_NOFOLLOW and O_TMPFILE's own bit (fcntl.h): they differ between the architectures.
#[cfg(target_arch = "x86_64")]
const DIRECTORY_NOFOLLOW_TMPFILE: [u64; 3] = [0o200_000, 0o400_000, 0o20_000_000];
#[cfg(target_arch = "aarch64")]
const DIRECTORY_NOFOLLOW_TMPFILE: [u64; 3] = [0o40_000, 0o100_000, 0o20_000_000];
const O_DIRECTORY: u64 = DIRECTORY_NOFOLLOW_TMPFILE[0];
const O_NOFOLLOW: u64 = DIRECTORY_NOFOLLOW_TMPFILE[1];
const O_TMPFILE: u64 = O_DIRECTORY | DIRECTORY_NOFOLLOW_TMPFILE[2];

const AT_EXECVE_CHECK: usize = 0x10000;
const X_OK: usize = 1;
const W_OK: usize = 2;
const STATX_MNT_ID: u32 = 0x1000;
const ST_NOSUID: u64 = 2;
/// Types of file systems (linux/magic.h).
const DEVPTS: u64 = 0x1cd1;
const PROC: u64 = 0x9fa0;
const SYSFS: u64 = 0x6265_6572;
const EROFS: i32 = 30;
const EOPNOTSUPP: i32 = 95;
const EISDIR: i32 = 21;

/// The bits of a mode.
const S_IFREG: u32 = 0o100_000;
const S_IFSOCK: u32 = 0o140_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFBLK: u32 = 0o060_000;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;

/// A path that grows and shrinks, always terminated.
struct Path {
    bytes: [u8; LONGEST_TEXT],
    length: usize,
}

impl Path {
    /// Goes down; `None` where that would be too long.
    fn push(&mut self, name: &[u8]) -> Option<usize> {
        let before = self.length;
        let slash = usize::from(before > 1);
        let after = before + slash + name.len();
        if after >= LONGEST_TEXT {
            return None;
        }
        if slash == 1 {
            self.bytes[before] = b'/';
        }
        self.bytes[before + slash..after].copy_from_slice(name);
        self.pop(after);
        Some(before)
    }

    fn pop(&mut self, length: usize) {
        self.length = length;
        self.bytes[length] = 0;
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

struct Walk<'a> {
    prober: &'a mut Prober,
    path: Path,
    here: Here,
    /// Mounts of which a file has answered that they are read-only; 0 is none.
    read_only: [u64; 64],
    until_ns: u64,
}

/// The folder where the walk stands.
#[derive(Clone, Copy, Default)]
struct Here {
    /// A new file can be made in it.
    makes: bool,
    mount: u64,
}

/// Regular files of one folder.
#[derive(Default)]
struct Counts {
    files: u64,
    readable: u64,
    writable: u64,
    executable: u64,
    others: u64,
}

/// Walks everything from the root.
pub(crate) fn probe(prober: &mut Prober) {
    let until_ns = sys::monotonic_ns().saturating_add(LONGEST_NS);
    let mut path = Path { bytes: [0; LONGEST_TEXT], length: 0 };
    let _it_is_short = path.push(b"/");
    let mut walk = Walk { prober, path, here: Here::default(), read_only: [0; 64], until_ns };
    walk.prober.careful = false;
    walk.folder(HERE, c"/", 0);
    walk.prober.careful = true;
}

impl Walk<'_> {
    /// A folder: each of its files, the folders below, then what it is itself.
    fn folder(&mut self, at: Fd, name: &CStr, depth: usize) {
        let unfinished = depth > DEEPEST || sys::monotonic_ns() > self.until_ns;
        let opened = if unfinished {
            Err(NOT_TRIED)
        } else {
            self.prober.open(at, name, abi::O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        };
        let mut head = Head { kind: Kind::Folder as u32, ..Head::default() };
        match opened {
            Ok(folder) => {
                let mut counts = Counts::default();
                let makes = self.makes(folder);
                let mount = self.stat(folder, c"", abi::AT_EMPTY_PATH).map_or(0, |stat| stat.mnt_id);
                let here = Here { makes: makes != 0, mount };
                head.flags = flag::READ | makes | self.files(folder, &mut counts, depth, here);
                head.numbers = [
                    counts.files | counts.readable << 32,
                    counts.writable | counts.executable << 32,
                    counts.others,
                ];
                self.prober.close(folder);
            }
            Err(errno) => {
                head.errno = errno;
                head.flags = if unfinished { flag::UNFINISHED } else { 0 };
            }
        }
        self.prober.say(head, &[self.path.get()]);
        if let Some(row) = names::secret(self.path.get()) {
            head.kind = Kind::Entry as u32;
            head.flags |= flag::FOLDER | flag::SECRET;
            head.numbers = [0, row as u64, 0];
            self.prober.say(head, &[self.path.get()]);
        }
    }

    /// Can a file be made in it?
    fn makes(&mut self, folder: Fd) -> u32 {
        match self.prober.open(folder, c".", O_TMPFILE | abi::O_RDWR) {
            Ok(file) => {
                self.prober.close(file);
                flag::WRITE
            }
            Err(EOPNOTSUPP | EISDIR | abi::EINVAL) => {
                let makes = !self.is_the_kernels(folder) && self.access(folder, c".", W_OK);
                if makes { flag::WRITE | flag::BY_BITS } else { 0 }
            }
            Err(_) => 0,
        }
    }

    /// Is it of a file system whose files are all the kernel's own?
    fn is_the_kernels(&mut self, folder: Fd) -> bool {
        self.system(folder).is_some_and(|system| [DEVPTS, PROC, SYSFS].contains(&system[0]))
    }

    /// `struct statfs`: 120 bytes, its type first, its flags the eleventh word (statfs(2)).
    fn system(&mut self, file: Fd) -> Option<[u64; 15]> {
        let mut system = [0_u64; 15];
        let address = system.as_mut_ptr() as usize;
        // SAFETY: room for the whole structure.
        let known = unsafe { self.prober.call(nr::SYS_fstatfs, [file.0 as usize, address, 0, 0, 0, 0]) };
        known.ok().map(|_| system)
    }

    fn access(&mut self, at: Fd, name: &CStr, wanted: usize) -> bool {
        let name = name.as_ptr() as usize;
        // SAFETY: `name` is terminated.
        unsafe { self.prober.call(nr::SYS_faccessat, [at.0 as usize, name, wanted, 0, 0, 0]) }.is_ok()
    }

    /// Every entry of a folder; answers flags of the folder.
    fn files(&mut self, folder: Fd, counts: &mut Counts, depth: usize, here: Here) -> u32 {
        let mut buffer = [0_u8; 1024];
        loop {
            let (address, length) = (buffer.as_mut_ptr() as usize, buffer.len());
            // SAFETY: the buffer is ours for its whole length.
            let answer = unsafe {
                self.prober.call(nr::SYS_getdents64, [folder.0 as usize, address, length, 0, 0, 0])
            };
            let Ok(length) = answer else { return flag::UNFINISHED };
            let Some(mut rest) = buffer.get(..length).filter(|rest| !rest.is_empty()) else { return 0 };
            // `struct linux_dirent64`: inode, offset, 2 bytes of length, 1 of type, then the name (getdents64(2)).
            while let Some(&[low, high]) = rest.get(16..18) {
                let size = usize::from(u16::from_le_bytes([low, high]));
                let name = rest.get(19..size).and_then(|name| CStr::from_bytes_until_nul(name).ok());
                if let Some(name) = name.filter(|name| *name != c"." && *name != c"..") {
                    self.here = here;
                    self.entry(folder, name, counts, depth);
                }
                rest = rest.get(size.max(1)..).unwrap_or_default();
            }
        }
    }

    fn entry(&mut self, folder: Fd, name: &CStr, counts: &mut Counts, depth: usize) {
        // Processes have a section of their own, and come and go.
        if self.path.get() == b"/proc" && names::number(name.to_bytes()).is_some() {
            return;
        }
        let Some(before) = self.path.push(name.to_bytes()) else { return };
        if let Some(stat) = self.stat(folder, name, abi::AT_SYMLINK_NOFOLLOW) {
            match u32::from(stat.mode) & abi::S_IFMT {
                abi::S_IFDIR => self.folder(folder, name, depth + 1),
                S_IFREG => self.regular(folder, name, &stat, counts),
                S_IFLNK => {}
                kind => {
                    counts.others += 1;
                    self.other(folder, name, &stat, kind);
                }
            }
        }
        self.path.pop(before);
    }

    fn stat(&mut self, at: Fd, name: &CStr, flags: u32) -> Option<Statx> {
        let mut stat = Statx::default();
        let mask = (abi::STATX_TYPE | abi::STATX_MODE | abi::STATX_SIZE | STATX_MNT_ID) as usize;
        let (path, answer) = (name.as_ptr() as usize, (&raw mut stat) as usize);
        let arguments = [at.0 as usize, path, flags as usize, mask, answer, 0];
        // SAFETY: `name` is terminated, `stat` has the kernel's size.
        unsafe { self.prober.call(nr::SYS_statx, arguments) }.ok().map(|_| stat)
    }

    fn opens(&mut self, folder: Fd, name: &CStr, flags: u64) -> Result<(), i32> {
        self.prober.open(folder, name, flags | O_NOFOLLOW).map(|file| self.prober.close(file))
    }

    /// A regular file: opened for reading, and for writing where its mount has not said that it is read-only.
    fn regular(&mut self, folder: Fd, name: &CStr, stat: &Statx, counts: &mut Counts) {
        let mode = u32::from(stat.mode);
        let mut flags = 0;
        if self.opens(folder, name, abi::O_RDONLY).is_ok() {
            flags |= flag::READ;
        }
        if !self.read_only.contains(&stat.mnt_id) {
            match self.opens(folder, name, abi::O_WRONLY) {
                Ok(()) => flags |= flag::WRITE,
                Err(EROFS) => self.remember(stat.mnt_id),
                Err(_) => {}
            }
        }
        if mode & 0o111 != 0 && self.executes(folder, name) {
            flags |= flag::EXECUTE;
        }
        counts.files += 1;
        counts.readable += u64::from(flags & flag::READ != 0);
        counts.writable += u64::from(flags & flag::WRITE != 0);
        counts.executable += u64::from(flags & flag::EXECUTE != 0);
        let secret = names::secret(self.path.get()).filter(|_| stat.size > 0);
        let mut marks = secret.map_or(0, |_| flag::SECRET);
        if mode & 0o111 != 0 {
            marks |= self.privileges(folder, name, mode);
        }
        if flags & flag::EXECUTE != 0 && names::tool(self.path.get()) {
            marks |= flag::TOOL;
        }
        marks |= if stat.mnt_id == self.here.mount { 0 } else { flag::MOUNTED };
        // What differs from its folder: it can be written, or cannot be read.
        let differs = !self.here.makes && flags & flag::WRITE != 0 || flags & flag::READ == 0;
        if marks != 0 || differs {
            let numbers = [u64::from(mode), secret.unwrap_or(0) as u64, stat.size];
            let head = Head { kind: Kind::Entry as u32, flags: flags | marks, numbers, ..Head::default() };
            self.prober.say(head, &[self.path.get()]);
        }
    }

    fn remember(&mut self, mount: u64) {
        if let Some(free) = self.read_only.iter_mut().find(|known| **known == 0) {
            *free = mount;
        }
    }

    /// Would the kernel execute it? Linux 6.14 can be asked for exactly that. Before, or where a filter refuses that call,
    /// the permission bits and the mount are; whether any exec passes the filter is said outside.
    fn executes(&mut self, folder: Fd, name: &CStr) -> bool {
        let nothing = [0_usize; 1];
        let (path, nothing) = (name.as_ptr() as usize, nothing.as_ptr() as usize);
        let flags = AT_EXECVE_CHECK | abi::AT_SYMLINK_NOFOLLOW as usize;
        // SAFETY: `name` is terminated, both lists are empty; nothing is executed.
        let answer = unsafe {
            self.prober.call(nr::SYS_execveat, [folder.0 as usize, path, nothing, nothing, flags, 0])
        };
        match answer {
            Ok(_) => true,
            Err(abi::EINVAL | abi::EPERM | abi::ENOSYS | NOT_TRIED) => self.access(folder, name, X_OK),
            Err(_) => false,
        }
    }

    /// setuid, setgid, file capabilities, and whether the mount takes their effect.
    fn privileges(&mut self, folder: Fd, name: &CStr, mode: u32) -> u32 {
        let mut marks = if mode & S_ISUID != 0 { flag::SETUID } else { 0 };
        if mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            marks |= flag::SETGID;
        }
        let Ok(file) = self.prober.open(folder, name, abi::O_RDONLY | O_NOFOLLOW) else { return marks };
        let mut value = [0_u8; 32];
        let (attribute, value, length) =
            (c"security.capability".as_ptr() as usize, value.as_mut_ptr() as usize, value.len());
        // SAFETY: a terminated name, and room for as many bytes as are said.
        let has =
            unsafe { self.prober.call(nr::SYS_fgetxattr, [file.0 as usize, attribute, value, length, 0, 0]) };
        marks |= if has.is_ok() { flag::CAPABILITIES } else { 0 };
        if marks != 0 && self.system(file).is_some_and(|system| system[10] & ST_NOSUID != 0) {
            marks |= flag::NOSUID;
        }
        self.prober.close(file);
        marks
    }

    /// A device, a socket, a FIFO.
    fn other(&mut self, folder: Fd, name: &CStr, stat: &Statx, kind: u32) {
        let device = u64::from(stat.rdev_major) << 32 | u64::from(stat.rdev_minor);
        let mut head =
            Head { kind: Kind::Entry as u32, numbers: [u64::from(stat.mode), device, 0], ..Head::default() };
        match kind {
            S_IFSOCK => {
                head.flags = flag::SOCKET;
                match crate::network::connect_to_path(self.prober, folder, name) {
                    Ok(()) => head.flags |= flag::ANSWERS,
                    Err(errno) => head.errno = errno,
                }
            }
            S_IFIFO => {
                head.flags = flag::FIFO;
                // Both ways at once never waits, and nobody sees a writer come and go alone.
                match self.opens(folder, name, abi::O_RDWR) {
                    Ok(()) => head.flags |= flag::READ | flag::WRITE,
                    Err(errno) => head.errno = errno,
                }
            }
            abi::S_IFCHR | S_IFBLK if acts_when_opened(name.to_bytes()) => {
                head.flags = flag::DEVICE | flag::NOT_OPENED;
            }
            abi::S_IFCHR | S_IFBLK => {
                head.flags = flag::DEVICE;
                match self.opens(folder, name, abi::O_RDONLY) {
                    Ok(()) => head.flags |= flag::READ,
                    Err(errno) => head.errno = errno,
                }
                if self.opens(folder, name, abi::O_WRONLY).is_ok() {
                    head.flags |= flag::WRITE;
                }
            }
            _ => return,
        }
        self.prober.say(head, &[self.path.get()]);
    }
}

/// Devices whose opening or closing does something: a watchdog that is opened and closed restarts the machine, a tape
/// rewinds.
fn acts_when_opened(name: &[u8]) -> bool {
    [&b"watchdog"[..], b"st", b"nst", b"lp"]
        .iter()
        .any(|start| name.strip_prefix(*start).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit)))
}
