//! What a filter costs: `cargo xtask bench --filter` builds and runs this, and reads what it writes.
//!
//! A filter cannot be taken off, so each lane is a process of its own that measures when it is told to. The lanes
//! take turns, so that what slows the machine slows them all. Numbers go out raw: one JSON object.

mod lanes;
mod libseccomp;

use std::error::Error;
use std::time::Instant;

use ringfence_policy::Policy;
use ringfence_seccomp::{Arch, Filter};
use serde_json::json;

use lanes::{Lane, load_time};
use libseccomp::{Layout, Library};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A filter that is compared, and what making it took.
struct Subject {
    name: &'static str,
    program: Vec<libc::sock_filter>,
    compile_us: Vec<f64>,
    load_us: Vec<f64>,
}

fn main() -> Result<()> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(100), |word| word.parse())?;
    let arch = Arch::NATIVE.ok_or("no architecture that filters are compiled for")?;
    let policy = Policy::builtin("default").map_err(|problem| problem.to_string())?;
    let filter =
        Filter { syscalls: policy.syscalls, on_violation: policy.on_violation, single_process: false };
    let mut notes = Vec::new();
    let mut subjects = vec![Subject::new("no filter", Vec::new()), Subject::new("ringfence", Vec::new())];
    match Library::open() {
        Ok(_) => subjects
            .extend(["libseccomp, linear", "libseccomp, tree"].map(|name| Subject::new(name, Vec::new()))),
        Err(why) => notes.push(format!("libseccomp is not compared: {why}")),
    }
    for _ in 0..rounds {
        for subject in &mut subjects {
            subject.build(&filter, arch)?;
        }
    }
    for _ in 0..rounds {
        for subject in subjects.iter_mut().filter(|subject| !subject.program.is_empty()) {
            subject.load_us.push(load_time(&subject.program)? * 1e6);
        }
    }
    let mut lanes = Vec::new();
    for subject in &subjects {
        lanes.push(Lane::start(&subject.program)?);
    }
    let mut times = vec![[Vec::new(), Vec::new()]; lanes.len()];
    for _ in 0..rounds {
        for (lane, times) in lanes.iter_mut().zip(&mut times) {
            for (call, times) in lanes::CALLS.iter().zip(times) {
                times.push(lane.measure(*call)?);
            }
        }
    }
    let found: Vec<_> = subjects
        .iter()
        .zip(&times)
        .map(|(subject, [constant, checked])| {
            json!({
                "name": subject.name, "instructions": subject.program.len(), "compile_us": subject.compile_us,
                "load_us": subject.load_us, "constant_ns": constant, "checked_ns": checked,
            })
        })
        .collect();
    println!("{}", json!({ "lanes": found, "notes": notes }));
    Ok(())
}

impl Subject {
    fn new(name: &'static str, program: Vec<libc::sock_filter>) -> Self {
        Self { name, program, compile_us: Vec::new(), load_us: Vec::new() }
    }

    /// Compiles the filter once more, and keeps the time.
    fn build(&mut self, filter: &Filter, arch: Arch) -> Result<()> {
        let start = Instant::now();
        self.program = match self.name {
            "ringfence" => compile(filter, arch)?,
            "libseccomp, linear" => Library::open()?.compile(filter, arch, Layout::Linear)?,
            "libseccomp, tree" => Library::open()?.compile(filter, arch, Layout::Tree)?,
            _ => return Ok(()),
        };
        self.compile_us.push(start.elapsed().as_secs_f64() * 1e6);
        Ok(())
    }
}

fn compile(filter: &Filter, arch: Arch) -> Result<Vec<libc::sock_filter>> {
    let program = filter.compile(&[arch]).map_err(|mistakes| format!("{mistakes:?}"))?;
    let copy = |one: &ringfence_seccomp::Instruction| libc::sock_filter {
        code: one.code,
        jt: one.jt,
        jf: one.jf,
        k: one.k,
    };
    Ok(program.instructions().iter().map(copy).collect())
}
