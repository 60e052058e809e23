//! What is wrong with rules, found before anything is compiled.

mod effect;
mod lists;
mod rules;

use crate::answer::MOST_ERRNO;
use crate::{Filter, Syscalls, Violation, floor, groups, suggest, table};

/// Something that is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong and what to do, in one sentence: "unknown syscall `opnat`; did you mean `openat`?".
    pub message: String,
}

/// Where a mistake is, as indices into [`Syscalls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry of `allow`.
    Allow(usize),
    /// An entry of `deny`.
    Deny(usize),
    /// An entry of `kill`.
    Kill(usize),
    /// An entry of `log`.
    Log(usize),
    /// A name in a rule: the rule, the name.
    RuleName(usize, usize),
    /// A condition of a rule: the rule, the condition.
    RuleArgument(usize, usize),
    /// A whole rule.
    Rule(usize),
    /// The rules as a whole.
    Whole,
}

/// Everything that is wrong with the rules; nothing when they can be compiled.
#[must_use]
pub fn check(syscalls: &Syscalls) -> Vec<Mistake> {
    let mut mistakes = Mistakes::default();
    lists::check(syscalls, &mut mistakes);
    rules::check(syscalls, &mut mistakes);
    // Without effect is said of rules that are sound in themselves.
    let wrong: Vec<usize> = mistakes.0.iter().filter_map(|mistake| mistake.place.rule()).collect();
    effect::check(syscalls, &wrong, &mut mistakes);
    mistakes.0
}

/// What is wrong with the rules under this violation too.
pub(crate) fn filter(filter: &Filter) -> Vec<Mistake> {
    let mut mistakes = Mistakes(check(&filter.syscalls));
    if let Violation::Errno(errno) = filter.on_violation {
        errno_fits(errno, Place::Whole, &mut mistakes);
    }
    if filter.on_violation != Violation::Kill {
        for (place, name) in filter.syscalls.kill.iter().enumerate().filter(|(_, name)| floor::refuses(name))
        {
            mistakes.add(
                Place::Kill(place),
                format!("`{name}` is refused under every policy as a violation is; leave it out, or make the violation `kill`"),
            );
        }
    }
    mistakes.0
}

impl Place {
    const fn rule(self) -> Option<usize> {
        match self {
            Self::Rule(rule) | Self::RuleName(rule, _) | Self::RuleArgument(rule, _) => Some(rule),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, place: Place, message: String) {
        self.0.push(Mistake { place, message });
    }
}

/// A name or a group that nobody knows.
fn known(entry: &str, place: Place, mistakes: &mut Mistakes) -> bool {
    let group = entry.starts_with('@');
    let (what, known, suggestion) = if group {
        ("group", groups::names().any(|name| name == entry), suggest::nearest(entry, groups::names()))
    } else {
        let names = table::CALLS.iter().map(|call| call.name);
        ("syscall", table::find(entry).is_some(), suggest::nearest(entry, names))
    };
    if !known {
        let entry: String = entry.chars().take(64).collect();
        let remedy = suggestion.map_or_else(
            || {
                format!(
                    "name one of x86_64 or aarch64 up to Linux 6.18{}",
                    if group { ", or a group" } else { "" }
                )
            },
            |name| format!("did you mean `{name}`?"),
        );
        let remedy = if group && suggestion.is_none() { "name one of the groups".to_owned() } else { remedy };
        mistakes.add(place, format!("unknown {what} `{}`; {remedy}", entry.escape_debug()));
    }
    known
}

fn errno_fits(errno: u16, place: Place, mistakes: &mut Mistakes) {
    if errno == 0 || errno > MOST_ERRNO {
        mistakes.add(place, format!("the error number {errno} is none; use 1 to {MOST_ERRNO}, 1 is EPERM"));
    }
}
