//! Mistakes in rules, each by itself and beside rules with the same conditions.

use super::{Mistakes, Place, errno_fits, known, lists};
use crate::answer::Answer;
use crate::argument::{Op, Test, Unfit};
use crate::decide::{self, Case};
use crate::outcomes::worlds;
use crate::table::{self, CALLS};
use crate::{Action, Comparison, Condition, Rule, Syscalls, floor, groups};

pub(super) fn check(syscalls: &Syscalls, mistakes: &mut Mistakes) {
    for (place, rule) in syscalls.rules.iter().enumerate() {
        let before = mistakes.0.len();
        names(place, rule, mistakes);
        errno(place, rule, mistakes);
        conditions(place, rule, mistakes);
        if mistakes.0.len() == before {
            never(place, rule, mistakes);
            beside(syscalls, place, rule, mistakes);
        }
    }
}

fn names(place: usize, rule: &Rule, mistakes: &mut Mistakes) {
    if rule.syscalls.is_empty() {
        mistakes
            .add(Place::Rule(place), "the rule names no syscall; name one, or leave the rule out".to_owned());
    }
    for (index, entry) in rule.syscalls.iter().enumerate() {
        let place = Place::RuleName(place, index);
        if !known(entry, place, mistakes) {
            continue;
        }
        if rule.syscalls[..index].contains(entry) {
            mistakes.add(place, format!("the rule names `{entry}` twice; keep one"));
        } else if floor::refuses(entry) {
            mistakes.add(place, format!("`{entry}` is refused under every policy; leave it out"));
        } else if floor::ALWAYS.contains(&entry.as_str()) {
            mistakes.add(place, format!("`{entry}` passes under every policy; leave it out"));
        }
    }
}

fn errno(place: usize, rule: &Rule, mistakes: &mut Mistakes) {
    let Some(errno) = rule.errno else { return };
    if rule.action == Action::Errno {
        errno_fits(errno, Place::Rule(place), mistakes);
    } else {
        mistakes.add(
            Place::Rule(place),
            format!(
                "only the action `errno` has an error number; leave {errno} out, or make the action `errno`"
            ),
        );
    }
}

fn conditions(place: usize, rule: &Rule, mistakes: &mut Mistakes) {
    for (index, condition) in rule.args.iter().enumerate() {
        let at = Place::RuleArgument(place, index);
        if rule.args[..index].contains(condition) {
            mistakes.add(at, "the rule has this condition twice; keep one".to_owned());
        }
        if condition.op == Comparison::MaskedEq && condition.mask.is_none() {
            mistakes.add(at, "`masked_eq` needs a mask; give one, or use `eq`".to_owned());
            continue;
        }
        // Who names a call means it; a group may have members that the condition does not fit.
        let named = rule.syscalls.iter().filter_map(|entry| table::find(entry));
        let mut unfit = named.clone().filter_map(|call| unfit(condition, call));
        let groups = rule.syscalls.iter().filter(|entry| entry.starts_with('@'));
        if let Some(why) = unfit.next() {
            mistakes.add(at, why);
        } else if let Some(group) = groups.into_iter().find(|group| {
            let members = groups::members(group);
            !members.is_empty() && members.iter().all(|call| self::unfit(condition, *call).is_some())
        }) {
            mistakes
                .add(at, format!("the condition fits no call of `{group}`; leave the group out of the rule"));
        }
    }
}

/// Why a condition makes no sense for a call.
fn unfit(condition: &Condition, call: usize) -> Option<String> {
    let call = &CALLS[call];
    let name = call.name;
    let Condition { index, value, .. } = condition;
    match Test::of(condition, call) {
        Err(Unfit::NoArgument) => Some(match call.widths.len() {
            0 => format!("`{name}` has no arguments; leave the condition out"),
            1 => format!("`{name}` has no argument {index}; its only one is 0"),
            count => format!("`{name}` has no argument {index}; the last one is {}", count - 1),
        }),
        Err(Unfit::TooWide(bits)) => Some(format!(
            "argument {index} of `{name}` has {bits} bits and {value} does not fit into them; use a smaller value"
        )),
        Ok(Test { mask: 0, .. }) => {
            Some(format!("the mask leaves nothing of argument {index} of `{name}`; name some of its bits"))
        }
        Ok(Test { op: Op::Eq | Op::Ne, mask, value, .. }) if value & !mask != 0 => Some(format!(
            "the value {value:#x} has bits outside of the mask {mask:#x}; name them in the mask, or clear them in the value"
        )),
        Ok(_) => None,
    }
}

/// Conditions that no arguments fulfil.
fn never(place: usize, rule: &Rule, mistakes: &mut Mistakes) {
    let possible = |tests: Vec<Test>| {
        worlds(&[Case { tests, answer: Answer::ALLOW }]).is_none_or(|worlds| worlds.contains(&1))
    };
    for call in rule.syscalls.iter().filter_map(|entry| table::find(entry)) {
        let Some(tests) = decide::tests(rule, call) else { continue };
        let name = CALLS[call].name;
        if let Some(alone) = tests.iter().position(|test| !possible(vec![*test])) {
            mistakes.add(
                Place::RuleArgument(place, alone),
                format!("no value of this argument of `{name}` fulfils the condition; change or drop it"),
            );
        } else if !possible(tests) {
            mistakes.add(
                Place::Rule(place),
                format!("the conditions on `{name}` exclude each other, and all of a rule's must hold; make them two rules"),
            );
        } else {
            continue;
        }
        return;
    }
}

/// The same conditions twice: a repetition, or a contradiction.
fn beside(syscalls: &Syscalls, place: usize, rule: &Rule, mistakes: &mut Mistakes) {
    let answer = Answer::of(rule.action, rule.errno);
    let same = |other: &&Rule| {
        let contains =
            |left: &Rule, right: &Rule| left.args.iter().all(|condition| right.args.contains(condition));
        contains(other, rule) && contains(rule, other)
    };
    for (earlier, other) in syscalls.rules[..place].iter().enumerate().filter(|(_, other)| same(other)) {
        if let Some(entry) = rule.syscalls.iter().find(|entry| other.syscalls.contains(entry)) {
            let message = if Answer::of(other.action, other.errno) == answer {
                format!("rule {earlier} says the same of `{entry}`; keep one")
            } else {
                format!("rule {earlier} answers otherwise to `{entry}` under the same conditions; keep one")
            };
            mistakes.add(Place::Rule(place), message);
            return;
        }
    }
    if !rule.args.is_empty() {
        return;
    }
    for list in lists::lists(syscalls) {
        if let Some(index) = rule.syscalls.iter().position(|entry| list.entries.contains(entry)) {
            let message = format!(
                "`{}` is in `{}` too, and the rule has no conditions; keep one of them",
                rule.syscalls[index], list.word
            );
            mistakes.add(Place::RuleName(place, index), message);
            return;
        }
    }
}
