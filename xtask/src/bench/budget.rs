//! The budget, line by line: reached, missed and by how much, or not built yet.

use serde_json::{Value, json};

use super::Results;
use super::contenders::Starter;

/// One line.
pub(super) struct Line {
    what: &'static str,
    must: &'static str,
    /// What was found, and whether that is enough; `None` where nothing could be measured.
    found: Option<(f64, bool)>,
    built: bool,
}

pub(super) fn lines(results: &Results) -> Vec<Line> {
    let start = |starter: Starter| {
        let row = results.timings.iter().find(|row| row.starter == starter && row.is_smallest());
        row.and_then(|row| row.x_bubblewrap())
    };
    let at_most = |found: Option<f64>, most: f64| found.map(|found| (found, found <= most));
    let rate = results.throughput.iter().find(|row| row.starter == Starter::Resident && row.launchers == 8);
    let memory = |starter: Starter| {
        let row = results.idle.iter().filter(|row| row.starter == starter).max_by_key(|row| row.count);
        row.map(|row| row.share_kib + row.slab_kib)
    };
    let memory = memory(Starter::Ringfence).zip(memory(Starter::Bubblewrap)).map(|(own, unit)| own / unit);
    let grown = |kind: &str| {
        let rows = results.growth.iter().filter(|row| row.kind.contains(kind));
        rows.map(|row| row.x_smallest).reduce(f64::max)
    };
    let caller = grown("the caller holds").into_iter().chain(grown("of the caller")).reduce(f64::max);
    let measured = |what, must, found| Line { what, must, found, built: true };
    let not_built = |what, must| Line { what, must, found: None, built: false };
    vec![
        measured(
            "one-shot, static program",
            "<= 0.40 x bubblewrap",
            at_most(start(Starter::Ringfence), 0.40),
        ),
        measured(
            "library, own network namespace",
            "<= 0.25 x bubblewrap",
            at_most(start(Starter::Resident), 0.25),
        ),
        not_built("library, prepared template, shared empty network namespace", "<= 0.16 x bubblewrap"),
        not_built("warm pool: request to first instruction", "<= 1.5 x bare"),
        not_built("warm pool: request to exit", "<= 2.5 x bare"),
        measured(
            "throughput, 8 launchers, library",
            ">= 3 x bubblewrap",
            rate.and_then(|row| row.x_bubblewrap).map(|found| (found, found >= 3.0)),
        ),
        not_built("throughput from the pool, steady over 20,000 starts", ">= 10 x bubblewrap"),
        measured("memory of an idle sandbox", "<= 0.5 x bubblewrap", at_most(memory, 0.5)),
        not_built("10,000 idle sandboxes at once", "alive, every one reaped"),
        measured("a caller of 8 GiB, or of 500 threads", "<= 1.2 x a small one", at_most(caller, 1.2)),
    ]
}

pub(super) fn print(lines: &[Line]) {
    println!("| budget | must be | is | |");
    println!("| --- | --- | ---: | --- |");
    for line in lines {
        let is = line.found.map_or("-".to_owned(), |(found, _)| format!("{found:.2}"));
        println!("| {} | {} | {is} | {} |", line.what, line.must, line.verdict());
    }
}

impl Line {
    fn verdict(&self) -> &'static str {
        match self.found {
            Some((_, true)) => "reached",
            Some((_, false)) => "MISSED",
            None if self.built => "not measured here",
            None => "not built",
        }
    }

    pub(super) fn json(&self) -> Value {
        let found = self.found.map(|(found, _)| found);
        json!({ "what": self.what, "must": self.must, "found": found, "verdict": self.verdict() })
    }
}
