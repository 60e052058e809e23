//! Start to exit, interleaved.

use std::time::Instant;

use serde_json::{Value, json};

use super::contenders::{Contender, Starter};
use super::statistics::{median, paired_ratio, quantile};
use crate::failure::Failure;
use crate::process;

/// Rounds that fill the caches and count for nothing.
const WARM_UP: usize = 20;

/// One line of the table.
pub(super) struct Row {
    program: String,
    starter: Starter,
    median: f64,
    p99: f64,
    min: f64,
    /// In units of the plain start, and of bubblewrap where it runs.
    ratios: [Option<f64>; 2],
}

/// Runs A B C A B C ... and compares.
pub(super) fn measure(lanes: &mut [Contender], runs: usize) -> Result<Vec<Row>, Failure> {
    let mut times = vec![Vec::with_capacity(runs); lanes.len()];
    for round in 0..WARM_UP + runs {
        for (lane, times) in lanes.iter().zip(&mut times) {
            let time = start_to_exit(lane)?;
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    let lane_of =
        |program: &str, starter| lanes.iter().position(|l| l.program == program && l.starter == starter);
    let row = |(lane, values): (&Contender, &Vec<f64>)| Row {
        program: lane.program.clone(),
        starter: lane.starter,
        median: median(values),
        p99: quantile(values, 0.99),
        min: quantile(values, 0.0),
        ratios: [Starter::Bare, Starter::Bubblewrap]
            .map(|unit| lane_of(&lane.program, unit).map(|unit| paired_ratio(values, &times[unit]))),
    };
    Ok(lanes.iter().zip(&times).map(row).collect())
}

/// Microseconds.
fn start_to_exit(lane: &Contender) -> Result<f64, Failure> {
    let mut command = lane.command();
    let start = Instant::now();
    let status = command.status();
    let time = start.elapsed();
    let status = status.map_err(|error| process::not_started(&command, &error))?;
    if !status.success() {
        return Err(Failure::Work(format!(
            "`{}` worked when tried and then failed: {status}; run it by hand",
            process::shown(&command)
        )));
    }
    Ok(time.as_secs_f64() * 1e6)
}

pub(super) fn print(rows: &[Row]) {
    println!("| program | started by | median | p99 | min | x bare | x bubblewrap |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for Row { program, starter, median, p99, min, ratios } in rows {
        let [bare, bubblewrap] =
            ratios.map(|ratio| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
        let starter = starter.name();
        println!("| {program} | {starter} | {median:.0} | {p99:.0} | {min:.0} | {bare} | {bubblewrap} |");
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Self { program, starter, median, p99, min, ratios: [bare, bubblewrap] } = self;
        json!({
            "program": program, "starter": starter.name(), "median_us": median, "p99_us": p99, "min_us": min,
            "x_bare": bare, "x_bubblewrap": bubblewrap,
        })
    }
}
