//! A run as the command line does it.

use std::panic::{set_hook, take_hook};
use std::sync::Arc;

use ringfence_linux::{Outer, Signals, errno_name};
use ringfence_policy::{Problem, Reason, Report};

use crate::child::Child;
use crate::command::{Command, Failure};

/// Starts a command with the caller's streams, signals and terminal, and waits.
pub(crate) fn run(
    command: &mut Command,
    outer: Option<Outer>,
    start: impl FnOnce(&mut Command) -> Result<Child, Failure>,
) -> Report {
    // Taken before the start: a signal that comes during it waits until it can be passed on.
    let signals = match &outer {
        Some(_) => Signals::take_with_terminal(),
        None => Signals::take(),
    };
    let signals = match signals {
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
    let _hook = outer.map(Hook::set);
    match start(command) {
        Ok(mut child) => child.wait_with(Some(&signals)),
        Err(failure) => *failure.report,
    }
}

type Handler = Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// Gives the caller's terminal back before a panic is told of: it may end the process without unwinding.
struct Hook(Handler);

impl Hook {
    fn set(outer: Outer) -> Self {
        let before: Handler = take_hook().into();
        let then = Arc::clone(&before);
        set_hook(Box::new(move |panic| {
            outer.give_back();
            then(panic);
        }));
        Self(before)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let before = Arc::clone(&self.0);
            set_hook(Box::new(move |panic| before(panic)));
        }
    }
}
