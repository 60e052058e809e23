//! The program's own state: capabilities, ids, limits, environment, open files, terminal; and other processes.

use std::collections::BTreeMap;

use ringfence_linux::told::{Kind, flag};
use ringfence_policy::Capability;

use super::prober::Told;
use super::{Class, Item, text};

/// The resources of getrlimit(2), by number, and what they count.
const RESOURCES: [&str; 16] = [
    "cpu-seconds",
    "file-size",
    "data",
    "stack",
    "core",
    "resident",
    "processes",
    "open-files",
    "locked-memory",
    "address-space",
    "locks",
    "pending-signals",
    "queue-bytes",
    "nice",
    "realtime-priority",
    "realtime-microseconds",
];

pub(super) fn judge(told: &Told) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(status) = told.file("/proc/self/status") {
        items.extend(privileges(&status));
    }
    for record in told.of(Kind::Limit) {
        let [resource, soft, hard] = record.head.numbers;
        let Some(name) = usize::try_from(resource).ok().and_then(|index| RESOURCES.get(index)) else {
            continue;
        };
        let word = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
        let detail =
            if soft == hard { String::new() } else { format!("{} until the program raises it", word(soft)) };
        items.push(Item::new(Class::Limit, *name, &word(hard), hard).detail(detail));
    }
    for record in told.of(Kind::Variable) {
        items.push(Item::new(Class::Variable, text(&record.text), "set", 1));
    }
    for record in told.of(Kind::Open) {
        items.push(Item::new(Class::Open, record.head.numbers[0].to_string(), "open", 1));
    }
    for record in told.of(Kind::Process) {
        items.extend(process(&text(&record.text), record.head.numbers[0], record.head.flags));
    }
    let terminal = told.of(Kind::Try).find(|record| record.text == b"terminal");
    if terminal.is_some_and(|record| record.head.errno == 0) {
        let item = Item::new(Class::Terminal, "/dev/tty", "own", 1);
        items.push(
            item.detail("of the sandbox's own; what is shown on it reaches the caller's screen")
                .remedy("--tty never"),
        );
    }
    items
}

/// /proc/self/status, as a table.
fn privileges(status: &str) -> Vec<Item> {
    let table: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let mut items = Vec::new();
    for (key, set, level) in [
        ("CapBnd", "bounding", 1),
        ("CapInh", "inheritable", 2),
        ("CapAmb", "ambient", 3),
        ("CapPrm", "permitted", 4),
        ("CapEff", "effective", 5),
    ] {
        let bits = table.get(key).and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or(0);
        for number in (0..64).filter(|number| bits >> number & 1 == 1) {
            let name = Capability::by_number(number)
                .map_or_else(|| format!("capability {number}"), |c| c.to_string());
            items.retain(|item: &Item| item.name != name);
            items.push(Item::new(Class::Privilege, name, set, level).remedy("do without its --keep-cap"));
        }
    }
    let is = |key: &str, value: &str| table.get(key) == Some(&value);
    if !is("NoNewPrivs", "1") {
        items.push(
            Item::new(Class::Privilege, "no_new_privs is off", "yes", 1).detail("setuid files take effect"),
        );
    }
    if !is("Seccomp", "2") {
        let item = Item::new(Class::Privilege, "no filter of system calls", "yes", 1);
        items.push(item.remedy("do without --allow-degraded=kernel-surface"));
    }
    items.extend(groups(&table));
    items
}

/// Groups beside the program's own. One without an id inside counts on the host as ever, and is not told apart here.
fn groups(table: &BTreeMap<&str, &str>) -> Option<Item> {
    let words = |key: &str| table.get(key).copied().unwrap_or_default().split_whitespace();
    let own = words("Gid").next();
    let others: Vec<_> = words("Groups").filter(|group| Some(*group) != own).collect();
    let detail = format!("{} of them, by their numbers inside: {}", others.len(), others.join(" "));
    let item = Item::new(Class::Privilege, "supplementary groups", "yes", 1).detail(detail);
    (!others.is_empty()).then(|| item.remedy("start it as a user without them"))
}

fn process(name: &str, number: u64, flags: u32) -> Option<Item> {
    let (reach, level) = match (flags & flag::READ != 0, flags & flag::WRITE != 0) {
        (true, _) => ("trace", 3),
        (false, true) => ("signal", 2),
        (false, false) => ("see", 1),
    };
    // PID 1 of a sandbox can always be seen; where the caller's proc is shown, the first process is another.
    let detail = if number == 1 && name == "ringfence-init" { "the sandbox's own first process" } else { "" };
    Some(Item::new(Class::Process, format!("{number} {name}"), reach, level).detail(detail))
}
