//! A policy on system calls, and what can be said of it.

use crate::answer::ENOSYS;
use crate::decide::{Decisions, EXEC};
use crate::outcomes::Outcomes;
use crate::table::{self, CALLS};
use crate::{Action, Arch, Mistake, Program, Syscalls, Violation, compile};

/// Rules, what a violation gets, and whether the program stays one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The policy's own rules.
    pub syscalls: Syscalls,
    /// What a call gets that nothing matches.
    pub on_violation: Violation,
    /// `fork`, `vfork` and `clone` answer EAGAIN, as where the limit of processes is reached.
    pub single_process: bool,
}

/// Whether a call passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Whatever its arguments.
    Always,
    /// For some arguments.
    Sometimes,
    /// Never.
    Never,
}

/// What a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is let through.
    Passed,
    /// It fails with this error number.
    Refused(u16),
    /// It ends the process.
    Killed,
}

/// How many calls of an architecture pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whatever their arguments.
    pub allowed: usize,
    /// For some arguments.
    pub conditional: usize,
    /// Never.
    pub refused: usize,
}

impl Filter {
    /// The program that makes the kernel hold this policy on these architectures.
    ///
    /// The same policy gives the same instructions, always.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the rules: what [`check`](crate::check()) finds, an error number out of range,
    /// and rules that need more instructions than the kernel takes.
    pub fn compile(&self, archs: &[Arch]) -> Result<Program, Vec<Mistake>> {
        compile::compile(self, archs)
    }

    /// Whether `execve` or `execveat` passes for some arguments by the policy's own rules.
    ///
    /// Where not, the program lets both pass, and [`exec_once`](crate::exec_once) must be loaded before it.
    #[must_use]
    pub fn executes(&self) -> bool {
        Decisions::new(self).executes()
    }

    /// Whether some call ends the process.
    #[must_use]
    pub fn kills(&self) -> bool {
        let rules = &self.syscalls.rules;
        self.on_violation == Violation::Kill
            || !self.syscalls.kill.is_empty()
            || rules.iter().any(|rule| rule.action == Action::Kill)
    }

    /// The policy as one text: two policies are the same exactly when these are.
    #[must_use]
    pub fn written(&self) -> String {
        format!("{self:?}")
    }

    /// Whether a call passes for some arguments by the policy's own rules; `false` where the architecture lacks it.
    ///
    /// A call that the supervisor is asked about counts as passing; the one exec that starts a program that may not
    /// execute others does not.
    #[must_use]
    pub fn may_pass(&self, arch: Arch, name: &str) -> bool {
        let here = table::find(name).filter(|call| CALLS[*call].number(arch).is_some());
        here.is_some_and(|call| Decisions::new(self).ruled(call).outcomes().passes)
    }

    /// Whether each call of an architecture passes by the policy's own rules, by number.
    #[must_use]
    pub fn passes(&self, arch: Arch) -> Vec<(u32, Passes)> {
        let decisions = Decisions::new(self);
        let passes = |call: usize| match decisions.ruled(call).outcomes() {
            Outcomes { passes: true, refused: false } => Passes::Always,
            Outcomes { passes: true, refused: true } => Passes::Sometimes,
            Outcomes { passes: false, .. } => Passes::Never,
        };
        (0..CALLS.len()).filter_map(|call| Some((CALLS[call].number(arch)?, passes(call)))).collect()
    }

    /// What a call with these arguments is answered, once the program runs. A number that the architecture's table
    /// lacks answers ENOSYS.
    #[must_use]
    pub fn answers(&self, arch: Arch, number: u32, arguments: [u64; 6]) -> Answered {
        let Some(call) = table::numbered(arch, number) else { return Answered::Refused(ENOSYS) };
        let decisions = Decisions::new(self);
        if EXEC.contains(&CALLS[call].name) && !decisions.executes() {
            return Answered::Refused(ENOSYS);
        }
        decisions.compiled(call).answer(arguments).told()
    }

    /// How many calls pass, as [`Filter::may_pass`] counts.
    #[must_use]
    pub fn summary(&self, arch: Arch) -> Summary {
        let decisions = Decisions::new(self);
        let mut summary = Summary::default();
        for call in (0..CALLS.len()).filter(|call| CALLS[*call].number(arch).is_some()) {
            let outcomes = decisions.ruled(call).outcomes();
            let count = match (outcomes.passes, outcomes.refused) {
                (true, false) => &mut summary.allowed,
                (true, true) => &mut summary.conditional,
                (false, _) => &mut summary.refused,
            };
            *count += 1;
        }
        summary
    }
}
