//! What is injected, and where: which call of which process, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::calls;
use crate::tracer::{Action, Call, Pid, Role, Watch, string};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call is not made and answers this error.
    Errno(i32),
    /// The call is not made and answers 0.
    FalseSuccess,
    /// The call is made for one byte.
    Short,
    /// The process is killed.
    Kill,
    /// The process is stopped there by a signal for a while, and its parent hears of that.
    Stop,
    /// The call is made later, while the other processes go on.
    Delay,
}

/// Longer than anything that another process does meanwhile.
const DELAY: Duration = Duration::from_millis(40);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(number) => f.write_str(calls::errno_name(*number)),
            Self::FalseSuccess => f.write_str("false success"),
            Self::Short => f.write_str("short count"),
            Self::Kill => f.write_str("kill"),
            Self::Stop => f.write_str("stop"),
            Self::Delay => f.write_str("delay"),
        }
    }
}

/// One failure of one run.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) role: Role,
    /// Which of the role's calls, for a person; `call` says which of its number.
    pub(crate) index: usize,
    pub(crate) call: Recorded,
    /// Every call of this number fails, as behind a filter, not one alone.
    pub(crate) every: bool,
    pub(crate) fault: Fault,
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = if self.every { "every " } else { "" };
        write!(f, "{:?} {} {every}{}: {}", self.role, self.index, self.call.shown, self.fault)
    }
}

/// A call of a run into which nothing was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) number: i64,
    /// How many of the same number the role made before: one poll more or less, which the machine's speed decides,
    /// moves nothing else.
    pub(crate) before: usize,
    pub(crate) shown: String,
}

/// Which calls count: from the supervisor's first look at the host to the record `Started`, and what it does to the
/// cgroup after that.
#[derive(Debug, Default)]
struct Span {
    begun: bool,
    records: usize,
    target: bool,
    told: bool,
}

/// How many records the supervisor has read when it knows that the program runs: `Ready` and `Started`.
const RECORDS: usize = 2;

/// Where cgroups are.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup/";

/// The supervisor's first look at the host; what comes before is the loader's and the report's.
fn reads_own_status(call: &Call) -> bool {
    let path = || string(call.process, call.arguments[1]).unwrap_or_default();
    call.number == libc::SYS_openat
        && ["/proc/self/status", "/proc/thread-self/status"].contains(&path().as_str())
}

/// Is it a call about a file or folder of a cgroup?
fn names_a_cgroup(call: &Call) -> bool {
    calls::shown(call.number, &call.arguments, |address| string(call.process, address)).contains(CGROUPS)
}

impl Span {
    /// Does this call count?
    fn holds(&mut self, role: Role, call: &Call) -> bool {
        match role {
            Role::Supervisor => {
                self.begun = self.begun || reads_own_status(call);
                let within = self.begun && self.records < RECORDS;
                self.records += usize::from(call.number == libc::SYS_recvfrom);
                within || self.begun && names_a_cgroup(call)
            }
            Role::Init => {
                let within = !self.told;
                self.told = self.told || self.target && call.number == libc::SYS_write;
                within
            }
            Role::Holder | Role::Child | Role::Target => true,
            Role::Program => false,
        }
    }

    fn became(&mut self, role: Role) {
        self.target |= role == Role::Target;
    }

    /// Is there more to come of this role?
    const fn goes_on(&self, role: Role) -> bool {
        match role {
            Role::Init => !self.told,
            Role::Program => false,
            _ => true,
        }
    }
}

/// Writes down every call that counts.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    span: Span,
    pub(crate) calls: BTreeMap<Role, Vec<Recorded>>,
    /// How many calls nothing is injected into, by the reason.
    pub(crate) left_alone: BTreeMap<&'static str, usize>,
}

impl Watch for Recorder {
    fn looks_at(&self, role: Role) -> bool {
        self.span.goes_on(role)
    }

    fn call(&mut self, role: Role, call: Call) -> Action {
        if !self.span.holds(role, &call) {
            return Action::Make;
        }
        if let Some(reason) = calls::left_alone(role, call.number) {
            *self.left_alone.entry(reason).or_default() += 1;
        } else {
            let shown = calls::shown(call.number, &call.arguments, |address| string(call.process, address));
            let calls = self.calls.entry(role).or_default();
            let before = calls.iter().filter(|known| known.number == call.number).count();
            calls.push(Recorded { number: call.number, before, shown });
        }
        Action::Make
    }

    fn became(&mut self, _: Pid, role: Role) {
        self.span.became(role);
    }
}

/// Does what an injection says.
#[derive(Debug)]
pub(crate) struct Injector<'a> {
    injection: &'a Injection,
    span: Span,
    /// How many calls of the number have come.
    come: usize,
    /// The call was reached, and was the one that was meant.
    pub(crate) hit: bool,
}

impl<'a> Injector<'a> {
    pub(crate) fn new(injection: &'a Injection) -> Self {
        Self { injection, span: Span::default(), come: 0, hit: false }
    }

    fn action(&self, process: Pid) -> Action {
        match self.injection.fault {
            Fault::Errno(number) => Action::Answer(-i64::from(number)),
            Fault::FalseSuccess => Action::Answer(0),
            Fault::Short => Action::Shorten(1),
            Fault::Kill => Action::Kill,
            Fault::Stop => {
                // SAFETY: numbers only; it is stopped by us, so it is still that process.
                unsafe { libc::kill(process, libc::SIGSTOP) };
                std::thread::sleep(DELAY);
                Action::Make
            }
            Fault::Delay => {
                std::thread::sleep(DELAY);
                Action::Make
            }
        }
    }
}

impl Watch for Injector<'_> {
    fn looks_at(&self, role: Role) -> bool {
        let more = self.injection.every || !self.hit;
        role == self.injection.role && more && self.span.goes_on(role)
    }

    fn call(&mut self, role: Role, call: Call) -> Action {
        if !self.span.holds(role, &call) {
            return Action::Make;
        }
        if call.number != self.injection.call.number || calls::left_alone(role, call.number).is_some() {
            return Action::Make;
        }
        let before = self.come;
        self.come += 1;
        if !self.injection.every && before != self.injection.call.before {
            return Action::Make;
        }
        self.hit = true;
        self.action(call.process)
    }

    fn became(&mut self, _: Pid, role: Role) {
        self.span.became(role);
    }
}

/// Every failure that there is to inject into the calls of a run.
pub(crate) fn all(calls: &BTreeMap<Role, Vec<Recorded>>) -> Vec<Injection> {
    let mut injections = Vec::new();
    for (role, index, call) in each(calls) {
        let at = |fault| Injection { role, index, call: call.clone(), every: false, fault };
        injections.extend(calls::errnos(call.number).iter().map(|errno| at(Fault::Errno(*errno))));
        injections.push(at(Fault::FalseSuccess));
        if calls::moves_bytes(call.number) {
            injections.push(at(Fault::Short));
        }
        if role != Role::Holder {
            injections.extend([Fault::Kill, Fault::Stop, Fault::Delay].map(at));
        }
    }
    injections.extend(filters(calls));
    injections
}

/// A sample: every call fails once, with an error that goes round; every call inside lies once, and so does each
/// of the supervisor's that does something; every read and write inside is short once; and every kind of call is
/// filtered away once.
pub(crate) fn sample(calls: &BTreeMap<Role, Vec<Recorded>>) -> Vec<Injection> {
    let mut injections = Vec::new();
    for (turn, (role, index, call)) in each(calls).enumerate() {
        let at = |fault| Injection { role, index, call: call.clone(), every: false, fault };
        let errnos = calls::errnos(call.number);
        let inside = role != Role::Supervisor;
        injections.push(at(Fault::Errno(errnos[turn % errnos.len()])));
        if inside || !calls::only_looks(call.number) {
            injections.push(at(Fault::FalseSuccess));
        }
        if inside && calls::moves_bytes(call.number) {
            injections.push(at(Fault::Short));
        }
    }
    injections.extend(filters(calls));
    injections
}

/// A process is stopped once in a while: at every call whose turn it is.
pub(crate) fn stops(calls: &BTreeMap<Role, Vec<Recorded>>, apart: usize) -> Vec<Injection> {
    let chosen = each(calls).filter(|(role, ..)| *role != Role::Holder).step_by(apart);
    let at = |(role, index, call): (Role, usize, &Recorded)| Injection {
        role,
        index,
        call: call.clone(),
        every: false,
        fault: Fault::Stop,
    };
    chosen.map(at).collect()
}

/// Two failures in one run.
pub(crate) struct Both<'a> {
    pub(crate) one: Injector<'a>,
    pub(crate) other: Injector<'a>,
}

impl Watch for Both<'_> {
    fn looks_at(&self, role: Role) -> bool {
        self.one.looks_at(role) || self.other.looks_at(role)
    }

    fn call(&mut self, role: Role, call: Call) -> Action {
        // Each sees what it would see alone.
        let asked = |injector: &mut Injector<'_>| match injector.looks_at(role) {
            true => injector.call(role, call),
            false => Action::Make,
        };
        let other = asked(&mut self.other);
        match asked(&mut self.one) {
            Action::Make => other,
            action => action,
        }
    }

    fn became(&mut self, process: Pid, role: Role) {
        self.one.became(process, role);
        self.other.became(process, role);
    }
}

/// A filter around a process forbids, hides or fakes one kind of call each time.
fn filters(calls: &BTreeMap<Role, Vec<Recorded>>) -> Vec<Injection> {
    let mut injections: Vec<Injection> = Vec::new();
    for (role, index, call) in each(calls) {
        if injections.iter().any(|i| i.role == role && i.call.number == call.number) {
            continue;
        }
        let at = |fault| Injection { role, index, call: call.clone(), every: true, fault };
        // A supervisor that may not write says nothing to anybody, and there is nothing to judge.
        if role != Role::Supervisor || call.number != libc::SYS_write {
            let errnos = [libc::EPERM, libc::ENOSYS].map(Fault::Errno);
            injections.extend(errnos.into_iter().chain([Fault::FalseSuccess]).map(at));
        }
    }
    injections
}

fn each(calls: &BTreeMap<Role, Vec<Recorded>>) -> impl Iterator<Item = (Role, usize, &Recorded)> {
    calls.iter().flat_map(|(role, calls)| calls.iter().enumerate().map(|(index, call)| (*role, index, call)))
}
