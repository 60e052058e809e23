//! What a policy answers to each call: the meaning of [`Filter`], call by call.

use crate::answer::{Answer, EAGAIN, ENOSYS, EPERM};
use crate::argument::{Op, Test};
use crate::table::{self, CALLS};
use crate::{Filter, Rule, Syscalls, Violation, floor, groups, sentinel};

/// An answer that holds when all of its tests do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Case {
    pub(crate) tests: Vec<Test>,
    pub(crate) answer: Answer,
}

/// The answers to one call: that of the first case that holds, else the last resort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    pub(crate) cases: Vec<Case>,
    pub(crate) otherwise: Answer,
}

impl Decision {
    /// What these arguments are answered: the first case whose tests all hold.
    pub(crate) fn answer(&self, arguments: [u64; 6]) -> Answer {
        let holds =
            |test: &Test| test.op.holds(arguments[usize::from(test.argument)] & test.mask, test.value);
        let case = self.cases.iter().find(|case| case.tests.iter().all(holds));
        case.map_or(self.otherwise, |case| case.answer)
    }

    const fn constant(answer: Answer) -> Self {
        Self { cases: Vec::new(), otherwise: answer }
    }
}

/// The policy's own rules, sorted by call.
pub(crate) struct Own<'a> {
    /// The strictest answer that holds whatever the arguments; by place in the table.
    always: Vec<Option<Answer>>,
    /// The rules with conditions that name the call; by place in the table.
    rules: Vec<Vec<&'a Rule>>,
}

impl<'a> Own<'a> {
    /// `denied` is what the list `deny` answers.
    pub(crate) fn new(syscalls: &'a Syscalls, denied: Answer) -> Self {
        let mut own = Self { always: vec![None; CALLS.len()], rules: vec![Vec::new(); CALLS.len()] };
        let Syscalls { allow, deny, kill, log, rules } = syscalls;
        for (entries, answer) in
            [(allow, Answer::ALLOW), (log, Answer::LOG), (deny, denied), (kill, Answer::KILL)]
        {
            own.always(entries, answer);
        }
        for rule in rules {
            if rule.args.is_empty() {
                own.always(&rule.syscalls, Answer::of(rule.action, rule.errno));
            } else {
                for call in rule.syscalls.iter().flat_map(|entry| groups::members(entry)) {
                    own.rules[call].push(rule);
                }
            }
        }
        own
    }

    fn always(&mut self, entries: &[String], answer: Answer) {
        for call in entries.iter().flat_map(|entry| groups::members(entry)) {
            self.raise(call, answer);
        }
    }

    fn raise(&mut self, call: usize, answer: Answer) {
        self.always[call] = self.always[call].max(Some(answer));
    }

    /// What holds for a call whatever its arguments.
    pub(crate) fn unconditional(&self, call: usize) -> Option<Answer> {
        self.always[call]
    }

    /// What holds for some arguments and is stricter, the strictest first.
    ///
    /// A rule on a group says nothing about members that lack the argument.
    fn cases(&self, call: usize) -> Vec<Case> {
        let mut cases: Vec<Case> = self.rules[call]
            .iter()
            .map(|rule| (rule, Answer::of(rule.action, rule.errno)))
            .filter(|(_, answer)| Some(*answer) > self.always[call])
            .filter_map(|(rule, answer)| Some(Case { tests: tests(rule, call)?, answer }))
            .collect();
        cases.sort_by_key(|case| std::cmp::Reverse(case.answer));
        cases
    }
}

/// A rule's conditions as they are asked of one call; `None` when they cannot be.
pub(crate) fn tests(rule: &Rule, call: usize) -> Option<Vec<Test>> {
    rule.args.iter().map(|condition| Test::of(condition, &CALLS[call]).ok()).collect()
}

/// The answers to every call.
pub(crate) struct Decisions<'a> {
    own: Own<'a>,
    violation: Violation,
    /// What a violation is answered for each call.
    unlisted: Vec<Answer>,
    executes: bool,
}

impl<'a> Decisions<'a> {
    pub(crate) fn new(filter: &'a Filter) -> Self {
        let violation = filter.on_violation;
        let denied = match violation {
            Violation::Errno(errno) => Answer::errno(errno),
            Violation::Kill | Violation::Log => Answer::errno(EPERM),
        };
        let mut own = Own::new(&filter.syscalls, denied);
        if filter.single_process {
            for call in ["fork", "vfork", "clone"].into_iter().filter_map(table::find) {
                own.raise(call, Answer::errno(EAGAIN));
            }
        }
        let mut decisions = Self { own, violation, unlisted: unlisted(violation), executes: true };
        decisions.executes =
            EXEC.into_iter().filter_map(table::find).any(|call| decisions.ruled(call).outcomes().passes);
        decisions
    }

    pub(crate) fn executes(&self) -> bool {
        self.executes
    }

    /// What the filter answers.
    pub(crate) fn compiled(&self, call: usize) -> Decision {
        let name = CALLS[call].name;
        if !self.executes && EXEC.contains(&name) {
            return Decision::constant(Answer::ALLOW);
        }
        let mut decision = self.ruled(call);
        if name == "prctl" {
            decision.cases.insert(0, proof(sentinel::FILTER));
        }
        decision
    }

    /// What the policy says: no sentinel, and no exec but by its own rules.
    pub(crate) fn ruled(&self, call: usize) -> Decision {
        let name = CALLS[call].name;
        if floor::ALWAYS.contains(&name) {
            return Decision::constant(Answer::ALLOW);
        }
        if name == "clone3" {
            return Decision::constant(Answer::errno(ENOSYS));
        }
        if floor::refuses(name) {
            return Decision::constant(Answer::refusal(self.violation));
        }
        let mut cases = floor::cases(name, self.violation);
        cases.extend(self.own.cases(call));
        let otherwise = self.own.unconditional(call).unwrap_or(self.unlisted[call]);
        Decision { cases, otherwise }
    }
}

pub(crate) const EXEC: [&str; 2] = ["execve", "execveat"];

/// The answer that proves a filter, to prctl(2).
pub(crate) fn proof(which: u32) -> Case {
    let which = Test { argument: 1, mask: u64::MAX, op: Op::Eq, value: u64::from(which) };
    Case {
        tests: vec![Test::word(0, Op::Eq, sentinel::OPTION), which],
        answer: Answer::errno(sentinel::ERRNO),
    }
}

/// What each call gets that nothing matches.
fn unlisted(violation: Violation) -> Vec<Answer> {
    if violation != Violation::Log {
        return vec![Answer::refusal(violation); CALLS.len()];
    }
    let mut answers = vec![Answer::LOG; CALLS.len()];
    for call in UNSAFE_TO_LOG.iter().flat_map(|group| groups::members(group)) {
        answers[call] = Answer::errno(EPERM);
    }
    answers
}

/// The groups whose calls do not pass because a violation is only logged.
pub(crate) const UNSAFE_TO_LOG: [&str; 2] = ["@debug", "@privileged"];
