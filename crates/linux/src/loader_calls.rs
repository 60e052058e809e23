//! What every dynamic loader needs of the kernel. Read by build.rs too, for the filters that are compiled there.

use ringfence_seccomp::{Arch, Filter};

/// Before the program's first instruction; of each row, one call.
const CALLS: [&[&str]; 5] = [&["openat", "open"], &["read", "pread64"], &["mmap"], &["mprotect"], &["close"]];

/// The first call that a loader needs and a filter refuses, whatever its arguments.
pub(crate) fn missing(filter: &Filter, arch: Arch) -> Option<&'static str> {
    // How a C library tells the kernel of its thread: x86_64 has a register of the kernel's for it.
    let set_up: &[&str] = if arch == Arch::X86_64 { &["arch_prctl"] } else { &["set_tid_address"] };
    let passes = |name: &&str| filter.may_pass(arch, name);
    let rows = CALLS.into_iter().chain([set_up]);
    rows.filter(|either| !either.iter().any(passes)).find_map(|either| either.first().copied())
}
