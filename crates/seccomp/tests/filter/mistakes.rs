//! What is wrong with rules is said where it is, with what to do.

use ringfence_seccomp::{
    Action, Comparison, Condition, Filter, Mistake, Place, Rule, Syscalls, Violation, check,
};

use crate::{masked, names, rule, when};

fn lists(allow: &[&str], deny: &[&str], kill: &[&str], log: &[&str]) -> Syscalls {
    Syscalls { allow: names(allow), deny: names(deny), kill: names(kill), log: names(log), rules: Vec::new() }
}

fn rules(rules: &[Rule]) -> Syscalls {
    Syscalls { rules: rules.to_vec(), ..Syscalls::default() }
}

fn only(syscalls: &Syscalls) -> Mistake {
    let mut mistakes = check(syscalls);
    assert_eq!(mistakes.len(), 1, "{mistakes:#?} in {syscalls:#?}");
    let compiled = Filter { syscalls: syscalls.clone(), ..Filter::default() }.compile(&crate::BOTH);
    assert_eq!(compiled, Err(mistakes.clone()), "what is wrong must not compile");
    mistakes.remove(0)
}

/// One mistake, at one place, whose sentence has these words.
fn expect(syscalls: &Syscalls, place: Place, words: &str) {
    let mistake = only(syscalls);
    assert_eq!(mistake.place, place, "{}", mistake.message);
    assert!(mistake.message.contains(words), "{}", mistake.message);
}

#[test]
fn unknown_names_come_with_a_suggestion() {
    let mistake = only(&lists(&["read", "opnat"], &[], &[], &[]));
    assert_eq!(mistake.place, Place::Allow(1));
    assert_eq!(mistake.message, "unknown syscall `opnat`; did you mean `openat`?");
    expect(
        &lists(&[], &["@netwrok"], &[], &[]),
        Place::Deny(0),
        "unknown group `@netwrok`; did you mean `@network`?",
    );
    expect(&lists(&[], &[], &["frobnicate"], &[]), Place::Kill(0), "unknown syscall `frobnicate`; name one");
    expect(&lists(&[], &[], &[], &["@frobnicate"]), Place::Log(0), "unknown group `@frobnicate`; name one");
    expect(&lists(&["READ"], &[], &[], &[]), Place::Allow(0), "unknown syscall `READ`");
    expect(&lists(&[""], &[], &[], &[]), Place::Allow(0), "unknown syscall ``");
    expect(&lists(&["mmap2"], &[], &[], &[]), Place::Allow(0), "did you mean `mmap`?");
    let kill = rule(&["read", "wrte"], &[], Action::Kill);
    expect(&rules(&[kill]), Place::RuleName(0, 1), "did you mean `write`?");
    let long = "x".repeat(1 << 20);
    assert!(only(&lists(&[&long], &[], &[], &[])).message.len() < 300);
}

#[test]
fn a_call_of_one_architecture_is_fine() {
    assert_eq!(check(&lists(&["open", "arch_prctl", "renameat"], &["fork"], &[], &[])), []);
}

#[test]
fn an_entry_stands_in_one_list_once() {
    expect(&lists(&["read", "read"], &[], &[], &[]), Place::Allow(1), "`read` is in `allow` twice");
    expect(&lists(&[], &["@io", "@io"], &[], &[]), Place::Deny(1), "twice");
    expect(&lists(&["read"], &["read"], &[], &[]), Place::Deny(0), "both in `allow` and in `deny`");
    expect(&lists(&["read"], &[], &["read"], &[]), Place::Kill(0), "both in `allow` and in `kill`");
    expect(&lists(&["read"], &[], &[], &["read"]), Place::Log(0), "both in `allow` and in `log`");
    expect(&lists(&[], &["read"], &["read"], &[]), Place::Kill(0), "both in `deny` and in `kill`");
    expect(&lists(&["@io"], &["@io"], &[], &[]), Place::Deny(0), "both");
    assert_eq!(check(&lists(&["@default"], &["socket"], &["@network"], &["read"])), []);
}

#[test]
fn the_floor_is_not_to_be_lifted_by_name() {
    expect(&lists(&["mount"], &[], &[], &[]), Place::Allow(0), "`mount` is refused under every policy");
    expect(&lists(&[], &[], &[], &["bpf"]), Place::Log(0), "`bpf` is refused under every policy");
    expect(
        &rules(&[rule(&["unshare"], &[], Action::Allow)]),
        Place::RuleName(0, 0),
        "refused under every policy",
    );
    assert_eq!(check(&lists(&["@all", "@privileged"], &["mount"], &["reboot"], &[])), []);
    expect(&lists(&[], &["exit"], &[], &[]), Place::Deny(0), "`exit` passes under every policy");
    expect(&lists(&[], &[], &["exit_group"], &[]), Place::Kill(0), "passes under every policy");

    let kill = Filter { syscalls: lists(&[], &[], &["mount"], &[]), ..Filter::default() };
    let mistakes = kill.compile(&crate::BOTH).unwrap_err();
    assert_eq!(mistakes[0].place, Place::Kill(0));
    assert!(Filter { on_violation: Violation::Kill, ..kill }.compile(&crate::BOTH).is_ok());
}

#[test]
fn error_numbers_are_error_numbers() {
    let with = |action, errno| rules(&[Rule { errno: Some(errno), ..rule(&["read"], &[], action) }]);
    expect(&with(Action::Allow, 13), Place::Rule(0), "only the action `errno` has an error number");
    expect(&with(Action::Errno, 0), Place::Rule(0), "use 1 to 4095");
    expect(&with(Action::Errno, 4096), Place::Rule(0), "use 1 to 4095");
    assert_eq!(check(&with(Action::Errno, 4095)), []);
    for errno in [0, 4096] {
        let filter = Filter { on_violation: Violation::Errno(errno), ..Filter::default() };
        assert_eq!(filter.compile(&crate::BOTH).unwrap_err()[0].place, Place::Whole);
    }
}

#[test]
fn an_argument_must_be_one_that_the_call_has() {
    let on = |name: &str, index| rules(&[rule(&[name], &[when(index, Comparison::Eq, 1)], Action::Allow)]);
    let first = Place::RuleArgument(0, 0);
    expect(&on("getpid", 0), first, "`getpid` has no arguments");
    expect(&on("close", 1), first, "its only one is 0");
    expect(&on("openat", 4), first, "`openat` has no argument 4; the last one is 3");
    expect(&on("mmap", 6), first, "the last one is 5");
    expect(&on("read", 255), first, "no argument 255");
    expect(&on("@ids", 5), first, "fits no call of `@ids`");
    assert_eq!(check(&on("mmap", 5)), []);
    assert_eq!(check(&on("@files", 3)), [], "some calls of the group have it");
}

#[test]
fn a_value_must_fit_its_argument_and_its_mask() {
    let on = |name: &str, condition: Condition| rules(&[rule(&[name], &[condition], Action::Allow)]);
    let first = Place::RuleArgument(0, 0);
    let eq = |value| when(0, Comparison::Eq, value);
    expect(&on("close", eq(1 << 32)), first, "has 32 bits and 4294967296 does not fit");
    expect(&on("close", eq(-(1 << 31) - 1)), first, "has 32 bits");
    expect(&on("munmap", eq(1 << 64)), first, "has 64 bits");
    expect(&on("umask", eq(i128::MIN)), first, "has 32 bits");
    expect(&on("mkdir", when(1, Comparison::Eq, 0x1_0000)), first, "has 16 bits");
    for value in [0, (1 << 32) - 1, -(1 << 31), -1] {
        assert_eq!(check(&on("close", eq(value))), []);
    }
    expect(&on("close", masked(0, 0xff, 0x100)), first, "bits outside of the mask");
    expect(&on("close", masked(0, 0, 0)), first, "the mask leaves nothing");
    expect(&on("close", masked(0, 0xf_0000_0000, 0)), first, "the mask leaves nothing");
    expect(&on("close", Condition { mask: None, ..masked(0, 0, 1) }), first, "`masked_eq` needs a mask");
}

#[test]
fn conditions_that_nothing_fulfils_are_found() {
    use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
    let on = |conditions: &[Condition]| rules(&[rule(&["close"], conditions, Action::Allow)]);
    let first = Place::RuleArgument(0, 0);
    expect(&on(&[when(0, Lt, 0)]), first, "no value of this argument of `close`");
    expect(&on(&[when(0, Gt, 0xffff_ffff)]), first, "no value");
    expect(&on(&[Condition { mask: Some(0xf0), ..when(0, Gt, 0xf0) }]), first, "no value");
    let whole = Place::Rule(0);
    expect(&on(&[when(0, Eq, 1), when(0, Eq, 2)]), whole, "exclude each other");
    expect(&on(&[when(0, Lt, 5), when(0, Gt, 4)]), whole, "exclude each other");
    expect(
        &on(&[when(0, Ge, 4), when(0, Le, 5), when(0, Ne, 4), when(0, Ne, 5)]),
        whole,
        "exclude each other",
    );
    expect(&on(&[masked(0, 3, 1), masked(0, 1, 0)]), whole, "exclude each other");
    assert_eq!(check(&on(&[when(0, Ge, 4), when(0, Le, 5), when(0, Ne, 4)])), []);
    expect(&on(&[when(0, Eq, 1), when(0, Eq, 1)]), Place::RuleArgument(0, 1), "this condition twice");
}

#[test]
fn rules_beside_each_other_must_not_repeat_or_contradict() {
    let eq = |value| [when(0, Comparison::Eq, value)];
    let allow = rule(&["close"], &eq(1), Action::Allow);
    let kill = rule(&["dup", "close"], &eq(1), Action::Kill);
    expect(&rules(&[allow.clone(), allow.clone()]), Place::Rule(1), "rule 0 says the same of `close`");
    assert!(check(&rules(&[allow.clone(), kill])).contains(&Mistake {
        place: Place::Rule(1),
        message: "rule 0 answers otherwise to `close` under the same conditions; keep one".to_owned()
    }));
    assert_eq!(check(&rules(&[allow, rule(&["close"], &eq(2), Action::Kill)])), []);

    let mut both = lists(&["close"], &[], &[], &[]);
    both.rules = vec![rule(&["close"], &[], Action::Kill)];
    expect_any(&both, Place::RuleName(0, 0), "`close` is in `allow` too");
    expect(&rules(&[rule(&[], &[], Action::Kill)]), Place::Rule(0), "names no syscall");
    expect(&rules(&[rule(&["dup", "dup"], &[], Action::Kill)]), Place::RuleName(0, 1), "twice");
}

fn expect_any(syscalls: &Syscalls, place: Place, words: &str) {
    let mistakes = check(syscalls);
    assert!(
        mistakes.iter().any(|mistake| mistake.place == place && mistake.message.contains(words)),
        "{mistakes:#?}"
    );
}

#[test]
fn rules_without_effect_are_found() {
    use Comparison::{Eq, Gt, Lt};
    let with =
        |allow: &[&str], list: &[Rule]| Syscalls { rules: list.to_vec(), ..lists(allow, &[], &[], &[]) };
    let eq = rule(&["close"], &[when(0, Eq, 7)], Action::Allow);
    let place = Place::Rule(0);
    expect(&with(&["close"], std::slice::from_ref(&eq)), place, "passes whatever its arguments");
    expect(&with(&["@io"], std::slice::from_ref(&eq)), place, "passes whatever its arguments");
    let killed = Syscalls { rules: vec![eq.clone()], ..lists(&[], &[], &["@io"], &[]) };
    expect(&killed, place, "refused whatever its arguments");
    let below = rule(&["close"], &[when(0, Lt, 9)], Action::Kill);
    let above = rule(&["close"], &[when(0, Gt, 5)], Action::Errno);
    expect(&with(&[], &[eq.clone(), below.clone()]), place, "stricter rules or the floor cover all");
    assert_eq!(
        check(&with(
            &[],
            &[rule(&["close"], &[when(0, Eq, 20)], Action::Allow), below.clone(), above.clone()]
        ))
        .len(),
        1
    );
    assert_eq!(check(&with(&[], &[below, above])), []);

    let user = rule(&["clone"], &[masked(0, 0x1000_0000, 0x1000_0000)], Action::Allow);
    expect(&with(&[], &[user]), place, "the floor");
    expect(&with(&[], &[rule(&["clone3"], &[], Action::Allow)]), place, "no effect");
    let two = rule(&["clone", "clone3"], &[], Action::Allow);
    assert_eq!(check(&with(&[], &[two])), [], "one of its calls is enough");
    assert_eq!(check(&with(&["close"], &[Rule { action: Action::Log, ..eq }])), [], "logging is an effect");
}
