//! Runs from asynchronous code (feature `tokio`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ringfence_linux::Cancellation;
use ringfence_policy::{Denial, Happened, Policy, Problem, Reason};

use crate::child::Output;
use crate::command::{Command, Failure, Sandbox, report_of_refusal};
use crate::stdio::Stdio;

/// One run, for [`execute`]: what is asked for beside the policy.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Standard input, all of it.
    pub stdin: Vec<u8>,
    /// A name, for the report.
    pub name: Option<String>,
    /// The folder that is taken for the caller's working directory, instead of the process' own.
    pub directory: Option<PathBuf>,
    /// The variables that are taken for the caller's environment, instead of the process' own.
    pub environment: Option<BTreeMap<OsString, OsString>>,
    /// Where it is told what is refused, as it is met for the first time: [`Command::explain`]. A run tells of
    /// [`Denials::MOST`](ringfence_policy::Denials::MOST) at most, so nothing piles up where nobody reads; the stream
    /// ends with the run.
    pub violations: Option<tokio::sync::mpsc::UnboundedSender<Denial>>,
}

impl Request {
    /// A run of this program with these arguments.
    pub fn new<I: IntoIterator<Item: AsRef<OsStr>>>(command: I) -> Self {
        let command = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { command, ..Self::default() }
    }

    fn command(self, policy: Policy) -> Command {
        let mut words = self.command.into_iter();
        // No program at all is what an empty name is called: not found.
        let mut command = Sandbox::new(policy).command(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::bytes(self.stdin));
        if let Some(violations) = self.violations {
            command.explain(true).on_event(move |event| {
                if let Happened::Violation(denial) = &event.what {
                    let _nobody_reads_is_fine = violations.send(denial.clone());
                }
            });
        }
        if let Some(name) = &self.name {
            command.name(name);
        }
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        if let Some(environment) = self.environment {
            command.callers_environment(environment);
        }
        command
    }
}

/// Runs a request under a policy, collects its output and waits, on a thread of the runtime's pool for blocking work.
///
/// Saying the cancellation kills the whole tree, and the report says so. Dropping the future kills it too and waits, as
/// far as a drop can: it holds its thread for the moments that the kernel needs to end everything inside. A run that
/// still waits for a thread of the pool then never begins.
///
/// # Errors
/// Nothing was started; the failure holds the report.
///
/// # Panics
/// Outside of a runtime, as [`tokio::task::spawn_blocking`] does.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ringfence::{Cancellation, Policy, Request, execute};
///
/// let request = Request::new(["/bin/echo", "hello"]);
/// let output = execute(request, Policy::builtin("minimal")?, &Cancellation::new()?).await?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub async fn execute(
    request: Request,
    policy: Policy,
    cancellation: &Cancellation,
) -> Result<Output, Failure> {
    let words = request.command.clone();
    let lost = |what: &str| {
        let problem = Problem::new(Reason::Internal, "execute", what.to_owned());
        let report = Box::new(report_of_refusal(&words, None, &problem));
        Failure { problem, report }
    };
    let dropped = Cancellation::new().map_err(|e| lost(&format!("no descriptor for the run: {e}")))?;
    let mut command = request.command(policy);
    command.cancel_with(cancellation).cancel_with(&dropped);
    let guard = Guard { dropped, run: Arc::default() };
    let run = Arc::clone(&guard.run);
    let task = tokio::task::spawn_blocking(move || run.perform(&mut command));
    let ended = task.await;
    drop(guard);
    match ended {
        Ok(Some(result)) => result,
        Ok(None) => Err(lost("the run was dropped before it began")),
        Err(e) => Err(lost(&format!("the run's thread ended: {e}"))),
    }
}

/// Kills the run and waits for its end, when the future is dropped.
struct Guard {
    dropped: Cancellation,
    run: Arc<Run>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.run.abandon(&self.dropped);
    }
}

#[derive(Default)]
struct Run {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It waits for a thread.
    #[default]
    Waits,
    Runs,
    Ended,
}

impl Run {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs it; `None` when nobody wants it any more.
    fn perform(&self, command: &mut Command) -> Option<Result<Output, Failure>> {
        let mut state = self.state();
        if *state != State::Waits {
            return None;
        }
        *state = State::Runs;
        drop(state);
        let end = EndsRun(self);
        let result = command.output();
        drop(end);
        Some(result)
    }

    fn abandon(&self, dropped: &Cancellation) {
        let mut state = self.state();
        match *state {
            State::Waits => *state = State::Ended,
            State::Ended => {}
            State::Runs => {
                dropped.cancel();
                while *state == State::Runs {
                    state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// Says that the run has ended, however its thread leaves it.
struct EndsRun<'a>(&'a Run);

impl Drop for EndsRun<'_> {
    fn drop(&mut self) {
        *self.0.state() = State::Ended;
        self.0.ended.notify_all();
    }
}
