//! `cargo xtask verify`: everything that is meant to break Ringfence, and one file with what came of it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::process;
use crate::workspace::{self, Workspace};

/// Lines of output that are figures.
const FIGURES: [&str; 7] = [
    "test result: ",
    " points, ",
    "row 20: ",
    "pairs: ",
    "mutants: ",
    "number_of_executed_units",
    "not reachable here",
];

/// One part of it.
struct Part {
    name: String,
    command: Command,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let quick = arguments.flag("--quick");
    let fuzz = arguments.value("--fuzz")?.map_or(Ok(if quick { 0 } else { 10 }), |minutes| {
        minutes.parse::<u64>().map_err(|_| Failure::Usage(format!("--fuzz takes minutes, not `{minutes}`")))
    })?;
    arguments.finish()?;
    let mut parts = if quick { quick_parts() } else { all_parts() };
    let mut report = String::from("# What came of it\n");
    match fuzz_targets() {
        Ok(targets) if fuzz > 0 => parts.extend(targets.iter().map(|target| fuzz_part(target, fuzz))),
        Ok(_) => report.push_str("\nfuzz: left out: `--fuzz MINUTES` takes each target that long\n"),
        Err(why) => {
            let _to_a_string = writeln!(report, "\nfuzz: not reachable here: {why}");
        }
    }
    let mut failed = Vec::new();
    for Part { name, mut command } in parts {
        println!("verify: {name}: {}", process::shown(&command));
        let begun = Instant::now();
        let (held, figures) = run_part(&mut command)?;
        let verdict = if held { "held" } else { "FAILED" };
        let _to_a_string = writeln!(report, "\n## {name}: {verdict}, {} s\n", begun.elapsed().as_secs());
        figures.iter().for_each(|line| {
            let _to_a_string = writeln!(report, "- {line}");
        });
        if !held {
            failed.push(name);
        }
    }
    let path = Workspace::load()?.target.join("verify.md");
    fs::write(&path, &report).map_err(|e| Failure::io("write", &path, &e))?;
    println!("{report}\nverify: {}", path.display());
    if failed.is_empty() { Ok(()) } else { Err(Failure::Work(format!("failed: {}", failed.join(", ")))) }
}

fn part(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Part {
    let mut command = process::cargo();
    command.args(arguments).envs(variables.iter().copied());
    Part { name: name.to_owned(), command }
}

fn tests(name: &str, test: &str, filter: &[&str], variables: &[(&str, &str)]) -> Part {
    let arguments = ["test", "--package=ringfence-tests", "--test", test, "--"];
    part(name, &[&arguments[..], filter, &["--nocapture"]].concat(), variables)
}

fn quick_parts() -> Vec<Part> {
    vec![
        tests("races", "escape", &["races::"], &[]),
        tests("two failures, lies and stops", "faults", &["doubles::"], &[]),
    ]
}

fn all_parts() -> Vec<Part> {
    vec![
        tests("escape", "escape", &[], &[("RINGFENCE_RACES", "10000")]),
        tests("faults", "faults", &[], &[("RINGFENCE_FAULTS", "all")]),
        tests("oracle", "oracle", &[], &[("RINGFENCE_ORACLE", "all")]),
        part("mutants", &["xtask", "mutants"], &[]),
    ]
}

/// The fuzz targets, or why none can be run.
fn fuzz_targets() -> Result<Vec<String>, String> {
    if process::find("cargo-fuzz").is_none() {
        return Err("cargo-fuzz is not installed".to_owned());
    }
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<_> =
        files.flatten().filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn fuzz_part(target: &str, minutes: u64) -> Part {
    let mut command = Command::new("cargo");
    let time = format!("-max_total_time={}", minutes * 60);
    command.current_dir(workspace::root()).args(["+nightly", "fuzz", "run", target, "--", &time]);
    command.arg("-print_final_stats=1");
    Part { name: format!("fuzz {target}"), command }
}

/// Whether it held, and its figures. Everything that it says is passed on.
fn run_part(command: &mut Command) -> Result<(bool, Vec<String>), Failure> {
    let log = Workspace::load()?.target.join("verify.log");
    let file = fs::File::create(&log).map_err(|e| Failure::io("make", &log, &e))?;
    let same = file.try_clone().map_err(|e| Failure::io("make", &log, &e))?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(same).status();
    let status = status.map_err(|error| process::not_started(command, &error))?;
    let file = fs::File::open(&log).map_err(|e| Failure::io("read", &log, &e))?;
    let mut figures = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|e| Failure::io("read", &log, &e))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if FIGURES.iter().any(|figure| line.contains(figure)) || !status.success() {
            println!("{line}");
        }
        if FIGURES.iter().any(|figure| line.contains(figure)) {
            figures.push(line);
        }
    }
    Ok((status.success(), figures))
}
