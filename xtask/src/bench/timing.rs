//! Start to exit, interleaved.

use serde_json::{Value, json};

use super::contenders::{Contender, Starter};
use super::program::SMALLEST;
use super::statistics::{median, paired_ratio, quantile};
use crate::failure::Failure;

/// Rounds that fill the caches and count for nothing.
const WARM_UP: usize = 20;

/// One line of the table.
pub(super) struct Row {
    program: String,
    pub(super) starter: Starter,
    pub(super) median: f64,
    p99: f64,
    min: f64,
    /// In units of the plain start, and of bubblewrap where it runs.
    ratios: [Option<f64>; 2],
}

/// Runs A B C A B C ... and compares.
pub(super) fn measure(lanes: &[Contender], runs: usize) -> Result<Vec<Row>, Failure> {
    let mut times = vec![Vec::with_capacity(runs); lanes.len()];
    let warm_up = WARM_UP.min(runs);
    for round in 0..warm_up + runs {
        for (lane, times) in lanes.iter().zip(&mut times) {
            let time = lane.time()?;
            if round >= warm_up {
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
    /// Of the program that takes no time itself?
    pub(super) fn is_smallest(&self) -> bool {
        self.program.starts_with(SMALLEST)
    }

    pub(super) fn x_bubblewrap(&self) -> Option<f64> {
        self.ratios[1]
    }

    #[cfg(test)]
    pub(super) fn of_smallest(starter: Starter, median: f64) -> Self {
        Self { program: SMALLEST.to_owned(), starter, median, p99: median, min: median, ratios: [None; 2] }
    }

    pub(super) fn json(&self) -> Value {
        let Self { program, starter, median, p99, min, ratios: [bare, bubblewrap] } = self;
        json!({
            "program": program, "starter": starter.name(), "median_us": median, "p99_us": p99, "min_us": min,
            "x_bare": bare, "x_bubblewrap": bubblewrap,
        })
    }
}
