//! The prober's own state as the kernel tells it, and other processes.

use core::ffi::CStr;

use crate::abi::{self, nr};
use crate::inspect::{Head, Kind, flag};
use crate::sys::Fd;
use crate::tell::Prober;
use crate::{HERE, names};

/// The resources that a limit can be on (getrlimit(2)), and one more: a kernel that has it says so.
const RESOURCES: usize = 17;

/// More than the number of any file that the caller can pass.
const FILES: usize = 1024;

/// The most that is said of a file of /proc.
const LONGEST_FILE: usize = 1 << 20;

/// Its status, its limits, its environment, its files.
///
/// # Safety
/// `environment` is a list of pointers to terminated strings, ended by a null pointer.
pub(crate) unsafe fn probe(prober: &mut Prober, environment: *const usize) {
    text(prober, c"/proc/self/status");
    for resource in 0..RESOURCES {
        let mut limit = [0_u64; 2];
        let address = limit.as_mut_ptr() as usize;
        // SAFETY: nothing is set; room for one structure of two words.
        let answer = unsafe { prober.call(nr::SYS_prlimit64, [0, resource, 0, address, 0, 0]) };
        if answer.is_ok() {
            prober.mark(Kind::Limit, [resource as u64, limit[0], limit[1]]);
        }
    }
    for place in 0.. {
        // SAFETY: the loop ends at the list's null.
        let variable = unsafe { *environment.add(place) } as *const u8;
        if variable.is_null() {
            break;
        }
        let mut name = [0_u8; 256];
        let mut length = 0;
        while length < name.len() {
            // SAFETY: the loop ends at the string's NUL.
            let byte = unsafe { *variable.add(length) };
            if matches!(byte, 0 | b'=') {
                break;
            }
            name[length] = byte;
            length += 1;
        }
        let name = &name[..length];
        prober.say(Head { kind: Kind::Variable as u32, ..Head::default() }, &[name]);
    }
    for file in 3..FILES {
        if file != prober.telling()
            && prober.plain(nr::SYS_fcntl, [file, abi::F_GETFD as usize, 0, 0, 0, 0]).is_ok()
        {
            prober.mark(Kind::Open, [file as u64, 0, 0]);
        }
    }
    terminal(prober);
}

/// Is there one that controls it?
fn terminal(prober: &mut Prober) {
    let answer = prober.open(HERE, c"/dev/tty", abi::O_RDWR);
    if let Ok(file) = answer {
        prober.close(file);
    }
    prober.said("terminal", answer.map(|_| 0));
}

/// Says a file of /proc, in pieces.
pub(crate) fn text(prober: &mut Prober, path: &CStr) {
    let Ok(file) = prober.open(HERE, path, abi::O_RDONLY) else { return };
    let mut buffer = [0_u8; 2048];
    let mut said = 0;
    while let Ok(length) = prober.read(file, &mut buffer) {
        if length == 0 || said > LONGEST_FILE {
            break;
        }
        said += length;
        let head = Head { kind: Kind::Text as u32, ..Head::default() };
        prober.say(head, &[path.to_bytes_with_nul(), &buffer[..length]]);
    }
    prober.close(file);
}

/// What other processes /proc shows, and what can be done to them.
pub(crate) fn processes(prober: &mut Prober) {
    let own = prober.plain(nr::SYS_getpid, [0; 6]).unwrap_or(0);
    let Ok(folder) = prober.open(HERE, c"/proc", abi::O_RDONLY) else {
        prober.said("proc", Err(abi::ENOENT));
        return;
    };
    let mut buffer = [0_u8; 1024];
    loop {
        let (address, length) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the buffer is ours for its whole length.
        let answer =
            unsafe { prober.call(nr::SYS_getdents64, [folder.0 as usize, address, length, 0, 0, 0]) };
        let Some(mut rest) = answer.ok().and_then(|length| buffer.get(..length)) else { break };
        if rest.is_empty() {
            break;
        }
        // `struct linux_dirent64` (getdents64(2)).
        while let Some(&[low, high]) = rest.get(16..18) {
            let size = usize::from(u16::from_le_bytes([low, high]));
            let name = rest.get(19..size).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            if let Some(number) = name.and_then(|name| names::number(name.to_bytes())) {
                process(prober, folder, number, number == own);
            }
            rest = rest.get(size.max(1)..).unwrap_or_default();
        }
    }
    prober.close(folder);
}

/// The null signal, and a byte of its memory that is not there: the kernel asks first whether it may be read.
fn process(prober: &mut Prober, proc: Fd, number: usize, own: bool) {
    // The prober itself, and its process for this section.
    if own || prober.is_forked() && prober.plain(nr::SYS_getppid, [0; 6]) == Ok(number) {
        return;
    }
    let mut flags = 0;
    if prober.plain(nr::SYS_kill, [number, 0, 0, 0, 0, 0]).is_ok() {
        flags |= flag::WRITE;
    }
    let mut byte = 0_u8;
    let (local, remote) = ([(&raw mut byte) as usize, 1], [0_usize, 1]);
    let (local, remote) = (local.as_ptr() as usize, remote.as_ptr() as usize);
    // SAFETY: one part each: a byte of ours, and address 0 of the other process, of which nothing is read.
    let answer = unsafe { prober.call(nr::SYS_process_vm_readv, [number, local, 1, remote, 1, 0]) };
    if matches!(answer, Ok(_) | Err(EFAULT)) {
        flags |= flag::READ;
    }
    let head = Head { kind: Kind::Process as u32, flags, numbers: [number as u64, 0, 0], ..Head::default() };
    let mut path = [0_u8; 32];
    let mut name = [0_u8; 64];
    let length = read_of(prober, proc, number, b"/comm", &mut path, &mut name);
    let name = &name[..length];
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    prober.say(head, &[name]);
}

const EFAULT: i32 = 14;

/// Reads a file of a process; the bytes that were read.
fn read_of(
    prober: &mut Prober,
    proc: Fd,
    number: usize,
    file: &[u8],
    path: &mut [u8; 32],
    into: &mut [u8],
) -> usize {
    let mut digits = [0_u8; 10];
    let mut first = digits.len();
    let mut rest = number;
    while first > 0 && (rest > 0 || first == digits.len()) {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = &digits[first..];
    path[..digits.len()].copy_from_slice(digits);
    path[digits.len()..digits.len() + file.len()].copy_from_slice(file);
    let Ok(path) = CStr::from_bytes_until_nul(path) else { return 0 };
    let Ok(file) = prober.open(proc, path, abi::O_RDONLY) else { return 0 };
    let length = prober.read(file, into).unwrap_or(0);
    prober.close(file);
    length.min(into.len())
}
