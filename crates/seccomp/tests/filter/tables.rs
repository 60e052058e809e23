//! Numbers and groups beside other sources.

use ringfence_seccomp::{Arch, arguments, floor, groups};

#[test]
fn the_kernels_own_header_has_the_same_numbers() {
    let (arch, paths): (_, &[&str]) = match Arch::NATIVE {
        Some(Arch::X86_64) => {
            (Arch::X86_64, &["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"])
        }
        Some(Arch::Aarch64) => (
            Arch::Aarch64,
            &["/usr/include/aarch64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
        ),
        None => panic!("no filter is compiled for this architecture"),
    };
    let Some(header) = paths.iter().find_map(|path| std::fs::read_to_string(path).ok()) else {
        println!("skipped: none of {paths:?} is here; install the kernel's headers");
        return;
    };
    let mut numbers = 0;
    for line in header.lines() {
        let Some((name, number)) = line.strip_prefix("#define __NR_").and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let number: u32 = number.trim().parse().unwrap();
        assert_eq!(arch.number(name), Some(number), "{name}");
        assert_eq!(arch.name(number), Some(name));
        numbers += 1;
    }
    assert!(numbers > 300, "{numbers} numbers in the header");
}

/// What the crate `syscalls` says otherwise of aarch64, which has the 64-bit calls of the generic table only.
const NOT_ON_AARCH64: [&str; 21] = [
    "clock_adjtime64",
    "clock_getres_time64",
    "clock_gettime64",
    "clock_nanosleep_time64",
    "clock_settime64",
    "fstatat",
    "futex_time64",
    "io_pgetevents_time64",
    "mq_timedreceive_time64",
    "mq_timedsend_time64",
    "ppoll_time64",
    "pselect6_time64",
    "recvmmsg_time64",
    "rt_sigtimedwait_time64",
    "sched_rr_get_interval_time64",
    "semtimedop_time64",
    "timer_gettime64",
    "timer_settime64",
    "timerfd_gettime64",
    "timerfd_settime64",
    "utimensat_time64",
];

#[test]
fn another_table_has_the_same_numbers() {
    use syscalls::{aarch64::Sysno as OnAarch64, x86_64::Sysno as OnX86};
    // Their iterators leave the last one out.
    let x86_64 = OnX86::iter().chain([OnX86::last()]);
    let x86_64: Vec<_> = x86_64.map(|call| (call.name(), call.id() as u32)).collect();
    let aarch64 = OnAarch64::iter().chain([OnAarch64::last()]);
    let aarch64: Vec<_> = aarch64.map(|call| (call.name(), call.id() as u32)).collect();
    assert!(NOT_ON_AARCH64.iter().all(|name| aarch64.iter().any(|(other, _)| other == name)));
    for (arch, theirs) in [(Arch::X86_64, x86_64), (Arch::Aarch64, aarch64)] {
        for (name, number) in &theirs {
            if arch == Arch::Aarch64 && NOT_ON_AARCH64.contains(name) {
                assert_eq!(arch.number(name), None, "{name}");
            } else {
                assert_eq!(arch.number(name), Some(*number), "{name}");
            }
        }
        for name in (0..1024).filter_map(|number| arch.name(number)).filter(|name| *name != "newfstatat") {
            assert!(theirs.iter().any(|(other, _)| *other == name), "{name}");
        }
    }
    assert_eq!(Arch::Aarch64.number("newfstatat"), Some(79));
}

#[test]
fn every_number_belongs_to_one_name_and_back() {
    for arch in Arch::ALL {
        let names: Vec<_> = (0..1024).filter_map(|number| Some((number, arch.name(number)?))).collect();
        for (number, name) in &names {
            assert_eq!(arch.number(name), Some(*number));
            assert!(arguments(name).unwrap().len() <= 6);
        }
        let known = if arch == Arch::X86_64 { 383 } else { 325 };
        assert_eq!(names.len(), known);
    }
    assert_eq!(Arch::X86_64.number("openat2"), Some(437));
    assert_eq!(Arch::Aarch64.number("openat"), Some(56));
    assert_eq!([Arch::Aarch64.number("open"), Arch::Aarch64.number("opnat")], [None; 2]);
    assert_eq!(arguments("opnat"), None);
}

#[test]
fn widths_are_those_of_the_kernels_prototypes() {
    let (short, int, long) = (0xffff, 0xffff_ffff, u64::MAX);
    assert_eq!(arguments("openat"), Some(vec![int, long, int, short]));
    assert_eq!(arguments("ioctl"), Some(vec![int, int, long]));
    assert_eq!(arguments("mmap"), Some(vec![long, long, long, long, int, long]));
    assert_eq!(arguments("clone").map(|widths| widths[0]), Some(int));
    assert_eq!(arguments("prctl"), Some(vec![int, long, long, long, long]));
    assert_eq!(arguments("getpid"), Some(vec![]));
}

#[test]
fn every_call_is_in_a_group_and_every_group_has_calls() {
    let all: Vec<_> =
        groups().filter(|(name, ..)| *name == "@all").flat_map(|(.., members)| members).collect();
    for name in &all {
        assert!(groups().any(|(group, _, members)| group != "@all" && members.contains(name)), "{name}");
    }
    for (name, description, members) in groups() {
        assert!(name.starts_with('@') && description.ends_with('.') && !members.is_empty(), "{name}");
        assert!(members.is_sorted() && members.iter().all(|member| all.contains(member)), "{name}");
    }
}

#[test]
fn the_default_group_is_free_of_what_few_need() {
    let group =
        |wanted: &str| groups().find(|(name, ..)| *name == wanted).map(|(.., members)| members).unwrap();
    let default = group("@default");
    for other in ["@debug", "@rare", "@privileged", "@obsolete"] {
        for name in group(other) {
            assert!(!default.contains(&name), "{name} of {other}");
        }
    }
    for name in floor() {
        assert!(!default.contains(&name), "{name} of the floor");
        assert!(group("@all").contains(&name), "{name} is no syscall");
    }
}
