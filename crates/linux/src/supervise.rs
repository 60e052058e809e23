//! A sandbox that runs: its process, its messages, its end.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use ringfence_init::sys::{self, Fd, monotonic_ns};
use ringfence_init::wire::{Command, CommandKind, Message as _, Record, RecordKind, fault};
use ringfence_policy::{
    Beyond, Denial, Event, Exit, Guarantee, Happened, OutputLimit, Problem, Reason, Status, Usage,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send as send_bytes};

use crate::cancel::Cancellation;
use crate::cgroup::{Account, Cgroup};
use crate::diagnose;
use crate::errno;
use crate::observe::Observer;
use crate::plan::Plan;
use crate::process::Process;
use crate::pump::Pump;
use crate::relay::{Relay, readable, timespec};
use crate::rung::Descent;
use crate::signals::Signals;
use crate::terminal::{Connection, Terminal};
use crate::verdict::{self, Asked};

/// Is told of what happens.
pub type Tell = Box<dyn FnMut(&Event) + Send>;

/// How a run ended.
#[derive(Debug)]
pub struct Ending {
    /// The exit.
    pub exit: Exit,
    /// Why the program did not run, when it did not.
    pub error: Option<Problem>,
    /// What was used, when the program ran.
    pub usage: Option<Usage>,
    /// What was refused, where that was collected.
    pub denials: Option<Vec<Denial>>,
    /// PID 1 read the sandbox's state back before the program ran.
    pub verified: bool,
}

/// A live sandbox. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Running {
    process: Process,
    control: OwnedFd,
    plan: Plan,
    /// After `process`: it can be removed when nothing lives in it.
    cgroup: Option<Box<dyn Cgroup>>,
    begun_ns: u64,
    pub(crate) relay: Relay,
    pub(crate) terminal: Option<Terminal>,
    /// The master of its terminal, when it came before anything was connected to it.
    pub(crate) early_master: Option<OwnedFd>,
    pub(crate) master_came: bool,
    /// A signal has stopped the program, and this process is yet to follow.
    pub(crate) stopped: bool,
    watcher: Watcher,
    /// Who is asked about refusals, where that is collected.
    pub(crate) observer: Option<Observer>,
    cancellations: Vec<Cancellation>,
    /// The caller's standard input, when the run ends with it, until it was closed.
    input: Option<OwnedFd>,
    input_closed: bool,
    output_told: bool,
    ready: bool,
    slow_told: bool,
    pub(crate) started_ns: Option<u64>,
    /// Processor time that its cgroup had used when the program started.
    cpu_before_us: u64,
    pub(crate) final_record: Option<Record>,
    /// Of a cgroup that goes with its last process, read before that.
    account: Option<Account>,
    asked_to_end: bool,
    /// When to stop relying on PID 1: it may hang in a step on a dead file system, or be stopped from outside.
    kill_at: Option<Instant>,
    killed: bool,
    pub(crate) closed: bool,
    /// Why it could not be supervised any longer.
    pub(crate) lost: Option<String>,
}

/// How long PID 1 may take to obey.
const PATIENCE: Duration = Duration::from_secs(1);
/// A set-up that takes longer is told of.
const SLOW_START_NS: u64 = 1_000_000_000;

impl Running {
    pub(crate) fn new(
        process: Process,
        control: OwnedFd,
        plan: Plan,
        cgroup: Option<Box<dyn Cgroup>>,
        begun_ns: u64,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            process,
            control,
            cgroup,
            begun_ns,
            relay: Relay::new(plan.output),
            plan,
            terminal: None,
            early_master: None,
            master_came: false,
            stopped: false,
            watcher: Watcher::default(),
            observer,
            cancellations: Vec::new(),
            input: None,
            input_closed: false,
            output_told: false,
            ready: false,
            slow_told: false,
            started_ns: None,
            cpu_before_us: 0,
            final_record: None,
            account: None,
            asked_to_end: false,
            kill_at: None,
            killed: false,
            closed: false,
            lost: None,
        }
    }

    /// The plan that runs.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Process id of PID 1 on the host.
    #[must_use]
    pub const fn process_id(&self) -> i32 {
        self.process.id
    }

    pub(crate) fn cgroup(&self) -> Option<&dyn Cgroup> {
        self.cgroup.as_deref()
    }

    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Waits until the set-up has ended. Answers the next rung, where it failed for something that this one cannot do
    /// without here. Call it before there is anything to relay: nothing of the streams is moved.
    pub fn next_rung(&mut self) -> Option<Descent> {
        while !self.ready && self.final_record.is_none() && !self.closed {
            self.turn(None, None);
        }
        let record = self.final_record.filter(|record| record.kind == RecordKind::Failed as u32)?;
        let step = self.plan.steps.get(usize::try_from(record.step).ok()?)?;
        diagnose::descent(step, record.errno)
    }

    /// Adds a stream that [`wait`](Self::wait) moves.
    pub fn add_pump(&mut self, pump: Pump) {
        self.relay.add(pump);
    }

    /// Connects the terminal that the plan makes.
    pub fn connect_terminal(&mut self, connection: Connection) {
        self.terminal = Some(Terminal::new(connection));
        if let Some(master) = self.early_master.take() {
            self.take_terminal(Some(master));
        }
    }

    /// Takes the streams back, after the end.
    pub fn take_pumps(&mut self) -> Vec<Pump> {
        self.relay.take()
    }

    /// Limits what is relayed, where the policy does not.
    pub fn limit_output(&mut self, limit: OutputLimit) {
        self.relay.meter.or(limit);
    }

    /// Tells of what happens, as it happens.
    pub fn on_event(&mut self, tell: Tell) {
        self.watcher.0 = Some(tell);
    }

    /// Kills everything when the word is said, beside any other.
    pub fn cancel_with(&mut self, cancellation: Cancellation) {
        self.cancellations.push(cancellation);
    }

    /// Lets the run end when the other side of this stream is closed: the grace begins, then it is killed.
    pub fn end_with(&mut self, input: OwnedFd) {
        self.input = Some(input);
    }

    pub(crate) fn tell(&mut self, what: Happened) {
        if let Some(tell) = &mut self.watcher.0 {
            tell(&Event { at_us: monotonic_ns().saturating_sub(self.begun_ns) / 1000, what });
        }
    }

    /// Asks the program to end; what is left is killed when the grace has passed.
    pub fn terminate(&mut self, signal: i32) {
        self.asked_to_end = true;
        self.begin_grace(signal);
        self.tell(Happened::AskedToEnd { signal });
    }

    /// PID 1 sends the signal, if it is one, and kills when the grace has passed.
    fn begin_grace(&mut self, signal: i32) {
        self.obey_within(Duration::from_nanos(self.plan.grace_ns).saturating_add(PATIENCE));
        let command = Command { kind: CommandKind::Terminate as u32, signal };
        let _gone_is_fine = send(self.control.as_fd(), &command);
    }

    /// Kills everything inside.
    pub fn kill(&mut self) {
        self.tell(Happened::Killed);
        self.kill_now();
    }

    fn kill_now(&mut self) {
        (self.asked_to_end, self.killed) = (true, true);
        self.obey_within(PATIENCE);
        let command = Command { kind: CommandKind::Kill as u32, signal: 0 };
        if send(self.control.as_fd(), &command).is_err() {
            self.process.kill();
        }
    }

    fn obey_within(&mut self, time: Duration) {
        let at = Instant::now().checked_add(time);
        self.kill_at = self.kill_at.into_iter().chain(at).min();
    }

    /// Waits for the end. With `signals`, the first one that arrives is passed on and begins the grace, the
    /// second kills.
    pub fn wait(&mut self, signals: Option<&Signals>) -> Ending {
        while !self.closed {
            let left = self.kill_at.map(|at| at.saturating_duration_since(Instant::now()));
            self.turn(signals, left.into_iter().chain(self.until_slow()).min());
            if self.until_slow().is_some_and(|left| left.is_zero()) {
                self.slow_told = true;
                self.tell(Happened::StillStarting);
            }
            if self.kill_at.is_some_and(|at| Instant::now() >= at) {
                (self.killed, self.kill_at) = (true, None);
                self.process.kill();
            }
        }
        self.last_call();
        while !self.hand_over(signals, None) {}
        // Before anybody says how it ended.
        self.terminal = None;
        self.finish()
    }

    /// How long until somebody who watches is told that the set-up takes its time.
    fn until_slow(&self) -> Option<Duration> {
        let waits = !self.ready && !self.closed && !self.slow_told && self.watcher.0.is_some();
        let at = self.begun_ns.saturating_add(SLOW_START_NS);
        waits.then(|| Duration::from_nanos(at.saturating_sub(monotonic_ns())))
    }

    /// The end, when it has come.
    pub fn try_wait(&mut self) -> Option<Ending> {
        // A program that never stops writing must not keep the caller here.
        for _ in 0..64 {
            if self.closed {
                self.last_call();
                if self.hand_over(None, Some(Duration::ZERO)) {
                    return Some(self.finish());
                }
            } else if !self.turn(None, Some(Duration::ZERO)) {
                break;
            }
        }
        None
    }

    /// PID 1 is gone. Who was killed, or cannot be watched, waits for no reader; who had a deadline waits no longer than until then.
    fn last_call(&mut self) {
        self.process.kill();
        self.process.reap();
        self.input = None;
        let time = if self.killed || self.lost.is_some() {
            Some(PATIENCE)
        } else if let Some(at) = self.kill_at {
            // The grace that its owner began is for its readers too.
            Some(at.saturating_duration_since(Instant::now()))
        } else if self.plan.deadline_ns > 0 {
            let begun = self.started_ns.unwrap_or(self.begun_ns);
            let end = begun.saturating_add(self.plan.deadline_ns).saturating_add(self.plan.grace_ns);
            Some(Duration::from_nanos(end.saturating_sub(monotonic_ns())).max(PATIENCE))
        } else {
            None
        };
        self.relay.last_call(time);
    }

    /// Hands over what the program left in its pipes. The owner's signal, or a cancellation, gives that up.
    fn hand_over(&mut self, signals: Option<&Signals>, wait: Option<Duration>) -> bool {
        let mut interrupt: Vec<_> = signals.map(readable).into_iter().collect();
        interrupt.extend(self.cancellations.iter().map(readable));
        self.relay.hand_over(interrupt, wait)
    }

    /// Waits for one thing to happen. Answers whether one did.
    fn turn(&mut self, signals: Option<&Signals>, timeout: Option<Duration>) -> bool {
        let look = self.next_look();
        let timeout = timeout.into_iter().chain(look).min();
        let mut files = vec![readable(&self.control), readable(&self.process.pidfd)];
        let mut put = |file: Option<_>| {
            file.map(|file| {
                files.push(file);
                files.len() - 1
            })
        };
        let signals_at = put(signals.map(readable));
        let words = self.cancellations.iter().filter(|_| !self.killed);
        let cancelled_at: Vec<_> = words.filter_map(|word| put(Some(readable(word)))).collect();
        // Nothing is read from it: its other side's end is said whatever it still holds (poll(2)).
        let input_at = put(self.input.as_ref().map(|file| PollFd::new(file, PollFlags::RDHUP)));
        let news_at = self.observer.as_ref().and_then(|observer| put(Some(readable(observer))));
        let first_pump = files.len();
        let active = self.relay.watch(&mut files);
        let some = match poll(&mut files, timeout.map(timespec).as_ref()) {
            Ok(0) if timeout.is_none() => return self.lose(errno::name(fault::MISMATCH)),
            Ok(count) => count > 0,
            Err(Errno::INTR) => return true,
            Err(errno) => return self.lose(errno::name(errno.raw_os_error())),
        };
        let ready: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
        let is_ready = |at: Option<usize>| at.is_some_and(|at| ready[at]);
        self.relay.turn(&active, &ready[first_pump..]);
        self.check_output();
        if is_ready(signals_at) {
            self.pass_signals(signals);
        }
        if cancelled_at.iter().any(|at| ready[*at]) {
            self.kill();
        }
        if is_ready(input_at) {
            (self.input, self.input_closed) = (None, true);
            self.begin_grace(0);
            self.tell(Happened::StdinClosed);
        }
        if look.is_some() {
            self.look_at_terminal();
        }
        if is_ready(news_at) {
            self.tell_news();
        }
        if ready[0] {
            self.read_record();
        } else if ready[1] {
            // PID 1 has ended and its last record is read. A copy of its end of the socket may live on in a
            // forked copy of the caller, so the socket's own end is not waited for.
            self.closed = true;
        }
        self.follow_stop(signals);
        some
    }

    /// Nothing can be supervised without poll: the sandbox ends rather than go on unwatched.
    pub(crate) fn lose(&mut self, why: String) -> bool {
        (self.closed, self.lost) = (true, Some(why));
        false
    }

    /// Has the program printed more than it may?
    fn check_output(&mut self) {
        let Some(limit) = self.relay.meter.broken() else { return };
        if limit.beyond == Beyond::Kill && !self.closed && !self.killed {
            self.kill_now();
        }
        // What it printed may come before the word that it runs.
        if !self.output_told && (self.started_ns.is_some() || self.closed) {
            self.output_told = true;
            self.tell(Happened::OutputLimit { allowed: limit.size.0, action: limit.beyond });
        }
    }

    fn pass_signals(&mut self, signals: Option<&Signals>) {
        while let Some(signal) = signals.and_then(Signals::next) {
            if self.is_of_terminal(signal, signals) {
                continue;
            }
            if self.asked_to_end {
                self.kill();
            } else {
                self.terminate(signal);
            }
        }
    }

    fn read_record(&mut self) {
        let mut record = Record::default();
        let size = size_of::<Record>();
        let came = match self.plan.terminal() {
            Some(_) if !self.master_came => self.receive_with_file(&mut record),
            _ => {
                recv(&self.control, record.bytes_mut(), RecvFlags::DONTWAIT).map(|(_, length)| (length, None))
            }
        };
        match came {
            Ok((length, file)) if length == size => self.take_record(record, file),
            // A peer that left a command unread resets the connection first; its last record comes after that.
            Err(Errno::INTR | Errno::AGAIN | Errno::CONNRESET) => {}
            // PID 1 closed its end: it has ended, or is ending. Whether that is well, the records say.
            Ok(_) => self.closed = true,
            Err(errno) => _ = self.lose(errno::name(errno.raw_os_error())),
        }
    }

    /// The next record, and the file that came with it. It is there: poll said so, and nobody else reads.
    fn receive_with_file(&self, record: &mut Record) -> Result<(usize, Option<OwnedFd>), Errno> {
        let received = sys::receive(Fd(self.control.as_raw_fd()), record.bytes_mut());
        let (length, file) = received.map_err(|errno| Errno::from_raw_os_error(errno.0))?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows its number.
        Ok((length, file.map(|file| unsafe { OwnedFd::from_raw_fd(file.0) })))
    }

    fn take_record(&mut self, record: Record, file: Option<OwnedFd>) {
        if record.kind == RecordKind::Terminal as u32 {
            self.take_terminal(file);
        } else if record.kind == RecordKind::Stopped as u32 {
            self.program_stopped(record.status);
        } else if record.kind == RecordKind::Ready as u32 {
            self.ready = true;
        } else if record.kind == RecordKind::Started as u32 {
            (self.started_ns, self.cpu_before_us) = (Some(record.time_ns), record.user_us);
            self.tell(Happened::Started { pid: self.process.id });
            self.tell_news();
        } else if record.kind == RecordKind::Deadline as u32 {
            self.tell(Happened::Deadline);
        } else if self.final_record.is_none() {
            // The first word is the cause; what follows from it may say more, but later.
            self.final_record = Some(record);
            // PID 1 still holds it open, or holds on until it is killed.
            self.account = self.cgroup.as_ref().filter(|cgroup| cgroup.is_fleeting()).map(|c| c.account());
            self.ready &= record.kind != RecordKind::Failed as u32;
        }
    }

    /// Everything is over: reaps, reads what the program left, judges.
    fn finish(&mut self) -> Ending {
        self.check_output();
        self.hear_the_last();
        // Read when nothing is used any more, and removed.
        let cgroup = self.cgroup.take();
        let account =
            self.account.take().or_else(|| cgroup.map(|cgroup| cgroup.account())).unwrap_or_default();
        let (exit, error, usage) = match self.final_record {
            Some(record) if record.kind == RecordKind::Ended as u32 => self.judge(&record, &account),
            Some(record) if self.asked_to_end && record.errno == fault::DIED => self.killed_early(),
            // The kernel kills every process of a cgroup of version 2, PID 1 too.
            None if verdict::ran_out_of_memory(&account) && self.started_ns.is_some() => {
                let record = Record { status: libc::SIGKILL, time_ns: monotonic_ns(), ..Record::default() };
                self.judge(&record, &account)
            }
            Some(record) => {
                let problem = diagnose::step_failed(&self.plan, &record);
                let problem = verdict::blame_memory(problem, &account);
                (without_status(problem.reason), Some(problem), None)
            }
            None if self.killed => self.killed_early(),
            None => {
                let problem = verdict::blame_memory(self.lost_init(), &account);
                (without_status(problem.reason), Some(problem), None)
            }
        };
        self.tell(Happened::Ended { exit: exit.clone() });
        let denials = self.denials(&exit);
        Ending { exit, error, usage, denials, verified: self.ready }
    }

    /// PID 1 ended, and has not said how the program did.
    fn lost_init(&self) -> Problem {
        if let Some(problem) = self.unanswered() {
            return problem;
        }
        let what = match self.lost {
            Some(_) => "the sandbox could not be supervised any longer, so it was ended",
            None => "PID 1 of the sandbox ended without a word",
        };
        let problem = Problem::new(Reason::Internal, "init-died", what.to_owned()).remedy(
            match self.plan.limits.memory {
                // A scope of systemd has taken its account along.
                Some(_) => "was it killed from outside, or is --memory too small?",
                None => "was it killed from outside, or out of memory?",
            },
        );
        match &self.lost {
            Some(lost) => problem.errno(lost.clone()),
            None => problem,
        }
    }

    /// The end of what was killed before it could say more.
    fn killed_early(&self) -> (Exit, Option<Problem>, Option<Usage>) {
        let exceeded = self.relay.meter.exceeded();
        let reason = if self.relay.meter.is_fatal() { Reason::Output } else { Reason::Killed };
        (Exit { exceeded: exceeded.into_iter().collect(), ..without_status(reason) }, None, None)
    }

    fn judge(&self, record: &Record, account: &Account) -> (Exit, Option<Problem>, Option<Usage>) {
        let usage = self.usage(record, account);
        let asked = Asked { to_end: self.asked_to_end, by_input: self.input_closed };
        let exit = verdict::judge(&self.plan, record, account, &usage, &self.relay.meter, asked);
        (self.with_violation(exit), None, Some(usage))
    }

    fn usage(&self, record: &Record, account: &Account) -> Usage {
        let started_ns = self.started_ns.unwrap_or(record.time_ns);
        let usage = Usage {
            wall_us: record.time_ns.saturating_sub(started_ns) / 1000,
            setup_us: started_ns.saturating_sub(self.begun_ns) / 1000,
            stdout_bytes: self.relay.total(1),
            stderr_bytes: self.relay.total(2),
            ..Usage::default()
        };
        verdict::account_for(usage, record, account, self.cpu_before_us)
    }

    /// The receipt, with what PID 1 has verified.
    #[must_use]
    pub fn receipt(&self) -> Vec<ringfence_policy::GuaranteeRow> {
        let mut rows = self.plan.receipt.clone();
        for row in rows.iter_mut().filter(|row| self.ready && row.status != Status::Waived) {
            // These are so by construction; the kernel has no state of theirs to read back.
            let constructed =
                matches!(row.guarantee, Guarantee::Environment | Guarantee::Time | Guarantee::Cleanup);
            let by = if constructed { "constructed" } else { "verified" };
            by.clone_into(&mut row.by);
        }
        rows
    }
}

fn without_status(reason: Reason) -> Exit {
    Exit { code: None, signal: None, reason, exceeded: Vec::new(), detail: None }
}

/// Who is told of what happens.
#[derive(Default)]
struct Watcher(Option<Tell>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "None" })
    }
}

/// Sends a command to PID 1.
pub(crate) fn send(control: BorrowedFd<'_>, command: &Command) -> io::Result<()> {
    loop {
        match send_bytes(control, command.bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            // A message goes whole or not at all (unix(7)).
            Ok(sent) if sent == size_of::<Command>() => return Ok(()),
            Ok(_) => return Err(errno::error(ringfence_init::sys::Errno(fault::MISMATCH))),
        }
    }
}
