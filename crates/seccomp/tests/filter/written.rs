//! Rules as a profile writes them.

use ringfence_seccomp::{Action, Comparison, Condition, Rule, Syscalls, Violation};
use serde_json::{from_value, json, to_value};

#[test]
fn rules_are_read_and_written_in_one_form() {
    let written = json!({
        "allow": ["@default", "@debug"],
        "deny": ["ptrace"],
        "kill": ["reboot"],
        "log": ["setuid"],
        "rules": [
            {
                "syscalls": ["clone"],
                "args": [{ "index": 0, "op": "masked_eq", "value": 65536, "mask": 65536 }],
                "action": "allow"
            },
            { "syscalls": ["kill"], "args": [{ "index": 0, "op": "eq", "value": -1 }], "action": "errno", "errno": 3 }
        ]
    });
    let syscalls: Syscalls = from_value(written.clone()).unwrap();
    assert_eq!(
        syscalls.rules[0],
        Rule {
            syscalls: vec!["clone".to_owned()],
            args: vec![Condition { index: 0, op: Comparison::MaskedEq, value: 65536, mask: Some(65536) }],
            action: Action::Allow,
            errno: None,
        }
    );
    assert_eq!(to_value(&syscalls).unwrap(), written);
    assert_eq!(to_value(Syscalls::default()).unwrap(), json!({}));
}

#[test]
fn every_word_of_the_contract_is_known() {
    for (word, op) in [
        ("eq", Comparison::Eq),
        ("ne", Comparison::Ne),
        ("lt", Comparison::Lt),
        ("le", Comparison::Le),
        ("gt", Comparison::Gt),
        ("ge", Comparison::Ge),
        ("masked_eq", Comparison::MaskedEq),
    ] {
        assert_eq!(from_value::<Comparison>(json!(word)).unwrap(), op);
    }
    for (word, action) in [
        ("allow", Action::Allow),
        ("log", Action::Log),
        ("notify", Action::Notify),
        ("errno", Action::Errno),
        ("trap", Action::Trap),
        ("kill", Action::Kill),
    ] {
        assert_eq!(from_value::<Action>(json!(word)).unwrap(), action);
    }
    for (written, violation) in [
        (json!("errno"), Violation::Errno(1)),
        (json!({ "errno": 13 }), Violation::Errno(13)),
        (json!("kill"), Violation::Kill),
        (json!("log"), Violation::Log),
    ] {
        let read = from_value::<Violation>(written).unwrap();
        assert_eq!(read, violation);
        assert_eq!(from_value::<Violation>(to_value(read).unwrap()).unwrap(), violation);
    }
    for wrong in [json!("allow"), json!({ "errno": -1 }), json!({ "errno": 70_000 }), json!(13)] {
        assert!(from_value::<Violation>(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(from_value::<Syscalls>(json!({ "allowed": [] })).is_err());
}
