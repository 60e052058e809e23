//! Features of the kernel that programs seldom need and exploits often do: each asked for in the least way.

use core::ffi::CStr;

use crate::HERE;
use crate::abi::{self, nr};
use crate::inspect::{ENDED, Head, Kind, NOT_TRIED};
use crate::sys::{self, Fd};
use crate::tell::{Answer, Prober};

/// Files of the kernel's that tell of the host, or change it.
const INTERFACES: [&CStr; 26] = [
    c"/proc/kallsyms",
    c"/proc/kcore",
    c"/proc/kmsg",
    c"/proc/config.gz",
    c"/proc/sysrq-trigger",
    c"/proc/timer_list",
    c"/proc/interrupts",
    c"/proc/iomem",
    c"/proc/slabinfo",
    c"/proc/vmallocinfo",
    c"/proc/pagetypeinfo",
    c"/proc/modules",
    c"/proc/cmdline",
    c"/proc/diskstats",
    c"/proc/sys/kernel/core_pattern",
    c"/proc/sys/kernel/modprobe",
    c"/proc/sys/kernel/random/boot_id",
    c"/proc/sys/kernel/ns_last_pid",
    c"/proc/sys/fs/binfmt_misc/register",
    c"/proc/1/environ",
    c"/proc/1/mem",
    c"/proc/1/root",
    c"/sys/kernel/security",
    c"/sys/kernel/debug",
    c"/sys/fs/cgroup",
    c"/sys/firmware",
];

pub(crate) fn probe(prober: &mut Prober) {
    for path in INTERFACES {
        interface(prober, path);
    }
    addresses(prober);
    // SYSLOG_ACTION_SIZE_UNREAD and SYSLOG_ACTION_SIZE_BUFFER read nothing (syslog(2)).
    let answer = prober.plain(nr::SYS_syslog, [9, 0, 0, 0, 0, 0]);
    prober.said("dmesg", answer);
    perf(prober);
    bpf(prober);
    let mut parameters = [0_u64; 15];
    let address = parameters.as_mut_ptr() as usize;
    // SAFETY: `struct io_uring_params` is 120 bytes.
    let answer = unsafe { prober.call(nr::SYS_io_uring_setup, [1, address, 0, 0, 0, 0]) };
    closed(prober, "io-uring", answer);
    // O_CLOEXEC | UFFD_USER_MODE_ONLY
    let answer = prober.plain(nr::SYS_userfaultfd, [abi::O_CLOEXEC as usize | 1, 0, 0, 0, 0, 0]);
    closed(prober, "userfaultfd", answer);
    memory_file(prober);
    let kind = c"tmpfs".as_ptr() as usize;
    // SAFETY: the name is terminated.
    let answer = unsafe { prober.call(nr::SYS_fsopen, [kind, abi::FSOPEN_CLOEXEC as usize, 0, 0, 0, 0]) };
    closed(prober, "fsopen", answer);
    // Not the sandbox's root itself: a child does it, below.
    namespaces(prober);
    in_a_child(prober, "ptrace", |prober| prober.plain(nr::SYS_ptrace, [0; 6]));
    // ADDR_NO_RANDOMIZE
    in_a_child(prober, "personality-no-randomize", |prober| {
        prober.plain(nr::SYS_personality, [0x40000, 0, 0, 0, 0, 0])
    });
    in_a_child(prober, "mount", |prober| {
        let (kind, path) = (c"tmpfs".as_ptr() as usize, c"/tmp".as_ptr() as usize);
        // SAFETY: all strings are terminated; what is mounted goes with the mount namespace, or is refused.
        unsafe { prober.call(nr::SYS_mount, [kind, path, kind, abi::MS_NODEV as usize, 0, 0]) }
    });
}

fn interface(prober: &mut Prober, path: &CStr) {
    for (way, flags) in [("read:", abi::O_RDONLY), ("write:", abi::O_WRONLY)] {
        let answer = prober.open(HERE, path, flags);
        if let Ok(file) = answer {
            prober.close(file);
        }
        let name = path.to_str().unwrap_or_default();
        let errno = answer.err().unwrap_or(0);
        let head = Head { kind: Kind::Try as u32, errno, ..Head::default() };
        prober.say(head, &[way.as_bytes(), name.as_bytes()]);
    }
}

/// Does the kernel tell where it is? Without the right to know every address reads as zero.
fn addresses(prober: &mut Prober) {
    let Ok(file) = prober.open(HERE, c"/proc/kallsyms", abi::O_RDONLY) else { return };
    let mut buffer = [0_u8; 512];
    let length = prober.read(file, &mut buffer).unwrap_or(0);
    prober.close(file);
    let mut lines = buffer[..length].split(|byte| *byte == b'\n');
    let told = lines.any(|line| {
        line.split(|byte| *byte == b' ')
            .next()
            .is_some_and(|word| word.len() >= 8 && word.iter().any(|digit| *digit != b'0'))
    });
    prober.said("kernel-addresses", if told { Ok(0) } else { Err(abi::EACCES) });
}

/// Says what was answered, and closes it.
fn closed(prober: &mut Prober, name: &str, answer: Answer) {
    if let Ok(file) = answer {
        prober.close(Fd(file as i32));
    }
    prober.said(name, answer);
}

/// The processor clock of this process, user space only.
fn perf(prober: &mut Prober) {
    // `struct perf_event_attr`: type SOFTWARE, its first size, config CPU_CLOCK; disabled, without kernel and hypervisor.
    let mut event = [0_u64; 16];
    event[0] = 1 | 64 << 32;
    event[5] = 1 | 1 << 5 | 1 << 6;
    let address = event.as_mut_ptr() as usize;
    let (any, none) = ((-1_isize).cast_unsigned(), (-1_isize).cast_unsigned());
    // SAFETY: the structure is larger than the size that it says.
    let answer = unsafe { prober.call(nr::SYS_perf_event_open, [address, 0, any, none, 8, 0]) };
    closed(prober, "perf", answer);
}

/// An array map of one word.
fn bpf(prober: &mut Prober) {
    let map = [2_u32, 4, 4, 1, 0, 0];
    let address = map.as_ptr() as usize;
    // SAFETY: BPF_MAP_CREATE reads as many bytes as are said.
    let answer = unsafe { prober.call(nr::SYS_bpf, [0, address, size_of_val(&map), 0, 0, 0]) };
    closed(prober, "bpf", answer);
}

/// A file in memory that could be executed (MFD_CLOEXEC, MFD_EXEC).
fn memory_file(prober: &mut Prober) {
    let name = c"ringfence-inspect".as_ptr() as usize;
    // SAFETY: the name is terminated.
    let answer = unsafe { prober.call(nr::SYS_memfd_create, [name, 0x11, 0, 0, 0, 0]) };
    closed(prober, "executable-memory-file", answer);
}

fn namespaces(prober: &mut Prober) {
    for (name, flag) in [
        ("user-namespace", abi::CLONE_NEWUSER),
        ("mount-namespace", abi::CLONE_NEWNS),
        ("network-namespace", abi::CLONE_NEWNET),
        ("pid-namespace", abi::CLONE_NEWPID),
    ] {
        in_a_child(prober, name, |prober| prober.plain(nr::SYS_unshare, [flag as usize, 0, 0, 0, 0, 0]));
    }
}

/// Tries what changes the process that does it; not at all where there can be no other.
fn in_a_child(prober: &mut Prober, name: &str, tries: impl FnOnce(&mut Prober) -> Answer) {
    match prober.fork() {
        Ok(0) => {
            let answer = tries(prober);
            prober.said(name, answer);
            prober.flush();
            sys::exit(0)
        }
        Ok(child) => match prober.wait(child) {
            Ok(0) => {}
            // Killed by the filter: that is an answer.
            Ok(_) | Err(_) => prober.said(name, Err(ENDED)),
        },
        Err(_) => prober.said(name, Err(NOT_TRIED)),
    }
}
