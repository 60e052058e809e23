//! `cargo xtask bench`: what a sandbox costs beside a plain start and beside the peers that are installed.
//!
//! Everything is interleaved in one run and compared pair by pair; a time alone passes or fails nothing.

mod budget;
mod contenders;
mod filter;
mod growth;
mod idle;
mod memory;
mod peers;
mod plot;
mod program;
mod resident;
mod statistics;
mod syscalls;
mod throughput;
mod timing;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use contenders::Starter;
use program::{Folder, Program};

use crate::arguments::Arguments;
use crate::cross;
use crate::failure::Failure;
use crate::process;
use crate::workspace::{self, Workspace};

/// What one run found.
struct Results {
    load: String,
    runs: usize,
    timings: Vec<timing::Row>,
    syscalls: Vec<syscalls::Row>,
    throughput: Vec<throughput::Row>,
    growth: Vec<growth::Row>,
    idle: Vec<idle::Row>,
    memory: memory::Memory,
    /// What could not be measured, and why.
    notes: Vec<String>,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.flag("--json");
    let only_filter = arguments.flag("--filter");
    let whole = !arguments.flag("--short");
    let write = arguments.flag("--write");
    let default = if only_filter { "100" } else { "500" };
    let runs = arguments.value("--runs")?.unwrap_or_else(|| default.to_owned());
    arguments.finish()?;
    let runs: usize = runs.parse().ok().filter(|runs| *runs > 0).ok_or_else(|| {
        Failure::Usage(format!("--runs wants a number of rounds greater than zero, not `{runs}`"))
    })?;
    if only_filter {
        return filter::run(runs, json);
    }
    let results = measure(runs, whole)?;
    let lines = budget::lines(&results);
    if json {
        println!("{:#}", results.json(&lines));
    } else {
        results.print();
        println!();
        budget::print(&lines);
    }
    if write { results.write(&lines) } else { Ok(()) }
}

/// Rounds of what takes long and needs few.
const FEW: usize = 10;

fn measure(runs: usize, whole: bool) -> Result<Results, Failure> {
    let workspace = Workspace::load()?;
    let mut notes = Vec::new();
    let (ringfence, resident) = build(&workspace, &mut notes)?;
    let folder = Folder::new()?;
    let mut programs = vec![program::tiny(&folder, &mut notes)?, Program::system("/bin/true")];
    programs.extend(Program::python());
    let load = load();
    let mut lanes = Vec::new();
    for program in &programs {
        lanes.extend(contenders::all(program, &ringfence, &resident, &folder, &mut notes)?);
    }
    let timings = timing::measure(&lanes, runs)?;
    let syscalls = syscalls::measure(&lanes, &folder, &mut notes)?;
    let memory = memory::measure(&ringfence, &workspace, &folder, &mut notes)?;
    let mut results = Results {
        load,
        runs,
        timings,
        syscalls,
        throughput: Vec::new(),
        growth: Vec::new(),
        idle: Vec::new(),
        memory,
        notes,
    };
    if whole {
        let compared = [Starter::Bubblewrap, Starter::Ringfence, Starter::Resident];
        let is_compared = |lane: &&contenders::Contender| {
            lane.program == programs[0].label && compared.contains(&lane.starter)
        };
        results.throughput = throughput::measure(&lanes.iter().filter(is_compared).collect::<Vec<_>>())?;
        let notes = &mut results.notes;
        results.growth = growth::measure(&programs[0], &ringfence, &resident, &folder, FEW, notes)?;
        results.idle = idle::measure(&ringfence, &folder, &[100, 1000], notes)?;
    }
    Ok(results)
}

/// What is released, the static binary, where this compiler can build it; and the caller of the library.
fn build(workspace: &Workspace, notes: &mut Vec<String>) -> Result<(PathBuf, PathBuf), Failure> {
    let target =
        if cfg!(target_arch = "x86_64") { "x86_64-unknown-linux-musl" } else { "aarch64-unknown-linux-musl" };
    let release = |folder: &Path, name: &str| folder.join("release").join(name);
    let ringfence = match cross::add(target) {
        Ok(()) => {
            let mut cargo = cross::cargo("build", target);
            process::run(cargo.args(["--release", "--quiet", "--package", "ringfence-cli"]))?;
            release(&workspace.target.join(target), "ringfence")
        }
        Err(why) => {
            notes.push(format!(
                "not the static binary, but one with a dynamic loader, which is slower: {why}"
            ));
            let build = ["build", "--release", "--quiet", "--package", "ringfence-cli"];
            process::run(process::cargo().args(build))?;
            release(&workspace.target, "ringfence")
        }
    };
    let build = ["build", "--release", "--quiet", "--package", "ringfence-tests", "--bin", "resident"];
    process::run(process::cargo().args(build))?;
    let resident = release(&workspace.target, "resident");
    for binary in [&ringfence, &resident] {
        if !binary.is_file() {
            return Err(Failure::Work(format!("cargo built no {}", binary.display())));
        }
    }
    Ok((ringfence, resident))
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
        let tables = [self.throughput.is_empty(), self.growth.is_empty(), self.idle.is_empty()];
        if tables != [true; 3] {
            println!();
            throughput::print(&self.throughput);
            println!();
            growth::print(&self.growth);
            println!();
            idle::print(&self.idle);
        }
        println!("\n{}", self.memory);
        for note in &self.notes {
            println!("note: {note}");
        }
    }

    /// The figures of this machine, and their picture.
    fn write(&self, lines: &[budget::Line]) -> Result<(), Failure> {
        let folder = workspace::root().join("docs").join("bench");
        let picture = plot::svg(&self.timings, &self.load);
        let made = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("results.json"), format!("{:#}\n", self.json(lines))))
            .and_then(|()| fs::write(folder.join("start.svg"), picture));
        made.map_err(|error| Failure::io("write", &folder, &error))
    }

    fn json(&self, lines: &[budget::Line]) -> Value {
        json!({
            "load": self.load,
            "runs": self.runs,
            "timings": self.timings.iter().map(timing::Row::json).collect::<Vec<_>>(),
            "syscalls": self.syscalls.iter().map(syscalls::Row::json).collect::<Vec<_>>(),
            "throughput": self.throughput.iter().map(throughput::Row::json).collect::<Vec<_>>(),
            "growth": self.growth.iter().map(growth::Row::json).collect::<Vec<_>>(),
            "idle": self.idle.iter().map(idle::Row::json).collect::<Vec<_>>(),
            "memory": self.memory.json(),
            "budget": lines.iter().map(budget::Line::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// A path as an argument; ours are all text.
fn word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
