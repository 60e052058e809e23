//! Rules that change no answer.

use super::{Mistakes, Place};
use crate::answer::{Answer, EPERM};
use crate::decide::{self, Case, Own};
use crate::outcomes::worlds;
use crate::table::CALLS;
use crate::{Rule, Syscalls, Violation, floor, groups};

pub(super) fn check(syscalls: &Syscalls, wrong: &[usize], mistakes: &mut Mistakes) {
    let rules = Rules::new(syscalls);
    for (place, rule) in syscalls.rules.iter().enumerate().filter(|(place, _)| !wrong.contains(place)) {
        let calls = &rules.calls[place];
        if calls.iter().any(|call| rules.matters(place, *call)) {
            continue;
        }
        let first = calls.first().map_or("it", |call| CALLS[*call].name);
        let always = calls.first().and_then(|call| rules.always(place, *call));
        let message = match always {
            Some(always) if always.passes() => format!(
                "the rule has no effect: `{first}` passes whatever its arguments; take it out of `allow`, or drop the rule"
            ),
            Some(always) if always >= Answer::of(rule.action, rule.errno) => {
                format!("the rule has no effect: `{first}` is refused whatever its arguments; drop the rule")
            }
            _ => "the rule has no effect: stricter rules or the floor cover all that it matches; drop it"
                .to_owned(),
        };
        mistakes.add(Place::Rule(place), message);
    }
}

/// Rules beside each other, call by call.
struct Rules<'a> {
    rules: &'a [Rule],
    /// The calls that each rule names, as places in the table, sorted.
    calls: Vec<Vec<usize>>,
    /// The strictest list that holds each call.
    listed: Vec<Option<Answer>>,
}

impl<'a> Rules<'a> {
    fn new(syscalls: &'a Syscalls) -> Self {
        let lists = Syscalls { rules: Vec::new(), ..syscalls.clone() };
        let own = Own::new(&lists, Answer::errno(EPERM));
        Self {
            rules: &syscalls.rules,
            calls: syscalls.rules.iter().map(calls).collect(),
            listed: (0..CALLS.len()).map(|call| own.unconditional(call)).collect(),
        }
    }

    /// Whether an answer to this call would be another one without the rule.
    fn matters(&self, place: usize, call: usize) -> bool {
        let name = CALLS[call].name;
        if floor::refuses(name) || floor::ALWAYS.contains(&name) || name == "clone3" {
            return false;
        }
        let rule = &self.rules[place];
        let answer = Answer::of(rule.action, rule.errno);
        if Some(answer) <= self.always(place, call) {
            return false;
        }
        if rule.args.is_empty() {
            return true;
        }
        let Some(tests) = decide::tests(rule, call) else { return false };
        // The rule itself first, then all that can keep it from deciding.
        let mut cases = vec![Case { tests, answer }];
        cases.extend(floor::cases(name, Violation::default()));
        for (_, other) in self.others(place, call).filter(|(answer_of, _)| *answer_of >= answer) {
            cases.extend(decide::tests(other, call).map(|tests| Case { tests, answer }));
        }
        worlds(&cases).is_none_or(|worlds| worlds.contains(&1))
    }

    /// What holds for a call whatever its arguments, but for one rule.
    fn always(&self, place: usize, call: usize) -> Option<Answer> {
        let rules =
            self.others(place, call).filter(|(_, rule)| rule.args.is_empty()).map(|(answer, _)| answer);
        rules.max().max(self.listed[call])
    }

    /// The other rules on a call.
    fn others(&self, place: usize, call: usize) -> impl Iterator<Item = (Answer, &'a Rule)> {
        let named = self.rules.iter().zip(&self.calls).enumerate();
        named
            .filter(move |(other, (_, calls))| *other != place && calls.binary_search(&call).is_ok())
            .map(|(_, (rule, _))| (Answer::of(rule.action, rule.errno), rule))
    }
}

fn calls(rule: &Rule) -> Vec<usize> {
    let mut calls: Vec<usize> = rule.syscalls.iter().flat_map(|entry| groups::members(entry)).collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}
