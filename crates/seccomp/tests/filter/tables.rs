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
