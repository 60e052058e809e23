//! A sandbox, a command in it, and its plan.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_linux::{
    Cancellation, Descent, Host, Instead, Observe, Outer, OwnTerminal, Request, Running, Streams, Tell,
    check_passed, launch, plan, resolve,
};
use ringfence_policy::{
    Access, Beyond, Event, Guarantee, GuaranteeRow, OutputLimit, Policy, Problem, Reason, Report, Size, Tty,
};
use serde_json::json;

use crate::child::{Child, Output, Started};
use crate::registry::Registry;
use crate::stdio::{self, Kind, Stdio, Ways};
use crate::{clock, foreground};

/// A policy, ready to run commands under. Each command gets a fresh sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    policy: Policy,
}

impl Sandbox {
    /// A sandbox under a policy.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// A command to run in it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command {
            policy: self.policy.clone(),
            words: vec![program.as_ref().to_owned()],
            name: None,
            directory: None,
            environment: None,
            hidden: Vec::new(),
            streams: [Kind::Inherit, Kind::Inherit, Kind::Inherit],
            observe: Observe::Nothing,
            instead: None,
            once: Once::default(),
        }
    }
}

/// Why a run came to nothing: the problem, and the whole report of it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub problem: Problem,
    /// The report, as it is written for scripts.
    pub report: Box<Report>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Failure {}

/// A command under a policy, as [`std::process::Command`]. Each run takes the streams that were set; set them
/// again for another run.
#[derive(Debug)]
pub struct Command {
    policy: Policy,
    words: Vec<OsString>,
    name: Option<String>,
    directory: Option<PathBuf>,
    environment: Option<BTreeMap<OsString, OsString>>,
    hidden: Vec<PathBuf>,
    streams: [Kind; 3],
    observe: Observe,
    /// What runs in its place, when it is only looked at what it could reach.
    instead: Option<Instead>,
    once: Once,
}

/// What one run takes, beside its streams.
#[derive(Default)]
struct Once {
    passed: Vec<(i32, OwnedFd)>,
    tell: Option<Tell>,
    cancellations: Vec<Cancellation>,
    registry: Option<Registry>,
    /// The caller's terminal, in a run in the foreground.
    outer: Option<Outer>,
    ends_with_input: bool,
    /// A bound on what is collected, where the policy has none.
    bound: Option<OutputLimit>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("Once");
        fields.field("passed", &self.passed).field("ends_with_input", &self.ends_with_input);
        fields.field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// What [`Command::output`] collects where the policy has no limit: 16 MiB of both streams together. The rest is
/// read and dropped, and [`Output::truncated`] says how much.
pub const DEFAULT_OUTPUT: OutputLimit = OutputLimit { size: Size(16 << 20), beyond: Beyond::Truncate };

impl Command {
    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.words.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(&mut self, arguments: I) -> &mut Self {
        self.words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Names the run, for its report.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Takes this folder for the caller's working directory, instead of the process' own.
    pub fn current_dir(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.directory = Some(directory.into());
        self
    }

    /// Takes these variables for the caller's environment, instead of the process' own. What of them the program
    /// sees, the policy says.
    pub fn callers_environment(&mut self, variables: BTreeMap<OsString, OsString>) -> &mut Self {
        self.environment = Some(variables);
        self
    }

    /// Connects standard input; the caller's own when not said.
    pub fn stdin(&mut self, stdio: Stdio) -> &mut Self {
        self.streams[0] = stdio.0;
        self
    }

    /// Connects standard output; the caller's own when not said.
    pub fn stdout(&mut self, stdio: Stdio) -> &mut Self {
        self.streams[1] = stdio.0;
        self
    }

    /// Connects standard error; the caller's own when not said.
    pub fn stderr(&mut self, stdio: Stdio) -> &mut Self {
        self.streams[2] = stdio.0;
        self
    }

    /// Leaves a file open for the program, under this number. The kinds that would be a way out are refused when
    /// it starts: folders, terminals, and files that are open for reading only.
    pub fn pass_fd(&mut self, number: i32, file: impl Into<OwnedFd>) -> &mut Self {
        self.once.passed.push((number, file.into()));
        self
    }

    /// Ends the run when the other side of its standard input is closed: the grace begins, then everything is
    /// killed. A file, or a device, is never closed by anybody.
    pub fn end_with_stdin(&mut self, ends: bool) -> &mut Self {
        self.once.ends_with_input = ends;
        self
    }

    /// Tells of what happens, as it happens, while [`Child::wait`] runs, on its thread.
    pub fn on_event(&mut self, tell: impl FnMut(&Event) + Send + 'static) -> &mut Self {
        self.once.tell = Some(Box::new(tell));
        self
    }

    /// Collects what is refused (system calls, files, addresses, limits) for the report's `violations`, each with the
    /// one change that would allow it, and tells of each as it is met first ([`on_event`](Self::on_event)).
    ///
    /// It costs the calls that are watched, those that name files and addresses, a round trip to a thread of this
    /// process. The kernel decides about them as it does without.
    pub fn explain(&mut self, explains: bool) -> &mut Self {
        self.observe = if explains { Observe::All } else { Observe::Nothing };
        self
    }

    /// Kills everything when the word is said, from any thread. There may be several.
    pub fn cancel_with(&mut self, cancellation: &Cancellation) -> &mut Self {
        self.once.cancellations.push(cancellation.clone());
        self
    }

    /// Has a passed file run in the command's place.
    pub(crate) fn instead(&mut self, instead: Instead) {
        self.instead = Some(instead);
    }

    /// Does not show a host folder, whatever is granted around it: one that is the caller's own business.
    pub fn hide(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.hidden.push(folder.into());
        self
    }

    /// Enters the run into the registry of this user's live sandboxes, where others find and end it. A name is
    /// refused when a live sandbox has it. The registry's folder is hidden inside, whatever is granted around it.
    pub fn register(&mut self, registry: &Registry) -> &mut Self {
        self.hide(registry.path());
        self.once.registry = Some(registry.clone());
        self
    }

    /// The kernel steps that a run in the foreground would take, and what holds each guarantee. Runs nothing.
    ///
    /// # Errors
    /// What a run would refuse before it starts.
    pub fn plan(&self) -> Result<Plan, Problem> {
        self.plan_with(Outer::of_streams().as_ref())
    }

    /// The same on the rung that a run comes down to on this host: unlike a run, which learns that from a step that fails,
    /// it tries what the full rung needs, in throw-away children.
    ///
    /// # Errors
    /// What a run would refuse, for what can be told without one.
    pub fn plan_here(&self) -> Result<Plan, Problem> {
        check_passed(self.once.passed.iter().map(|(number, file)| (*number, file.as_fd())))?;
        let passed = self.once.passed.iter().map(|(number, _)| *number).collect();
        let descents = Host::read()?.descents(&self.policy)?;
        self.plan_on(&descents, passed, self.own_terminal(Outer::of_streams().as_ref()))
    }

    /// `outer` is the caller's terminal, in a run in the foreground.
    pub(crate) fn plan_with(&self, outer: Option<&Outer>) -> Result<Plan, Problem> {
        check_passed(self.once.passed.iter().map(|(number, file)| (*number, file.as_fd())))?;
        let passed = self.once.passed.iter().map(|(number, _)| *number).collect();
        self.plan_on(&[], passed, self.own_terminal(outer))
    }

    /// The plan for the rung below those that failed; the full one's when none has.
    fn plan_on(
        &self,
        descents: &[Descent],
        passed: Vec<i32>,
        terminal: Option<OwnTerminal>,
    ) -> Result<Plan, Problem> {
        let begun_ns = clock::monotonic_ns();
        let mut request = Request::of_this_process(self.words.clone())?;
        if let Some(environment) = &self.environment {
            request = request.with_environment(environment.clone())?;
        }
        if let Some(directory) = &self.directory {
            request.directory = std::path::absolute(directory).map_err(|e| {
                Problem::request("workdir", format!("`{}` is no working directory: {e}", directory.display()))
            })?;
        }
        request.passed = passed;
        request.hidden.clone_from(&self.hidden);
        request.terminal = terminal;
        request.instead.clone_from(&self.instead);
        let random = random();
        let host = Host::read()?.with_cgroups(&self.policy);
        let below = |host: Host, descent| host.below(descent, &self.policy, random);
        let host = descents.iter().try_fold(host, below)?;
        let resolved = resolve(&self.policy, &request, &host)?;
        let steps = plan(&self.policy, &resolved, &host, random)?.observed(&self.policy, self.observe)?;
        Ok(Plan { steps, begun_ns })
    }

    /// Starts it.
    ///
    /// # Errors
    /// Nothing was started; the failure holds the report.
    pub fn spawn(&mut self) -> Result<Child, Failure> {
        self.spawn_from(|command| command.plan_with(None))
    }

    /// The terminal of its own that the policy gives it.
    fn own_terminal(&self, outer: Option<&Outer>) -> Option<OwnTerminal> {
        let outside = [0, 1, 2].map(|number| self.streams[number].is_terminal(number));
        let streams = match self.policy.process.tty {
            Tty::Auto if outer.is_some() => outside,
            Tty::Always => [true; 3],
            Tty::Auto | Tty::Never => [false; 3],
        };
        // Whose output goes elsewhere may share the caller's terminal with who reads that.
        let eager = outside[1] || outer.is_none();
        streams.contains(&true).then(|| OwnTerminal::new(streams, eager, outer))
    }

    /// Starts what was planned.
    pub(crate) fn spawn_from(
        &mut self,
        plan: impl FnOnce(&Self) -> Result<Plan, Problem>,
    ) -> Result<Child, Failure> {
        let mut report = begin_briefly(&self.words, Some(&self.policy));
        report.name.clone_from(&self.name);
        // First: of many that wait and are cancelled none is worth a look at the host.
        let started = not_cancelled(&self.once.cancellations)
            .and_then(|()| plan(self))
            .and_then(|plan| self.launch(plan, &report));
        // Only now: meanwhile PID 1 sets the sandbox up.
        report.describe(&self.policy);
        match started {
            Ok(started) => Ok(Child::new(started, report)),
            Err(problem) => {
                report.exit.reason = problem.reason;
                report.error = Some(problem.clone());
                Err(Failure { problem, report: Box::new(report) })
            }
        }
    }

    fn launch(&mut self, plan: Plan, report: &Report) -> Result<Started, Problem> {
        let kinds = std::mem::replace(&mut self.streams, [Kind::Inherit, Kind::Inherit, Kind::Inherit]);
        let once = std::mem::take(&mut self.once);
        not_cancelled(&once.cancellations)?;
        let ways = Ways {
            counted: plan.steps.output_limit().is_some(),
            ends_with_input: once.ends_with_input || self.policy.process.end_with_stdin,
            terminal: plan.steps.terminal(),
            outer: once.outer.as_ref(),
        };
        let mut connected = stdio::connect(kinds, ways)
            .map_err(|e| Problem::request("streams", format!("a stream cannot be connected: {e}")))?;
        connected.streams.more = once.passed;
        let mut registration = once.registry.map(|registry| registry.claim(report)).transpose()?;
        let mut running = self.climb(plan, connected.streams)?;
        connected.pumps.into_iter().for_each(|pump| running.add_pump(pump));
        connected.terminal.into_iter().for_each(|connection| running.connect_terminal(connection));
        once.bound.into_iter().for_each(|bound| running.limit_output(bound));
        once.tell.into_iter().for_each(|tell| running.on_event(tell));
        once.cancellations.into_iter().for_each(|word| running.cancel_with(word));
        connected.input.into_iter().for_each(|input| running.end_with(input));
        // Dropping `running` ends it where it cannot be registered.
        registration.as_mut().map_or(Ok(()), |entry| entry.started(running.process_id()))?;
        Ok(Started { running, ours: connected.ours, registration })
    }

    /// Starts a plan. Where the policy does without what the next rung lacks, and this one's set-up fails for just
    /// that, the next one is tried: of the first nothing has run, and nothing is left.
    fn climb(&self, plan: Plan, mut streams: Streams) -> Result<Running, Problem> {
        let does_without = |guarantee| self.policy.waived.contains(&guarantee);
        let terminal = plan.steps.terminal().cloned();
        let (mut steps, begun_ns) = (plan.steps, plan.begun_ns);
        let mut descents: Vec<Descent> = Vec::new();
        loop {
            let rungs = [Guarantee::Processes, Guarantee::Privileges].map(does_without);
            let again = rungs.contains(&true).then(|| streams.duplicate()).transpose().map_err(|e| {
                Problem::request("streams", format!("a stream cannot be kept for another try: {e}"))
            })?;
            let descent = match launch(steps, streams, begun_ns) {
                Ok(running) if !does_without(Guarantee::Processes) => return Ok(running),
                Ok(mut running) => match running.next_rung() {
                    None => return Ok(running),
                    Some(descent) => descent,
                },
                Err(problem) if !descents.is_empty() => return Err(problem),
                Err(problem) => Host::read()?.without_user_namespaces().ok_or(problem)?,
            };
            let Some(kept) = again.filter(|_| does_without(descent.guarantee())) else {
                return Err(descent.refusal());
            };
            let passed = kept.more.iter().map(|(number, _)| *number).collect();
            descents.push(descent);
            steps = self.plan_on(&descents, passed, terminal.clone())?.steps;
            streams = kept;
        }
    }

    /// Runs it with the caller's streams and waits.
    ///
    /// # Errors
    /// Nothing was started; the failure holds the report.
    pub fn status(&mut self) -> Result<Report, Failure> {
        Ok(self.spawn()?.wait())
    }

    /// Runs it, collects what is printed to streams that were not connected, and waits. Standard input is empty unless it
    /// was connected. No more is collected than the policy's limit, or [`DEFAULT_OUTPUT`].
    ///
    /// # Errors
    /// Nothing was started; the failure holds the report.
    pub fn output(&mut self) -> Result<Output, Failure> {
        if matches!(self.streams[0], Kind::Inherit) {
            self.streams[0] = Kind::Null;
        }
        for stream in &mut self.streams[1..] {
            if matches!(stream, Kind::Inherit | Kind::Piped) {
                *stream = Kind::Collected;
            }
        }
        self.once.bound = Some(DEFAULT_OUTPUT);
        Ok(self.spawn()?.into_output())
    }

    /// Runs what [`plan`](Self::plan) answered as the command line does: the caller's streams, a polite signal to this
    /// process passed on. Call it from the only thread of a program.
    ///
    /// Streams that are terminals are a terminal of the sandbox's own ([`Tty::Auto`]), to which the caller's is relayed:
    /// it is in raw mode while this process is in its foreground, and has its settings back when this returns, when a
    /// panic leaves it, and while the program is stopped (control-Z stops this process, too).
    ///
    /// It never fails: the report says what happened.
    pub fn run_in_foreground(&mut self, plan: Plan) -> Report {
        let outer = plan.steps.terminal().and_then(|_| Outer::of_streams());
        self.once.outer.clone_from(&outer);
        foreground::run(self, outer, |command| command.spawn_from(|_| Ok(plan)))
    }

    /// The report of a run that begins now.
    pub(crate) fn begin_report(&self) -> Report {
        let mut report = begin_report(&self.words, Some(&self.policy));
        report.name.clone_from(&self.name);
        report
    }
}

fn not_cancelled(words: &[Cancellation]) -> Result<(), Problem> {
    if words.iter().any(Cancellation::is_cancelled) {
        return Err(Problem::new(Reason::Killed, "cancelled", "it was cancelled before it began".to_owned()));
    }
    Ok(())
}

/// The report of a run that ended before it could begin: whatever is known of it, and the problem.
#[must_use]
pub fn report_of_refusal(words: &[OsString], policy: Option<&Policy>, problem: &Problem) -> Report {
    let mut report = begin_report(words, policy);
    report.exit.reason = problem.reason;
    report.error = Some(problem.clone());
    report
}

fn begin_report(words: &[OsString], policy: Option<&Policy>) -> Report {
    let mut report = begin_briefly(words, policy);
    policy.into_iter().for_each(|policy| report.describe(policy));
    report
}

fn begin_briefly(words: &[OsString], policy: Option<&Policy>) -> Report {
    let words = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let id = format!("{:08x}{:08x}", random(), random());
    Report::begin_briefly(id, words, policy, clock::utc_now())
}

/// Randomness of the kernel.
fn random() -> u32 {
    // Cannot fall short for so few bytes (getrandom(2)). Were it to fail, two processes, or two moments of one, would still
    // not have the same number: the registry tells sandboxes apart by it.
    let mut bytes = ((clock::monotonic_ns() as u32).rotate_left(16) ^ std::process::id()).to_ne_bytes();
    let _filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u32::from_ne_bytes(bytes)
}

/// The ordered kernel steps of a run, and its receipt.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) steps: ringfence_linux::Plan,
    begun_ns: u64,
}

impl Plan {
    /// The steps, a line each, as they would be carried out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.steps.lines()
    }

    /// What each guarantee is held by.
    #[must_use]
    pub fn receipt(&self) -> &[GuaranteeRow] {
        self.steps.receipt()
    }

    /// Lines for a person: what was decided for them.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        self.steps.notes()
    }

    /// What the program may do with a file of the host that it sees at the file's own place; `None` where it does not.
    ///
    /// # Errors
    /// A file on the way cannot be looked at.
    pub fn access(&self, host: &Path) -> Result<Option<Access>, Problem> {
        self.steps.access(host)
    }

    /// Host paths that the program could change.
    #[must_use]
    pub fn writable(&self) -> &[PathBuf] {
        self.steps.writable()
    }

    /// Both, for scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "schema": 1, "steps": self.lines(), "receipt": self.receipt(), "notes": self.notes() })
    }
}
