//! `ringfence inspect`: what a program under a policy can reach, for people and for scripts.

use std::collections::BTreeSet;

use ringfence::inspect::{Class, Difference, Direction, Inspection, Item, difference, inspect as probe};
use ringfence::policy::Problem;

use crate::arguments::InspectArguments;
use crate::messages::escaped;
use crate::table::Table;
use crate::{messages, output, policy, usage};

/// Something differs, and something went wrong while comparing (diff(1)).
const DIFFERS: u8 = 1;
const TROUBLE: u8 = 2;

/// Probes, and prints what was found, or what differs.
pub(crate) fn inspect(arguments: InspectArguments) -> u8 {
    let mut notes = Vec::new();
    let policy = match policy::from_flags(arguments.policy, &mut notes) {
        Ok(policy) => policy,
        Err(problem) => return fail(&problem, usage::STATUS),
    };
    let other = arguments.diff.map(|word| policy::of_profile(&word, &mut notes)).transpose();
    let other = match other {
        Ok(other) => other,
        Err(problem) => return fail(&problem, usage::STATUS),
    };
    notes.iter().for_each(|note| messages::say(note));
    let found = probe(&policy, &arguments.command);
    let Some(other) = other else {
        return match found {
            Ok(found) if arguments.json => output::print(json(&found)),
            Ok(found) => output::print(joined(&lines(&found))),
            Err(problem) => fail(&problem, output::FAILED),
        };
    };
    match found.and_then(|after| Ok(difference(&probe(&other, &arguments.command)?, &after))) {
        Ok(differs) => {
            let text = if arguments.json { json(&differs) } else { joined(&changes(&differs)) };
            match output::print(text) {
                0 => {
                    if differs.changes.is_empty() {
                        0
                    } else {
                        DIFFERS
                    }
                }
                _ => TROUBLE,
            }
        }
        Err(problem) => fail(&problem, TROUBLE),
    }
}

fn fail(problem: &Problem, status: u8) -> u8 {
    messages::problem(problem);
    status
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{}\n", escaped(line))).collect()
}

/// What people call a class.
const fn heading(class: Class) -> &'static str {
    match class {
        Class::Secret => "secret",
        Class::Privilege => "privilege",
        Class::Setuid => "setuid",
        Class::Folder => "folder",
        Class::File => "file",
        Class::Device => "device",
        Class::Socket => "socket",
        Class::Service => "service",
        Class::Network => "network",
        Class::Process => "process",
        Class::Ipc => "ipc",
        Class::Kernel => "kernel",
        Class::Interface => "kernel file",
        Class::Family => "sockets of",
        Class::Syscall => "system calls",
        Class::Program => "programs",
        Class::Limit => "limits",
        Class::Variable => "variables",
        Class::Open => "open file",
        Class::Terminal => "terminal",
    }
}

/// Classes of which there are many.
const MANY: [Class; 5] = [Class::Family, Class::Syscall, Class::Program, Class::Limit, Class::Variable];

/// Calls that exploits of the kernel begin with, or that reach beyond the program.
const NOTABLE: &[&str] = &[
    "add_key",
    "bpf",
    "clone",
    "init_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "mount",
    "open_by_handle_at",
    "perf_event_open",
    "personality",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "request_key",
    "setns",
    "socket",
    "unshare",
    "userfaultfd",
];

/// One row for each thing that matters by itself; one line for each kind of thing that there are many of.
fn lines(found: &Inspection) -> Vec<String> {
    let secrets = count(found, Class::Secret);
    let persists = found.items.iter().filter(|item| item.persists.is_some()).count();
    let mut lines = vec![
        format!(
            "profile {}: {secrets} secrets by name, {} files can be executed, {persists} ways to leave something behind",
            found.profile, found.executables
        ),
        String::new(),
    ];
    let mut table = Table::new(&["WHAT", "REACH", "WHERE", "TAKEN AWAY BY", "MORE"], &[]);
    for item in found.items.iter().filter(|item| stands_alone(item)) {
        // The place stands in the same line.
        let remedy = item.remedy.as_ref().map_or_else(String::new, |words| words.replace(&item.name, "PATH"));
        let stays = item.persists.as_ref().map_or("", |_| "stays after the run");
        let more = [stays, &item.detail].into_iter().filter(|word| !word.is_empty());
        let more = more.collect::<Vec<_>>().join("; ");
        table.row([heading(item.class).to_owned(), item.reach.clone(), item.name.clone(), remedy, more]);
    }
    lines.extend(table.lines(None));
    lines.push(String::new());
    lines.extend(many(found));
    lines.push(String::new());
    lines.extend(stays(found));
    let rows = |what: &str, rows: Vec<String>| {
        let rows = rows.into_iter().map(|row| format!("  {row}"));
        std::iter::once(what.to_owned()).chain(rows).collect::<Vec<_>>()
    };
    if !found.not_tried.is_empty() {
        let untried = found.not_tried.iter().map(|row| format!("{}: {}", row.what, row.why)).collect();
        lines.extend(rows("not tried", untried));
    }
    if !found.disagreements.is_empty() {
        lines.extend(rows(
            "THE KERNEL DOES NOT DO WHAT THE RULES SAY: report this",
            found.disagreements.clone(),
        ));
    }
    lines
}

fn count(found: &Inspection, class: Class) -> usize {
    found.items.iter().filter(|item| item.class == class).count()
}

/// What every sandbox has is no row.
fn stands_alone(item: &Item) -> bool {
    let ordinary = item.class == Class::Device && item.remedy.is_none()
        || item.class == Class::Interface && item.level == 1
        || item.class == Class::Setuid && item.level == 1;
    !MANY.contains(&item.class) && !ordinary
}

/// What there are many of, a line for each kind.
fn many(found: &Inspection) -> Vec<String> {
    let of = |class: Class| found.items.iter().filter(move |item| item.class == class);
    let names = |class: Class| of(class).map(|item| item.name.as_str()).collect::<Vec<_>>();
    let list = |words: &[&str]| if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    let always = of(Class::Syscall).filter(|item| item.level > 1).count();
    let sometimes = count(found, Class::Syscall) - always;
    let notable: Vec<_> = names(Class::Syscall).into_iter().filter(|name| NOTABLE.contains(name)).collect();
    let limits: Vec<_> = of(Class::Limit)
        .filter(|item| item.level != u64::MAX)
        .map(|item| format!("{}={}", item.name, item.reach))
        .collect();
    let programs: BTreeSet<_> = of(Class::Program).filter_map(|item| item.name.rsplit('/').next()).collect();
    let ordinary = of(Class::Device).filter(|item| item.remedy.is_none()).count();
    let setuid = of(Class::Setuid).filter(|item| item.level == 1).count();
    let readable: Vec<_> =
        of(Class::Interface).filter(|item| item.level == 1).map(|item| item.name.as_str()).collect();
    vec![
        format!(
            "system calls   {always} pass, {sometimes} for some arguments; among them {}",
            list(&notable)
        ),
        format!("sockets of     {}", list(&names(Class::Family))),
        format!("programs       {}", list(&programs.into_iter().collect::<Vec<_>>())),
        format!("limits         {}", if limits.is_empty() { "none".to_owned() } else { limits.join(" ") }),
        format!("variables      {}", list(&names(Class::Variable))),
        format!("kernel files   {}", list(&readable)),
        format!(
            "and            {ordinary} devices that every sandbox has, {setuid} setuid files without effect"
        ),
    ]
}

/// What survives the run, and where on the host.
fn stays(found: &Inspection) -> Vec<String> {
    let rows: Vec<_> = found
        .items
        .iter()
        .filter_map(|item| {
            Some(format!("  {} {}: {}", heading(item.class), item.name, item.persists.as_ref()?))
        })
        .collect();
    if rows.is_empty() {
        return vec!["nothing stays after the run".to_owned()];
    }
    std::iter::once("stays after the run".to_owned()).chain(rows).collect()
}

fn changes(differs: &Difference) -> Vec<String> {
    if differs.changes.is_empty() {
        return vec!["no difference".to_owned()];
    }
    let weaker = differs.changes.iter().filter(|change| change.direction == Direction::Weaker).count();
    let stronger = differs.changes.len() - weaker;
    let mut lines = vec![
        format!(
            "from the profile {} to this policy (profile {}): {weaker} weaker, {stronger} stronger",
            differs.before, differs.after
        ),
        String::new(),
    ];
    let mut table = Table::new(&["", "WHAT", "BEFORE", "AFTER", "WHERE"], &[]);
    // Of what there are many of, all that changed alike share a row.
    let mut alike: Vec<([&str; 4], Vec<&str>)> = Vec::new();
    for change in &differs.changes {
        let word = if change.direction == Direction::Weaker { "weaker" } else { "stronger" };
        let key = [word, heading(change.class), &change.before, &change.after];
        match alike.last_mut().filter(|(last, _)| *last == key && MANY.contains(&change.class)) {
            Some((_, names)) => names.push(&change.name),
            None => alike.push((key, vec![&change.name])),
        }
    }
    for ([direction, what, before, after], names) in alike {
        let cells = [direction, what, before, after, &names.join(" ")];
        table.row(cells.map(str::to_owned));
    }
    lines.extend(table.lines(None));
    lines
}
