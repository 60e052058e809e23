//! The meaning of a filter, read off the crate's documentation point by point.

use ringfence_seccomp::{
    Action, Arch, Comparison, Condition, Filter, Rule, Violation, arguments, floor, groups, sentinel,
};

use crate::machine::Call;
use crate::{ALLOW, EPERM, KILL, LOG, NOTIFY, TRAP, errno};

/// A filter with its lists spelled out.
pub(crate) struct Naive<'a> {
    filter: &'a Filter,
    lists: [(Vec<&'static str>, Action, Option<u16>); 4],
    rules: Vec<(Vec<&'static str>, &'a Rule)>,
    executes: bool,
    unsafe_to_log: Vec<&'static str>,
}

impl<'a> Naive<'a> {
    pub(crate) fn new(filter: &'a Filter) -> Self {
        let rules = &filter.syscalls;
        let denied = if let Violation::Errno(number) = filter.on_violation { number } else { 1 };
        Self {
            filter,
            lists: [
                (expand(&rules.allow), Action::Allow, None),
                (expand(&rules.log), Action::Log, None),
                (expand(&rules.deny), Action::Errno, Some(denied)),
                (expand(&rules.kill), Action::Kill, None),
            ],
            rules: rules.rules.iter().map(|rule| (expand(&rule.syscalls), rule)).collect(),
            executes: filter.executes(),
            unsafe_to_log: expand(&["@debug".to_owned(), "@privileged".to_owned()]),
        }
    }

    pub(crate) fn answer(&self, arch: Arch, call: &Call) -> u32 {
        let violation = self.filter.on_violation;
        let number = call.number;
        let Some(name) = arch.name(number) else {
            let x32 = arch == Arch::X86_64 && number & 0xc000_0000 == 0x4000_0000;
            return if x32 && violation == Violation::Kill { KILL } else { errno(38) };
        };
        let low = |argument: usize| call.args[argument] as u32;
        if name == "prctl" && low(0) == sentinel::OPTION && call.args[1] == u64::from(sentinel::FILTER) {
            return errno(sentinel::ERRNO.into());
        }
        match name {
            "exit" | "exit_group" | "rt_sigreturn" | "restart_syscall" => return ALLOW,
            "clone3" => return errno(38),
            "execve" | "execveat" if !self.executes => return ALLOW,
            _ => {}
        }
        let refused = match violation {
            Violation::Errno(number) => errno(number.into()),
            Violation::Kill => KILL,
            Violation::Log => EPERM,
        };
        let family = matches!(name, "socket" | "socketpair") && !matches!(low(0), 1 | 2 | 10);
        if family {
            return if violation == Violation::Kill { KILL } else { errno(97) };
        }
        let floored = match name {
            "clone" => call.args[0] & 0x7e02_0080 != 0,
            "ioctl" => matches!(low(1), 0x5412 | 0x541c),
            "setrlimit" => low(0) == 4,
            "prlimit64" => low(1) == 4 && call.args[2] != 0,
            "personality" => !matches!(low(0), 0 | 8 | 0x20000 | 0x20008 | 0xffff_ffff),
            "seccomp" => low(1) & 8 != 0,
            _ => floor().any(|floor| floor == name),
        };
        if floored {
            return refused;
        }
        if let Some((action, number)) = self.strictest(name, call) {
            return encode(action, number);
        }
        if violation == Violation::Log && !self.unsafe_to_log.contains(&name) { LOG } else { refused }
    }

    fn strictest(&self, name: &str, call: &Call) -> Option<(Action, u16)> {
        let listed = self.lists.iter().filter(|(names, ..)| names.contains(&name));
        let listed = listed.map(|(_, action, number)| (*action, number.unwrap_or(0)));
        let ruled = self.rules.iter().filter(|(names, _)| names.contains(&name));
        let ruled = ruled.filter(|(_, rule)| rule.args.iter().all(|condition| holds(condition, name, call)));
        let ruled = ruled.map(|(_, rule)| {
            (rule.action, if rule.action == Action::Errno { rule.errno.unwrap_or(1) } else { 0 })
        });
        let single = self.filter.single_process && matches!(name, "fork" | "vfork" | "clone");
        listed.chain(ruled).chain(single.then_some((Action::Errno, 11))).max()
    }
}

pub(crate) fn expand(entries: &[String]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for entry in entries {
        match groups().find(|(group, ..)| group == entry) {
            Some((.., members)) => names.extend(members),
            None => names.extend(Arch::ALL.iter().find_map(|arch| arch.name(arch.number(entry)?))),
        }
    }
    names
}

fn holds(condition: &Condition, name: &str, call: &Call) -> bool {
    let Some(full) = arguments(name).unwrap().get(usize::from(condition.index)).copied() else {
        return false;
    };
    let range = i128::from(full) + 1;
    if condition.value >= range || condition.value < -range / 2 {
        return false;
    }
    let value = condition.value.rem_euclid(range);
    let argument =
        i128::from(call.args[usize::from(condition.index)] & full & condition.mask.unwrap_or(u64::MAX));
    match condition.op {
        Comparison::Eq | Comparison::MaskedEq => argument == value,
        Comparison::Ne => argument != value,
        Comparison::Lt => argument < value,
        Comparison::Le => argument <= value,
        Comparison::Gt => argument > value,
        Comparison::Ge => argument >= value,
    }
}

fn encode(action: Action, number: u16) -> u32 {
    match action {
        Action::Allow => ALLOW,
        Action::Log => LOG,
        Action::Notify => NOTIFY,
        Action::Errno => errno(number.into()),
        Action::Trap => TRAP,
        Action::Kill => KILL,
    }
}
