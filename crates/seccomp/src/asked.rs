//! A filter that asks its supervisor instead of refusing by itself, and what the supervisor answers.
//!
//! For explaining: whoever answers learns what was refused. The supervisor decides by the number of the call and the
//! words of its arguments alone, as the filter would have; it never looks behind a pointer to decide.

use crate::answer::Answer;
use crate::decide::{Decision, Decisions, EXEC};
use crate::table::{self, CALLS};
use crate::{Action, Arch, Filter, Mistake, Program, compile, sentinel};

/// What the supervisor answers to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It goes on as it was made.
    Pass,
    /// The same, and it is put on record.
    Record,
    /// It goes on once, for the program itself: its policy lets it execute no other.
    ExecOnce,
    /// It is refused with this error number.
    Errno(u16),
    /// Its process ends.
    Kill,
}

/// The answers of a policy on one architecture.
#[derive(Debug)]
pub struct Answers {
    arch: Arch,
    decisions: Vec<Decision>,
    executes: bool,
}

impl Answers {
    /// The answers of a filter.
    #[must_use]
    pub fn of(filter: &Filter, arch: Arch) -> Self {
        let all = Decisions::new(filter);
        let decisions = (0..CALLS.len()).map(|call| all.ruled(call)).collect();
        Self { arch, decisions, executes: all.executes() }
    }

    /// The answer to one call. What the table lacks is refused: no filter asks about it.
    #[must_use]
    pub fn to(&self, number: u32, arguments: &[u64; 6]) -> Said {
        let Some(call) = table::numbered(self.arch, number) else {
            return Said::Errno(crate::answer::ENOSYS);
        };
        if !self.executes && EXEC.contains(&CALLS[call].name) {
            return Said::ExecOnce;
        }
        self.decisions[call].to(arguments).said()
    }
}

impl Decision {
    /// The first case whose tests all hold, else the last resort.
    fn to(&self, arguments: &[u64; 6]) -> Answer {
        let holds = |test: &crate::argument::Test| {
            let argument = arguments.get(usize::from(test.argument)).copied().unwrap_or(0);
            test.op.holds(argument & test.mask, test.value)
        };
        let first = self.cases.iter().find(|case| case.tests.iter().all(holds));
        first.map_or(self.otherwise, |case| case.answer)
    }

    /// The same with every answer that a supervisor gives left to it.
    fn asked(self, allowed_too: bool) -> Self {
        let asked = |answer: Answer| if answer.is_asked(allowed_too) { Answer::NOTIFY } else { answer };
        let mut decision = Self { otherwise: asked(self.otherwise), ..self };
        decision.cases.iter_mut().for_each(|case| case.answer = asked(case.answer));
        decision
    }
}

impl Answer {
    fn is_asked(self, allowed_too: bool) -> bool {
        match self.said_action() {
            Action::Allow => allowed_too,
            // The filter's own proof, and a signal that the thread itself handles, only the kernel gives.
            Action::Errno => self != Self::errno(sentinel::ERRNO),
            Action::Trap => false,
            Action::Log | Action::Notify | Action::Kill => true,
        }
    }
}

impl Filter {
    /// The program that has the supervisor asked about every call that this policy refuses or records, and about
    /// these others though they pass. Everything else is as [`compile`](Filter::compile) has it: what no supervisor
    /// can answer (other architectures, unknown numbers, clone3, signals), the kernel answers.
    ///
    /// It is one filter for [`exec_once`](crate::exec_once) too: of all filters of a process only one can ask.
    ///
    /// # Errors
    ///
    /// As [`compile`](Filter::compile).
    pub fn compile_asked(&self, archs: &[Arch], others: &[&str]) -> Result<Program, Vec<Mistake>> {
        let decisions = Decisions::new(self);
        compile::compile_as(self, archs, |call| {
            let (name, decision) = (CALLS[call].name, decisions.compiled(call));
            if name == "clone3" {
                return decision;
            }
            let exec_once = !decisions.executes() && EXEC.contains(&name);
            decision.asked(exec_once || others.contains(&name))
        })
    }
}
