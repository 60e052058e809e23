//! System calls for places where no library may be called: PID 1, and the child between clone and exec.
//!
//! Nothing here allocates, takes a lock, touches thread-local storage or sets `errno`.

use core::ffi::CStr;

use crate::abi::{self, nr};
use crate::wire::fault::MISMATCH;

/// An error number of the kernel, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// An open file descriptor, by number: who closes it is decided by the flow, not by a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

/// What a system call answers.
pub type Result<T> = core::result::Result<T, Errno>;

/// One system call with six arguments.
///
/// # Safety
/// The arguments must be what the kernel expects of call `number`: every pointer among them valid for what
/// the kernel reads or writes through it.
#[inline(always)]
unsafe fn raw(number: usize, a: [usize; 6]) -> usize {
    let answer: usize;
    // SAFETY: the caller vouches for the arguments; the clobbers are those of the architecture's convention.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number => answer,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            out("rcx") _, out("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("svc 0", in("x8") number, inlateout("x0") a[0] => answer,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer
}

fn check(answer: usize) -> Result<usize> {
    let signed = answer.cast_signed();
    if (-4095..0).contains(&signed) { Err(Errno(-(signed as i32))) } else { Ok(answer) }
}

/// Makes a checked call. `unsafe`: see [`raw`].
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {{
        let mut arguments = [0_usize; 6];
        let given = [$($argument as usize),*];
        arguments[..given.len()].copy_from_slice(&given);
        check(raw($number, arguments))
    }};
}

#[path = "sys/any.rs"]
mod any;
#[path = "sys/landlock.rs"]
pub mod landlock;
#[path = "sys/mount.rs"]
mod mount;
#[path = "sys/seccomp.rs"]
mod seccomp;
#[path = "sys/tty.rs"]
mod tty;

pub use any::any;
pub use mount::*;
pub use seccomp::*;
pub use tty::*;

/// A descriptor that the kernel has just given us: everything here is opened close-on-exec. A call that was skipped
/// answers 0, which is a stream of the program's or of the caller's, and was not made by us.
fn fresh(answer: usize) -> Result<Fd> {
    let file = Fd(answer as i32);
    if answer < 3 && descriptor_flags(file)? & abi::FD_CLOEXEC == 0 {
        return Err(Errno(MISMATCH));
    }
    Ok(file)
}

/// read(2).
pub fn read(from: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is ours for its whole length.
    unsafe { call!(nr::SYS_read, from.0, buffer.as_mut_ptr(), buffer.len()) }
}

/// pread(2) from the start of a file.
pub fn read_at_start(from: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: room for as many bytes as are asked for.
    unsafe { call!(nr::SYS_pread64, from.0, buffer.as_mut_ptr(), buffer.len(), 0) }
}

/// write(2).
pub fn write(to: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the bytes are readable for their whole length.
    unsafe { call!(nr::SYS_write, to.0, bytes.as_ptr(), bytes.len()) }
}

/// close(2).
pub fn close(file: Fd) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_close, file.0) }.map(drop)
}

/// openat(2).
pub fn openat(at: Fd, path: &CStr, flags: u64, mode: u32) -> Result<Fd> {
    // SAFETY: `path` is a terminated string.
    unsafe { call!(nr::SYS_openat, at.0, path.as_ptr(), flags, mode) }.and_then(fresh)
}

/// openat2(2).
pub fn openat2(at: Fd, path: &CStr, flags: u64, resolve: u64) -> Result<Fd> {
    let how = abi::OpenHow { flags, mode: 0, resolve };
    // SAFETY: `path` is terminated, `how` is a whole structure of the size given.
    unsafe { call!(nr::SYS_openat2, at.0, path.as_ptr(), &raw const how, size_of::<abi::OpenHow>()) }
        .and_then(fresh)
}

/// statx(2) of type, mode, inode, size and device.
pub fn statx(at: Fd, path: &CStr, flags: u32) -> Result<abi::Statx> {
    let mut answer = abi::Statx::default();
    let mask = abi::STATX_TYPE | abi::STATX_MODE | abi::STATX_INO | abi::STATX_SIZE;
    // SAFETY: `path` is terminated, `answer` has the kernel's size.
    unsafe { call!(nr::SYS_statx, at.0, path.as_ptr(), flags, mask, &raw mut answer) }?;
    // A call that was skipped, or a file system that does not know, left it empty: no type is a wrong answer.
    let told = answer.mask & mask == mask && answer.mode != 0;
    if told { Ok(answer) } else { Err(Errno(MISMATCH)) }
}

/// mkdirat(2), relative to the working directory.
pub fn mkdir(path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_mkdirat, abi::AT_FDCWD, path.as_ptr(), mode) }.map(drop)
}

/// mknodat(2) of the null device: refused, one way or another, to whoever has no capability on the host.
pub fn make_null_device(path: &CStr) -> Result<()> {
    let device = 1 << 8 | 3;
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_mknodat, abi::AT_FDCWD, path.as_ptr(), abi::S_IFCHR, device) }.map(drop)
}

/// symlinkat(2), relative to the working directory.
pub fn symlink(target: &CStr, path: &CStr) -> Result<()> {
    // SAFETY: both are terminated.
    unsafe { call!(nr::SYS_symlinkat, target.as_ptr(), abi::AT_FDCWD, path.as_ptr()) }.map(drop)
}

/// unlinkat(2), relative to the working directory.
pub fn remove(path: &CStr, folder: bool) -> Result<()> {
    let flags = if folder { abi::AT_REMOVEDIR } else { 0 };
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_unlinkat, abi::AT_FDCWD, path.as_ptr(), flags) }.map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: no pointers; it cannot fail.
    let _always_succeeds = unsafe { call!(nr::SYS_umask, mask) };
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is terminated.
    unsafe { call!(nr::SYS_chdir, path.as_ptr()) }.map(drop)
}

/// fchdir(2).
pub fn fchdir(directory: Fd) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fchdir, directory.0) }.map(drop)
}

/// getcwd(2): the length with the terminating NUL.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is ours for its whole length.
    unsafe { call!(nr::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) }
}

/// getdents64(2).
pub fn getdents(directory: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is ours for its whole length.
    unsafe { call!(nr::SYS_getdents64, directory.0, buffer.as_mut_ptr(), buffer.len()) }
}

/// dup3(2) without close-on-exec.
pub fn dup_onto(from: Fd, to: Fd) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_dup3, from.0, to.0, 0) }.map(drop)
}

/// fcntl(2) `F_DUPFD_CLOEXEC`: a second descriptor, not below `lowest`.
pub fn duplicate_above(file: Fd, lowest: u32) -> Result<Fd> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fcntl, file.0, abi::F_DUPFD_CLOEXEC, lowest) }.and_then(fresh)
}

/// socketpair(2) of a local socket that keeps messages apart, close-on-exec.
pub fn socket_pair() -> Result<(Fd, Fd)> {
    // A kernel that says yes and does nothing leaves what cannot be used.
    let mut ends = [-1_i32; 2];
    let kind = abi::SOCK_SEQPACKET | abi::SOCK_CLOEXEC;
    // SAFETY: room for two numbers.
    unsafe { call!(nr::SYS_socketpair, abi::AF_UNIX, kind, 0, ends.as_mut_ptr()) }?;
    if ends.contains(&-1) { Err(Errno(MISMATCH)) } else { Ok((Fd(ends[0]), Fd(ends[1]))) }
}

/// The message that `part` and `passed` make; both must outlive its use.
fn message(part: &[usize; 2], passed: Option<&mut abi::PassedFile>) -> abi::MessageHeader {
    let control_length = if passed.is_some() { size_of::<abi::PassedFile>() } else { 0 };
    let control = passed.map_or(0, |passed| core::ptr::from_mut(passed) as usize);
    let parts = core::ptr::from_ref(part) as usize;
    abi::MessageHeader { name: 0, name_length: 0, parts, part_count: 1, control, control_length, flags: 0 }
}

/// sendmsg(2) of bytes, with an open file when there is one (unix(7), `SCM_RIGHTS`).
pub fn send(to: Fd, bytes: &[u8], file: Option<Fd>) -> Result<usize> {
    let part = [bytes.as_ptr() as usize, bytes.len()];
    let length = core::mem::offset_of!(abi::PassedFile, padding);
    let (level, kind) = (abi::SOL_SOCKET, abi::SCM_RIGHTS);
    let mut passed = file.map(|file| abi::PassedFile { length, level, kind, file: file.0, padding: 0 });
    let header = message(&part, passed.as_mut());
    // SAFETY: the header points to one part and at most one control message, alive in this frame.
    unsafe { call!(nr::SYS_sendmsg, to.0, &raw const header, abi::MSG_NOSIGNAL) }
}

/// recvmsg(2) of bytes, and the open file that came with them.
pub fn receive(from: Fd, buffer: &mut [u8]) -> Result<(usize, Option<Fd>)> {
    let part = [buffer.as_mut_ptr() as usize, buffer.len()];
    let mut passed = abi::PassedFile { file: -1, ..abi::PassedFile::default() };
    let mut header = message(&part, Some(&mut passed));
    // SAFETY: as in `send`; the kernel writes no more than the lengths allow.
    let length = unsafe { call!(nr::SYS_recvmsg, from.0, &raw mut header, abi::MSG_CMSG_CLOEXEC) }?;
    // SAFETY: initialised above, alive, written by nobody now; read anew because the kernel wrote it.
    let passed = unsafe { core::ptr::read_volatile(&raw const passed) };
    let came = passed.level == abi::SOL_SOCKET && passed.kind == abi::SCM_RIGHTS && passed.file >= 0;
    Ok((length, came.then_some(Fd(passed.file))))
}

/// fcntl(2) `F_GETFD`.
pub fn descriptor_flags(file: Fd) -> Result<u32> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fcntl, file.0, abi::F_GETFD) }.map(|flags| flags as u32)
}

/// fcntl(2) `F_GETFL`: how a file is open.
pub fn status_flags(file: Fd) -> Result<u64> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fcntl, file.0, abi::F_GETFL) }.map(|flags| flags as u64)
}

/// fcntl(2) `F_SETFD`: zero keeps the file open across exec.
pub fn set_descriptor_flags(file: Fd, flags: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_fcntl, file.0, abi::F_SETFD, flags) }.map(drop)
}

/// close_range(2).
pub fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_close_range, first, last, flags) }.map(drop)
}

/// mmap(2) of a whole file, private and writable. Answers the address.
pub fn map_private(file: Fd, length: usize) -> Result<usize> {
    let protection = abi::PROT_READ | abi::PROT_WRITE;
    // SAFETY: the kernel picks an address that nothing uses.
    unsafe { call!(nr::SYS_mmap, 0, length, protection, abi::MAP_PRIVATE, file.0, 0) }
}

/// ioctl(2) on an interface request.
pub fn interface_ioctl(socket: Fd, operation: u32, request: &mut abi::InterfaceRequest) -> Result<()> {
    // SAFETY: both operations read and write one `struct ifreq`.
    unsafe { call!(nr::SYS_ioctl, socket.0, operation, core::ptr::from_mut(request)) }.map(drop)
}

/// socket(2).
pub fn socket(family: u32, kind: u32) -> Result<Fd> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_socket, family, kind, 0) }.and_then(fresh)
}

/// sethostname(2).
pub fn sethostname(name: &[u8]) -> Result<()> {
    // SAFETY: readable for its whole length.
    unsafe { call!(nr::SYS_sethostname, name.as_ptr(), name.len()) }.map(drop)
}

/// setdomainname(2).
pub fn setdomainname(name: &[u8]) -> Result<()> {
    // SAFETY: readable for its whole length.
    unsafe { call!(nr::SYS_setdomainname, name.as_ptr(), name.len()) }.map(drop)
}

/// uname(2).
pub fn uname() -> Result<abi::Utsname> {
    let mut names = abi::Utsname { fields: [[0; 65]; 6] };
    // SAFETY: the kernel's own structure.
    unsafe { call!(nr::SYS_uname, &raw mut names) }?;
    Ok(names)
}

/// keyctl(2) with two plain arguments.
pub fn keyctl(operation: u32, a: i32, b: i32) -> Result<usize> {
    // SAFETY: used only for operations whose arguments are numbers or a null name.
    unsafe { call!(nr::SYS_keyctl, operation, a, b) }
}

/// prctl(2) with plain arguments.
pub fn prctl(operation: u32, a: usize, b: usize) -> Result<usize> {
    // SAFETY: used only for operations whose arguments are numbers.
    unsafe { call!(nr::SYS_prctl, operation, a, b, 0, 0) }
}

/// prctl(2) `PR_SET_NAME`.
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: `name` is terminated.
    unsafe { call!(nr::SYS_prctl, abi::PR_SET_NAME, name.as_ptr()) }.map(drop)
}

/// The three capability sets of capget(2), one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySets {
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// May pass an exec.
    pub inheritable: u64,
}

/// capget(2) of this process.
pub fn capget() -> Result<CapabilitySets> {
    let header = [abi::CAPABILITY_VERSION_3, 0];
    let mut words = [0_u32; 6];
    // SAFETY: version 3 writes two structures of three words.
    unsafe { call!(nr::SYS_capget, header.as_ptr(), words.as_mut_ptr()) }?;
    let set = |i: usize| u64::from(words[i]) | u64::from(words[i + 3]) << 32;
    Ok(CapabilitySets { effective: set(0), permitted: set(1), inheritable: set(2) })
}

/// capset(2) of this process.
pub fn capset(sets: CapabilitySets) -> Result<()> {
    let header = [abi::CAPABILITY_VERSION_3, 0];
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let (e, p, i) = (sets.effective, sets.permitted, sets.inheritable);
    let words = [low(e), low(p), low(i), high(e), high(p), high(i)];
    // SAFETY: version 3 reads two structures of three words.
    unsafe { call!(nr::SYS_capset, header.as_ptr(), words.as_ptr()) }.map(drop)
}

/// setgroups(2) to none.
pub fn drop_groups() -> Result<()> {
    // SAFETY: a length of zero reads nothing.
    unsafe { call!(nr::SYS_setgroups, 0, 0) }.map(drop)
}

/// setresgid(2).
pub fn setresgid(id: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_setresgid, id, id, id) }.map(drop)
}

/// setresuid(2).
pub fn setresuid(id: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_setresuid, id, id, id) }.map(drop)
}

/// prlimit(2) of this process: sets a limit, answers the one before.
pub fn prlimit(resource: u32, new: Option<&abi::Rlimit>) -> Result<abi::Rlimit> {
    // An answer that the kernel never gives: the soft limit is not above the hard one.
    let mut old = abi::Rlimit { soft: 1, hard: 0 };
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: both are null or whole structures.
    unsafe { call!(nr::SYS_prlimit64, 0, resource, new, &raw mut old) }?;
    if old.soft > old.hard { Err(Errno(MISMATCH)) } else { Ok(old) }
}

/// unshare(2).
pub fn unshare(flags: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_unshare, flags) }.map(drop)
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_setsid) }.map(drop)
}

/// setpgid(2): this process leads a group of its own.
pub fn lead_group() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_setpgid, 0, 0) }.map(drop)
}

/// getpgid(2) of this process.
pub fn group() -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_getpgid, 0) }.map(|id| id as i32)
}

/// getsid(2) of this process.
pub fn getsid() -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_getsid, 0) }.map(|id| id as i32)
}

/// getpid(2).
pub fn getpid() -> i32 {
    // SAFETY: no pointers; it cannot fail.
    unsafe { call!(nr::SYS_getpid) }.map_or(0, |id| id as i32)
}

/// rt_sigprocmask(2): replaces the set of blocked signals, answers the one before.
pub fn set_signal_mask(mask: u64) -> Result<u64> {
    // An answer that the kernel never gives: SIGKILL cannot be blocked.
    const UNTOUCHED: u64 = u64::MAX;
    let mut old = UNTOUCHED;
    // SAFETY: the kernel's signal set is eight bytes.
    unsafe { call!(nr::SYS_rt_sigprocmask, abi::SIG_SETMASK, &raw const mask, &raw mut old, 8) }?;
    if old == UNTOUCHED { Err(Errno(MISMATCH)) } else { Ok(old) }
}

/// rt_sigaction(2): the default action for a signal.
pub fn reset_signal(signal: u32) -> Result<()> {
    // The kernel's `struct sigaction`: handler, flags, restorer (x86_64), mask. All zero is the default.
    let default = [0_u64; 4];
    // SAFETY: at least the kernel's size, all zero; no handler is installed.
    unsafe { call!(nr::SYS_rt_sigaction, signal, default.as_ptr(), 0, 8) }.map(drop)
}

/// signalfd4(2) for a new descriptor that never blocks.
pub fn signalfd(mask: u64) -> Result<Fd> {
    let flags = abi::SFD_CLOEXEC | abi::SFD_NONBLOCK;
    // SAFETY: the kernel's signal set is eight bytes.
    unsafe { call!(nr::SYS_signalfd4, -1_isize, &raw const mask, 8, flags) }.and_then(fresh)
}

/// clone(2) as fork: a copy of this process. Answers `None` in the child.
///
/// Only for PID 1, which has one thread and shares no memory.
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: no flags, so nothing is shared and the child goes on with a copy of this stack.
    let child = unsafe { call!(nr::SYS_clone, abi::SIGCHLD, 0, 0, 0, 0) }?;
    Ok((child != 0).then_some(child as i32))
}

/// clone(2) of a sibling that has this process' table of files, and nothing else of it. Answers false in that sibling.
///
/// As [`fork`].
pub fn fork_with_files() -> Result<bool> {
    let flags = abi::CLONE_FILES | abi::CLONE_PARENT | u64::from(abi::SIGCHLD.unsigned_abs());
    // SAFETY: memory is not shared: the child goes on with a copy of this stack. Both know that the files are.
    let child = unsafe { call!(nr::SYS_clone, flags, 0, 0, 0, 0) }?;
    Ok(child != 0)
}

/// execve(2). Returns only when it failed.
///
/// # Safety
/// `arguments` and `environment` must be arrays of pointers to terminated strings, ended by a null pointer.
pub unsafe fn execve(path: &CStr, arguments: *const usize, environment: *const usize) -> Errno {
    // SAFETY: `path` is terminated; the caller vouches for the arrays.
    match unsafe { call!(nr::SYS_execve, path.as_ptr(), arguments, environment) } {
        Ok(_) => Errno(0),
        Err(errno) => errno,
    }
}

/// execveat(2) of an open file. Returns only when it failed.
///
/// # Safety
/// As [`execve`].
pub unsafe fn execveat(file: Fd, arguments: *const usize, environment: *const usize) -> Errno {
    let flags = abi::AT_EMPTY_PATH;
    // SAFETY: the path is empty; the caller vouches for the arrays.
    match unsafe { call!(nr::SYS_execveat, file.0, c"".as_ptr(), arguments, environment, flags) } {
        Ok(_) => Errno(0),
        Err(errno) => errno,
    }
}

/// pidfd_open(2).
pub fn pidfd_open(process: i32) -> Result<Fd> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_pidfd_open, process, 0) }.and_then(fresh)
}

/// kill(2).
pub fn kill(process: i32, signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call!(nr::SYS_kill, process, signal) }.map(drop)
}

/// wait4(2) for any child, without blocking: process, status, what it and its waited-for children used.
pub fn reap() -> Result<Option<(i32, i32, abi::Rusage)>> {
    wait(abi::WNOHANG)
}

/// The same, and for any child that a signal has just stopped.
pub fn reap_or_see_stopped() -> Result<Option<(i32, i32, abi::Rusage)>> {
    wait(abi::WNOHANG | abi::WUNTRACED)
}

fn wait(options: i32) -> Result<Option<(i32, i32, abi::Rusage)>> {
    let (mut status, mut usage) = (0_i32, abi::Rusage::default());
    // SAFETY: room for one status and one structure.
    let child = unsafe { call!(nr::SYS_wait4, -1_isize, &raw mut status, options, &raw mut usage) }?;
    Ok((child != 0).then_some((child as i32, status, usage)))
}

/// ppoll(2); `None` waits for ever. No file is ready when the time has passed, and never before.
pub fn poll(files: &mut [abi::PollFd], timeout: Option<abi::Timespec>) -> Result<usize> {
    let wait_ns = timeout.map_or(u64::MAX, |time| {
        time.seconds
            .cast_unsigned()
            .saturating_mul(1_000_000_000)
            .saturating_add(time.nanoseconds.cast_unsigned())
    });
    let begun_ns = if timeout.is_some() && wait_ns > 0 { monotonic_ns() } else { 0 };
    let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: a slice of structures, a null or whole time, no signal mask.
    let ready = unsafe { call!(nr::SYS_ppoll, files.as_mut_ptr(), files.len(), timeout, 0, 8) }?;
    // A poll that was skipped would be asked again and again.
    let early = ready == 0 && wait_ns != 0 && monotonic_ns().saturating_sub(begun_ns) < wait_ns;
    if early { Err(Errno(MISMATCH)) } else { Ok(ready) }
}

/// clock_gettime(2) `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut now = abi::Timespec::default();
    // SAFETY: room for one time; this clock always exists.
    let _always_succeeds = unsafe { call!(nr::SYS_clock_gettime, abi::CLOCK_MONOTONIC, &raw mut now) };
    now.seconds.cast_unsigned() * 1_000_000_000 + now.nanoseconds.cast_unsigned()
}

/// exit_group(2).
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers; it does not return.
        let _never_returns = unsafe { call!(nr::SYS_exit_group, status) };
    }
}

/// clone3(2), or clone(2) where that is missing, onto a stack of its own: the child calls `entry(argument)`.
///
/// # Safety
/// `stack` is the top of a stack that only the child uses, aligned to 16 bytes, `stack_size` bytes deep.
/// `entry` must never return. With `CLONE_VM` the child shares memory: it may only make system calls and
/// write what `argument` points to, and `argument` must live until the child has executed or exited.
pub unsafe fn clone_onto(
    arguments: &abi::CloneArgs,
    entry: unsafe extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<usize> {
    let size = size_of::<abi::CloneArgs>();
    // The older call would leave the child outside, and not say so.
    let into_cgroup = arguments.flags & abi::CLONE_INTO_CGROUP != 0;
    let top = arguments.stack + arguments.stack_size;
    let answer: usize;
    // A zero on the old stack is no child but a call that was faked (a filter can answer 0): -EPROTO then.
    // SAFETY: the child starts on its own stack and never returns into this frame.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f", "cmp rsp, r14", "jne 3f",
            "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "3:", "mov rax, -71", "2:",
            inlateout("rax") nr::SYS_clone3 => answer,
            in("rdi") core::ptr::from_ref(arguments), in("rsi") size,
            in("r12") argument, in("r13") entry, in("r14") top,
            out("rcx") _, out("r11") _);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "svc 0", "cbnz x0, 2f", "mov x9, sp", "cmp x9, x22", "b.ne 3f",
            "mov x29, xzr", "mov x30, xzr", "mov x0, x20", "blr x21", "brk 1", "3:", "mov x0, #-71", "2:",
            in("x8") nr::SYS_clone3, inlateout("x0") core::ptr::from_ref(arguments) => answer, in("x1") size,
            in("x20") argument, in("x21") entry, in("x22") top, out("x9") _, out("x30") _);
    }
    match check(answer) {
        // SAFETY: the same promises.
        Err(Errno(abi::ENOSYS)) if !into_cgroup => unsafe { old_clone_onto(arguments, entry, argument) },
        other => other,
    }
}

/// clone(2) for hosts that filter clone3 away.
///
/// # Safety
/// As [`clone_onto`].
unsafe fn old_clone_onto(
    arguments: &abi::CloneArgs,
    entry: unsafe extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<usize> {
    let flags = arguments.flags | arguments.exit_signal;
    let top = arguments.stack + arguments.stack_size;
    let answer: usize;
    // SAFETY: the child starts on its own stack and never returns into this frame; clone(2) writes the pidfd
    // to its third argument.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f", "cmp rsp, r14", "jne 3f",
            "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "3:", "mov rax, -71", "2:",
            inlateout("rax") nr::SYS_clone => answer,
            in("rdi") flags, in("rsi") top, in("rdx") arguments.pidfd, in("r10") 0, in("r8") 0,
            in("r12") argument, in("r13") entry, in("r14") top,
            out("rcx") _, out("r11") _);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "svc 0", "cbnz x0, 2f", "mov x9, sp", "cmp x9, x22", "b.ne 3f",
            "mov x29, xzr", "mov x30, xzr", "mov x0, x20", "blr x21", "brk 1", "3:", "mov x0, #-71", "2:",
            in("x8") nr::SYS_clone, inlateout("x0") flags => answer, in("x1") top,
            in("x2") arguments.pidfd, in("x3") 0, in("x4") 0,
            in("x20") argument, in("x21") entry, in("x22") top, out("x9") _, out("x30") _);
    }
    check(answer)
}
