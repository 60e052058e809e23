//! From a policy's rules to the filters of system calls that PID 1's child sets.

use ringfence_policy::{BUILTIN_PROFILES, Guarantee, Policy, Problem};
use ringfence_seccomp::{
    Action, Answered, Arch, Comparison, Condition, Filter, Instruction, Mistake, Passes, Program, Rule,
    Violation,
};

use crate::loader_calls;
use crate::resolve::Start;

/// What this was compiled for.
pub(crate) const NATIVE: Arch = match Arch::NATIVE {
    Some(arch) => arch,
    None => panic!("this architecture has no table of system calls"),
};

/// The filters of one plan.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    /// Has PID 1 answer every exec; `None` where the policy lets the program execute others.
    pub(crate) exec_once: Option<Program>,
    /// The policy's.
    pub(crate) policy: Program,
    /// What it does, in a few words.
    pub(crate) summary: String,
    /// It ends processes.
    pub(crate) kills: bool,
}

/// The filters that a policy asks for; none where it waives them.
///
/// # Errors
/// The rules cannot be compiled.
pub(crate) fn filters(policy: &Policy, start: Start) -> Result<Option<Filters>, Problem> {
    if policy.waived.contains(&Guarantee::KernelSurface) {
        return Ok(None);
    }
    let filter = rules(policy);
    let (program, facts) = match compiled_before(policy, &filter) {
        Some(builtin) => (Program::from_static(builtin.instructions), builtin.facts),
        None => {
            let program = filter.compile(&[NATIVE]).map_err(|mistakes| wrong(policy, &mistakes))?;
            (program, Facts::of(&filter, start))
        }
    };
    let exec_once = (!facts.executes).then(|| ringfence_seccomp::exec_once(&[NATIVE]));
    can_start(policy, facts, start)?;
    Ok(Some(Filters { exec_once, policy: program, summary: summary(policy, facts), kills: filter.kills() }))
}

/// What a plan wants to know of a filter. To find it out takes longer than all the rest of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    /// Calls that pass, whatever their arguments.
    allowed: usize,
    /// Calls that pass for some.
    conditional: usize,
    /// The program may execute others.
    executes: bool,
    /// A call that it refuses and a dynamic loader needs.
    lacks: Option<&'static str>,
}

impl Facts {
    fn of(filter: &Filter, start: Start) -> Self {
        let count = filter.summary(NATIVE);
        Self {
            allowed: count.allowed,
            conditional: count.conditional,
            executes: filter.executes(),
            lacks: start.dynamic.then(|| loader_calls::missing(filter, NATIVE)).flatten(),
        }
    }
}

/// What a policy says of system calls.
pub(crate) fn rules(policy: &Policy) -> Filter {
    let mut syscalls = policy.syscalls.clone();
    if !policy.filesystem.commands.is_empty() {
        syscalls.rules.push(no_program_in_memory());
    }
    Filter { syscalls, on_violation: policy.on_violation, single_process: policy.limits.pids == Some(1) }
}

/// The same filter, but the supervisor is asked about what it refuses, and about these calls.
///
/// # Errors
/// The rules cannot be compiled.
pub(crate) fn asking(policy: &Policy, filter: &Filter, others: &[&str]) -> Result<Program, Problem> {
    filter.compile_asked(&[NATIVE], others).map_err(|mistakes| wrong(policy, &mistakes))
}

/// A system call as a policy's rules decide it, without asking the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Whether it passes; always where the policy waives its filter.
    pub passes: Passes,
    /// What it is answered when every bit of every argument is set.
    pub answered: Answered,
}

/// Every system call that this architecture has, as the rules of a policy decide it.
#[must_use]
pub fn ruled(policy: &Policy) -> Vec<Ruled> {
    let filter = (!policy.waived.contains(&Guarantee::KernelSurface)).then(|| rules(policy));
    let all = filter.clone().unwrap_or_default().passes(NATIVE);
    let one = |(number, passes): (u32, Passes)| {
        let name = NATIVE.name(number)?;
        let Some(filter) = &filter else {
            return Some(Ruled { number, name, passes: Passes::Always, answered: Answered::Passed });
        };
        Some(Ruled { number, name, passes, answered: filter.answers(NATIVE, number, [u64::MAX; 6]) })
    };
    let mut all: Vec<_> = all.into_iter().filter_map(one).collect();
    all.sort_by_key(|ruled| ruled.number);
    all
}

/// A memory file is on no mount of the sandbox's, so no mount keeps it from being executed: it must be made without
/// the right to (`MFD_NOEXEC_SEAL`, memfd_create(2)).
fn no_program_in_memory() -> Rule {
    const MFD_NOEXEC_SEAL: u64 = 8;
    let condition = Condition { index: 1, op: Comparison::Eq, value: 0, mask: Some(MFD_NOEXEC_SEAL) };
    Rule {
        syscalls: vec!["memfd_create".to_owned()],
        args: vec![condition],
        action: Action::Errno,
        errno: Some(libc::EACCES.unsigned_abs().try_into().unwrap_or(1)),
    }
}

/// A policy that cannot start its own program is wrong, and it is better said now than by a dead program.
fn can_start(policy: &Policy, facts: Facts, start: Start) -> Result<(), Problem> {
    let (call, who) = match facts.lacks.filter(|_| start.dynamic) {
        Some(call) => (call, "the dynamic loader of its program"),
        None if start.by_env && !facts.executes => ("execve", "a script whose first line names env(1)"),
        None => return Ok(()),
    };
    let why = format!("profile `{}` cannot start this: {who} needs the call `{call}`", policy.profile);
    Err(Problem::request("cannot-start", why).remedy("allow it in the profile, or take another profile"))
}

/// The filter of a built-in profile, compiled with this library.
struct Builtin {
    name: &'static str,
    /// What it was compiled from.
    from: &'static str,
    facts: Facts,
    instructions: &'static [Instruction],
}

static BUILTIN: [Builtin; BUILTIN_PROFILES.len()] = include!(concat!(env!("OUT_DIR"), "/builtin_filters.rs"));

/// The filter that was compiled with this library, when it was compiled from the very same rules.
fn compiled_before(policy: &Policy, filter: &Filter) -> Option<&'static Builtin> {
    let builtin = BUILTIN.iter().find(|builtin| builtin.name == policy.profile)?;
    (filter.written() == builtin.from).then_some(builtin)
}

fn summary(policy: &Policy, facts: Facts) -> String {
    let others = match policy.on_violation {
        Violation::Errno(number) => format!("answer {}", crate::errno::name(number.into())),
        Violation::Kill => "end the process with SIGSYS".to_owned(),
        Violation::Log => "are logged where that is safe, else answer EPERM".to_owned(),
    };
    format!(
        "profile {}: {} calls pass, {} depend on their arguments, all others {others}",
        policy.profile, facts.allowed, facts.conditional
    )
}

fn wrong(policy: &Policy, mistakes: &[Mistake]) -> Problem {
    let all: Vec<_> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    let why = format!("the system calls of profile `{}` are wrong: {}", policy.profile, all.join("; "));
    Problem::request("syscalls", why).remedy("`ringfence profile check FILE` shows where")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(policy: &Policy) -> Program {
        filters(policy, Start::default()).unwrap().unwrap().policy
    }

    #[test]
    fn a_builtin_profile_was_compiled_with_the_library_to_the_same_program() {
        for (name, _) in BUILTIN_PROFILES {
            let policy = Policy::builtin(name).unwrap();
            let Policy { syscalls, on_violation, .. } = policy.clone();
            let filter = Filter { syscalls, on_violation, single_process: false };
            let builtin = compiled_before(&policy, &filter).unwrap();
            let before = Program::from_static(builtin.instructions);
            assert_eq!(before, filter.compile(&[NATIVE]).unwrap(), "{name}");
            assert_eq!(program(&policy), before, "{name}");
            assert_eq!(builtin.facts, Facts::of(&filter, Start { dynamic: true, by_env: false }), "{name}");
        }
    }

    #[test]
    fn what_changes_the_rules_changes_the_program() {
        let policy = Policy::builtin("default").unwrap();
        let mut denied = policy.clone();
        denied.syscalls.deny.push("getpid".to_owned());
        let mut kills = policy.clone();
        kills.on_violation = Violation::Kill;
        let mut alone = policy.clone();
        alone.limits.pids = Some(1);
        for other in [denied, kills, alone] {
            assert_ne!(program(&other), program(&policy));
        }
    }

    #[test]
    fn only_a_policy_without_exec_has_it_answered() {
        let filters = |name| filters(&Policy::builtin(name).unwrap(), Start::default()).unwrap().unwrap();
        let once = |name| filters(name).exec_once.is_some();
        assert!(once("minimal"));
        assert!(!once("default") && !once("build"));
    }

    #[test]
    fn a_waived_filter_is_none() {
        let policy = Policy::builtin("default").unwrap().waive(Guarantee::KernelSurface);
        assert!(filters(&policy, Start::default()).unwrap().is_none());
    }

    #[test]
    fn a_policy_that_cannot_start_its_program_is_refused_with_the_missing_call() {
        let mut policy = Policy::builtin("default").unwrap();
        let said = |policy: &Policy, start| filters(policy, start).unwrap_err().to_string();
        let (dynamic, script) =
            (Start { dynamic: true, by_env: false }, Start { dynamic: false, by_env: true });
        filters(&policy, dynamic).unwrap();
        for name in ["mmap", "mprotect", "close"] {
            policy.syscalls.deny = vec![name.to_owned()];
            assert!(said(&policy, dynamic).contains(&format!("`{name}`")));
            filters(&policy, script).unwrap();
        }
        policy.syscalls.deny = vec!["execve".to_owned(), "execveat".to_owned()];
        filters(&policy, dynamic).unwrap();
        assert!(said(&policy, script).contains("`execve`"));
    }
}
