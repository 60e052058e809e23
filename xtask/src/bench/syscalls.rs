//! How many system calls stand between the start and the program's exec. Unlike a time, the same on a busy machine.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};

use super::contenders::{Contender, Starter};
use super::program::Folder;
use super::word;
use crate::failure::Failure;
use crate::process;

/// The calls of one start.
pub(super) struct Row {
    program: String,
    starter: Starter,
    counts: Counts,
}

/// Calls by process, in the order in which the processes appear: for Ringfence the supervisor with its threads,
/// PID 1, and the fork of PID 1 that becomes the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts(Vec<usize>);

pub(super) fn measure(
    lanes: &[Contender],
    folder: &Folder,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, Failure> {
    if process::find("strace").is_none() {
        notes.push("strace is not installed: system calls are not counted".to_owned());
        return Ok(Vec::new());
    }
    let trace = folder.path().join("trace");
    let strace = ["strace", "-f", "-qq", "-o", &word(&trace)].map(str::to_owned);
    let mut rows = Vec::new();
    // What is setuid has no privileges under a tracer.
    for lane in lanes.iter().filter(|lane| !matches!(lane.starter, Starter::Bare | Starter::Firejail)) {
        let Some(mut command) = lane.wrapped(&strace) else { continue };
        let status = command.status().map_err(|error| process::not_started(&command, &error))?;
        let text = fs::read_to_string(&trace).unwrap_or_default();
        match (status.success(), count(&text)) {
            (true, Some(counts)) => {
                rows.push(Row { program: lane.program.clone(), starter: lane.starter, counts });
            }
            _ => notes.push(format!("`{}` ended with {status}: not counted", process::shown(&command))),
        }
    }
    Ok(rows)
}

/// Counts the calls of a trace up to the last exec that worked: neither program executes another.
fn count(trace: &str) -> Option<Counts> {
    let calls: Vec<_> = trace.lines().filter_map(parse).collect();
    let is_exec = |call: &Call| matches!(call.name, "execve" | "execveat") && !call.rest.contains(" = -1 ");
    let last = calls.iter().rposition(is_exec)?;
    // Threads count as the process that made them; a thread may be seen before its maker's call returns.
    let makers: HashMap<&str, &str> =
        (0..calls.len()).filter_map(|at| Some((new_thread(&calls, at)?, calls[at].id))).collect();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for call in calls.iter().take(last + 1) {
        let process = makers.get(call.id).unwrap_or(&call.id);
        let count = usize::from(!call.resumed);
        match counts.iter_mut().find(|(id, _)| id == process) {
            Some((_, sum)) => *sum += count,
            None => counts.push((process, count)),
        }
    }
    Some(Counts(counts.into_iter().map(|(_, count)| count).collect()))
}

/// The thread that a call made. Flags stand in the first half of a call that was interrupted, the answer in the
/// second.
fn new_thread<'a>(calls: &[Call<'a>], at: usize) -> Option<&'a str> {
    let call = calls.get(at)?;
    let mut earlier = calls.iter().take(at);
    let first = if call.resumed { earlier.rfind(|other| other.id == call.id)? } else { call };
    if !(first.name.starts_with("clone") && first.rest.contains("CLONE_THREAD")) {
        return None;
    }
    call.rest.rsplit_once(" = ").map(|(_, id)| id.trim())
}

/// One line of a trace.
struct Call<'a> {
    id: &'a str,
    name: &'a str,
    rest: &'a str,
    /// The second half of a call that another process's line interrupted.
    resumed: bool,
}

/// `123 read(3, ...) = 5`, `123 <... read resumed>...`; none for signals and exits.
fn parse(line: &str) -> Option<Call<'_>> {
    let (id, call) = line.split_once(' ')?;
    let call = call.trim_start();
    if let Some(call) = call.strip_prefix("<... ") {
        let (name, rest) = call.split_once(" resumed>")?;
        return Some(Call { id, name, rest, resumed: true });
    }
    let (name, rest) = call.split_once('(')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(Call { id, name, rest, resumed: false })
}

pub(super) fn print(rows: &[Row]) {
    println!("| program | started by | calls | by process |");
    println!("| --- | --- | ---: | --- |");
    for Row { program, starter, counts } in rows {
        println!("| {program} | {} | {} | {} |", starter.name(), counts.total(), counts.split(*starter));
    }
}

impl Counts {
    fn total(&self) -> usize {
        self.0.iter().sum()
    }

    fn split(&self, starter: Starter) -> String {
        let names: &[&str] = match starter {
            Starter::Ringfence => &["supervisor", "init", "init's fork, to the exec"],
            _ => &[],
        };
        let mut parts = Vec::new();
        for (index, count) in self.0.iter().enumerate() {
            match names.get(index) {
                Some(name) => parts.push(format!("{name}: {count}")),
                None => parts.push(format!("process {}: {count}", index + 1)),
            }
        }
        parts.join(", ")
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Self { program, starter, counts } = self;
        json!({ "program": program, "starter": starter.name(), "calls": counts.total(), "by_process": counts.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
10 execve(\"/a/ringfence\", [...], 0x7ff /* 9 vars */) = 0
10 clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7}, 88 <unfinished ...>
11 rseq(0x7) = 0
10 <... clone3 resumed> => {parent_tid=[11]}, 88) = 11
10 clone3({flags=CLONE_VM|CLONE_VFORK|CLONE_NEWPID, exit_signal=SIGCHLD}, 88 <unfinished ...>
11 poll([{fd=3}], 1, -1 <unfinished ...>
12 execveat(5, \"\", [\"init\"], [], AT_EMPTY_PATH <unfinished ...>
10 <... clone3 resumed>) = 12
12 <... execveat resumed>) = 0
12 clone(child_stack=NULL, flags=SIGCHLD) = 2
13 execve(\"/usr/local/bin/true\", [\"true\"], []) = -1 ENOENT (No such file or directory)
13 execve(\"/bin/true\", [\"true\"], []) = 0
13 exit_group(0) = ?
13 +++ exited with 0 +++
12 --- SIGCHLD {si_signo=SIGCHLD} ---
";

    #[test]
    fn counts_up_to_the_exec() {
        assert_eq!(count(TRACE), Some(Counts(vec![5, 2, 2])));
    }

    #[test]
    fn a_trace_without_an_exec_has_no_count() {
        assert_eq!(count("10 execve(\"/a\", [], []) = -1 ENOENT (No such file or directory)\n"), None);
        assert_eq!(count(""), None);
    }
}
