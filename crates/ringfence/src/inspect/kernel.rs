//! What the kernel lets the program do: IPC, features, its own files, system calls.

use std::collections::BTreeMap;

use ringfence_linux::told::{Kind, NOT_TRIED, outcome};
use ringfence_linux::{Answered, Passes, Ruled, errno_name};

use super::prober::{Record, Told};
use super::{Class, Item, NotTried, text};

/// What was tried by name: its class, the call that it needs, what it means.
const TRIED: &[(&str, Class, &str, &str)] = &[
    ("sysv-shm", Class::Ipc, "shmget", "new shared memory, of the sandbox's own namespace"),
    ("sysv-sem", Class::Ipc, "semget", "new semaphores, of the sandbox's own namespace"),
    ("sysv-msg", Class::Ipc, "msgget", "new message queues, of the sandbox's own namespace"),
    ("posix-mq", Class::Ipc, "mq_open", "new POSIX queues, of the sandbox's own namespace"),
    ("keyring-session", Class::Ipc, "keyctl", "a session keyring of its own"),
    ("keyring-user", Class::Ipc, "keyctl", "the keyring of the user that it is"),
    ("keyring-user-session", Class::Ipc, "keyctl", "the session keyring of the user that it is"),
    ("kernel-addresses", Class::Kernel, "read", "where the kernel lies in memory"),
    ("dmesg", Class::Kernel, "syslog", "the kernel's messages"),
    ("perf", Class::Kernel, "perf_event_open", "performance events"),
    ("bpf", Class::Kernel, "bpf", "programs of its own in the kernel"),
    ("io-uring", Class::Kernel, "io_uring_setup", "system calls past the filter, by a queue"),
    ("userfaultfd", Class::Kernel, "userfaultfd", "page faults held up"),
    ("executable-memory-file", Class::Kernel, "memfd_create", "executables that are on no mount"),
    ("fsopen", Class::Kernel, "fsopen", "new file systems"),
    ("user-namespace", Class::Kernel, "unshare", "capabilities in a namespace of its own"),
    ("mount-namespace", Class::Kernel, "unshare", "mounts of its own"),
    ("network-namespace", Class::Kernel, "unshare", "a network of its own"),
    ("pid-namespace", Class::Kernel, "unshare", "processes out of sight"),
    ("ptrace", Class::Kernel, "ptrace", "tracing of its own processes"),
    ("personality-no-randomize", Class::Kernel, "personality", "memory at predictable places"),
    ("mount", Class::Kernel, "mount", "new mounts"),
];

/// Every program may know or have these: nothing is told of the host, or nothing but what other files say too.
const ORDINARY: &[&str] = &["/proc/cmdline", "/proc/sys/kernel/random/boot_id", "/proc/1/root"];

pub(super) fn judge(told: &Told, ruled: &[Ruled], not_tried: &mut Vec<NotTried>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut files: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for record in told.of(Kind::Try) {
        let (name, errno) = (text(&record.text), record.head.errno);
        let known = TRIED.iter().find(|(tried, ..)| *tried == name);
        // What the rules never let through needs no other process to try it in.
        let call = known.map_or("socket", |row| row.2);
        let refused = ruled.iter().any(|ruled| ruled.name == call && ruled.passes == Passes::Never);
        if errno == NOT_TRIED && !refused {
            let why =
                format!("`{call}` ended an earlier prober, or no other process could be made to try it in");
            not_tried.push(NotTried { what: name.clone(), why });
        }
        if errno != 0 {
            continue;
        }
        if let Some((_, class, _, what)) = known {
            items.push(Item::new(*class, name, "yes", 1).detail(*what));
        } else if let Some(path) = name.strip_prefix("read:") {
            files.entry(path.to_owned()).or_default().0 = true;
        } else if let Some(path) = name.strip_prefix("write:") {
            files.entry(path.to_owned()).or_default().1 = true;
        }
    }
    for (path, (_, writes)) in files {
        let (reach, level) = if writes { ("write", 2) } else { ("read", 1) };
        let detail = if ORDINARY.contains(&&*path) { "tells of the host" } else { "" };
        items.push(Item::new(Class::Interface, path, reach, level).detail(detail));
    }
    items.extend(there_already(told));
    items
}

/// Segments, semaphores, queues and keys that were there before the program.
fn there_already(told: &Told) -> Vec<Item> {
    let mut items = Vec::new();
    for (path, name) in [
        ("/proc/sysvipc/shm", "sysv-shm of others"),
        ("/proc/sysvipc/sem", "sysv-sem of others"),
        ("/proc/sysvipc/msg", "sysv-msg of others"),
    ] {
        // The first line is a heading.
        let count = told.file(path).map_or(0, |text| text.lines().count().saturating_sub(1));
        if count > 0 {
            let mut item = Item::new(Class::Ipc, name, "see", 2);
            item.persists = Some("in the host's memory".to_owned());
            items.push(item.detail(format!("{count} of them")).remedy("do without --allow-degraded=ipc"));
        }
    }
    items
}

/// Every call that passes: what was tried, beside what the policy's rules say. Then where the two disagree.
pub(super) fn calls(told: &Told, ruled: &[Ruled], not_tried: &mut Vec<NotTried>) -> (Vec<Item>, Vec<String>) {
    let tried: BTreeMap<u32, &Record> =
        told.of(Kind::Call).map(|record| (record.head.numbers[0] as u32, record)).collect();
    let (mut items, mut disagreements, mut untried) = (Vec::new(), Vec::new(), Vec::new());
    for call in ruled {
        let said = tried.get(&call.number).map_or(Said::Nothing, |record| Said::of(record));
        disagreements.extend(disagreement(call, said));
        if told.deadly.contains(&call.number) && call.passes == Passes::Always {
            disagreements.push(format!("{}: the rules let it pass, and it ended the prober", call.name));
        }
        if said == Said::Nothing {
            untried.push(call.name);
        }
        let (reach, level) = match call.passes {
            Passes::Always => ("always", 2),
            Passes::Sometimes => ("sometimes", 1),
            Passes::Never => continue,
        };
        let detail = match said {
            Said::Nothing => "by the rules; not tried",
            // Some answer it to arguments that mean nothing.
            Said::Answered(ENOSYS) => "by the rules, and tried; this kernel may lack it",
            Said::Answered(_) | Said::Ended(_) => "by the rules, and tried",
        };
        items.push(Item::new(Class::Syscall, call.name, reach, level).detail(detail));
    }
    if !untried.is_empty() {
        let few = untried.len() < 24;
        let what = if few {
            format!("system calls {}", untried.join(", "))
        } else {
            format!("{} system calls", untried.len())
        };
        let why = if few {
            "they act whatever their arguments"
        } else {
            "no other process can be made to try them in"
        };
        not_tried
            .push(NotTried { what, why: format!("{why}; what is said of them is by the policy's rules") });
    }
    (items, disagreements)
}

/// ENOSYS, and SIGSYS: the same on both architectures.
const ENOSYS: i32 = 38;
const SIGSYS: u64 = 31;

/// What the kernel did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Answered(i32),
    Ended(u64),
}

impl Said {
    fn of(record: &Record) -> Self {
        match record.head.numbers {
            [_, outcome::RETURNED, _] => Self::Answered(record.head.errno),
            [_, outcome::KILLED, signal] => Self::Ended(signal),
            _ => Self::Nothing,
        }
    }
}

/// What the kernel did, where the rules say something else. A call that the rules let through may fail in any way but by
/// SIGSYS.
fn disagreement(call: &Ruled, said: Said) -> Option<String> {
    let agrees = match (call.answered, said) {
        (_, Said::Nothing) => true,
        (Answered::Passed, said) => said != Said::Ended(SIGSYS),
        (Answered::Refused(errno), said) => said == Said::Answered(errno.into()),
        (Answered::Killed, said) => said == Said::Ended(SIGSYS),
    };
    let expected = match call.answered {
        Answered::Passed => "that it passes".to_owned(),
        Answered::Refused(errno) => errno_name(errno.into()),
        Answered::Killed => "the end of the process".to_owned(),
    };
    let seen = match said {
        Said::Nothing => String::new(),
        Said::Answered(0) => "it did what it was asked".to_owned(),
        Said::Answered(errno) => errno_name(errno),
        Said::Ended(signal) => format!("signal {signal}"),
    };
    (!agrees).then(|| format!("{}: the rules say {expected}, the kernel: {seen}", call.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_rules_exclude_is_a_disagreement() {
        let call = |answered| Ruled { number: 1, name: "x", passes: Passes::Sometimes, answered };
        for (answered, agreeing, not) in [
            (
                Answered::Passed,
                &[Said::Answered(0), Said::Answered(1), Said::Ended(11), Said::Nothing][..],
                &[Said::Ended(31)][..],
            ),
            (
                Answered::Refused(1),
                &[Said::Answered(1), Said::Nothing],
                &[Said::Answered(0), Said::Answered(22), Said::Ended(31)],
            ),
            (Answered::Killed, &[Said::Ended(31), Said::Nothing], &[Said::Answered(1), Said::Ended(9)]),
        ] {
            assert!(
                agreeing.iter().all(|said| disagreement(&call(answered), *said).is_none()),
                "{answered:?}"
            );
            assert!(not.iter().all(|said| disagreement(&call(answered), *said).is_some()), "{answered:?}");
        }
    }
}
