//! What many idle sandboxes hold: the share of memory of all their processes, the payload's too, and what the kernel
//! holds for them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contenders::Starter;
use super::peers;
use super::program::{Folder, Program};
use super::word;
use crate::failure::Failure;
use crate::process;

/// How long all of them may take to reach their programs.
const PATIENCE: Duration = Duration::from_secs(120);

/// One line of the table; KiB for each sandbox.
pub(super) struct Row {
    pub(super) starter: Starter,
    pub(super) count: usize,
    pub(super) processes: f64,
    pub(super) share_kib: f64,
    pub(super) slab_kib: f64,
}

/// Each starter in turn, with so many sandboxes at once.
pub(super) fn measure(
    ringfence: &Path,
    folder: &Folder,
    counts: &[usize],
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, Failure> {
    let sleep = Program { arguments: vec!["600".to_owned()], ..Program::system("/usr/bin/sleep") };
    let words = ["run", "--", "/usr/bin/sleep", "600"].map(str::to_owned);
    let ours = std::iter::once(word(ringfence)).chain(words).collect::<Vec<_>>();
    let peers = peers::installed(&sleep, folder, notes)?;
    let mut starters = vec![(Starter::Ringfence, ours)];
    starters.extend(peers.into_iter().filter(|(starter, _)| *starter == Starter::Bubblewrap));
    let mut rows = Vec::new();
    for count in counts {
        for (starter, words) in &starters {
            match hold(*starter, words, *count, folder) {
                Ok(row) => rows.push(row),
                Err(why) => notes.push(format!("{count} idle by {}: {why}", starter.name())),
            }
        }
    }
    Ok(rows)
}

/// The sandboxes, ended when dropped.
struct Idle(Vec<Child>);

impl Drop for Idle {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended_already_is_fine = child.kill();
        }
        for child in &mut self.0 {
            let _reaped = child.wait();
        }
    }
}

fn hold(starter: Starter, words: &[String], count: usize, folder: &Folder) -> Result<Row, Failure> {
    settle();
    let before = slab();
    let mut idle = Idle(Vec::with_capacity(count));
    for _ in 0..count {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        idle.0.push(command.spawn().map_err(|error| process::not_started(&command, &error))?);
    }
    let own: Vec<u32> = idle.0.iter().map(Child::id).collect();
    let end = Instant::now() + PATIENCE;
    let tree = loop {
        let tree = below(&own);
        if tree.iter().filter(|process| process.name == "sleep").count() >= count {
            break tree;
        }
        if Instant::now() >= end {
            return Err(Failure::Work(format!("not all of them runs its program within {PATIENCE:?}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    settle();
    let slab_kib = (slab() as f64 - before as f64) / count as f64;
    let share: u64 = tree.iter().filter_map(|process| share(process.id)).sum();
    Ok(Row {
        starter,
        count,
        processes: tree.len() as f64 / count as f64,
        share_kib: share as f64 / count as f64,
        slab_kib,
    })
}

/// The kernel frees what ended sandboxes held a while after their end.
fn settle() {
    let mut last = slab();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(250));
        let now = slab();
        if now.abs_diff(last) < 1024 {
            return;
        }
        last = now;
    }
}

fn number(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// KiB of the kernel's own objects (proc_meminfo(5)), and of its stacks, page tables and per-processor memory.
fn slab() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let keys = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"];
    keys.into_iter().filter_map(|key| number(&text, key)).sum()
}

/// KiB of a process' proportional share; `None` when it is gone or not ours to read.
fn share(id: u32) -> Option<u64> {
    number(&fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?, "Pss:")
}

struct Process {
    id: u32,
    parent: u32,
    name: String,
}

/// These processes and all below them.
fn below(roots: &[u32]) -> Vec<Process> {
    let all: Vec<Process> = super::memory::processes()
        .into_iter()
        .map(|(id, parent, name)| Process { id, parent, name })
        .collect();
    let parents: std::collections::HashMap<u32, u32> =
        all.iter().map(|process| (process.id, process.parent)).collect();
    let roots: std::collections::HashSet<u32> = roots.iter().copied().collect();
    let is_below = |id: u32| {
        let mut at = Some(id);
        while let Some(here) = at {
            if roots.contains(&here) {
                return true;
            }
            at = parents.get(&here).copied();
        }
        false
    };
    all.into_iter().filter(|process| is_below(process.id)).collect()
}

pub(super) fn print(rows: &[Row]) {
    println!("| idle at once | started by | processes | share of memory, KiB | the kernel's, KiB |");
    println!("| ---: | --- | ---: | ---: | ---: |");
    for Row { starter, count, processes, share_kib, slab_kib } in rows {
        println!("| {count} | {} | {processes:.1} | {share_kib:.0} | {slab_kib:.0} |", starter.name());
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Self { starter, count, processes, share_kib, slab_kib } = self;
        json!({
            "started_by": starter.name(), "count": count, "processes": processes, "share_kib": share_kib,
            "kernel_kib": slab_kib,
        })
    }
}
