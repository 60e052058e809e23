//! What no rule can lift: calls, and arguments of calls, that are refused under every policy.
//!
//! Why each group is here: it reaches the host past namespaces (mounts, handles, modules, clocks, the kernel's log),
//! it makes namespaces in which the rest becomes reachable, or it is kernel surface whose flaws were escapes
//! (io_uring, bpf, perf, userfaultfd, keyrings). What a program may want and can only harm itself with is no floor.

use crate::answer::{Answer, EAFNOSUPPORT};
use crate::argument::{Op, Test};
use crate::decide::Case;
use crate::{Violation, table};

/// They pass under every policy: a process must be able to end, and to come back from a signal.
pub(crate) const ALWAYS: &[&str] = &["exit", "exit_group", "restart_syscall", "rt_sigreturn"];

/// They are refused whatever their arguments. Sorted, because they are searched.
///
/// `clock_adjtime` and `adjtimex` could also only read; who reads a clock uses `clock_gettime`.
pub(crate) const CALLS: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "pivot_root",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
];

const _: () = assert!(table::sorted(CALLS), "the floor is not sorted, so it would have holes");

/// The calls that are refused under every policy, whatever their arguments.
pub fn floor() -> impl Iterator<Item = &'static str> {
    CALLS.iter().copied()
}

pub(crate) fn refuses(name: &str) -> bool {
    CALLS.binary_search(&name).is_ok()
}

/// `CLONE_NEW*` of linux/sched.h: time, mount, cgroup, uts, ipc, user, pid, net.
const CLONE_NEW: u64 =
    0x80 | 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const RLIMIT_CORE: u32 = 4;
/// AF_UNIX, AF_INET, AF_INET6.
const FAMILIES: &[u32] = &[1, 2, 10];
/// PER_LINUX and PER_LINUX32, each also with UNAME26; and the question which it is.
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u64 = 8;

/// The arguments of a call that are refused under every policy.
///
/// seccomp(2) may add filters, but no listener: where two filters ask a supervisor, the kernel asks that of the newer
/// filter, so a program could let its own second exec pass.
pub(crate) fn cases(name: &str, violation: Violation) -> Vec<Case> {
    let refused = Answer::refusal(violation);
    let case = |tests: Vec<Test>| Case { tests, answer: refused };
    let core = Test::word(0, Op::Eq, RLIMIT_CORE);
    match name {
        "clone" => vec![case(vec![any_bit(0, CLONE_NEW)])],
        "ioctl" => {
            vec![case(vec![Test::word(1, Op::Eq, TIOCSTI)]), case(vec![Test::word(1, Op::Eq, TIOCLINUX)])]
        }
        "personality" => vec![case(none_of(PERSONALITIES))],
        "prlimit64" => {
            let new = Test { argument: 2, mask: u64::MAX, op: Op::Ne, value: 0 };
            vec![case(vec![Test { argument: 1, ..core }, new])]
        }
        "seccomp" => vec![case(vec![any_bit(1, NEW_LISTENER)])],
        "setrlimit" => vec![case(vec![core])],
        "socket" | "socketpair" => {
            let answer = if violation == Violation::Kill { refused } else { Answer::errno(EAFNOSUPPORT) };
            vec![Case { tests: none_of(FAMILIES), answer }]
        }
        _ => Vec::new(),
    }
}

const fn any_bit(argument: u8, mask: u64) -> Test {
    Test { argument, mask, op: Op::Ne, value: 0 }
}

/// The first argument is none of these.
fn none_of(values: &[u32]) -> Vec<Test> {
    values.iter().map(|value| Test::word(0, Op::Ne, *value)).collect()
}
