//! The crate's tables beside the system's headers, and its floor beside what was asked for.

use std::collections::BTreeMap;
use std::fs;

use ringfence_seccomp::Arch;

use crate::facts;

/// `#define __NR_read 0`: names and numbers. Of a number that other widths have too, the name is the usual one's.
fn header(path: &str) -> Option<BTreeMap<String, u32>> {
    let text = fs::read_to_string(path).map_err(|error| println!("skipped: {path}: {error}")).ok()?;
    let mut found = BTreeMap::new();
    let mut wide = true;
    for line in text.lines() {
        // Calls that only 32-bit machines have stand in blocks of their own.
        match line.trim() {
            "#if defined(__SYSCALL_COMPAT) || __BITS_PER_LONG == 32" | "#if __BITS_PER_LONG == 32" => {
                wide = false
            }
            line if line.starts_with("#if") || line.starts_with("#endif") || line.starts_with("#else") => {
                wide = true
            }
            _ => {}
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let ["#define", name, number, ..] = words[..] else { continue };
        let Some(name) = name.strip_prefix("__NR_").or(name.strip_prefix("__NR3264_")) else { continue };
        let Ok(number) = number.parse() else { continue };
        if wide && !["syscalls", "arch_specific_syscall", "sync_file_range2"].contains(&name) {
            found.insert(if name == "fstatat" { "newfstatat" } else { name }.to_owned(), number);
        }
    }
    Some(found)
}

/// Every number of the header is the table's; every call of the table that is not newer is in the header.
fn agree(arch: Arch, path: &str) {
    let Some(header) = header(path) else { return };
    assert!(header.len() > 250, "{path} has only {} calls", header.len());
    let table: BTreeMap<String, u32> =
        facts::table(arch).into_iter().map(|(nr, name)| (name.to_owned(), nr)).collect();
    let newest = header.values().max().copied().unwrap_or_default();
    for (name, nr) in &header {
        assert_eq!(table.get(name), Some(nr), "{name} of {path}, for {arch:?}");
    }
    for (name, nr) in &table {
        // Newer than some headers, although its number is not.
        if name == "uretprobe" || name == "uprobe" {
            continue;
        }
        assert!(header.contains_key(name) || *nr > newest, "{name} = {nr} is not in {path}, for {arch:?}");
    }
    println!(
        "{arch:?}: {} calls as in {path}; {} are newer than it",
        header.len(),
        table.len() - header.len()
    );
}

#[test]
fn x86_64_is_as_the_headers_say() {
    let path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    agree(Arch::X86_64, path);
}

#[test]
fn aarch64_is_as_the_headers_say() {
    agree(Arch::Aarch64, "/usr/include/asm-generic/unistd.h");
}

/// A name is one call, and a number too: nothing is found twice.
#[test]
fn no_name_and_no_number_is_twice() {
    for arch in Arch::ALL {
        let table = facts::table(arch);
        for (nr, name) in &table {
            assert_eq!(arch.number(name), Some(*nr));
        }
        assert!(table.len() > 300, "{arch:?} knows {} calls", table.len());
        assert_eq!((arch.name(1024), arch.name(u32::MAX), arch.name(0xffff)), (None, None, None));
    }
}

/// The floor of issue 3, word by word. What is refused by argument is the oracle's to compare; this is what is
/// refused whatever the arguments.
const ASKED_FOR: [(&str, &[&str]); 9] = [
    ("io_uring", &["io_uring_setup", "io_uring_enter", "io_uring_register"]),
    ("keyrings", &["keyctl", "add_key", "request_key"]),
    ("userfaultfd", &["userfaultfd"]),
    ("bpf", &["bpf"]),
    ("perf", &["perf_event_open"]),
    (
        "mounts, old and new",
        &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "open_tree",
            "open_tree_attr",
            "move_mount",
            "mount_setattr",
        ],
    ),
    ("namespaces", &["unshare", "setns"]),
    ("kexec", &["kexec_load", "kexec_file_load"]),
    ("modules", &["init_module", "finit_module", "delete_module"]),
];

#[test]
fn the_floor_has_everything_that_was_asked_for() {
    let floor = facts::floor();
    for (what, names) in ASKED_FOR {
        for name in names {
            assert!(floor.contains(name), "{what}: {name} is not in the floor");
        }
    }
    for name in floor {
        assert!(Arch::ALL.iter().any(|arch| arch.number(name).is_some()), "{name} of the floor is no call");
    }
}

/// Widths that a wrong table would get wrong most easily, from the prototypes in the kernel's sources: a request, a
/// family and flags of 32 bits, and beside them what is 64 bits wide.
#[test]
fn widths_are_the_kernels() {
    const LOW: u64 = 0xffff_ffff;
    let wide = u64::MAX;
    for (name, widths) in [
        ("ioctl", &[LOW, LOW, wide][..]),
        ("socket", &[LOW, LOW, LOW]),
        ("personality", &[LOW]),
        ("clone", &[LOW, wide, wide, wide, wide]),
        ("prctl", &[LOW, wide, wide, wide, wide]),
        ("prlimit64", &[LOW, LOW, wide, wide]),
        ("setrlimit", &[LOW, wide]),
        ("mmap", &[wide, wide, wide, wide, LOW, wide]),
        ("read", &[LOW, wide, wide]),
        ("openat", &[LOW, wide, LOW, 0xffff]),
        ("futex", &[wide, LOW, LOW, wide, wide, LOW]),
        ("getppid", &[]),
    ] {
        for index in 0..6 {
            assert_eq!(facts::bits(name, index), widths.get(index).copied(), "{name} {index}");
        }
    }
}
