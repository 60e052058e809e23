//! The form of programs: sizes, far jumps, limits, sameness.

use ringfence_seccomp::{Action, Arch, Comparison, Filter, Place, Program, Syscalls, check, exec_once};

use crate::machine::{self, Call, verify};
use crate::{ALLOW, BOTH, EPERM, EVERY_VIOLATION, allow, compile, errno, rule, when};

/// `count` rules on one call, each on a value of its own, with an answer of its own.
fn many(name: &str, count: u16) -> Filter {
    let rules = (0..count).map(|value| {
        let mut rule = rule(&[name], &[when(1, Comparison::Eq, i128::from(value) << 33)], Action::Errno);
        rule.errno = Some(1 + value % 4000);
        rule
    });
    Filter { syscalls: Syscalls { rules: rules.collect(), ..Syscalls::default() }, ..Filter::default() }
}

#[test]
fn jumps_farther_than_255_arrive() {
    for count in [1, 30, 60, 63, 64, 65, 66, 90, 128, 300] {
        let mut filter = many("lseek", count);
        filter.syscalls.allow = crate::names(&["@files", "@signals"]);
        let program = compile(&filter);
        assert!(program.instructions().len() > 2 * usize::from(count));
        for arch in BOTH {
            let told = |name: &str, offset: u64| {
                machine::run(&program, &Call::new(arch.audit(), arch.number(name).unwrap(), &[0, offset]))
            };
            for value in 0..count {
                assert_eq!(told("lseek", u64::from(value) << 33), errno(u32::from(1 + value % 4000)));
            }
            assert_eq!(told("lseek", u64::from(count) << 33), EPERM);
            assert_eq!([told("openat", 0), told("kill", 0), told("io_setup", 0)], [ALLOW, ALLOW, EPERM]);
        }
    }
}

#[test]
fn what_the_kernel_would_not_take_is_a_mistake() {
    let mistakes = many("lseek", 1500).compile(&BOTH).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].place, Place::Whole);
    assert!(mistakes[0].message.contains("the kernel takes 4096"), "{}", mistakes[0].message);
    let mistakes = check(&Syscalls {
        rules: vec![many("lseek", 1).syscalls.rules.remove(0); 5000],
        ..Syscalls::default()
    });
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].message.contains("5000 rules"), "{}", mistakes[0].message);
    let fits = many("lseek", 700).compile(&[Arch::X86_64]).unwrap();
    assert!(fits.instructions().len() > 2500);
    verify(&fits);
}

#[test]
fn the_same_policy_gives_the_same_program() {
    for violation in EVERY_VIOLATION {
        let filter = Filter { on_violation: violation, ..allow(&["@default"]) };
        assert_eq!(compile(&filter), compile(&filter.clone()));
        let one = filter.compile(&[Arch::X86_64]).unwrap();
        assert_eq!(one, filter.compile(&[Arch::X86_64, Arch::X86_64]).unwrap());
    }
    let (mut left, mut right) = (allow(&["@io", "@files"]), allow(&["@files", "@io"]));
    for filter in [&mut left, &mut right] {
        filter.syscalls.rules = vec![
            rule(&["prctl"], &[when(0, Comparison::Eq, 15)], Action::Allow),
            rule(&["kill"], &[when(1, Comparison::Eq, 15)], Action::Allow),
        ];
    }
    right.syscalls.rules.reverse();
    assert_eq!(compile(&left), compile(&right));
}

#[test]
fn no_architecture_refuses_everything() {
    let program = allow(&["@all"]).compile(&[]).unwrap();
    verify(&program);
    assert_eq!(machine::run(&program, &Call::new(Arch::X86_64.audit(), 0, &[])), EPERM);
}

/// A size that doubles is a mistake in the compiler; these are some ten per cent above what was measured.
#[test]
fn programs_are_small() {
    let instructions = |program: Program| program.instructions().len();
    let native = |filter: &Filter| instructions(filter.compile(&[Arch::X86_64]).unwrap());
    for (entries, most) in
        [(["@default"].as_slice(), 135), (&["@start", "write"], 75), (&["@all"], 120), (&[], 42)]
    {
        assert!(native(&allow(entries)) <= most, "{entries:?}: {}", native(&allow(entries)));
    }
    let once = instructions(exec_once(&[Arch::X86_64]));
    assert!(once <= 18, "{once}");
}

#[test]
fn a_search_takes_few_steps() {
    let program = allow(&["@default"]).compile(&[Arch::X86_64]).unwrap();
    for number in 0..600 {
        let (_, steps) = machine::steps(&program, &Call::new(Arch::X86_64.audit(), number, &[]));
        assert!(steps <= 18, "{number}: {steps} steps");
    }
}

#[test]
fn equal_argument_tests_are_written_once() {
    let condition = [when(0, Comparison::Lt, 3), when(1, Comparison::Gt, 7)];
    let on = |names: &[&str]| {
        let rules = vec![rule(names, &condition, Action::Allow)];
        let syscalls = Syscalls { rules, ..Syscalls::default() };
        compile(&Filter { syscalls, ..Filter::default() }).instructions().len()
    };
    // Neighbours in the table of both architectures.
    assert!(on(&["read", "write"]) <= on(&["read"]) + 2);
}
