//! `cargo xtask bench`: what a sandbox costs beside a plain start and beside bubblewrap.
//!
//! Everything is interleaved in one run and compared pair by pair; a time alone passes or fails nothing.

mod contenders;
mod filter;
mod memory;
mod program;
mod statistics;
mod syscalls;
mod timing;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use program::Program;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// What one run found.
struct Results {
    load: String,
    runs: usize,
    timings: Vec<timing::Row>,
    syscalls: Vec<syscalls::Row>,
    memory: memory::Memory,
    /// What could not be measured, and why.
    notes: Vec<String>,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.flag("--json");
    let only_filter = arguments.flag("--filter");
    let default = if only_filter { "100" } else { "500" };
    let runs = arguments.value("--runs")?.unwrap_or_else(|| default.to_owned());
    arguments.finish()?;
    let runs: usize = runs.parse().ok().filter(|runs| *runs > 0).ok_or_else(|| {
        Failure::Usage(format!("--runs wants a number of rounds greater than zero, not `{runs}`"))
    })?;
    if only_filter {
        return filter::run(runs, json);
    }
    let results = measure(runs)?;
    if json {
        println!("{:#}", results.json());
    } else {
        results.print();
    }
    Ok(())
}

fn measure(runs: usize) -> Result<Results, Failure> {
    let workspace = Workspace::load()?;
    let ringfence = build(&workspace)?;
    let folder = program::Folder::new()?;
    let mut notes = Vec::new();
    let programs = [program::tiny(&folder, &mut notes)?, Program::system("/bin/true")];
    let load = load();
    let mut lanes = Vec::new();
    for program in &programs {
        lanes.extend(contenders::all(program, &ringfence, &folder, &mut notes)?);
    }
    let timings = timing::measure(&mut lanes, runs)?;
    let syscalls = syscalls::measure(&lanes, &folder, &mut notes)?;
    let memory = memory::measure(&ringfence, &workspace, &folder, &mut notes)?;
    Ok(Results { load, runs, timings, syscalls, memory, notes })
}

/// Builds what people install, and says where it is.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    process::run(process::cargo().args(["build", "--release", "--quiet", "--package", "ringfence-cli"]))?;
    let binary = workspace.target.join("release").join("ringfence");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::Work(format!("cargo built no {}", binary.display())))
    }
}

/// The load average of the last minute, and how many processors share it.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} on {processors} processors", load.split(' ').next().unwrap_or("unknown"))
}

impl Results {
    fn print(&self) {
        println!(
            "load average {}, {} rounds, interleaved; microseconds from start to exit\n",
            self.load, self.runs
        );
        timing::print(&self.timings);
        if !self.syscalls.is_empty() {
            println!("\nsystem calls from start to the program's exec\n");
            syscalls::print(&self.syscalls);
        }
        println!("\n{}", self.memory);
        for note in &self.notes {
            println!("note: {note}");
        }
    }

    fn json(&self) -> Value {
        json!({
            "load": self.load,
            "runs": self.runs,
            "timings": self.timings.iter().map(timing::Row::json).collect::<Vec<_>>(),
            "syscalls": self.syscalls.iter().map(syscalls::Row::json).collect::<Vec<_>>(),
            "memory": self.memory.json(),
            "notes": self.notes,
        })
    }
}

/// A path as an argument; ours are all text.
fn word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
