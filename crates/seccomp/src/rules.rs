//! The rules, as a profile says them.

use serde::{Deserialize, Serialize};

/// Which system calls a program may make. Names are the kernel's, or `@group`s, or `@all`.
///
/// Order never matters: of everything that matches a call, the strictest answer holds
/// ([`Action`] is ordered from lenient to strict). A call that nothing matches gets the policy's [`Violation`].
/// The floor stands below all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Syscalls {
    /// They pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// They answer EPERM, or the number that the violation says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// They end the process with SIGSYS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kill: Vec<String>,
    /// They pass, and the kernel's audit log says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Answers that depend on arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// An answer for some calls, when all its conditions hold. Several rules on a call are alternatives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names and `@group`s.
    pub syscalls: Vec<String>,
    /// All of them must hold. None: the rule is unconditional.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Condition>,
    /// The answer.
    pub action: Action,
    /// The error number of the action `errno`; EPERM when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u16>,
}

/// What the kernel does with a call, from lenient to strict as seccomp(2) ranks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It passes.
    Allow,
    /// It passes, and the kernel's audit log says so.
    Log,
    /// The supervisor decides.
    Notify,
    /// It answers an error number.
    Errno,
    /// The thread gets SIGSYS, which it may handle.
    Trap,
    /// The process ends with SIGSYS.
    Kill,
}

/// A condition on one argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The argument, 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub op: Comparison,
    /// With what. A negative number is its two's complement in the width of the argument.
    pub value: i128,
    /// The bits that are looked at; all when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<u64>,
}

/// How an argument is compared, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Equal, of the bits that a mask names: [`Comparison::Eq`] that insists on its mask.
    MaskedEq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// What an unlisted call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "WrittenViolation")]
pub enum Violation {
    /// This error number.
    Errno(u16),
    /// The process ends with SIGSYS.
    Kill,
    /// It passes where that is safe, and the kernel's audit log says so.
    Log,
}

impl Default for Violation {
    /// EPERM.
    fn default() -> Self {
        Self::Errno(1)
    }
}

/// As a profile may write it: `"errno"` is EPERM.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenViolation {
    Word(ViolationWord),
    Number { errno: u16 },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViolationWord {
    Errno,
    Kill,
    Log,
}

impl From<WrittenViolation> for Violation {
    fn from(written: WrittenViolation) -> Self {
        match written {
            WrittenViolation::Word(ViolationWord::Errno) => Self::default(),
            WrittenViolation::Word(ViolationWord::Kill) => Self::Kill,
            WrittenViolation::Word(ViolationWord::Log) => Self::Log,
            WrittenViolation::Number { errno } => Self::Errno(errno),
        }
    }
}
