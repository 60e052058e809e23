//! A command that runs in its sandbox.

use std::fs::File;
use std::path::Path;

use ringfence_linux::{Ending, Running, Signals};
use ringfence_policy::{Reason, Report, Status};

use crate::registry::Registration;

/// A running sandbox. Dropping it kills everything inside and waits until it is gone; a forked copy of the caller
/// that drops it does nothing.
#[derive(Debug)]
pub struct Child {
    /// The writing end of standard input, when it was piped.
    pub stdin: Option<File>,
    /// The reading end of standard output, when it was piped.
    pub stdout: Option<File>,
    /// The reading end of standard error, when it was piped.
    pub stderr: Option<File>,
    running: Running,
    report: Report,
    ended: Option<Report>,
    /// After `running`, so that it goes when nothing is left.
    registration: Option<Registration>,
}

/// What a start made.
pub(crate) struct Started {
    pub(crate) running: Running,
    /// Our ends of pipes.
    pub(crate) ours: [Option<File>; 3],
    pub(crate) registration: Option<Registration>,
}

/// What a command wrote, and its report.
#[derive(Clone, Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How much of them was more than may be printed, and is not here.
    pub truncated: Truncated,
    /// How it ended.
    pub report: Report,
}

/// Bytes that were read and dropped because they were more than may be printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

impl Truncated {
    /// Was anything dropped?
    #[must_use]
    pub const fn any(self) -> bool {
        self.stdout > 0 || self.stderr > 0
    }
}

impl Child {
    pub(crate) fn new(started: Started, report: Report) -> Self {
        let Started { running, ours: [stdin, stdout, stderr], registration } = started;
        Self { stdin, stdout, stderr, running, report, ended: None, registration }
    }

    /// The process id, on the host, of the sandbox's first process.
    #[must_use]
    pub const fn id(&self) -> i32 {
        self.running.process_id()
    }

    /// Waits until everything inside has ended. Closes standard input first, when it was piped.
    ///
    /// What kept the program from running is in the report's `error`.
    pub fn wait(&mut self) -> Report {
        self.wait_with(None)
    }

    pub(crate) fn wait_with(&mut self, signals: Option<&Signals>) -> Report {
        if let Some(report) = &self.ended {
            return report.clone();
        }
        drop(self.stdin.take());
        let ending = self.running.wait(signals);
        self.end(ending)
    }

    /// The report, when everything inside has ended.
    pub fn try_wait(&mut self) -> Option<Report> {
        if self.ended.is_none() {
            let ending = self.running.try_wait()?;
            self.end(ending);
        }
        self.ended.clone()
    }

    /// Kills everything inside; [`wait`](Self::wait) then tells the rest.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Sends SIGTERM to the program; everything is killed when the grace has passed.
    pub fn terminate(&mut self) {
        self.running.terminate(SIGTERM);
    }

    pub(crate) fn into_output(mut self) -> Output {
        let report = self.wait();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut truncated = Truncated::default();
        for pump in self.running.take_pumps() {
            match pump.stream() {
                1 => (truncated.stdout, stdout) = (pump.dropped(), pump.into_memory()),
                2 => (truncated.stderr, stderr) = (pump.dropped(), pump.into_memory()),
                _ => {}
            }
        }
        Output { stdout, stderr, truncated, report }
    }

    fn end(&mut self, ending: Ending) -> Report {
        let registration = self.registration.take();
        let mut report = self.report.clone();
        report.exit = ending.exit;
        report.error = ending.error;
        report.usage = ending.usage;
        report.violations = ending.denials;
        // A receipt is of what was set up and read back: of nothing else.
        report.rung = ending.verified.then(|| self.running.plan().rung());
        report.receipt = if ending.verified { self.running.receipt() } else { Vec::new() };
        note_protected(&mut report, &self.running);
        if report.error.as_ref().is_some_and(|error| error.code == "init-died")
            && registration.is_some_and(|entry| entry.was_killed())
        {
            report.exit.reason = Reason::Killed;
            report.exit.detail = Some("it was ended from outside, by `ringfence kill`".to_owned());
            report.error = None;
        }
        self.ended = Some(report.clone());
        report
    }
}

/// SIGTERM (signal(7)), the same on every architecture.
const SIGTERM: i32 = 15;

/// Protected names that did not exist could not be held by a mount: they are looked at again.
fn note_protected(report: &mut Report, running: &Running) {
    let exists = |path: &&std::path::PathBuf| Path::symlink_metadata(path).is_ok();
    let made: Vec<_> =
        running.plan().unprotected().iter().filter(exists).map(|path| path.display().to_string()).collect();
    if made.is_empty() {
        return;
    }
    let what = format!("protected names were made during the run: {}", made.join(", "));
    for row in report.receipt.iter_mut().filter(|row| row.guarantee == ringfence_policy::Guarantee::Files) {
        row.status = Status::Partial;
        row.detail = format!("{what}; {}", row.detail);
    }
    report.exit.detail = Some(what);
}
