//! The filters that are asked about: those of the built-in profiles, and some that a person wrote.

use ringfence_policy::{BUILTIN_PROFILES, Policy};
use ringfence_seccomp::{Action, Comparison, Condition, Filter, Rule, Syscalls, Violation};

/// Every built-in profile, as it is, with one process, and with each other kind of violation.
pub fn builtin() -> Vec<(String, Filter)> {
    let mut found = Vec::new();
    for (name, _) in BUILTIN_PROFILES {
        let policy = Policy::builtin(name).expect("a built-in profile");
        let own =
            Filter { syscalls: policy.syscalls, on_violation: policy.on_violation, single_process: false };
        for violation in [Violation::Errno(1), Violation::Errno(13), Violation::Kill, Violation::Log] {
            if violation != own.on_violation {
                let other = Filter { on_violation: violation, ..own.clone() };
                found.push((format!("{name}, {violation:?}"), other));
            }
        }
        found.push((format!("{name}, one process"), Filter { single_process: true, ..own.clone() }));
        found.push((name.to_owned(), own));
    }
    found
}

pub fn equal(index: u8, value: i128) -> Condition {
    Condition { index, op: Comparison::Eq, value, mask: None }
}

/// Everything ordinary, and one rule more.
pub fn with_rules(rules: Vec<Rule>) -> Filter {
    let syscalls = Syscalls { allow: vec!["@default".to_owned()], rules, ..Syscalls::default() };
    Filter { syscalls, on_violation: Violation::Errno(1), single_process: false }
}

pub fn refuse(call: &str, errno: u16, args: Vec<Condition>) -> Rule {
    Rule { syscalls: vec![call.to_owned()], args, action: Action::Errno, errno: Some(errno) }
}
