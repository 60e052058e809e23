//! How many starts end in a second, with one launcher and with many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contenders::{Contender, Starter, Way};
use super::statistics::{median, paired_ratio};
use crate::failure::Failure;

const LAUNCHERS: [usize; 6] = [1, 2, 4, 8, 16, 32];
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_millis(500);

/// One line of the table: starts a second for each number of launchers.
pub(super) struct Row {
    pub(super) starter: Starter,
    pub(super) launchers: usize,
    pub(super) per_second: f64,
    pub(super) x_bubblewrap: Option<f64>,
}

/// Every contender in turn, for each number of launchers, a few rounds.
pub(super) fn measure(lanes: &[&Contender]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for launchers in LAUNCHERS {
        let mut rates = vec![Vec::new(); lanes.len()];
        for _ in 0..ROUNDS {
            for (lane, rates) in lanes.iter().zip(&mut rates) {
                rates.push(rate(lane, launchers)?);
            }
        }
        let unit = lanes.iter().position(|lane| lane.starter == Starter::Bubblewrap);
        rows.extend(lanes.iter().zip(&rates).map(|(lane, own)| Row {
            starter: lane.starter,
            launchers,
            per_second: median(own),
            x_bubblewrap: unit.map(|unit| paired_ratio(own, &rates[unit])),
        }));
    }
    Ok(rows)
}

fn rate(lane: &Contender, launchers: usize) -> Result<f64, Failure> {
    if let Way::Asked(resident) = &lane.way {
        let milliseconds = u64::try_from(TIME.as_millis()).unwrap_or(0);
        let count = resident.borrow_mut().many(milliseconds, launchers)?;
        return Ok(count / TIME.as_secs_f64());
    }
    let (count, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let Way::Words { words, folder } = &lane.way else { return Ok(0.0) };
    let begun = Instant::now();
    let launch = || {
        while begun.elapsed() < TIME {
            let mut command = std::process::Command::new(&words[0]);
            command.args(&words[1..]).current_dir(folder);
            let null = std::process::Stdio::null;
            command.stdin(null()).stdout(null()).stderr(null());
            let worked = command.status().is_ok_and(|status| status.success());
            let which = if worked { &count } else { &failed };
            which.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..launchers {
            scope.spawn(launch);
        }
    });
    let time = begun.elapsed();
    match failed.into_inner() {
        0 => Ok(count.into_inner() as f64 / time.as_secs_f64()),
        failures => Err(Failure::Work(format!(
            "{failures} starts by {} failed with {launchers} launchers",
            lane.starter.name()
        ))),
    }
}

pub(super) fn print(rows: &[Row]) {
    println!("| launchers | started by | a second | x bubblewrap |");
    println!("| ---: | --- | ---: | ---: |");
    for Row { starter, launchers, per_second, x_bubblewrap } in rows {
        let ratio = x_bubblewrap.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!("| {launchers} | {} | {per_second:.0} | {ratio} |", starter.name());
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Self { starter, launchers, per_second, x_bubblewrap } = self;
        json!({
            "started_by": starter.name(), "launchers": launchers, "per_second": per_second,
            "x_bubblewrap": x_bubblewrap,
        })
    }
}
