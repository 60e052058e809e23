//! Numbers and structures of the kernel's interface (include/uapi/linux), as far as PID 1 needs them.
//!
//! A test compares every number with `libc`'s.
#![allow(missing_docs, non_upper_case_globals, reason = "names are the kernel's own")]

macro_rules! numbers {
    ($($name:ident = $x86:literal / $arm:literal),* $(,)?) => {
        /// System call numbers.
        pub mod nr {
            $(
                #[cfg(target_arch = "x86_64")]
                pub const $name: usize = $x86;
                #[cfg(target_arch = "aarch64")]
                pub const $name: usize = $arm;
            )*
        }
        #[cfg(test)]
        mod number_tests {
            extern crate std;
            #[test]
            fn system_call_numbers_are_libcs() {
                $(assert_eq!(super::nr::$name, usize::try_from(libc::$name).unwrap(), stringify!($name));)*
            }
        }
    };
}

numbers! {
    SYS_read = 0 / 63,
    SYS_write = 1 / 64,
    SYS_close = 3 / 57,
    SYS_mmap = 9 / 222,
    SYS_rt_sigaction = 13 / 134,
    SYS_rt_sigprocmask = 14 / 135,
    SYS_ioctl = 16 / 29,
    SYS_getpid = 39 / 172,
    SYS_socket = 41 / 198,
    SYS_sendmsg = 46 / 211,
    SYS_recvmsg = 47 / 212,
    SYS_socketpair = 53 / 199,
    SYS_clone = 56 / 220,
    SYS_execve = 59 / 221,
    SYS_exit_group = 231 / 94,
    SYS_wait4 = 61 / 260,
    SYS_kill = 62 / 129,
    SYS_uname = 63 / 160,
    SYS_fcntl = 72 / 25,
    SYS_getcwd = 79 / 17,
    SYS_chdir = 80 / 49,
    SYS_fchdir = 81 / 50,
    SYS_umask = 95 / 166,
    SYS_setpgid = 109 / 154,
    SYS_setsid = 112 / 157,
    SYS_getpgid = 121 / 155,
    SYS_pread64 = 17 / 67,
    SYS_unshare = 272 / 97,
    SYS_getsid = 124 / 156,
    SYS_setgroups = 116 / 159,
    SYS_setresuid = 117 / 147,
    SYS_setresgid = 119 / 149,
    SYS_capget = 125 / 90,
    SYS_capset = 126 / 91,
    SYS_pivot_root = 155 / 41,
    SYS_prctl = 157 / 167,
    SYS_mount = 165 / 40,
    SYS_umount2 = 166 / 39,
    SYS_sethostname = 170 / 161,
    SYS_setdomainname = 171 / 162,
    SYS_getdents64 = 217 / 61,
    SYS_clock_gettime = 228 / 113,
    SYS_keyctl = 250 / 219,
    SYS_openat = 257 / 56,
    SYS_mkdirat = 258 / 34,
    SYS_unlinkat = 263 / 35,
    SYS_symlinkat = 266 / 36,
    SYS_ppoll = 271 / 73,
    SYS_signalfd4 = 289 / 74,
    SYS_dup3 = 292 / 24,
    SYS_prlimit64 = 302 / 261,
    SYS_seccomp = 317 / 277,
    SYS_execveat = 322 / 281,
    SYS_mknodat = 259 / 33,
    SYS_landlock_create_ruleset = 444 / 444,
    SYS_landlock_add_rule = 445 / 445,
    SYS_landlock_restrict_self = 446 / 446,
    SYS_statx = 332 / 291,
    SYS_open_tree = 428 / 428,
    SYS_move_mount = 429 / 429,
    SYS_fsopen = 430 / 430,
    SYS_fsconfig = 431 / 431,
    SYS_fsmount = 432 / 432,
    SYS_pidfd_open = 434 / 434,
    SYS_clone3 = 435 / 435,
    SYS_close_range = 436 / 436,
    SYS_openat2 = 437 / 437,
    SYS_mount_setattr = 442 / 442,
    // What only the prober of `inspect` calls.
    SYS_rt_sigreturn = 15 / 139,
    SYS_shmget = 29 / 194,
    SYS_shmctl = 31 / 195,
    SYS_connect = 42 / 203,
    SYS_exit = 60 / 93,
    SYS_semget = 64 / 190,
    SYS_semctl = 66 / 191,
    SYS_msgget = 68 / 186,
    SYS_msgctl = 71 / 187,
    SYS_ptrace = 101 / 117,
    SYS_syslog = 103 / 116,
    SYS_getppid = 110 / 173,
    SYS_personality = 135 / 92,
    SYS_fstatfs = 138 / 44,
    SYS_vhangup = 153 / 58,
    SYS_sync = 162 / 81,
    SYS_fgetxattr = 193 / 10,
    SYS_restart_syscall = 219 / 128,
    SYS_mq_open = 240 / 180,
    SYS_mq_unlink = 241 / 181,
    SYS_add_key = 248 / 217,
    SYS_readlinkat = 267 / 78,
    SYS_faccessat = 269 / 48,
    SYS_perf_event_open = 298 / 241,
    SYS_process_vm_readv = 310 / 270,
    SYS_memfd_create = 319 / 279,
    SYS_bpf = 321 / 280,
    SYS_userfaultfd = 323 / 282,
    SYS_io_uring_setup = 425 / 425,
}

macro_rules! constants {
    ($($name:ident: $type:ty = $value:expr),* $(,)?) => {
        $(pub const $name: $type = $value;)*
        #[cfg(test)]
        mod constant_tests {
            extern crate std;
            #[test]
            #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
            fn constants_are_libcs() {
                // musl has the numbers of ioctl(2) signed.
                $(assert_eq!(super::$name as u64, libc::$name as $type as u64, stringify!($name));)*
            }
        }
    };
}

constants! {
    AT_FDCWD: i32 = -100,
    AT_EMPTY_PATH: u32 = 0x1000,
    AT_SYMLINK_NOFOLLOW: u32 = 0x100,
    AT_REMOVEDIR: u32 = 0x200,
    AT_RECURSIVE: u32 = 0x8000,
    O_RDONLY: u64 = 0,
    O_WRONLY: u64 = 1,
    O_RDWR: u64 = 2,
    O_ACCMODE: u64 = 3,
    O_CREAT: u64 = 0o100,
    O_EXCL: u64 = 0o200,
    O_NOCTTY: u64 = 0o400,
    O_NONBLOCK: u64 = 0o4000,
    O_CLOEXEC: u64 = 0o2_000_000,
    O_PATH: u64 = 0o10_000_000,
    RESOLVE_NO_MAGICLINKS: u64 = 0x02,
    RESOLVE_NO_SYMLINKS: u64 = 0x04,
    RESOLVE_BENEATH: u64 = 0x08,
    OPEN_TREE_CLONE: u32 = 1,
    OPEN_TREE_CLOEXEC: u32 = 0o2_000_000,
    MOVE_MOUNT_F_EMPTY_PATH: u32 = 4,
    FSOPEN_CLOEXEC: u32 = 1,
    FSMOUNT_CLOEXEC: u32 = 1,
    FSCONFIG_SET_STRING: u32 = 1,
    FSCONFIG_CMD_CREATE: u32 = 6,
    MOUNT_ATTR_RDONLY: u64 = 1,
    MOUNT_ATTR_NOSUID: u64 = 2,
    MOUNT_ATTR_NODEV: u64 = 4,
    MOUNT_ATTR_NOEXEC: u64 = 8,
    MS_RDONLY: u64 = 1,
    MS_NOSUID: u64 = 2,
    MS_NODEV: u64 = 4,
    MS_NOEXEC: u64 = 8,
    MS_PRIVATE: u64 = 1 << 18,
    MNT_DETACH: u32 = 2,
    CLONE_VM: u64 = 0x100,
    CLONE_FILES: u64 = 0x400,
    CLONE_PIDFD: u64 = 0x1000,
    CLONE_VFORK: u64 = 0x4000,
    CLONE_PARENT: u64 = 0x8000,
    CLONE_NEWNS: u64 = 0x20000,
    CLONE_NEWCGROUP: u64 = 0x0200_0000,
    CLONE_NEWUTS: u64 = 0x0400_0000,
    CLONE_NEWIPC: u64 = 0x0800_0000,
    CLONE_NEWUSER: u64 = 0x1000_0000,
    CLONE_NEWPID: u64 = 0x2000_0000,
    CLONE_NEWNET: u64 = 0x4000_0000,
    SIGKILL: i32 = 9,
    SIGTERM: i32 = 15,
    SIGCHLD: i32 = 17,
    SIGCONT: i32 = 18,
    SIGSTOP: i32 = 19,
    SIGWINCH: i32 = 28,
    SIG_SETMASK: i32 = 2,
    SFD_CLOEXEC: u32 = 0o2_000_000,
    SFD_NONBLOCK: u32 = 0o4000,
    WNOHANG: i32 = 1,
    WUNTRACED: i32 = 2,
    POLLIN: i16 = 1,
    POLLPRI: i16 = 2,
    POLLERR: i16 = 8,
    POLLHUP: i16 = 16,
    F_DUPFD_CLOEXEC: u32 = 1030,
    F_GETFD: u32 = 1,
    F_GETFL: u32 = 3,
    F_SETFD: u32 = 2,
    FD_CLOEXEC: u32 = 1,
    CLOSE_RANGE_CLOEXEC: u32 = 4,
    PROT_READ: u32 = 1,
    PROT_WRITE: u32 = 2,
    MAP_PRIVATE: u32 = 2,
    AF_UNIX: u32 = 1,
    AF_INET: u32 = 2,
    SOCK_DGRAM: u32 = 2,
    SOCK_SEQPACKET: u32 = 5,
    SOL_SOCKET: u32 = 1,
    SCM_RIGHTS: u32 = 1,
    MSG_NOSIGNAL: u32 = 0x4000,
    MSG_CMSG_CLOEXEC: u32 = 0x4000_0000,
    SECCOMP_SET_MODE_FILTER: u32 = 1,
    SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 8,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: u32 = 32,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE: u32 = 1,
    SECCOMP_IOCTL_NOTIF_RECV: u32 = 0xc050_2100,
    SECCOMP_IOCTL_NOTIF_SEND: u32 = 0xc018_2101,
    SECCOMP_IOCTL_NOTIF_ID_VALID: u32 = 0x4008_2102,
    SOCK_CLOEXEC: u32 = 0o2_000_000,
    TCGETS: u32 = 0x5401,
    TCSETS: u32 = 0x5402,
    TIOCSCTTY: u32 = 0x540e,
    TIOCGPGRP: u32 = 0x540f,
    TIOCSPGRP: u32 = 0x5410,
    TIOCGWINSZ: u32 = 0x5413,
    TIOCSWINSZ: u32 = 0x5414,
    TIOCGSID: u32 = 0x5429,
    TIOCSPTLCK: u32 = 0x4004_5431,
    TIOCGPTPEER: u32 = 0x5441,
    SIOCGIFFLAGS: u32 = 0x8913,
    SIOCSIFFLAGS: u32 = 0x8914,
    IFF_UP: i16 = 1,
    CLOCK_MONOTONIC: u32 = 1,
    PR_GET_DUMPABLE: u32 = 3,
    PR_SET_DUMPABLE: u32 = 4,
    PR_SET_NAME: u32 = 15,
    PR_CAPBSET_DROP: u32 = 24,
    PR_SET_SECUREBITS: u32 = 28,
    PR_GET_SECUREBITS: u32 = 27,
    PR_SET_NO_NEW_PRIVS: u32 = 38,
    PR_CAP_AMBIENT: u32 = 47,
    PR_CAP_AMBIENT_RAISE: u32 = 2,
    PR_CAP_AMBIENT_CLEAR_ALL: u32 = 4,
    S_IFMT: u32 = 0o170_000,
    S_IFCHR: u32 = 0o020_000,
    S_IFDIR: u32 = 0o040_000,
    EPERM: i32 = 1,
    ENOENT: i32 = 2,
    EBADF: i32 = 9,
    EINTR: i32 = 4,
    EIO: i32 = 5,
    ESRCH: i32 = 3,
    RLIMIT_CPU: u32 = 0,
    RLIMIT_DATA: u32 = 2,
    RLIMIT_NPROC: u32 = 6,
    RLIMIT_FSIZE: u32 = 1,
    RLIMIT_STACK: u32 = 3,
    RLIMIT_CORE: u32 = 4,
    RLIMIT_NOFILE: u32 = 7,
    ECHILD: i32 = 10,
    EAGAIN: i32 = 11,
    ENODEV: i32 = 19,
    EACCES: i32 = 13,
    EBADFD: i32 = 77,
    EINVAL: i32 = 22,
    ENOSYS: i32 = 38,
    EDQUOT: i32 = 122,
    ETIMEDOUT: i32 = 110,
    KEYCTL_GET_KEYRING_ID: u32 = 0,
    KEYCTL_JOIN_SESSION_KEYRING: u32 = 1,
    STATX_TYPE: u32 = 1,
    STATX_MODE: u32 = 2,
    STATX_INO: u32 = 0x100,
    STATX_SIZE: u32 = 0x200,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two 32-bit words for each set (capget(2)).
pub const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// `KEY_SPEC_SESSION_KEYRING` (keyctl(2)).
pub const KEY_SPEC_SESSION_KEYRING: i32 = -3;
/// Root's id gives nothing at an exec, and no change of ids takes a capability (SECBIT_NOROOT,
/// SECBIT_NO_SETUID_FIXUP; capabilities(7)). Not locked: the end of the set-up sets and locks all.
pub const SECUREBITS_OF_IDS: u32 = 0b0101;
/// Every secure bit that matters, locked (capabilities(7)): root's id gives nothing, no id change gives or takes
/// a capability, none is kept, none can be raised as ambient.
pub const SECUREBITS_LOCKED: u32 = 0b1110_1111;
/// The flag of a process that has forked and not yet executed (`PF_FORKNOEXEC`, include/linux/sched.h), as
/// /proc/PID/stat shows it. It is how an exec is *proven*.
pub const PF_FORKNOEXEC: u64 = 0x40;

pub mod capability {
    //! Capability numbers (include/uapi/linux/capability.h).
    pub const SETGID: u32 = 6;
    pub const SETUID: u32 = 7;
    pub const SETPCAP: u32 = 8;
    pub const NET_ADMIN: u32 = 12;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_RESOURCE: u32 = 24;
    /// What the set-up needs, and the exec of PID 1 carries over as ambient.
    pub const SETUP: [u32; 6] = [SETGID, SETUID, SETPCAP, NET_ADMIN, SYS_ADMIN, SYS_RESOURCE];
}

/// `struct termios` of the kernel (ioctl_tty(2)): modes of input, output, control and the line, the line's discipline,
/// special characters. libc's own is another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Termios {
    pub input: u32,
    pub output: u32,
    pub control: u32,
    pub local: u32,
    /// The discipline, then the characters.
    pub rest: [u8; 20],
}

/// `struct winsize` (ioctl_tty(2)): rows, columns, and two words that nobody uses.
pub type WindowSize = [u16; 4];

/// `struct open_how` (openat2(2)).
#[repr(C)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// `struct mount_attr` (mount_setattr(2)).
#[repr(C)]
#[derive(Default)]
pub struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

/// `struct clone_args` (clone3(2)), its first version with `cgroup`.
#[repr(C)]
#[derive(Default)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// clone3(2): libc's constant of that name has lost its upper half.
pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct statx` (statx(2)).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Statx {
    pub mask: u32,
    pub blksize: u32,
    pub attributes: u64,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub spare0: u16,
    pub ino: u64,
    pub size: u64,
    pub blocks: u64,
    pub attributes_mask: u64,
    pub times: [u64; 8],
    pub rdev_major: u32,
    pub rdev_minor: u32,
    pub dev_major: u32,
    pub dev_minor: u32,
    pub mnt_id: u64,
    pub spare: [u64; 13],
}

/// `struct pollfd` (poll(2)).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PollFd {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}

/// `struct timespec` on 64-bit systems.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Timespec {
    pub seconds: i64,
    pub nanoseconds: i64,
}

/// `struct rlimit64` (prlimit(2)).
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

/// `struct rusage` (getrusage(2)); times as seconds and microseconds.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Rusage {
    pub user: [i64; 2],
    pub system: [i64; 2],
    pub max_rss_kib: i64,
    pub unused: [i64; 6],
    pub blocks_read: i64,
    pub blocks_written: i64,
    pub messages: [i64; 3],
    pub voluntary: i64,
    pub forced: i64,
}

/// `struct new_utsname` (uname(2)).
#[repr(C)]
pub struct Utsname {
    pub fields: [[u8; 65]; 6],
}

/// The part of `struct ifreq` (netdevice(7)) that the flags need.
#[repr(C)]
pub struct InterfaceRequest {
    pub name: [u8; 16],
    pub flags: i16,
    pub rest: [u8; 22],
}

/// `struct msghdr` (sendmsg(2)).
#[repr(C)]
pub struct MessageHeader {
    pub name: usize,
    pub name_length: u64,
    pub parts: usize,
    pub part_count: usize,
    pub control: usize,
    pub control_length: usize,
    pub flags: u64,
}

/// `struct cmsghdr` with room for one file descriptor (cmsg(3)).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PassedFile {
    pub length: usize,
    pub level: u32,
    pub kind: u32,
    pub file: i32,
    pub padding: u32,
}

/// `struct sock_fprog` (seccomp(2)).
#[repr(C)]
pub struct FilterProgram {
    pub length: u16,
    pub instructions: usize,
}

/// `struct seccomp_notif` (seccomp_unotify(2)).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Notification {
    pub id: u64,
    pub process: u32,
    pub flags: u32,
    pub number: i32,
    pub architecture: u32,
    pub instruction_pointer: u64,
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp` (seccomp_unotify(2)).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct NotificationAnswer {
    pub id: u64,
    pub value: i64,
    pub error: i32,
    pub flags: u32,
}

#[cfg(test)]
mod layout_tests {
    extern crate std;
    use core::mem::size_of;

    #[test]
    fn structures_have_the_kernels_size() {
        assert_eq!(size_of::<super::Statx>(), size_of::<libc::statx>());
        // musl pads its own; the kernel writes this much.
        assert!(size_of::<super::Rusage>() <= size_of::<libc::rusage>());
        assert_eq!(size_of::<super::Utsname>(), size_of::<libc::utsname>());
        assert_eq!(size_of::<super::InterfaceRequest>(), size_of::<libc::ifreq>());
        assert_eq!(size_of::<super::MessageHeader>(), size_of::<libc::msghdr>());
        // SAFETY: arithmetic on a length only.
        let one_file = unsafe { libc::CMSG_SPACE(4) } as usize;
        assert_eq!(size_of::<super::PassedFile>(), one_file);
        assert_eq!(size_of::<super::FilterProgram>(), size_of::<libc::sock_fprog>());
        assert_eq!(size_of::<super::Notification>(), size_of::<libc::seccomp_notif>());
        assert_eq!(size_of::<super::NotificationAnswer>(), size_of::<libc::seccomp_notif_resp>());
        assert_eq!(size_of::<super::PollFd>(), size_of::<libc::pollfd>());
        // Without padding, so it can be compared and sent as bytes.
        assert_eq!(size_of::<super::Termios>(), 4 * 4 + 1 + 19);
        assert_eq!(size_of::<super::WindowSize>(), size_of::<libc::winsize>());
        assert_eq!(size_of::<super::CloneArgs>(), size_of::<libc::clone_args>());
        assert_eq!(
            core::mem::offset_of!(super::Statx, dev_major),
            core::mem::offset_of!(libc::statx, stx_dev_major)
        );
        assert_eq!(core::mem::offset_of!(super::Statx, ino), core::mem::offset_of!(libc::statx, stx_ino));
        assert_eq!(
            core::mem::offset_of!(super::Rusage, blocks_read),
            core::mem::offset_of!(libc::rusage, ru_inblock)
        );
        assert_eq!(
            core::mem::offset_of!(super::Rusage, forced),
            core::mem::offset_of!(libc::rusage, ru_nivcsw)
        );
    }
}
