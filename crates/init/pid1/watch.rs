//! The loop of PID 1 while the program runs: it blocks in poll and nowhere else.
//!
//! It ends with the supervisor, whatever happens to anyone; it holds the deadline, so a stopped supervisor
//! extends nothing; it reaps every orphan; it says how the program ended, and then nothing is left, because
//! the kernel kills a PID namespace with its PID 1.

use crate::abi::{self, PollFd, Rusage, Timespec};
use crate::account;
use crate::filter;
use crate::plan::Plan;
use crate::proc;
use crate::steps::{self, Fault};
use crate::sys::{self, Errno, Fd};
use crate::terminal;
use crate::text::{Lines, number};
use crate::wire::{
    Command, CommandKind, EVERYTHING, Message as _, NO_FD, Record, RecordKind, detail, ended, fault,
};

/// How long after the kill the last processes may take to go before the end is reported without them.
const LAST_WAIT_NS: u64 = 1_000_000_000;

/// What is known of the program.
struct Watch {
    plan: Plan,
    fork_step: usize,
    process: i32,
    /// The sandbox's own terminal. Held open to the end: it does not hang up while nobody has it open for a moment.
    terminal: Option<Fd>,
    /// Everything is stopped, because the supervisor is about to be.
    frozen: bool,
    /// Its number in /proc.
    shown: i32,
    /// Tells of the exec; `None` when the program runs, or never will.
    teller: Option<Fd>,
    /// Where the one exec of the program is answered, until it is.
    listener: Option<Fd>,
    /// When the program was started: before its exec is proven, when its process was.
    started_ns: u64,
    /// The program's process has said its last word before the exec.
    announced: bool,
    /// It was looked at after that, and had not executed anything.
    stayed: bool,
    started: bool,
    /// Raw status, when it has ended.
    status: Option<i32>,
    usage: Rusage,
    /// Processor time that the cgroup had used before the program.
    cpu_before_ns: u64,
    /// When to look at its processor time again: earlier it cannot be used up.
    cpu_look_ns: Option<u64>,
    /// Tells that memory ran out, until it has.
    memory_event: i32,
    /// When to ask it to end.
    deadline_ns: Option<u64>,
    /// When to kill it.
    kill_ns: Option<u64>,
    /// When to stop waiting for what is left.
    give_up_ns: Option<u64>,
    /// Reaping stopped before everything was reaped.
    more_to_reap: bool,
    ended: u64,
}

/// The low byte of the status of a process that a signal has stopped (wait(2)).
const STOPPED: i32 = 0x7f;

/// How long the supervisor may take to read the account of a cgroup that goes with its last process.
const LONGEST_LINGER: Timespec = Timespec { seconds: 1, nanoseconds: 0 };

/// The kernel itself counts processor time no finer than this while a process runs.
const CPU_LOOKS_APART_NS: u64 = 1_000_000;

/// How many processes are reaped before anything else is looked at: a flood of orphans must not delay the
/// deadline.
const REAPED_AT_ONCE: usize = 256;

/// Watches until the end.
pub(crate) fn run(plan: Plan, fork_step: usize, process: i32, teller: Fd, terminal: Option<Fd>) -> ! {
    // The supervisor blocked every signal around the start; nothing here ever unblocks one.
    let signals = match sys::signalfd(1 << (abi::SIGCHLD - 1)) {
        Ok(signals) => signals,
        Err(errno) => steps::fail(&plan, fork_step, errno.into()),
    };
    let shown = match proc::number_of(&plan, process) {
        Ok(shown) => shown,
        Err(fault) => steps::fail(&plan, fork_step, fault),
    };
    let started_ns = sys::monotonic_ns();
    let mut watch = Watch {
        plan,
        fork_step,
        process,
        terminal,
        frozen: false,
        shown,
        teller: Some(teller),
        listener: None,
        started_ns,
        announced: false,
        stayed: false,
        started: false,
        status: None,
        usage: Rusage::default(),
        cpu_before_ns: 0,
        cpu_look_ns: None,
        memory_event: plan.header.memory_event,
        deadline_ns: deadline(&plan, started_ns),
        kill_ns: None,
        give_up_ns: None,
        more_to_reap: false,
        ended: 0,
    };
    loop {
        watch.turn(signals);
    }
}

fn deadline(plan: &Plan, from_ns: u64) -> Option<u64> {
    (plan.header.deadline_ns != 0).then(|| from_ns.saturating_add(plan.header.deadline_ns))
}

impl Watch {
    /// Waits for one thing to happen, and does what follows from it.
    fn turn(&mut self, signals: Fd) {
        let header = self.plan.header;
        let watched = |fd| PollFd { fd, events: abi::POLLIN, revents: 0 };
        let number = |file: Option<Fd>| file.map_or(NO_FD, |file| file.0);
        let mut files = [
            header.supervisor,
            header.control,
            number(self.teller),
            number(self.listener),
            signals.0,
            self.memory_event,
        ]
        .map(watched);
        if header.memory_path != 0 {
            // That file can always be read; what is new has priority (cgroups(7)).
            files[5].events = abi::POLLPRI;
        }
        match sys::poll(&mut files, self.time_left()) {
            Ok(_) | Err(Errno(abi::EINTR)) => {}
            Err(errno) => steps::fail(&self.plan, self.fork_step, errno.into()),
        }
        let exec_events = files[3].revents;
        let [supervisor, control, teller, _, signals_ready, memory] = files.map(|file| file.revents != 0);
        if supervisor {
            // The owner is gone: so is everything here.
            sys::exit(125);
        }
        if memory {
            self.check_memory();
        }
        if teller {
            self.hear_of_exec();
        }
        if exec_events != 0 {
            self.answer_exec(exec_events & abi::POLLIN != 0);
        }
        if signals_ready {
            let mut record = [0_u8; 128];
            let _any_number_means_the_same = sys::read(signals, &mut record);
        }
        if signals_ready || self.more_to_reap {
            self.reap();
        }
        if control {
            self.read_command();
        }
        self.check_time();
    }

    /// Time until the next of the four instants.
    fn time_left(&self) -> Option<Timespec> {
        if self.more_to_reap {
            return Some(Timespec::default());
        }
        let instants = [self.deadline_ns, self.kill_ns, self.give_up_ns, self.cpu_look_ns];
        let next = instants.into_iter().flatten().min()?;
        let left = next.saturating_sub(sys::monotonic_ns());
        Some(Timespec { seconds: (left / 1_000_000_000) as i64, nanoseconds: (left % 1_000_000_000) as i64 })
    }

    /// The socket says when the program was started; its end says that the program runs, or that its process
    /// died. End-of-file alone is never success: the kernel is asked.
    fn hear_of_exec(&mut self) {
        let Some(teller) = self.teller else { return };
        let mut said = [[0_u8; 8]; 2];
        match sys::receive(teller, said.as_flattened_mut()) {
            Ok((16, listener)) => {
                self.announced = true;
                [self.started_ns, self.cpu_before_ns] = said.map(u64::from_ne_bytes);
                let header = self.plan.header;
                let limited = header.cpu_limit_ns != 0 && header.cpu_file != NO_FD;
                self.cpu_look_ns = limited.then_some(self.started_ns);
                if self.deadline_ns.is_some() {
                    self.deadline_ns = deadline(&self.plan, self.started_ns);
                }
                if filter::answers_exec(&self.plan) && listener.is_none() {
                    self.fail_exec(Fault::mismatch(detail::NO_FILTER));
                }
                self.listener = listener;
                return;
            }
            Err(Errno(abi::EINTR | abi::EAGAIN)) => return,
            Ok(_) | Err(_) => {}
        }
        let _nothing_left_to_read = sys::close(teller);
        self.teller = None;
        match has_executed(self.shown) {
            Ok(true) => {
                self.started = true;
                let (kind, time_ns) = (RecordKind::Started as u32, self.started_ns);
                let user_us = self.cpu_before_ns / 1000;
                steps::send(&self.plan, &Record { kind, time_ns, user_us, ..Record::default() });
            }
            Ok(false) => self.stayed = true,
            // Whatever runs there is not known to be the program: it ends here.
            Err(fault) => self.fail_exec(fault),
        }
    }

    /// The exec of the program waits to be let through, once: then nobody listens any more, and the kernel answers
    /// every other one with ENOSYS. When nothing waits, nobody is left who could ask.
    fn answer_exec(&mut self, waits: bool) {
        let Some(listener) = self.listener else { return };
        if waits {
            match filter::answer(&self.plan, listener, self.process, self.shown) {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => self.fail_exec(fault),
            }
        }
        self.listener = None;
        if let Err(errno) = sys::close(listener) {
            self.fail_exec(errno.into());
        }
    }

    fn fail_exec(&self, fault: Fault) -> ! {
        steps::fail(&self.plan, self.exec_step(), fault)
    }

    /// The last step executes the program.
    const fn exec_step(&self) -> usize {
        self.plan.steps.len().saturating_sub(1)
    }

    /// Reaps whatever has ended: orphans too.
    fn reap(&mut self) {
        // A program that has already ended must be asked for its exec before its remains are gone.
        while self.teller.is_some() && self.teller_is_ready() {
            self.hear_of_exec();
        }
        self.more_to_reap = true;
        for _ in 0..REAPED_AT_ONCE {
            let next = if self.terminal.is_some() { sys::reap_or_see_stopped() } else { sys::reap() };
            match next {
                Ok(Some((process, status, _))) if status & 0xff == STOPPED => self.stopped(process, status),
                Ok(Some((process, status, usage))) => {
                    self.add(&usage);
                    if process == self.process {
                        self.program_ended(status);
                    } else if self.is_hand_out(process) && status != 0 {
                        // The program's process waits for an answer that nobody will be asked for.
                        self.fail_exec(Fault { errno: fault::DIED, detail: 0 });
                    }
                }
                Err(Errno(abi::EINTR)) => {}
                Ok(None) => {
                    self.more_to_reap = false;
                    return;
                }
                Err(_) => {
                    self.more_to_reap = false;
                    // Nobody is left.
                    if self.status.is_some() {
                        self.report_end();
                    }
                    return;
                }
            }
        }
    }

    /// The process that hands the filter's listener out: the first after the program's, and before anything runs.
    fn is_hand_out(&self, process: i32) -> bool {
        self.plan.header.observer != NO_FD && !self.started && process == self.process + 1
    }

    /// Says that the program was stopped, unless by us.
    fn stopped(&self, process: i32, status: i32) {
        if process == self.process && !self.frozen {
            steps::send(
                &self.plan,
                &Record { kind: RecordKind::Stopped as u32, status, ..Record::default() },
            );
        }
    }

    fn teller_is_ready(&self) -> bool {
        let fd = self.teller.map_or(NO_FD, |teller| teller.0);
        let mut files = [PollFd { fd, events: abi::POLLIN, revents: 0 }];
        sys::poll(&mut files, Some(Timespec::default())) == Ok(1)
    }

    fn add(&mut self, usage: &Rusage) {
        for (total, part) in self.usage.user.iter_mut().zip(usage.user) {
            *total += part;
        }
        for (total, part) in self.usage.system.iter_mut().zip(usage.system) {
            *total += part;
        }
        self.usage.max_rss_kib = self.usage.max_rss_kib.max(usage.max_rss_kib);
        self.usage.voluntary += usage.voluntary;
        self.usage.forced += usage.forced;
        self.usage.blocks_read += usage.blocks_read;
        self.usage.blocks_written += usage.blocks_written;
    }

    /// The program ended, so the sandbox does: everything that it left running is killed.
    fn program_ended(&mut self, status: i32) {
        if !self.started {
            // A process that has announced its exec, and is known not to have done it, says why with its exit
            // status (wait(2)); 0 is what an exec that reported success would leave.
            let (kind, step, errno) = match status {
                0 if self.announced && self.stayed => (RecordKind::Failed, self.exec_step(), fault::MISMATCH),
                _ if self.announced && self.stayed && status & 0x7f == 0 => {
                    (RecordKind::ExecFailed, self.exec_step(), status >> 8 & 0xff)
                }
                _ => (RecordKind::Failed, self.fork_step, fault::DIED),
            };
            let (kind, step, ended) = (kind as u32, step as u32, self.ended);
            let record = Record { kind, step, errno, status, ended, ..Record::default() };
            steps::send(&self.plan, &record);
            sys::exit(125);
        }
        self.status = Some(status);
        (self.deadline_ns, self.kill_ns, self.cpu_look_ns) = (self.note_deadline(), None, None);
        self.give_up_ns = Some(sys::monotonic_ns().saturating_add(LAST_WAIT_NS));
        let _nobody_left_is_fine = sys::kill(-1, abi::SIGKILL);
    }

    /// A program that ends after its deadline is late, even when nobody had to end it.
    fn note_deadline(&mut self) -> Option<u64> {
        if self.deadline_ns.is_some_and(|deadline| sys::monotonic_ns() >= deadline) {
            self.ended |= ended::DEADLINE;
        }
        None
    }

    fn read_command(&mut self) {
        let mut command = Command::default();
        let length = match sys::read(Fd(self.plan.header.control), command.bytes_mut()) {
            Err(Errno(abi::EINTR | abi::EAGAIN)) => return,
            Ok(length) => length,
            Err(_) => 0,
        };
        if length != size_of::<Command>() {
            // The supervisor's end is closed: it has let go of the sandbox.
            sys::exit(125);
        }
        if command.kind == CommandKind::Signal as u32 {
            self.signal(command.signal);
        } else if command.kind == CommandKind::Freeze as u32 {
            self.frozen = true;
            let _nobody_left_is_fine = sys::kill(-1, abi::SIGSTOP);
        } else if command.kind == CommandKind::Thaw as u32 {
            self.frozen = false;
            terminal::go_on(self.terminal, self.process, command.signal == EVERYTHING);
        } else if command.kind == CommandKind::Foreground as u32 {
            terminal::to_foreground(self.terminal, self.process);
        } else if command.kind == CommandKind::Terminate as u32 {
            self.ended |= ended::ASKED;
            self.signal(command.signal);
            self.start_grace();
        } else {
            self.ended |= ended::ASKED;
            self.kill_all();
        }
    }

    /// The deadline and the grace.
    fn check_time(&mut self) {
        let now = sys::monotonic_ns();
        if self.deadline_ns.is_some_and(|at| now >= at) {
            self.deadline_ns = self.note_deadline();
            self.signal(abi::SIGTERM);
            self.start_grace();
            let record = Record { kind: RecordKind::Deadline as u32, time_ns: now, ..Record::default() };
            steps::send(&self.plan, &record);
        }
        if self.kill_ns.is_some_and(|at| now >= at) {
            self.kill_all();
        }
        if self.cpu_look_ns.is_some_and(|at| now >= at) {
            self.check_cpu(now);
        }
        if self.give_up_ns.is_some_and(|at| now >= at) {
            self.report_end();
        }
    }

    /// The kernel kills one process; the promise is about all of them.
    fn check_memory(&mut self) {
        match account::memory_ran_out(&self.plan) {
            Ok(false) => {}
            Ok(true) => {
                (self.memory_event, self.cpu_look_ns) = (NO_FD, None);
                self.ended |= ended::MEMORY;
                self.kill_all();
            }
            Err(errno) => steps::fail(&self.plan, self.fork_step, errno.into()),
        }
    }

    /// Kills it when its processor time is used up; else it is looked at again when every processor together could
    /// have used up the rest. There is no grace: that is time of the clock, and would be a gift of processor time.
    fn check_cpu(&mut self, now: u64) {
        let header = self.plan.header;
        let used = match account::processor_ns(&self.plan) {
            Ok(used) => used.unwrap_or(0).saturating_sub(self.cpu_before_ns),
            // What cannot be counted cannot be held.
            Err(errno) => steps::fail(&self.plan, self.fork_step, errno.into()),
        };
        let left = header.cpu_limit_ns.saturating_sub(used);
        if left == 0 {
            self.cpu_look_ns = None;
            self.ended |= ended::CPU_TIME;
            self.kill_all();
        } else {
            let wait = left / u64::from(header.processors.max(1));
            self.cpu_look_ns = Some(now.saturating_add(wait.max(CPU_LOOKS_APART_NS)));
        }
    }

    fn start_grace(&mut self) {
        if self.kill_ns.is_none() {
            self.kill_ns = Some(sys::monotonic_ns().saturating_add(self.plan.header.grace_ns));
        }
    }

    /// Signals the program. It cannot be another: only we reap it.
    fn signal(&self, signal: i32) {
        if self.status.is_none() {
            let _it_may_have_just_ended = sys::kill(self.process, signal);
        }
    }

    /// Kills whatever may be signalled. A program that has changed its user id (with a capability that it was
    /// left) may not be: soon after, PID 1 ends itself, and the kernel asks no ids.
    fn kill_all(&mut self) {
        (self.kill_ns, self.cpu_look_ns) = (None, None);
        if self.give_up_ns.is_none() {
            self.give_up_ns = Some(sys::monotonic_ns().saturating_add(LAST_WAIT_NS));
        }
        let _nobody_left_is_fine = sys::kill(-1, abi::SIGKILL);
    }

    /// Says how the program ended, and ends.
    fn report_end(&mut self) -> ! {
        let micros = |[seconds, micros]: [i64; 2]| (seconds * 1_000_000 + micros).cast_unsigned();
        let record = Record {
            kind: RecordKind::Ended as u32,
            // Not reaped: what is left now dies with PID 1.
            status: self.status.unwrap_or(abi::SIGKILL),
            time_ns: sys::monotonic_ns(),
            user_us: micros(self.usage.user),
            system_us: micros(self.usage.system),
            max_rss_kib: self.usage.max_rss_kib.cast_unsigned(),
            voluntary: self.usage.voluntary.cast_unsigned(),
            forced: self.usage.forced.cast_unsigned(),
            ended: self.ended,
            blocks_read: self.usage.blocks_read.cast_unsigned(),
            blocks_written: self.usage.blocks_written.cast_unsigned(),
            ..Record::default()
        };
        steps::send(&self.plan, &record);
        if self.plan.header.lingers != 0 {
            let mut files = [PollFd { fd: self.plan.header.supervisor, events: abi::POLLIN, revents: 0 }];
            let _killed_while_it_waits = sys::poll(&mut files, Some(LONGEST_LINGER));
        }
        sys::exit(0)
    }
}

/// Does the process, alive or not yet reaped, run a program that it executed? The ninth field of its `stat`
/// are the kernel's flags (proc_pid_stat(5)); the name before them may hold anything but ends at the last `)`.
fn has_executed(process: i32) -> Result<bool, Fault> {
    let mut lines = Lines::open(proc::of(&mut [0; 48], process, b"/stat"))?;
    let flags = lines.next()?.and_then(|line| {
        let after = line.iter().rposition(|byte| *byte == b')')?;
        crate::text::words(line.get(after + 1..)?).nth(6).and_then(|word| number(word, 10))
    });
    lines.close()?;
    let flags = flags.ok_or(Fault::mismatch(detail::INCOMPLETE))?;
    Ok(flags & abi::PF_FORKNOEXEC == 0)
}
