//! A run as the command line does it.

use ringfence_linux::Signals;
use ringfence_policy::{Problem, Reason, Report};

use crate::command::Command;

/// Runs a command with the caller's streams and signals.
pub(crate) fn run(command: &mut Command, notes: &mut dyn FnMut(&str)) -> Report {
    // Taken before the start: a signal that comes during it waits until it can be passed on.
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(e) => {
            let mut report = command.begin_report();
            let problem = Problem::new(Reason::Internal, "signals", format!("signals cannot be taken over: {e}"));
            (report.exit.reason, report.error) = (problem.reason, Some(problem));
            return report;
        }
    };
    match command.spawn() {
        Ok(mut child) => {
            child.notes().iter().for_each(|note| notes(note));
            child.wait_with(Some(&signals))
        }
        Err(failure) => *failure.report,
    }
}
