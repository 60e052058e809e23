//! What the crate's tables say, for readings of the rules that share nothing else with it. `tables` looks at them
//! with other eyes.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use ringfence_seccomp::{Arch, Filter};

/// Every call of an architecture. No table has numbers of four digits.
pub fn table(arch: Arch) -> Vec<(u32, &'static str)> {
    (0..1024).filter_map(|nr| Some((nr, arch.name(nr)?))).collect()
}

/// Every name that some architecture has.
pub fn all_names() -> Vec<&'static str> {
    let mut names: Vec<_> = Arch::ALL.into_iter().flat_map(table).map(|(_, name)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// An architecture's number in linux/audit.h, and the way back.
pub fn audit(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => crate::answers::X86_64,
        Arch::Aarch64 => crate::answers::AARCH64,
    }
}

pub fn arch(audit: u32) -> Option<Arch> {
    Arch::ALL.into_iter().find(|arch| self::audit(*arch) == audit)
}

pub fn name(arch: Arch, nr: u32) -> Option<&'static str> {
    static NAMES: LazyLock<[BTreeMap<u32, &'static str>; 2]> =
        LazyLock::new(|| [Arch::X86_64, Arch::Aarch64].map(|arch| table(arch).into_iter().collect()));
    NAMES[usize::from(arch == Arch::Aarch64)].get(&nr).copied()
}

/// The bits that the kernel reads of an argument; none when the call has no such argument.
pub fn bits(name: &str, index: usize) -> Option<u64> {
    ringfence_seccomp::arguments(name)?.get(index).copied()
}

static GROUPS: LazyLock<BTreeMap<&'static str, HashSet<&'static str>>> = LazyLock::new(|| {
    ringfence_seccomp::groups().map(|(name, _, members)| (name, members.into_iter().collect())).collect()
});

pub fn groups() -> Vec<&'static str> {
    GROUPS.keys().copied().collect()
}

/// Is a call among these names and groups?
pub fn names(words: &[String], name: &str) -> bool {
    words
        .iter()
        .any(|word| word == name || GROUPS.get(word.as_str()).is_some_and(|group| group.contains(name)))
}

/// How many arguments a call has; of a group, the call with the most.
pub fn arguments(word: &str) -> usize {
    let count = |name: &str| ringfence_seccomp::arguments(name).map_or(0, |bits| bits.len());
    GROUPS
        .get(word)
        .map_or_else(|| count(word), |group| group.iter().map(|name| count(name)).max().unwrap_or(0))
}

pub fn floor() -> HashSet<&'static str> {
    ringfence_seccomp::floor().collect()
}

/// Does anything in the rules, the floor or the sentinel look at this call's arguments?
pub fn has_argument_rules(filter: &Filter, name: &str) -> bool {
    const LOOKED_AT: [&str; 9] = [
        "clone",
        "ioctl",
        "personality",
        "prctl",
        "prlimit64",
        "seccomp",
        "setrlimit",
        "socket",
        "socketpair",
    ];
    LOOKED_AT.contains(&name)
        || filter.syscalls.rules.iter().any(|rule| !rule.args.is_empty() && names(&rule.syscalls, name))
}

/// Calls that do not pass because a violation is only logged: those of the groups whose use reaches other processes
/// or the host.
pub fn is_unsafe_to_log(name: &str) -> bool {
    names(&["@debug".to_owned(), "@privileged".to_owned()], name)
}
