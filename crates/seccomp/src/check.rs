//! What is wrong with rules, found before anything is compiled.

use crate::Syscalls;

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
pub fn check(_syscalls: &Syscalls) -> Vec<Mistake> {
    Vec::new()
}
