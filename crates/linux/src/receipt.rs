//! The receipt: which kernel layers hold which guarantee here.

use ringfence_policy::{Beyond, Guarantee, GuaranteeRow, Network, Policy, Status};
use ringfence_seccomp::Violation;

use crate::cgroup::{self, Held};
use crate::filter::Filters;
use crate::host::Host;
use crate::identity::{Identity, Writer};
use crate::layout::{Node, Rank};
use crate::plan::Layers;
use crate::resolve::Resolved;
use crate::rung;

/// One row for each guarantee that this policy asks for.
pub(crate) fn rows(
    policy: &Policy,
    resolved: &Resolved,
    host: &Host,
    identity: &Identity,
    held: &Held,
    layers: Layers<'_>,
) -> Vec<GuaranteeRow> {
    let filters = layers.filters;
    let second = layers.ruleset.map(|_| LANDLOCK);
    let scoped = layers.ruleset.filter(|ruleset| ruleset.is_scoped()).map(|_| LANDLOCK);
    let mut rows = vec![
        files(policy, resolved, host, identity, layers),
        row(
            Guarantee::Devices,
            &with(&["mount namespace", "nodev on every mount"], second),
            "only the granted device nodes work",
        ),
        processes(host, scoped),
    ];
    if policy.network == Network::None {
        rows.push(row(Guarantee::Network, &["network namespace"], "its own loopback and nothing else"));
    }
    rows.push(ipc(policy, filters.is_some(), scoped));
    rows.push(privileges(policy, host));
    rows.push(kernel_surface(policy, filters, host));
    rows.extend(cgroup::rows(policy, held));
    rows.extend(output(policy));
    rows.extend([
        row(Guarantee::Environment, &["built from a list"], "only the listed variables are passed"),
        row(Guarantee::Fds, &["close_range", "close-on-exec, read back"], &open_files(resolved)),
        terminal(resolved),
        row(
            Guarantee::Cleanup,
            &["PID namespace", "supervisor watched by pidfd"],
            "everything ends with the program, and with its owner",
        ),
    ]);
    rows.extend(host_root(identity));
    for row in rows.iter_mut().filter(|row| row.status != Status::Enforced) {
        if let Some(file) = policy.waived_by.get(&row.guarantee) {
            row.detail = format!("{}; waived by {}", row.detail, file.display());
        }
    }
    rows
}

fn terminal(resolved: &Resolved) -> GuaranteeRow {
    let way = match resolved.terminal {
        Some(_) => "streams relayed to a terminal of its own",
        None => "streams relayed by pipes",
    };
    row(Guarantee::Terminal, &["own session", way], "the caller's terminal is not passed in")
}

fn processes(host: &Host, scoped: Option<&'static str>) -> GuaranteeRow {
    let own_proc = host.outer_proc.is_none().then_some("a proc of its own");
    let layers: Vec<_> =
        ["PID namespace"].into_iter().chain(own_proc).chain(["undumpable PID 1"]).chain(scoped).collect();
    match &host.outer_proc {
        None => row(Guarantee::Processes, &layers, "only its own processes can be seen, signalled or traced"),
        Some((lack, _)) => {
            let seen = "the caller's /proc is shown, read-only: of its processes names, arguments, mounts and network can be seen, \
                        and none can be signalled or traced";
            partial(Guarantee::Processes, &layers, &format!("{seen}; {}", lack.why))
        }
    }
}

/// The second layer's name.
const LANDLOCK: &str = "landlock";

fn with<'a>(layers: &[&'a str], second: Option<&'a str>) -> Vec<&'a str> {
    layers.iter().copied().chain(second).collect()
}

pub(crate) fn row(guarantee: Guarantee, layers: &[&str], detail: &str) -> GuaranteeRow {
    GuaranteeRow {
        guarantee,
        layers: layers.iter().map(|layer| (*layer).to_owned()).collect(),
        status: Status::Enforced,
        by: "planned".to_owned(),
        detail: detail.to_owned(),
    }
}

pub(crate) fn partial(guarantee: Guarantee, layers: &[&str], detail: &str) -> GuaranteeRow {
    GuaranteeRow { status: Status::Partial, ..row(guarantee, layers, detail) }
}

fn files(
    policy: &Policy,
    resolved: &Resolved,
    host: &Host,
    identity: &Identity,
    held_by: Layers<'_>,
) -> GuaranteeRow {
    let second = held_by.ruleset.map(|_| LANDLOCK);
    let layers = with(&["mount namespace", "own root", "recursive read-only mounts"], second);
    let mut gaps = Vec::new();
    let names = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    if !resolved.unprotected.is_empty() {
        gaps.push(format!(
            "protected names that do not exist yet can be made: {}",
            names(&resolved.unprotected)
        ));
    }
    if !resolved.unsearched.is_empty() {
        gaps.push(format!("not searched to the end for sockets and FIFOs: {}", names(&resolved.unsearched)));
    }
    let single_files = resolved.layout.nodes().any(|(path, rank, node)| {
        let held = matches!(node, Node::Cover { folder: false } | Node::Pin { folder: false, .. });
        held && rank > Rank::Base && matches!(resolved.layout.container(path).1, Node::Bind { .. })
    });
    if single_files {
        gaps.push(
            "a denied or protected file that is replaced outside while it runs is the new file".to_owned(),
        );
    }
    let named = policy.filesystem.commands.len();
    if named > 0 && held_by.filters.is_none() {
        let gap = "without a filter of system calls a program can execute what it writes to a memory file";
        gaps.push(gap.to_owned());
    }
    let commands = match named {
        0 => String::new(),
        _ => format!("; of the program folders only {named} named, and nothing executable that it can write"),
    };
    let groups: Vec<_> = host.groups.iter().filter(|group| **group != host.gid).map(u32::to_string).collect();
    let groups = if identity.drops_groups || groups.is_empty() {
        String::new()
    } else {
        format!("; supplementary groups remain: {}", groups.join(", "))
    };
    let toolchains = if resolved.toolchains.is_empty() {
        String::new()
    } else {
        format!("; shown for the command: {}", names(&resolved.toolchains))
    };
    let groups = format!("{commands}{toolchains}{groups}");
    if gaps.is_empty() {
        row(Guarantee::Files, &layers, &format!("only the granted files{groups}"))
    } else {
        partial(Guarantee::Files, &layers, &format!("{}{groups}", gaps.join("; ")))
    }
}

fn open_files(resolved: &Resolved) -> String {
    let passed: Vec<_> = resolved.passed.iter().map(i32::to_string).collect();
    match passed.as_slice() {
        [] => "only the three streams are open".to_owned(),
        numbers => format!("only the three streams are open, and as asked for: {}", numbers.join(", ")),
    }
}

fn output(policy: &Policy) -> Option<GuaranteeRow> {
    let printed = policy.limits.output.map(|limit| {
        let rest = match limit.beyond {
            Beyond::Kill => "it is killed when it prints more",
            Beyond::Truncate => "what it prints beyond is dropped",
        };
        format!("{} bytes of standard output and error pass, and {rest}", limit.size.0)
    });
    let relayed = "streams relayed and counted";
    let files = "the size of files holds for each, not for their sum";
    match (printed, policy.limits.file_size) {
        (None, None) => None,
        (Some(printed), None) => Some(row(Guarantee::Output, &[relayed], &printed)),
        (None, Some(_)) => Some(partial(Guarantee::Output, &["RLIMIT_FSIZE"], files)),
        (Some(printed), Some(_)) => {
            let detail = format!("{printed}; {files}");
            Some(partial(Guarantee::Output, &[relayed, "RLIMIT_FSIZE"], &detail))
        }
    }
}

fn kernel_surface(policy: &Policy, filters: Option<&Filters>, host: &Host) -> GuaranteeRow {
    let layers = ["seccomp filter", "no capabilities", "no further user namespace"];
    // That limit is written in a proc of the sandbox's own, and is that of its user namespace.
    let limited = host.outer_proc.is_none() && host.unmapped.is_none();
    let layers = if limited { &layers[..] } else { &layers[..2] };
    let Some(filters) = filters else {
        let detail = "no filter of system calls; a piped core handler of the host may run after a crash";
        let waived = row(Guarantee::KernelSurface, &layers[1..], detail);
        return GuaranteeRow { status: Status::Waived, ..waived };
    };
    let once =
        if filters.exec_once.is_some() { "; it executes itself, once, and no other program" } else { "" };
    let detail = format!("{}{once}", filters.summary);
    if policy.on_violation == Violation::Log {
        return partial(Guarantee::KernelSurface, layers, &detail);
    }
    row(Guarantee::KernelSurface, layers, &detail)
}

/// Abstract sockets belong to a network: its own holds them, and Landlock where it keeps them inside.
fn ipc(policy: &Policy, filtered: bool, scoped: Option<&'static str>) -> GuaranteeRow {
    let own_network = (policy.network == Network::None).then_some("network namespace");
    let filter = filtered.then_some("seccomp filter");
    let layers: Vec<_> =
        ["IPC namespace"].into_iter().chain(own_network).chain(filter).chain(scoped).collect();
    let mut gaps = Vec::new();
    if own_network.or(scoped).is_none() {
        gaps.push("the host's abstract sockets belong to its network, which was asked for");
    }
    if !filtered {
        gaps.push("without a filter of system calls, keys of its host user can be found by serial number");
    }
    if gaps.is_empty() {
        return row(Guarantee::Ipc, &layers, "no shared memory, queue, key or abstract socket of the host");
    }
    partial(Guarantee::Ipc, &layers, &gaps.join("; "))
}

fn privileges(policy: &Policy, host: &Host) -> GuaranteeRow {
    let layers = ["five capability sets", "no_new_privs", "locked secure bits", "nosuid on every mount"];
    if let Some(unmapped) = &host.unmapped {
        let detail = format!(
            "no capability, and no user namespace around it: {}; {}",
            rung::UNMAPPED,
            unmapped.lack.why
        );
        return partial(Guarantee::Privileges, &layers, &detail);
    }
    if policy.capabilities.is_empty() {
        return row(Guarantee::Privileges, &layers, "no capability, and no way to gain one");
    }
    let kept: Vec<_> = policy.capabilities.iter().map(ToString::to_string).collect();
    row(Guarantee::Privileges, &layers, &format!("keeps, inside its own user namespace: {}", kept.join(", ")))
}

fn host_root(identity: &Identity) -> Option<GuaranteeRow> {
    if !identity.caller_is_root {
        return None;
    }
    if identity.writer == Writer::Itself {
        let waived =
            row(Guarantee::HostRoot, &[], "it runs with the identity of host root, and owns root's files");
        return Some(GuaranteeRow { status: Status::Waived, ..waived });
    }
    let id = identity.mapped_mounts.map_or(0, |(uid, _)| uid);
    let who = format!("it is user {id} on the host, in no supplementary group");
    if identity.writer == Writer::Nobody {
        let detail = format!("{who}, and so is what it makes");
        return Some(row(Guarantee::HostRoot, &["an id of the host that is not root's"], &detail));
    }
    Some(row(Guarantee::HostRoot, &["user namespace", "id-mapped mounts"], &who))
}
