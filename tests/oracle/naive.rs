//! What the rules mean, evaluated one call at a time and in the order in which ARCHITECTURE.md says it.
//!
//! The tables of the crate are data here (`facts` looks at them with other eyes); how the crate decides and compiles
//! is not looked at.

use std::collections::{HashMap, HashSet};

use ringfence_seccomp::{Action, Arch, Comparison, Condition, Filter, Violation, sentinel};

use crate::answers::{self, EAFNOSUPPORT, EAGAIN, ENOSYS, EPERM, errno};
use crate::facts;
use crate::interpreter::Data;

const ALWAYS_PASS: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];

/// NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, as linux/sched.h has them.
const CLONE_NEW: [u32; 8] =
    [0x80, 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 8;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const FAMILIES: [u32; 3] = [1, 2, 10];
const PERSONALITIES: [u32; 5] = [0, 8, 0x0002_0000, 0x0002_0008, 0xffff_ffff];
const RLIMIT_CORE: u32 = 4;

/// A filter for some architectures, as its rules read.
pub struct Naive {
    violation: Violation,
    executes: bool,
    single_process: bool,
    floor: HashSet<&'static str>,
    /// By the number of the architecture in linux/audit.h, then by the call's number.
    known: HashMap<(u32, u32), Known>,
    archs: Vec<u32>,
}

/// A call that a table knows, with everything in the rules that is about it.
struct Known {
    name: &'static str,
    /// The bits that the kernel reads of each argument.
    bits: [u64; 6],
    rules: Vec<Applies>,
}

/// One entry or rule that names the call.
struct Applies {
    action: Action,
    errno: u16,
    conditions: Vec<Condition>,
}

impl Naive {
    pub fn new(filter: &Filter, archs: &[Arch]) -> Self {
        Self::assuming(filter, archs, filter.executes())
    }

    /// The same, when somebody else says whether the rules let an exec pass.
    pub fn assuming(filter: &Filter, archs: &[Arch], executes: bool) -> Self {
        let mut known = HashMap::new();
        for arch in archs {
            for (nr, name) in facts::table(*arch) {
                let bits = std::array::from_fn(|index| facts::bits(name, index).unwrap_or(0));
                known.insert((facts::audit(*arch), nr), Known { name, bits, rules: applies(filter, name) });
            }
        }
        Self {
            violation: filter.on_violation,
            executes,
            single_process: filter.single_process,
            floor: facts::floor(),
            known,
            archs: archs.iter().map(|arch| facts::audit(*arch)).collect(),
        }
    }

    /// The answer to a call.
    pub fn answer(&self, call: &Data) -> u32 {
        if !self.archs.contains(&call.arch) {
            return self.refusal();
        }
        let is_x32 = call.nr & 0x4000_0000 != 0 && call.nr & 0x8000_0000 == 0;
        if call.arch == answers::X86_64 && is_x32 {
            return if self.violation == Violation::Kill { answers::KILL_PROCESS } else { errno(ENOSYS) };
        }
        let Some(known) = self.known.get(&(call.arch, call.nr)) else { return errno(ENOSYS) };
        let low = call.args.map(|arg| arg as u32);
        if known.name == "prctl" && low[0] == sentinel::OPTION && call.args[1] == u64::from(sentinel::FILTER)
        {
            return errno(sentinel::ERRNO);
        }
        if ALWAYS_PASS.contains(&known.name) {
            return answers::ALLOW;
        }
        if known.name == "clone3" {
            return errno(ENOSYS);
        }
        if matches!(known.name, "execve" | "execveat") && !self.executes {
            return answers::ALLOW;
        }
        if let Some(answer) = self.floor(known.name, &call.args, &low) {
            return answer;
        }
        if let Some(answer) = self.rules(known, &call.args) {
            return answer;
        }
        match self.violation {
            Violation::Errno(number) => errno(number),
            Violation::Kill => answers::KILL_PROCESS,
            Violation::Log if facts::is_unsafe_to_log(known.name) => errno(EPERM),
            Violation::Log => answers::LOG,
        }
    }

    /// What a violation gets where nothing passes.
    fn refusal(&self) -> u32 {
        match self.violation {
            Violation::Errno(number) => errno(number),
            Violation::Kill => answers::KILL_PROCESS,
            Violation::Log => errno(EPERM),
        }
    }

    /// What no rule can lift.
    fn floor(&self, name: &str, args: &[u64; 6], low: &[u32; 6]) -> Option<u32> {
        if self.floor.contains(name) {
            return Some(self.refusal());
        }
        let refused = match name {
            "socket" | "socketpair" => {
                if FAMILIES.contains(&low[0]) {
                    return None;
                }
                return match self.violation {
                    Violation::Kill => Some(answers::KILL_PROCESS),
                    _ => Some(errno(EAFNOSUPPORT)),
                };
            }
            "clone" => CLONE_NEW.iter().any(|flag| low[0] & flag != 0),
            "seccomp" => low[1] & NEW_LISTENER != 0,
            "ioctl" => low[1] == TIOCSTI || low[1] == TIOCLINUX,
            "personality" => !PERSONALITIES.contains(&low[0]),
            "setrlimit" => low[0] == RLIMIT_CORE,
            "prlimit64" => low[1] == RLIMIT_CORE && args[2] != 0,
            _ => false,
        };
        refused.then(|| self.refusal())
    }

    /// The strictest of what matches.
    fn rules(&self, known: &Known, args: &[u64; 6]) -> Option<u32> {
        let holds = |rule: &&Applies| rule.conditions.iter().all(|one| condition(one, args, &known.bits));
        let mut matching: Vec<(Action, u16)> =
            known.rules.iter().filter(holds).map(|rule| (rule.action, rule.errno)).collect();
        if self.single_process && matches!(known.name, "fork" | "vfork" | "clone") {
            matching.push((Action::Errno, EAGAIN));
        }
        // Of two error numbers the larger one is the stricter.
        let (action, number) = matching.into_iter().max()?;
        Some(match action {
            Action::Allow => answers::ALLOW,
            Action::Log => answers::LOG,
            Action::Notify => answers::NOTIFY,
            Action::Errno => errno(number),
            Action::Trap => answers::TRAP,
            Action::Kill => answers::KILL_PROCESS,
        })
    }
}

/// Everything in the rules that names a call.
fn applies(filter: &Filter, name: &str) -> Vec<Applies> {
    let rules = &filter.syscalls;
    let denied = match filter.on_violation {
        Violation::Errno(number) => number,
        Violation::Kill | Violation::Log => EPERM,
    };
    let lists = [
        (&rules.allow, Action::Allow, 0),
        (&rules.log, Action::Log, 0),
        (&rules.deny, Action::Errno, denied),
        (&rules.kill, Action::Kill, 0),
    ];
    let mut found = Vec::new();
    for (words, action, errno) in lists {
        if facts::names(words, name) {
            found.push(Applies { action, errno, conditions: Vec::new() });
        }
    }
    for rule in &rules.rules {
        // A rule on a group says nothing about members that its conditions do not fit.
        if rule.args.iter().all(|one| fits(one, name)) && facts::names(&rule.syscalls, name) {
            let errno = if rule.action == Action::Errno { rule.errno.unwrap_or(EPERM) } else { 0 };
            found.push(Applies { action: rule.action, errno, conditions: rule.args.clone() });
        }
    }
    found
}

/// Has the call this argument, and is the argument wide enough for the value?
fn fits(one: &Condition, name: &str) -> bool {
    facts::bits(name, one.index.into()).is_some_and(|bits| {
        let bits = i128::from(bits);
        (-(bits / 2) - 1..=bits).contains(&one.value)
    })
}

/// Does a condition hold? Unsigned, in the width that the kernel reads, the mask first.
fn condition(one: &Condition, args: &[u64; 6], bits: &[u64; 6]) -> bool {
    let index = usize::from(one.index);
    let argument = args[index] & bits[index] & one.mask.unwrap_or(u64::MAX);
    // A negative number is its two's complement.
    let value = one.value as u64 & bits[index];
    match one.op {
        Comparison::Eq | Comparison::MaskedEq => argument == value,
        Comparison::Ne => argument != value,
        Comparison::Lt => argument < value,
        Comparison::Le => argument <= value,
        Comparison::Gt => argument > value,
        Comparison::Ge => argument >= value,
    }
}
