//! A run as the command line does it.

use ringfence_linux::{Signals, errno_name};
use ringfence_policy::{Problem, Reason, Report};

use crate::child::Child;
use crate::command::{Command, Failure};

/// Starts a command with the caller's streams and signals, and waits.
pub(crate) fn run(
    command: &mut Command,
    start: impl FnOnce(&mut Command) -> Result<Child, Failure>,
) -> Report {
    // Taken before the start: a signal that comes during it waits until it can be passed on.
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(e) => {
            let mut report = command.begin_report();
            let problem =
                Problem::new(Reason::Internal, "signals", "signals cannot be taken over".to_owned())
                    .errno(e.raw_os_error().map_or_else(|| e.to_string(), errno_name));
            (report.exit.reason, report.error) = (problem.reason, Some(problem));
            return report;
        }
    };
    match start(command) {
        Ok(mut child) => child.wait_with(Some(&signals)),
        Err(failure) => *failure.report,
    }
}
