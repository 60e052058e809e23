//! Rules that come together from several files, or from engines that take the last word or the first: the same
//! answers, without what changes none.

use std::collections::BTreeSet;

use ringfence_seccomp::{Action, Place, Rule, Syscalls, Violation, check, floor, groups};

/// Names and groups that our tables have.
pub(super) fn known_names() -> BTreeSet<&'static str> {
    let mut known = BTreeSet::new();
    for (group, _, members) in groups() {
        known.insert(group);
        if group == "@all" {
            known.extend(members);
        }
    }
    known
}

/// The same rules, and the names that were left out because nothing can change what they get.
///
/// Of everything that matches a call the strictest answer holds, so that what a stricter word covers can go. No
/// answer is another one than before, but for names that no table has.
pub(super) fn reduced(rules: Syscalls, violation: Violation) -> (Syscalls, Vec<String>) {
    let mut rules = rules;
    let mut dropped = Vec::new();
    strictest_of_lists(&mut rules);
    strictest_of_rules(&mut rules, violation);
    // The floor refuses its own as a violation is answered, and no list can say otherwise.
    let floor: BTreeSet<_> = floor().collect();
    let mut without_floor = |names: &mut Vec<String>| {
        let (refused, rest) =
            std::mem::take(names).into_iter().partition(|name| floor.contains(name.as_str()));
        *names = rest;
        dropped.extend::<Vec<String>>(refused);
    };
    without_floor(&mut rules.allow);
    without_floor(&mut rules.log);
    if violation != Violation::Kill {
        without_floor(&mut rules.kill);
    }
    rules.rules.iter_mut().for_each(|rule| without_floor(&mut rule.syscalls));
    rules.rules.retain(|rule| !rule.syscalls.is_empty());
    while drop_one_round(&mut rules, &mut dropped) {}
    dropped.sort();
    dropped.dedup();
    (rules, dropped)
}

/// A name stands in its strictest list, once.
fn strictest_of_lists(rules: &mut Syscalls) {
    let mut said = BTreeSet::new();
    for list in [&mut rules.kill, &mut rules.deny, &mut rules.log, &mut rules.allow] {
        list.retain(|name| said.insert(name.clone()));
    }
}

/// An answer as seccomp(2) ranks it; of two errors the larger number.
fn rank(rule: &Rule) -> (Action, u16) {
    let errno = if rule.action == Action::Errno { rule.errno.unwrap_or(1) } else { 0 };
    (rule.action, errno)
}

/// Of two rules with the same conditions, and of a rule without any and a list, the stricter keeps the name.
fn strictest_of_rules(rules: &mut Syscalls, violation: Violation) {
    let denied = if let Violation::Errno(errno) = violation { errno } else { 1 };
    for index in 0..rules.rules.len() {
        for other in 0..index {
            let [first, second] = [&rules.rules[other], &rules.rules[index]];
            let within = |a: &Rule, b: &Rule| a.args.iter().all(|condition| b.args.contains(condition));
            if !within(first, second) || !within(second, first) {
                continue;
            }
            let laxer = if rank(second) > rank(first) { other } else { index };
            let stricter = rules.rules[if laxer == index { other } else { index }].syscalls.clone();
            rules.rules[laxer].syscalls.retain(|name| !stricter.contains(name));
        }
    }
    for rule in rules.rules.iter_mut().filter(|rule| rule.args.is_empty()) {
        let rank = rank(rule);
        for (list, of_list) in [
            (&mut rules.allow, (Action::Allow, 0)),
            (&mut rules.log, (Action::Log, 0)),
            (&mut rules.deny, (Action::Errno, denied)),
            (&mut rules.kill, (Action::Kill, 0)),
        ] {
            if rank >= of_list {
                list.retain(|name| !rule.syscalls.contains(name));
            } else {
                rule.syscalls.retain(|name| !list.contains(name));
            }
        }
    }
    rules.rules.retain(|rule| !rule.syscalls.is_empty());
}

/// Takes out what `check` says changes nothing. Rules go one at a time: of two that cover each other, one stays.
fn drop_one_round(rules: &mut Syscalls, dropped: &mut Vec<String>) -> bool {
    let mut gone_rule = None;
    let mut names = BTreeSet::new();
    for mistake in check(rules) {
        match mistake.place {
            Place::Rule(rule) => gone_rule = gone_rule.max(Some(rule)),
            Place::Allow(index) => _ = names.insert((0, 0, index)),
            Place::Log(index) => _ = names.insert((1, 0, index)),
            Place::Deny(index) => _ = names.insert((2, 0, index)),
            Place::Kill(index) => _ = names.insert((3, 0, index)),
            Place::RuleName(rule, name) => _ = names.insert((4, rule, name)),
            // A mistake, and no repetition: it stays, and is told.
            Place::RuleArgument(..) | Place::Whole => {}
        }
    }
    let mut changed = false;
    // Last first, so that the places stay right.
    for (kind, rule, index) in names.into_iter().rev() {
        let list = match kind {
            0 => &mut rules.allow,
            1 => &mut rules.log,
            2 => &mut rules.deny,
            3 => &mut rules.kill,
            _ => match rules.rules.get_mut(rule) {
                Some(rule) => &mut rule.syscalls,
                None => continue,
            },
        };
        if index < list.len() {
            dropped.push(list.remove(index));
            changed = true;
        }
    }
    if changed {
        rules.rules.retain(|rule| !rule.syscalls.is_empty());
    } else if let Some(rule) = gone_rule {
        rules.rules.remove(rule);
        changed = true;
    }
    changed
}
