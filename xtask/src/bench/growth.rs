//! Whether a start grows: with what it shows, and with its caller's size. The first of each kind is the unit.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::contenders::{Contender, Starter, Way};
use super::program::{Folder, Program};
use super::resident::Resident;
use super::statistics::{median, paired_ratio};
use super::word;
use crate::failure::Failure;
use crate::process;

const BINDS: [usize; 4] = [1, 10, 100, 1000];
const MEMORY: [usize; 3] = [0, 1 << 30, 8 << 30];
const THREADS: [usize; 3] = [0, 100, 500];

/// One line of the table.
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) size: usize,
    pub(super) median: f64,
    pub(super) x_smallest: f64,
}

pub(super) fn measure(
    program: &Program,
    ringfence: &Path,
    resident: &Path,
    folder: &Folder,
    rounds: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, Failure> {
    let mut rows = binds(program, ringfence, folder, rounds)?;
    let free = free_bytes();
    for (kind, sizes) in [("bytes that the caller holds", MEMORY), ("threads of the caller", THREADS)] {
        // Twice what is held: the rest of the machine goes on.
        let fits = |size: &usize| kind.starts_with("threads") || size * 2 <= free;
        let sizes: Vec<_> = sizes.into_iter().filter(fits).collect();
        if sizes.len() < MEMORY.len() {
            notes
                .push(format!("{kind}: no more than {:?} fit into the memory of this machine", sizes.last()));
        }
        let mut callers = Vec::new();
        for size in &sizes {
            let holds = if kind.starts_with("threads") { [0, *size] } else { [*size, 0] };
            callers.push(Resident::start(resident, &program.path, folder, holds)?);
        }
        let mut times = vec![Vec::new(); callers.len()];
        for _ in 0..rounds {
            for (caller, times) in callers.iter_mut().zip(&mut times) {
                times.push(caller.go()?);
            }
        }
        rows.extend(compared(kind, &sizes, &times));
    }
    Ok(rows)
}

fn binds(program: &Program, ringfence: &Path, folder: &Folder, rounds: usize) -> Result<Vec<Row>, Failure> {
    let shown = folder.path().join("shown");
    let made = fs::create_dir(&shown)
        .and_then(|()| (0..1000).try_for_each(|number| fs::write(shown.join(number.to_string()), "")));
    made.map_err(|error| Failure::io("fill", &shown, &error))?;
    let lane = |count: usize| {
        let files = (0..count).flat_map(|number| ["--ro".to_owned(), word(&shown.join(number.to_string()))]);
        let mut words = vec![word(ringfence), "run".to_owned(), "--ro".to_owned(), word(&program.path)];
        words.extend(files);
        words.extend(["--".to_owned(), word(&program.path)]);
        let way = Way::Words { words, folder: word(&shown.join("..")) };
        Contender { starter: Starter::Ringfence, program: program.label.clone(), way }
    };
    let lanes = BINDS.map(lane);
    for lane in &lanes {
        lane.command().map_or(Ok(String::new()), |mut command| process::read(&mut command))?;
    }
    let mut times = vec![Vec::new(); lanes.len()];
    for _ in 0..rounds {
        for (lane, times) in lanes.iter().zip(&mut times) {
            times.push(lane.time()?);
        }
    }
    Ok(compared("files shown one by one", &BINDS, &times))
}

fn compared(kind: &'static str, sizes: &[usize], times: &[Vec<f64>]) -> Vec<Row> {
    let row = |(size, own): (&usize, &Vec<f64>)| Row {
        kind,
        size: *size,
        median: median(own),
        x_smallest: paired_ratio(own, &times[0]),
    };
    sizes.iter().zip(times).map(row).collect()
}

/// `MemAvailable` of proc_meminfo(5).
fn free_bytes() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

pub(super) fn print(rows: &[Row]) {
    println!("| what grows | size | median | x the smallest |");
    println!("| --- | ---: | ---: | ---: |");
    for Row { kind, size, median, x_smallest } in rows {
        println!("| {kind} | {size} | {median:.0} | {x_smallest:.2} |");
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Self { kind, size, median, x_smallest } = self;
        json!({ "what": kind, "size": size, "median_us": median, "x_smallest": x_smallest })
    }
}
