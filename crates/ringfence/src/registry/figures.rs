//! What live sandboxes use now: as their cgroups count it, else summed over their processes.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_linux::counted;
use serde::Serialize;

use super::Entry;
use super::process::{Task, is_alive, tasks};

/// What one sandbox uses now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Since its first process was started, in microseconds.
    pub age_us: u64,
    /// Processor time of the whole tree so far, in microseconds.
    pub cpu_us: u64,
    /// Memory of the whole tree, in bytes: as its cgroup counts it, else the resident sets of its processes, in which
    /// what they share counts for each (proc_pid_stat(5)).
    pub memory_bytes: u64,
    /// Where `memory_bytes` comes from.
    pub memory_source: Source,
    /// Processes of the program; the sandbox's own first process is none of them.
    pub processes: u64,
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The sandbox's cgroup.
    Cgroup,
    /// /proc, process by process.
    Proc,
}

/// What each of these uses, by one look at /proc for all; `None` for one that is starting or has ended.
#[must_use]
pub fn figures(entries: &[Entry]) -> Vec<Option<Figures>> {
    let tasks = tasks();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, task) in &tasks {
        children.entry(task.parent).or_default().push(*pid);
    }
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now_us = now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000;
    let of = |entry: &Entry| {
        let init = entry.init.filter(|init| is_alive(*init))?;
        let tree = tree(init.pid, &tasks, &children);
        let sum = |part: fn(&Task) -> u64| tree.iter().map(|task| part(task)).sum::<u64>();
        let (counted, page) = (
            counted(init.pid, (entry.supervisor.pid, entry.supervisor.started)),
            rustix::param::page_size() as u64,
        );
        Some(Figures {
            age_us: now_us.saturating_sub(init.started * 1_000_000 / ticks),
            // What a process has reaped is in its own account.
            cpu_us: counted.cpu_us.unwrap_or_else(|| sum(|task| task.cpu) * 1_000_000 / ticks),
            memory_bytes: counted.memory_bytes.unwrap_or_else(|| sum(|task| task.resident) * page),
            memory_source: if counted.memory_bytes.is_some() { Source::Cgroup } else { Source::Proc },
            processes: (tree.len() as u64).saturating_sub(1),
        })
    };
    entries.iter().map(of).collect()
}

/// A process and everything below it. In a PID namespace an orphan's parent is the first process, so all of the
/// sandbox is below that one.
fn tree<'a>(first: i32, tasks: &'a BTreeMap<i32, Task>, children: &BTreeMap<i32, Vec<i32>>) -> Vec<&'a Task> {
    let (mut found, mut seen, mut next) = (Vec::new(), BTreeSet::new(), vec![first]);
    while let Some(pid) = next.pop() {
        // The table was read while processes came and went.
        if !seen.insert(pid) {
            continue;
        }
        found.extend(tasks.get(&pid));
        next.extend(children.get(&pid).into_iter().flatten());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_walked_once_even_where_it_was_read_as_a_circle() {
        let task = |parent| Task { parent, cpu: 3, resident: 5 };
        let tasks = BTreeMap::from([(10, task(1)), (11, task(10)), (12, task(11)), (20, task(1))]);
        let children = BTreeMap::from([(1, vec![10, 20]), (10, vec![11]), (11, vec![12]), (12, vec![10])]);
        assert_eq!(tree(10, &tasks, &children).len(), 3);
        assert_eq!(tree(99, &tasks, &children).len(), 0);
    }

    #[test]
    fn what_has_ended_has_no_figures() {
        let who = super::super::Who { pid: i32::MAX, started: 1 };
        let entry = Entry {
            id: "i".to_owned(),
            name: None,
            supervisor: who,
            init: Some(who),
            boot_id: String::new(),
            pid_namespace: 0,
            command: Vec::new(),
            profile: String::new(),
            started_at: String::new(),
        };
        assert_eq!(figures(&[entry.clone(), Entry { init: None, ..entry }]), [None, None]);
    }
}
