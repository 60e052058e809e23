//! A small ptrace driver: follows a program and everything that it starts, stops each process at its system
//! calls where somebody wants to look, and lets a call be answered otherwise.
//!
//! ptrace(2) belongs to a thread: each run is started, followed and reaped by one thread, and
//! `__WNOTHREAD` keeps the threads of a pool out of each other's way.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::registers;

/// A process id.
pub(crate) type Pid = libc::pid_t;

/// What ptrace(2) is asked: the C libraries do not agree on its type.
#[cfg(target_env = "musl")]
pub(crate) type Request = libc::c_int;
#[cfg(not(target_env = "musl"))]
pub(crate) type Request = libc::c_uint;

/// What is left after the first process may take this long to go.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What a process is to the sandbox, by how it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The command line: the first process.
    Supervisor,
    /// Holds a user namespace open while root's supervisor maps mounts: cloned, executes nothing.
    Holder,
    /// What the supervisor vforks, until its exec.
    Child,
    /// The same after its exec: PID 1.
    Init,
    /// What PID 1 forks, until its exec.
    Target,
    /// The program and all that it starts. Nothing is injected here.
    Program,
}

impl Role {
    /// What the new process of such a process is, by the event that told of it.
    const fn child(self, event: i32) -> Self {
        match (self, event) {
            (Self::Supervisor, libc::PTRACE_EVENT_VFORK) => Self::Child,
            (Self::Supervisor, libc::PTRACE_EVENT_CLONE) => Self::Holder,
            (Self::Init, _) => Self::Target,
            _ => Self::Program,
        }
    }

    /// What it is after an exec.
    const fn executed(self) -> Self {
        match self {
            Self::Child => Self::Init,
            Self::Target => Self::Program,
            other => other,
        }
    }
}

/// A call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) process: Pid,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is made.
    Make,
    /// It is not made, and this is the answer.
    Answer(i64),
    /// It is made with this length.
    Shorten(u64),
    /// Its process is killed instead.
    Kill,
}

/// Who looks at calls.
pub(crate) trait Watch {
    /// Does a process of this role stop at its calls from here on?
    fn looks_at(&self, role: Role) -> bool;
    /// A call is about to be made.
    fn call(&mut self, role: Role, call: Call) -> Action;
    /// A process has become another: started, or executed something.
    fn became(&mut self, _process: Pid, _role: Role) {}
}

/// Can programs be traced here? Not under an emulator of one program, nor where a filter forbids it.
pub(crate) fn works() -> io::Result<()> {
    struct Nobody;
    impl Watch for Nobody {
        fn looks_at(&self, _: Role) -> bool {
            true
        }
        fn call(&mut self, _: Role, _: Call) -> Action {
            Action::Make
        }
    }
    run(Command::new("/bin/sh").args(["-c", ":"]), &mut Nobody, Duration::from_secs(10)).map(drop)
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Traced {
    /// Exit status of the first process; 128 + N for a signal.
    pub(crate) status: i32,
    /// How long it took until nothing was left.
    pub(crate) time: Duration,
    /// What outlived the first process, or the time limit.
    pub(crate) survivors: Vec<Role>,
}

struct Process {
    role: Role,
    /// The call of which the exit has not been seen, and what it is to answer.
    inside: Option<Option<i64>>,
    /// Its first stop, which every new process makes, is still to come.
    fresh: bool,
}

/// Runs a command to its end, at most `limit`.
pub(crate) fn run(command: &mut Command, watch: &mut dyn Watch, limit: Duration) -> io::Result<Traced> {
    let alarm = Alarm::new()?;
    // SAFETY: a plain system call, which may be made between fork and exec.
    unsafe { command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0, 0).map(drop)) };
    let begun = Instant::now();
    let first = Pid::try_from(command.spawn()?.id()).unwrap_or(0);
    let mut driver = Driver {
        watch,
        first,
        processes: HashMap::from([(first, Process { role: Role::Supervisor, inside: None, fresh: true })]),
        early: Vec::new(),
        status: None,
        end: begun + limit,
        survivors: Vec::new(),
    };
    alarm.set(limit);
    loop {
        match wait() {
            Ok((process, status)) => driver.step(process, status, &alarm),
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => driver.check_time(),
            // Nobody is left.
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) => break,
            Err(e) => return Err(e),
        }
    }
    let status = driver.status.unwrap_or(-1);
    Ok(Traced { status, time: begun.elapsed(), survivors: driver.survivors })
}

struct Driver<'a> {
    watch: &'a mut dyn Watch,
    first: Pid,
    processes: HashMap<Pid, Process>,
    /// New processes that stopped before their parents' stop told of them.
    early: Vec<Pid>,
    status: Option<i32>,
    end: Instant,
    survivors: Vec<Role>,
}

impl Driver<'_> {
    /// One process changed its state.
    fn step(&mut self, process: Pid, status: i32, alarm: &Alarm) {
        if libc::WIFSTOPPED(status) {
            if self.processes.contains_key(&process) {
                self.stopped(process, status);
            } else {
                self.early.push(process);
            }
            return;
        }
        self.processes.remove(&process);
        self.early.retain(|early| *early != process);
        if process == self.first {
            let signalled = libc::WIFSIGNALED(status);
            self.status =
                Some(if signalled { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) });
            // What the command line leaves behind has little time to go.
            self.end = self.end.min(Instant::now() + LAST_WAIT);
            alarm.set(self.end.saturating_duration_since(Instant::now()));
        }
    }

    /// Past the limit everything is killed; whoever was there is remembered.
    fn check_time(&mut self) {
        if Instant::now() < self.end {
            return;
        }
        if self.survivors.is_empty() {
            self.survivors = self.processes.values().map(|process| process.role).collect();
            self.survivors.sort_unstable();
        }
        for process in self.processes.keys().chain(&self.early) {
            // SAFETY: numbers only; nobody but this thread reaps them, so they are still those processes.
            unsafe { libc::kill(*process, libc::SIGKILL) };
        }
    }

    fn stopped(&mut self, process: Pid, status: i32) {
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        let deliver = match (signal, event) {
            _ if signal == libc::SIGTRAP | 0x80 => {
                self.call_stop(process);
                0
            }
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => {
                self.executed(process);
                0
            }
            (libc::SIGTRAP, event) if event != 0 => {
                self.forked(process, event);
                0
            }
            _ => self.signal_stop(process, signal),
        };
        self.resume(process, deliver);
    }

    /// Answers the signal to deliver: none for the stop that every new process makes.
    fn signal_stop(&mut self, process: Pid, signal: i32) -> i32 {
        let Some(known) = self.processes.get_mut(&process) else { return signal };
        if !std::mem::take(&mut known.fresh) {
            // The kernel spares a traced PID 1 its own crash (force_sig, kernel/signal.c), which then repeats
            // for ever; without us it would have died.
            let crashed = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE].contains(&signal);
            return if crashed && known.role == Role::Init { libc::SIGKILL } else { signal };
        }
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_EXITKILL;
        let _a_dead_process_has_no_options = ptrace(libc::PTRACE_SETOPTIONS, process, 0, options as usize);
        0
    }

    fn executed(&mut self, process: Pid) {
        let Some(known) = self.processes.get_mut(&process) else { return };
        known.role = known.role.executed();
        self.watch.became(process, known.role);
    }

    fn forked(&mut self, parent: Pid, event: i32) {
        let mut new: libc::c_ulong = 0;
        if ptrace(libc::PTRACE_GETEVENTMSG, parent, 0, &raw mut new as usize).is_err() {
            return;
        }
        let new = Pid::try_from(new).unwrap_or(0);
        let role = self.processes.get(&parent).map_or(Role::Program, |parent| parent.role.child(event));
        let early = self.early.iter().position(|early| *early == new).map(|at| self.early.swap_remove(at));
        self.processes.insert(new, Process { role, inside: None, fresh: true });
        self.watch.became(new, role);
        if early.is_some() {
            self.signal_stop(new, 0);
            self.resume(new, 0);
        }
    }

    /// The entry or the exit of a call.
    fn call_stop(&mut self, process: Pid) {
        let Some(known) = self.processes.get_mut(&process) else { return };
        match call_info(process) {
            Ok(Some((number, arguments))) => {
                let action = if self.watch.looks_at(known.role) {
                    self.watch.call(known.role, Call { process, number, arguments })
                } else {
                    Action::Make
                };
                known.inside = Some(match action {
                    Action::Answer(value) => registers::skip(process).is_ok().then_some(value),
                    Action::Shorten(length) => {
                        let _a_dead_process_writes_nothing = registers::set_length(process, length);
                        None
                    }
                    Action::Kill => {
                        // SAFETY: numbers only; it is stopped, so it is still that process.
                        unsafe { libc::kill(process, libc::SIGKILL) };
                        None
                    }
                    Action::Make => None,
                });
            }
            Ok(None) => {
                if let Some(Some(value)) = known.inside.take() {
                    let _a_dead_process_reads_nothing = registers::answer(process, value);
                }
            }
            // It was killed meanwhile.
            Err(_) => {}
        }
    }

    fn resume(&self, process: Pid, signal: i32) {
        let Some(known) = self.processes.get(&process) else { return };
        let stops = matches!(known.inside, Some(Some(_))) || self.watch.looks_at(known.role);
        let how = if stops { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        let _a_dead_process_goes_nowhere = ptrace(how, process, 0, signal.unsigned_abs() as usize);
    }
}

/// The next change of a process of this thread.
fn wait() -> io::Result<(Pid, i32)> {
    let mut status = 0;
    // SAFETY: room for one status.
    let process = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    if process < 0 { Err(io::Error::last_os_error()) } else { Ok((process, status)) }
}

/// At the entry of a call its number and arguments; `None` at its exit.
fn call_info(process: Pid) -> io::Result<Option<(i64, [u64; 6])>> {
    // `struct ptrace_syscall_info`: operation, architecture, two pointers, then what the operation has.
    let mut info = [0_u64; 11];
    ptrace(libc::PTRACE_GET_SYSCALL_INFO, process, size_of_val(&info), info.as_mut_ptr() as usize)?;
    let operation = info[0].to_ne_bytes()[0];
    let entry = operation == libc::PTRACE_SYSCALL_INFO_ENTRY;
    Ok(entry.then(|| (info[3].cast_signed(), [info[4], info[5], info[6], info[7], info[8], info[9]])))
}

/// The string at an address of a stopped process: its first bytes. `None` where its memory is closed to us, as
/// PID 1's is for an ordinary user.
pub(crate) fn string(process: Pid, address: u64) -> Option<String> {
    const PAGE: usize = 4096;
    let mut buffer = [0_u8; 256];
    let ours = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // In two parts: the page after the string's first may not be there, and need not be.
    let first = (PAGE - usize::try_from(address).ok()? % PAGE).min(buffer.len());
    let part = |at: u64, length| libc::iovec { iov_base: at as *mut libc::c_void, iov_len: length };
    let theirs = [part(address, first), part(address + first as u64, buffer.len() - first)];
    // SAFETY: room of our own for what is read; the kernel checks the other side.
    let length = unsafe { libc::process_vm_readv(process, &raw const ours, 1, theirs.as_ptr(), 2, 0) };
    let read = buffer.get(..usize::try_from(length).ok()?)?;
    let end = read.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&read[..end]).into_owned())
}

/// ptrace(2), with numbers or addresses of our own.
pub(crate) fn ptrace(request: Request, process: Pid, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: every caller passes what its request takes: numbers, or the address of a whole structure of ours.
    let answer = unsafe { libc::ptrace(request, process, address, data) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
