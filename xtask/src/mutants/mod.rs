//! `cargo xtask mutants`: every hardening step is taken out, one at a time, and some test must fail.
//!
//! A mutant is PID 1 with a piece of its code exchanged, or with a piece of its plan left out just before it is carried out.
//! Building one takes a second or two; what is tested is the very binaries that are tested otherwise (tests/mutant/swap.rs).

mod code;
mod judge;
mod make;
mod profiles;
mod steps;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use judge::{Judge, Verdict};
use make::Maker;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// The table of what was found, in the tree.
const TABLE: &str = "docs/MUTANTS.md";

/// One change.
struct Mutant {
    name: &'static str,
    change: Change,
    /// An executable of tests, then parts of the names of those that must notice.
    tests: &'static str,
    /// Why it may live; empty where it may not.
    argued: &'static str,
}

enum Change {
    /// Pieces of files of crates/init: what is there, and what stands there instead.
    Code(&'static [(&'static str, &'static str, &'static str)]),
    /// What is done to each step of the plan.
    Plan(&'static str),
    /// The same, made from the plan itself.
    Generated(String),
}

/// How a mutant ended.
#[derive(Debug)]
enum End {
    /// Nothing starts with it, and with its read-backs off a test fails too, or still nothing starts.
    Refused(String, Option<Verdict>),
    /// It starts.
    Tested(Verdict),
}

struct Row {
    name: String,
    argued: &'static str,
    end: End,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let (only, shard) = (arguments.value("--only")?, arguments.value("--shard")?);
    let (list, write) = (arguments.flag("--list"), arguments.flag("--write"));
    arguments.finish()?;
    let judge = Judge::new()?;
    let mutants = all(&judge.plan()?);
    if list {
        mutants.iter().for_each(|mutant| println!("{}: {}", mutant.name, mutant.tests));
        return Ok(());
    }
    let (part, parts) = shard.as_deref().map_or(Ok((0, 1)), parse_shard)?;
    let chosen: Vec<_> = mutants
        .iter()
        .enumerate()
        .filter(|(index, mutant)| {
            index % parts == part && only.as_deref().is_none_or(|only| mutant.name.contains(only))
        })
        .map(|(_, mutant)| mutant)
        .collect();
    let target = Workspace::load()?.target;
    control(&judge, &Maker::new(&target, 0)?, &chosen)?;
    let mut rows = judge_all(&judge, &target, &chosen)?;
    if only.is_none() {
        rows.extend(profiles::rows(&judge, (part, parts))?);
    }
    report(&rows, write)
}

fn parse_shard(text: &str) -> Result<(usize, usize), Failure> {
    let parts =
        text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    match parts {
        Some((part, parts)) if part < parts => Ok((part, parts)),
        _ => Err(Failure::Usage(format!("--shard takes PART/PARTS, counted from 0, not `{text}`"))),
    }
}

/// Those of the lists, one for each right of Landlock, one for each cover in /proc.
fn all(plan: &str) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for mutant in steps::STEPS.iter().chain(code::CODE) {
        let change = match &mutant.change {
            Change::Code(pieces) => Change::Code(pieces),
            Change::Plan(body) => Change::Plan(body),
            Change::Generated(body) => Change::Generated(body.clone()),
        };
        mutants.push(Mutant { change, ..*mutant });
    }
    let mut generated = |name: String, body: String, tests| {
        let change = Change::Generated(body);
        mutants.push(Mutant { name: Box::leak(name.into_boxed_str()), change, tests, argued: "" });
    };
    for (bit, right) in steps::LANDLOCK_RIGHTS {
        let rules = "is(Op::LandlockRuleset) || is(Op::LandlockAllow) || is(Op::LandlockAllowQueues)";
        let both =
            format!("if is(Op::LandlockAllowPassed) {{ step.a &= !(1 << {bit}); step.b &= !(1 << {bit}) }}");
        let body = format!("if {rules} {{ step.a &= !(1 << {bit}) }} {both}");
        generated(format!("landlock-right-{right}"), body, steps::LANDLOCK_TEST);
    }
    for path in plan.lines().filter_map(|line| line.split_once(". cover /proc/").map(|(_, path)| path)) {
        let body = format!("if is(Op::Again) && at(b\"/proc/{path}\") {{ gone }}");
        generated(format!("no-cover-of-proc-{path}"), body, steps::COVER_TEST);
    }
    mutants
}

/// With PID 1 as it is, through the same door, every test passes; and what is put there is what runs.
fn control(judge: &Judge, maker: &Maker, mutants: &[&Mutant]) -> Result<(), Failure> {
    let image = maker.make(None, false)?;
    if let Some(why) = judge.refuses(&image)? {
        return Err(Failure::Work(format!("control: PID 1 as it is does not start: {why}")));
    }
    let mut tests: Vec<_> = mutants.iter().map(|mutant| mutant.tests).collect();
    tests.sort_unstable();
    tests.dedup();
    // All of an executable at once.
    let mut lines: Vec<String> = Vec::new();
    for test in tests {
        let (name, filters) = test.split_once(' ').unwrap_or((test, ""));
        match lines.last_mut().filter(|line| line.split(' ').next() == Some(name)) {
            Some(line) => line.push_str(&format!(" {filters}")),
            None => lines.push(test.to_owned()),
        }
    }
    for line in lines {
        if let Verdict::Killed(failed) = judge.run(&line, &image)? {
            return Err(Failure::Work(format!("control: without a mutant these fail: {failed:?}")));
        }
    }
    Ok(())
}

/// On every processor, in the order of the list.
fn judge_all(judge: &Judge, target: &Path, mutants: &[&Mutant]) -> Result<Vec<Row>, Failure> {
    let next = AtomicUsize::new(0);
    let work = &|worker: usize| -> Result<Vec<(usize, Row)>, Failure> {
        let maker = Maker::new(target, worker)?;
        let mut rows = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(mutant) = mutants.get(index) else { return Ok(rows) };
            let end = judge_one(judge, &maker, mutant)?;
            let row = Row { name: mutant.name.to_owned(), argued: mutant.argued, end };
            println!("{}", line(&row));
            rows.push((index, row));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        for thread in threads {
            let ended = thread.join().map_err(|_| Failure::Work("a worker panicked".to_owned()))?;
            rows.extend(ended?);
        }
        Ok(())
    })?;
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn judge_one(judge: &Judge, maker: &Maker, mutant: &Mutant) -> Result<End, Failure> {
    let image =
        maker.make(Some(mutant), false).map_err(|e| Failure::Work(format!("{}: {e}", mutant.name)))?;
    let Some(why) = judge.refuses(&image)? else { return judge.run(mutant.tests, &image).map(End::Tested) };
    let blind = maker.make(Some(mutant), true)?;
    let blind = match judge.refuses(&blind)? {
        Some(_) => None,
        None => Some(judge.run(mutant.tests, &blind)?),
    };
    Ok(End::Refused(why, blind))
}

impl Row {
    fn lives(&self) -> bool {
        matches!(self.end, End::Tested(Verdict::Passed(_)))
    }

    fn how(&self) -> String {
        let tests = |failed: &[String]| match failed {
            [] => String::new(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        match &self.end {
            End::Tested(Verdict::Killed(failed)) => format!("test: {}", tests(failed)),
            End::Tested(Verdict::Passed(_)) if self.argued.is_empty() => "LIVES".to_owned(),
            End::Tested(Verdict::Passed(_)) => format!("lives: {}", self.argued),
            End::Refused(why, None) => format!("refused, its read-backs off too: {why}"),
            End::Refused(why, Some(Verdict::Killed(failed))) => {
                format!("refused: {why}; without read-backs, test: {}", tests(failed))
            }
            End::Refused(why, Some(Verdict::Passed(_))) => format!("refused by a read-back alone: {why}"),
        }
    }
}

fn line(row: &Row) -> String {
    format!("{}: {}", row.name, row.how())
}

fn report(rows: &[Row], write: bool) -> Result<(), Failure> {
    let lives: Vec<_> = rows.iter().filter(|row| row.lives()).collect();
    let refused = rows.iter().filter(|row| matches!(row.end, End::Refused(..))).count();
    let alone =
        rows.iter().filter(|row| matches!(row.end, End::Refused(_, Some(Verdict::Passed(_))))).count();
    let argued = lives.iter().filter(|row| !row.argued.is_empty()).count();
    let figures = format!(
        "{} mutants: {} killed ({} by a test, {refused} refused by the product itself, {alone} of them by a read-back \
         alone), {} live, {argued} of them argued",
        rows.len(),
        rows.len() - lives.len(),
        rows.len() - lives.len() - refused,
        lives.len(),
    );
    println!("mutants: {figures}");
    if write {
        let mut text = format!(
            "# Mutants\n\nEach hardening step taken out, one at a time: what notices. Made by `cargo xtask mutants --write`.\n\n\
             {figures}.\n\n| mutant | what notices |\n| --- | --- |\n"
        );
        for row in rows {
            let _to_a_string = writeln!(text, "| {} | {} |", row.name, row.how().replace('|', "\\|"));
        }
        let path = workspace::root().join(TABLE);
        write_file(&path, &text)?;
    }
    match lives.len() - argued {
        0 => Ok(()),
        count => Err(Failure::Work(format!("{count} mutants live and nobody says why they may"))),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}
