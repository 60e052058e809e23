//! System calls: their names, which errors make sense for each, and which are left alone.

use libc::{EACCES, EAGAIN, EBUSY, EINTR, EINVAL, EMFILE, ENOMEM, ENOSPC, ENOSYS, EPERM};

use crate::tracer::Role;

/// Names the calls of a list, by the numbers of this architecture.
macro_rules! named {
    ($($name:ident $number:ident),* $(,)?) => { [$((libc::$number, stringify!($name))),*] };
}

const NAMES: [(i64, &str); 63] = named![
    capget SYS_capget, capset SYS_capset, chdir SYS_chdir, clock_gettime SYS_clock_gettime, clone SYS_clone,
    clone3 SYS_clone3, close SYS_close, close_range SYS_close_range, dup3 SYS_dup3, execve SYS_execve,
    execveat SYS_execveat, faccessat2 SYS_faccessat2, fchdir SYS_fchdir, fcntl SYS_fcntl, fsconfig SYS_fsconfig,
    fsmount SYS_fsmount, fsopen SYS_fsopen, fstat SYS_fstat, getcwd SYS_getcwd, getdents64 SYS_getdents64,
    getpid SYS_getpid, getrandom SYS_getrandom, getsid SYS_getsid, ioctl SYS_ioctl, keyctl SYS_keyctl,
    kill SYS_kill, memfd_create SYS_memfd_create, mkdirat SYS_mkdirat, mmap SYS_mmap, mount SYS_mount,
    mount_setattr SYS_mount_setattr, move_mount SYS_move_mount, newfstatat SYS_newfstatat,
    open_tree SYS_open_tree, openat SYS_openat, openat2 SYS_openat2, pidfd_getfd SYS_pidfd_getfd,
    pidfd_open SYS_pidfd_open, pidfd_send_signal SYS_pidfd_send_signal, pipe2 SYS_pipe2,
    pivot_root SYS_pivot_root, ppoll SYS_ppoll, prctl SYS_prctl, prlimit64 SYS_prlimit64, read SYS_read,
    readlinkat SYS_readlinkat, recvfrom SYS_recvfrom, rt_sigaction SYS_rt_sigaction,
    rt_sigprocmask SYS_rt_sigprocmask, sendto SYS_sendto, setdomainname SYS_setdomainname,
    setgroups SYS_setgroups, sethostname SYS_sethostname, setresgid SYS_setresgid, setresuid SYS_setresuid,
    setsid SYS_setsid, signalfd4 SYS_signalfd4, socket SYS_socket, socketpair SYS_socketpair, statx SYS_statx,
    symlinkat SYS_symlinkat, umask SYS_umask, umount2 SYS_umount2,
];

const MORE_NAMES: [(i64, &str); 16] = named![
    uname SYS_uname, unlinkat SYS_unlinkat, wait4 SYS_wait4, waitid SYS_waitid, write SYS_write,
    getuid SYS_getuid, mknodat SYS_mknodat, landlock_create_ruleset SYS_landlock_create_ruleset,
    landlock_add_rule SYS_landlock_add_rule, landlock_restrict_self SYS_landlock_restrict_self,
    eventfd2 SYS_eventfd2, unshare SYS_unshare, sendmsg SYS_sendmsg, recvmsg SYS_recvmsg, setpgid SYS_setpgid,
    getpgid SYS_getpgid,
];

/// Calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: [(i64, &str); 6] = named![
    access SYS_access, mkdir SYS_mkdir, open SYS_open, poll SYS_poll, readlink SYS_readlink, rmdir SYS_rmdir,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: [(i64, &str); 0] = [];

/// A call's name.
pub(crate) fn name(number: i64) -> String {
    let mut names = NAMES.iter().chain(&MORE_NAMES).chain(&OLD_NAMES);
    names
        .find(|(known, _)| *known == number)
        .map_or_else(|| format!("call {number}"), |(_, name)| (*name).to_owned())
}

/// The errors that are injected, by name, as THREATS.md lists them; EBUSY is a cgroup's.
pub(crate) const ERRNOS: [(i32, &str); 10] = [
    (EPERM, "EPERM"),
    (EACCES, "EACCES"),
    (EINVAL, "EINVAL"),
    (ENOSYS, "ENOSYS"),
    (ENOMEM, "ENOMEM"),
    (ENOSPC, "ENOSPC"),
    (EMFILE, "EMFILE"),
    (EAGAIN, "EAGAIN"),
    (EINTR, "EINTR"),
    (EBUSY, "EBUSY"),
];

/// An injected error's name.
pub(crate) fn errno_name(number: i32) -> &'static str {
    ERRNOS.iter().find(|(known, _)| *known == number).map_or("another error", |(_, name)| name)
}

/// The errors that make sense for a call. EPERM and ENOSYS make sense for every one: a filter around us answers
/// with these.
pub(crate) fn errnos(number: i64) -> &'static [i32] {
    match name(number).as_str() {
        // A path is looked up.
        "openat" | "openat2" | "open" | "open_tree" => &[EPERM, EACCES, ENOSYS, ENOMEM, EMFILE, EINTR],
        "statx" | "newfstatat" | "fstat" | "readlink" | "readlinkat" | "access" | "faccessat2" | "getcwd"
        | "getdents64" | "chdir" | "fchdir" => &[EPERM, EACCES, ENOSYS, ENOMEM],
        // Something is made or mounted.
        "rmdir" => &[EPERM, EACCES, ENOSYS, ENOMEM, EBUSY],
        "mkdir" | "mkdirat" | "symlinkat" | "unlinkat" => &[EPERM, EACCES, ENOSYS, ENOMEM, ENOSPC],
        "mount" | "mount_setattr" | "move_mount" | "fsconfig" | "fsmount" | "fsopen" | "umount2"
        | "pivot_root" => &[EPERM, EACCES, EINVAL, ENOSYS, ENOMEM, ENOSPC],
        // A descriptor is made.
        "pidfd_open" | "memfd_create" | "socket" | "socketpair" | "pipe2" | "signalfd4" | "eventfd2"
        | "dup3" | "fcntl" => &[EPERM, EINVAL, ENOSYS, ENOMEM, EMFILE],
        // A process is made.
        "clone" | "clone3" => &[EPERM, EINVAL, ENOSYS, ENOMEM, ENOSPC, EAGAIN],
        "execve" | "execveat" => &[EPERM, EACCES, EINVAL, ENOSYS, ENOMEM, EAGAIN],
        // Bytes move.
        "read" | "recvfrom" | "recvmsg" | "getrandom" => {
            &[EPERM, EACCES, EINVAL, ENOSYS, ENOMEM, EAGAIN, EINTR]
        }
        "write" | "sendto" | "sendmsg" => &[EPERM, EINVAL, ENOSYS, ENOMEM, ENOSPC, EAGAIN, EINTR],
        // Somebody waits.
        "ppoll" | "poll" | "waitid" | "wait4" => &[EPERM, EINVAL, ENOSYS, ENOMEM, EINTR],
        // Privileges and limits; ids count against a limit of processes.
        "setresuid" | "setresgid" | "setgroups" => &[EPERM, EINVAL, ENOSYS, ENOMEM, EAGAIN],
        "keyctl" => &[EPERM, EACCES, EINVAL, ENOSYS, ENOMEM],
        "prctl" | "capset" | "capget" | "prlimit64" => &[EPERM, EINVAL, ENOSYS, ENOMEM],
        "close" => &[EPERM, ENOSYS, ENOSPC, EINTR],
        "close_range" => &[EPERM, EINVAL, ENOSYS, ENOMEM, EMFILE],
        _ => &[EPERM, EINVAL, ENOSYS, ENOMEM],
    }
}

/// Does it only find out what is there? The supervisor does that hundreds of times.
pub(crate) fn only_looks(number: i64) -> bool {
    let looks = ["statx", "newfstatat", "fstat", "readlink", "readlinkat", "openat", "read", "close"];
    looks.contains(&name(number).as_str())
}

/// Does its third argument say how many bytes move?
pub(crate) fn moves_bytes(number: i64) -> bool {
    [libc::SYS_read, libc::SYS_write, libc::SYS_sendto, libc::SYS_recvfrom].contains(&number)
}

/// Why nothing is injected into a call; `None` for a call that is part of the game.
pub(crate) fn left_alone(role: Role, number: i64) -> Option<&'static str> {
    let memory = [
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
    ];
    let ends = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];
    if ends.contains(&number) {
        Some("it has no answer")
    } else if role == Role::Supervisor && [libc::SYS_getpid, libc::SYS_geteuid].contains(&number) {
        Some("it has no errors (getpid(2), getuid(2)), and libraries rely on that")
    } else if role == Role::Supervisor && memory.contains(&number) {
        Some(
            "the allocator's: its number differs from run to run, and a lie here is memory that is not there",
        )
    } else {
        None
    }
}

/// A call for a person: its name, and the path or the operation where it has one.
pub(crate) fn shown(number: i64, arguments: &[u64; 6], text: impl Fn(u64) -> Option<String>) -> String {
    let name = name(number);
    let path = match name.as_str() {
        "open" | "readlink" | "access" | "chdir" | "umount2" | "mkdir" | "rmdir" => arguments.first(),
        "mount" | "openat" | "openat2" | "statx" | "newfstatat" | "readlinkat" | "faccessat2" | "mkdirat"
        | "unlinkat" | "open_tree" | "mount_setattr" => arguments.get(1),
        "symlinkat" => arguments.get(2),
        "move_mount" => arguments.get(3),
        _ => None,
    };
    match (name.as_str(), path.and_then(|address| text(*address))) {
        (_, Some(path)) => format!("{name}({path})"),
        ("prctl" | "keyctl", None) => format!("{name}({}, {})", arguments[0], arguments[1].cast_signed()),
        ("fcntl" | "close" | "read" | "write" | "prlimit64", None) => {
            format!("{name}({}, {})", arguments[0], arguments[1] & 0xffff)
        }
        _ => name,
    }
}
