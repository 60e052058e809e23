//! Every system call of Linux up to 6.18: its numbers, and how wide the kernel reads its arguments.
//!
//! Numbers are those of `syscall_64.tbl` (x86_64) and `scripts/syscall.tbl` (aarch64, which also has `renameat`,
//! the old `rlimit` calls and `memfd_secret`). Widths are those of the prototypes that a 6.18 kernel reports in
//! `events/syscalls/*/format`, and of the sources for the few calls that it does not trace.
//! Three arguments are declared wide and read narrow: the flags of `clone` (`lower_32_bits`), the process of `ptrace`
//! and the file of `mmap`. A call that no supported kernel implements has no arguments.

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// One letter for each argument: `s` 16 bits, `i` 32 bits, `l` 64 bits.
    pub(crate) widths: &'static str,
    x86_64: u16,
    aarch64: u16,
}

const NONE: u16 = u16::MAX;

const fn call(name: &'static str, x86_64: u16, aarch64: u16, widths: &'static str) -> Call {
    Call { name, widths, x86_64, aarch64 }
}

impl Call {
    pub(crate) const fn number(&self, arch: crate::Arch) -> Option<u32> {
        let number = match arch {
            crate::Arch::X86_64 => self.x86_64,
            crate::Arch::Aarch64 => self.aarch64,
        };
        if number == NONE { None } else { Some(number as u32) }
    }

    /// The bits of an argument that the kernel reads; `None` where the call has no such argument.
    pub(crate) fn full(&self, argument: u8) -> Option<u64> {
        match self.widths.as_bytes().get(usize::from(argument))? {
            b's' => Some(0xffff),
            b'i' => Some(0xffff_ffff),
            _ => Some(u64::MAX),
        }
    }
}

/// A call's place in the table.
pub(crate) fn find(name: &str) -> Option<usize> {
    CALLS.binary_search_by(|call| call.name.cmp(name)).ok()
}

/// The call with a number, as its place in the table.
pub(crate) fn numbered(arch: crate::Arch, number: u32) -> Option<usize> {
    let index = match arch {
        crate::Arch::X86_64 => &X86_64,
        crate::Arch::Aarch64 => &AARCH64,
    };
    let place = index.get(usize::try_from(number).ok()?)?;
    (*place != NONE).then_some(usize::from(*place))
}

/// More than any number.
const NUMBERS: usize = 512;

static X86_64: [u16; NUMBERS] = index(crate::Arch::X86_64);
static AARCH64: [u16; NUMBERS] = index(crate::Arch::Aarch64);

const fn index(arch: crate::Arch) -> [u16; NUMBERS] {
    let mut index = [NONE; NUMBERS];
    let mut place = 0;
    while place < CALLS.len() {
        if let Some(number) = CALLS[place].number(arch) {
            assert!(index[number as usize] == NONE, "two calls have one number");
            index[number as usize] = place as u16;
        }
        place += 1;
    }
    index
}

/// Whether names ascend, as a binary search needs it.
pub(crate) const fn sorted(names: &[&str]) -> bool {
    let mut place = 1;
    while place < names.len() {
        if !before(names[place - 1].as_bytes(), names[place].as_bytes()) {
            return false;
        }
        place += 1;
    }
    true
}

const fn before(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

const _: () = {
    let mut place = 1;
    while place < CALLS.len() {
        assert!(sorted(&[CALLS[place - 1].name, CALLS[place].name]), "the table is not sorted");
        place += 1;
    }
};

/// Sorted by name.
pub(crate) const CALLS: &[Call] = &[
    call("_sysctl", 156, NONE, ""),
    call("accept", 43, 202, "ill"),
    call("accept4", 288, 242, "illi"),
    call("access", 21, NONE, "li"),
    call("acct", 163, 89, "l"),
    call("add_key", 248, 217, "lllli"),
    call("adjtimex", 159, 171, "l"),
    call("afs_syscall", 183, NONE, ""),
    call("alarm", 37, NONE, "i"),
    call("arch_prctl", 158, NONE, "il"),
    call("bind", 49, 200, "ili"),
    call("bpf", 321, 280, "ili"),
    call("brk", 12, 214, "l"),
    call("cachestat", 451, 451, "illi"),
    call("capget", 125, 90, "ll"),
    call("capset", 126, 91, "ll"),
    call("chdir", 80, 49, "l"),
    call("chmod", 90, NONE, "ls"),
    call("chown", 92, NONE, "lii"),
    call("chroot", 161, 51, "l"),
    call("clock_adjtime", 305, 266, "il"),
    call("clock_getres", 229, 114, "il"),
    call("clock_gettime", 228, 113, "il"),
    call("clock_nanosleep", 230, 115, "iill"),
    call("clock_settime", 227, 112, "il"),
    call("clone", 56, 220, "illll"),
    call("clone3", 435, 435, "ll"),
    call("close", 3, 57, "i"),
    call("close_range", 436, 436, "iii"),
    call("connect", 42, 203, "ili"),
    call("copy_file_range", 326, 285, "ililli"),
    call("creat", 85, NONE, "ls"),
    call("create_module", 174, NONE, ""),
    call("delete_module", 176, 106, "li"),
    call("dup", 32, 23, "i"),
    call("dup2", 33, NONE, "ii"),
    call("dup3", 292, 24, "iii"),
    call("epoll_create", 213, NONE, "i"),
    call("epoll_create1", 291, 20, "i"),
    call("epoll_ctl", 233, 21, "iiil"),
    call("epoll_ctl_old", 214, NONE, ""),
    call("epoll_pwait", 281, 22, "iliill"),
    call("epoll_pwait2", 441, 441, "ililll"),
    call("epoll_wait", 232, NONE, "ilii"),
    call("epoll_wait_old", 215, NONE, ""),
    call("eventfd", 284, NONE, "i"),
    call("eventfd2", 290, 19, "ii"),
    call("execve", 59, 221, "lll"),
    call("execveat", 322, 281, "illli"),
    call("exit", 60, 93, "i"),
    call("exit_group", 231, 94, "i"),
    call("faccessat", 269, 48, "ili"),
    call("faccessat2", 439, 439, "ilii"),
    call("fadvise64", 221, 223, "illi"),
    call("fallocate", 285, 47, "iill"),
    call("fanotify_init", 300, 262, "ii"),
    call("fanotify_mark", 301, 263, "iilil"),
    call("fchdir", 81, 50, "i"),
    call("fchmod", 91, 52, "is"),
    call("fchmodat", 268, 53, "ils"),
    call("fchmodat2", 452, 452, "ilsi"),
    call("fchown", 93, 55, "iii"),
    call("fchownat", 260, 54, "iliii"),
    call("fcntl", 72, 25, "iil"),
    call("fdatasync", 75, 83, "i"),
    call("fgetxattr", 193, 10, "illl"),
    call("file_getattr", 468, 468, "illli"),
    call("file_setattr", 469, 469, "illli"),
    call("finit_module", 313, 273, "ili"),
    call("flistxattr", 196, 13, "ill"),
    call("flock", 73, 32, "ii"),
    call("fork", 57, NONE, ""),
    call("fremovexattr", 199, 16, "il"),
    call("fsconfig", 431, 431, "iilli"),
    call("fsetxattr", 190, 7, "illli"),
    call("fsmount", 432, 432, "iii"),
    call("fsopen", 430, 430, "li"),
    call("fspick", 433, 433, "ili"),
    call("fstat", 5, 80, "il"),
    call("fstatfs", 138, 44, "il"),
    call("fsync", 74, 82, "i"),
    call("ftruncate", 77, 46, "il"),
    call("futex", 202, 98, "liilli"),
    call("futex_requeue", 456, 456, "liii"),
    call("futex_wait", 455, 455, "lllili"),
    call("futex_waitv", 449, 449, "liili"),
    call("futex_wake", 454, 454, "llii"),
    call("futimesat", 261, NONE, "ill"),
    call("get_kernel_syms", 177, NONE, ""),
    call("get_mempolicy", 239, 236, "lllll"),
    call("get_robust_list", 274, 100, "ill"),
    call("get_thread_area", 211, NONE, ""),
    call("getcpu", 309, 168, "lll"),
    call("getcwd", 79, 17, "ll"),
    call("getdents", 78, NONE, "ili"),
    call("getdents64", 217, 61, "ili"),
    call("getegid", 108, 177, ""),
    call("geteuid", 107, 175, ""),
    call("getgid", 104, 176, ""),
    call("getgroups", 115, 158, "il"),
    call("getitimer", 36, 102, "il"),
    call("getpeername", 52, 205, "ill"),
    call("getpgid", 121, 155, "i"),
    call("getpgrp", 111, NONE, ""),
    call("getpid", 39, 172, ""),
    call("getpmsg", 181, NONE, ""),
    call("getppid", 110, 173, ""),
    call("getpriority", 140, 141, "ii"),
    call("getrandom", 318, 278, "lli"),
    call("getresgid", 120, 150, "lll"),
    call("getresuid", 118, 148, "lll"),
    call("getrlimit", 97, 163, "il"),
    call("getrusage", 98, 165, "il"),
    call("getsid", 124, 156, "i"),
    call("getsockname", 51, 204, "ill"),
    call("getsockopt", 55, 209, "iiill"),
    call("gettid", 186, 178, ""),
    call("gettimeofday", 96, 169, "ll"),
    call("getuid", 102, 174, ""),
    call("getxattr", 191, 8, "llll"),
    call("getxattrat", 464, 464, "ililll"),
    call("init_module", 175, 105, "lll"),
    call("inotify_add_watch", 254, 27, "ili"),
    call("inotify_init", 253, NONE, ""),
    call("inotify_init1", 294, 26, "i"),
    call("inotify_rm_watch", 255, 28, "ii"),
    call("io_cancel", 210, 3, "lll"),
    call("io_destroy", 207, 1, "l"),
    call("io_getevents", 208, 4, "lllll"),
    call("io_pgetevents", 333, 292, "llllll"),
    call("io_setup", 206, 0, "il"),
    call("io_submit", 209, 2, "lll"),
    call("io_uring_enter", 426, 426, "iiiill"),
    call("io_uring_register", 427, 427, "iili"),
    call("io_uring_setup", 425, 425, "il"),
    call("ioctl", 16, 29, "iil"),
    call("ioperm", 173, NONE, "lli"),
    call("iopl", 172, NONE, "i"),
    call("ioprio_get", 252, 31, "ii"),
    call("ioprio_set", 251, 30, "iii"),
    call("kcmp", 312, 272, "iiill"),
    call("kexec_file_load", 320, 294, "iilll"),
    call("kexec_load", 246, 104, "llll"),
    call("keyctl", 250, 219, "illll"),
    call("kill", 62, 129, "ii"),
    call("landlock_add_rule", 445, 445, "iili"),
    call("landlock_create_ruleset", 444, 444, "lli"),
    call("landlock_restrict_self", 446, 446, "ii"),
    call("lchown", 94, NONE, "lii"),
    call("lgetxattr", 192, 9, "llll"),
    call("link", 86, NONE, "ll"),
    call("linkat", 265, 37, "ilili"),
    call("listen", 50, 201, "ii"),
    call("listmount", 458, 458, "llli"),
    call("listxattr", 194, 11, "lll"),
    call("listxattrat", 465, 465, "ilill"),
    call("llistxattr", 195, 12, "lll"),
    call("lookup_dcookie", 212, 18, "lll"),
    call("lremovexattr", 198, 15, "ll"),
    call("lseek", 8, 62, "ili"),
    call("lsetxattr", 189, 6, "lllli"),
    call("lsm_get_self_attr", 459, 459, "illi"),
    call("lsm_list_modules", 461, 461, "lli"),
    call("lsm_set_self_attr", 460, 460, "ilii"),
    call("lstat", 6, NONE, "ll"),
    call("madvise", 28, 233, "lli"),
    call("map_shadow_stack", 453, 453, "lli"),
    call("mbind", 237, 235, "llllli"),
    call("membarrier", 324, 283, "iii"),
    call("memfd_create", 319, 279, "li"),
    call("memfd_secret", 447, 447, "i"),
    call("migrate_pages", 256, 238, "illl"),
    call("mincore", 27, 232, "lll"),
    call("mkdir", 83, NONE, "ls"),
    call("mkdirat", 258, 34, "ils"),
    call("mknod", 133, NONE, "lsi"),
    call("mknodat", 259, 33, "ilsi"),
    call("mlock", 149, 228, "ll"),
    call("mlock2", 325, 284, "lli"),
    call("mlockall", 151, 230, "i"),
    call("mmap", 9, 222, "llllil"),
    call("modify_ldt", 154, NONE, "ill"),
    call("mount", 165, 40, "lllll"),
    call("mount_setattr", 442, 442, "ilill"),
    call("move_mount", 429, 429, "ilili"),
    call("move_pages", 279, 239, "illlli"),
    call("mprotect", 10, 226, "lll"),
    call("mq_getsetattr", 245, 185, "ill"),
    call("mq_notify", 244, 184, "il"),
    call("mq_open", 240, 180, "lisl"),
    call("mq_timedreceive", 243, 183, "illll"),
    call("mq_timedsend", 242, 182, "illil"),
    call("mq_unlink", 241, 181, "l"),
    call("mremap", 25, 216, "lllll"),
    call("mseal", 462, 462, "lll"),
    call("msgctl", 71, 187, "iil"),
    call("msgget", 68, 186, "ii"),
    call("msgrcv", 70, 188, "illli"),
    call("msgsnd", 69, 189, "illi"),
    call("msync", 26, 227, "lli"),
    call("munlock", 150, 229, "ll"),
    call("munlockall", 152, 231, ""),
    call("munmap", 11, 215, "ll"),
    call("name_to_handle_at", 303, 264, "illli"),
    call("nanosleep", 35, 101, "ll"),
    call("newfstatat", 262, 79, "illi"),
    call("nfsservctl", 180, 42, "ill"),
    call("open", 2, NONE, "lis"),
    call("open_by_handle_at", 304, 265, "ili"),
    call("open_tree", 428, 428, "ili"),
    call("open_tree_attr", 467, 467, "ilill"),
    call("openat", 257, 56, "ilis"),
    call("openat2", 437, 437, "illl"),
    call("pause", 34, NONE, ""),
    call("perf_event_open", 298, 241, "liiil"),
    call("personality", 135, 92, "i"),
    call("pidfd_getfd", 438, 438, "iii"),
    call("pidfd_open", 434, 434, "ii"),
    call("pidfd_send_signal", 424, 424, "iili"),
    call("pipe", 22, NONE, "l"),
    call("pipe2", 293, 59, "li"),
    call("pivot_root", 155, 41, "ll"),
    call("pkey_alloc", 330, 289, "ll"),
    call("pkey_free", 331, 290, "i"),
    call("pkey_mprotect", 329, 288, "llli"),
    call("poll", 7, NONE, "lii"),
    call("ppoll", 271, 73, "lilll"),
    call("prctl", 157, 167, "illll"),
    call("pread64", 17, 67, "illl"),
    call("preadv", 295, 69, "lllll"),
    call("preadv2", 327, 286, "llllli"),
    call("prlimit64", 302, 261, "iill"),
    call("process_madvise", 440, 440, "illii"),
    call("process_mrelease", 448, 448, "ii"),
    call("process_vm_readv", 310, 270, "illlll"),
    call("process_vm_writev", 311, 271, "illlll"),
    call("pselect6", 270, 72, "illlll"),
    call("ptrace", 101, 117, "lill"),
    call("putpmsg", 182, NONE, ""),
    call("pwrite64", 18, 68, "illl"),
    call("pwritev", 296, 70, "lllll"),
    call("pwritev2", 328, 287, "llllli"),
    call("query_module", 178, NONE, ""),
    call("quotactl", 179, 60, "ilil"),
    call("quotactl_fd", 443, 443, "iiil"),
    call("read", 0, 63, "ill"),
    call("readahead", 187, 213, "ill"),
    call("readlink", 89, NONE, "lli"),
    call("readlinkat", 267, 78, "illi"),
    call("readv", 19, 65, "lll"),
    call("reboot", 169, 142, "iiil"),
    call("recvfrom", 45, 207, "illill"),
    call("recvmmsg", 299, 243, "iliil"),
    call("recvmsg", 47, 212, "ili"),
    call("remap_file_pages", 216, 234, "lllll"),
    call("removexattr", 197, 14, "ll"),
    call("removexattrat", 466, 466, "ilil"),
    call("rename", 82, NONE, "ll"),
    call("renameat", 264, 38, "ilil"),
    call("renameat2", 316, 276, "ilili"),
    call("request_key", 249, 218, "llli"),
    call("restart_syscall", 219, 128, ""),
    call("rmdir", 84, NONE, "l"),
    call("rseq", 334, 293, "liii"),
    call("rt_sigaction", 13, 134, "illl"),
    call("rt_sigpending", 127, 136, "ll"),
    call("rt_sigprocmask", 14, 135, "illl"),
    call("rt_sigqueueinfo", 129, 138, "iil"),
    call("rt_sigreturn", 15, 139, ""),
    call("rt_sigsuspend", 130, 133, "ll"),
    call("rt_sigtimedwait", 128, 137, "llll"),
    call("rt_tgsigqueueinfo", 297, 240, "iiil"),
    call("sched_get_priority_max", 146, 125, "i"),
    call("sched_get_priority_min", 147, 126, "i"),
    call("sched_getaffinity", 204, 123, "iil"),
    call("sched_getattr", 315, 275, "ilii"),
    call("sched_getparam", 143, 121, "il"),
    call("sched_getscheduler", 145, 120, "i"),
    call("sched_rr_get_interval", 148, 127, "il"),
    call("sched_setaffinity", 203, 122, "iil"),
    call("sched_setattr", 314, 274, "ili"),
    call("sched_setparam", 142, 118, "il"),
    call("sched_setscheduler", 144, 119, "iil"),
    call("sched_yield", 24, 124, ""),
    call("seccomp", 317, 277, "iil"),
    call("security", 185, NONE, ""),
    call("select", 23, NONE, "illll"),
    call("semctl", 66, 191, "iiil"),
    call("semget", 64, 190, "iii"),
    call("semop", 65, 193, "ili"),
    call("semtimedop", 220, 192, "ilil"),
    call("sendfile", 40, 71, "iill"),
    call("sendmmsg", 307, 269, "ilii"),
    call("sendmsg", 46, 211, "ili"),
    call("sendto", 44, 206, "illili"),
    call("set_mempolicy", 238, 237, "ill"),
    call("set_mempolicy_home_node", 450, 450, "llll"),
    call("set_robust_list", 273, 99, "ll"),
    call("set_thread_area", 205, NONE, ""),
    call("set_tid_address", 218, 96, "l"),
    call("setdomainname", 171, 162, "li"),
    call("setfsgid", 123, 152, "i"),
    call("setfsuid", 122, 151, "i"),
    call("setgid", 106, 144, "i"),
    call("setgroups", 116, 159, "il"),
    call("sethostname", 170, 161, "li"),
    call("setitimer", 38, 103, "ill"),
    call("setns", 308, 268, "ii"),
    call("setpgid", 109, 154, "ii"),
    call("setpriority", 141, 140, "iii"),
    call("setregid", 114, 143, "ii"),
    call("setresgid", 119, 149, "iii"),
    call("setresuid", 117, 147, "iii"),
    call("setreuid", 113, 145, "ii"),
    call("setrlimit", 160, 164, "il"),
    call("setsid", 112, 157, ""),
    call("setsockopt", 54, 208, "iiili"),
    call("settimeofday", 164, 170, "ll"),
    call("setuid", 105, 146, "i"),
    call("setxattr", 188, 5, "lllli"),
    call("setxattrat", 463, 463, "ililll"),
    call("shmat", 30, 196, "ili"),
    call("shmctl", 31, 195, "iil"),
    call("shmdt", 67, 197, "l"),
    call("shmget", 29, 194, "ili"),
    call("shutdown", 48, 210, "ii"),
    call("sigaltstack", 131, 132, "ll"),
    call("signalfd", 282, NONE, "ill"),
    call("signalfd4", 289, 74, "illi"),
    call("socket", 41, 198, "iii"),
    call("socketpair", 53, 199, "iiil"),
    call("splice", 275, 76, "ililli"),
    call("stat", 4, NONE, "ll"),
    call("statfs", 137, 43, "ll"),
    call("statmount", 457, 457, "llli"),
    call("statx", 332, 291, "iliil"),
    call("swapoff", 168, 225, "l"),
    call("swapon", 167, 224, "li"),
    call("symlink", 88, NONE, "ll"),
    call("symlinkat", 266, 36, "lil"),
    call("sync", 162, 81, ""),
    call("sync_file_range", 277, 84, "illi"),
    call("syncfs", 306, 267, "i"),
    call("sysfs", 139, NONE, "ill"),
    call("sysinfo", 99, 179, "l"),
    call("syslog", 103, 116, "ili"),
    call("tee", 276, 77, "iili"),
    call("tgkill", 234, 131, "iii"),
    call("time", 201, NONE, "l"),
    call("timer_create", 222, 107, "ill"),
    call("timer_delete", 226, 111, "i"),
    call("timer_getoverrun", 225, 109, "i"),
    call("timer_gettime", 224, 108, "il"),
    call("timer_settime", 223, 110, "iill"),
    call("timerfd_create", 283, 85, "ii"),
    call("timerfd_gettime", 287, 87, "il"),
    call("timerfd_settime", 286, 86, "iill"),
    call("times", 100, 153, "l"),
    call("tkill", 200, 130, "ii"),
    call("truncate", 76, 45, "ll"),
    call("tuxcall", 184, NONE, ""),
    call("umask", 95, 166, "i"),
    call("umount2", 166, 39, "li"),
    call("uname", 63, 160, "l"),
    call("unlink", 87, NONE, "l"),
    call("unlinkat", 263, 35, "ili"),
    call("unshare", 272, 97, "l"),
    call("uprobe", 336, NONE, ""),
    call("uretprobe", 335, NONE, ""),
    call("uselib", 134, NONE, "l"),
    call("userfaultfd", 323, 282, "i"),
    call("ustat", 136, NONE, "il"),
    call("utime", 132, NONE, "ll"),
    call("utimensat", 280, 88, "illi"),
    call("utimes", 235, NONE, "ll"),
    call("vfork", 58, NONE, ""),
    call("vhangup", 153, 58, ""),
    call("vmsplice", 278, 75, "illi"),
    call("vserver", 236, NONE, ""),
    call("wait4", 61, 260, "ilil"),
    call("waitid", 247, 95, "iilil"),
    call("write", 1, 64, "ill"),
    call("writev", 20, 66, "lll"),
];
