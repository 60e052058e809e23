//! The points of the crate's documentation, one by one.

use ringfence_seccomp::{
    Action, Arch, Comparison, Filter, Program, Syscalls, Violation, exec_once, floor, sentinel,
};

use crate::machine::{Call, run, verify};
use crate::{
    ALLOW, BOTH, ENOSYS, EPERM, EVERY_VIOLATION, KILL, LOG, NOTIFY, TRAP, allow, answer, compile, errno,
    masked, names, rule, when,
};

fn under(violation: Violation, filter: Filter) -> Filter {
    Filter { on_violation: violation, ..filter }
}

fn refusal(violation: Violation) -> u32 {
    match violation {
        Violation::Errno(number) => errno(number.into()),
        Violation::Kill => KILL,
        Violation::Log => EPERM,
    }
}

fn ruled(rules: Vec<ringfence_seccomp::Rule>) -> Filter {
    Filter { syscalls: Syscalls { rules, ..Syscalls::default() }, ..Filter::default() }
}

#[test]
fn a_foreign_architecture_is_a_violation() {
    const I386: u32 = 0x4000_0003;
    for violation in EVERY_VIOLATION {
        let filter = under(violation, allow(&["@all"]));
        let call = Call::new(I386, 1, &[]);
        assert_eq!(run(&compile(&filter), &call), refusal(violation));
        let only = filter.compile(&[Arch::X86_64]).unwrap();
        verify(&only);
        assert_eq!(run(&only, &Call::new(Arch::Aarch64.audit(), 63, &[])), refusal(violation));
        assert_eq!(run(&only, &Call::new(Arch::X86_64.audit(), 0, &[])), ALLOW);
    }
}

#[test]
fn numbers_that_nobody_has_answer_enosys_and_x32_dies_under_kill() {
    for violation in EVERY_VIOLATION {
        let program = compile(&under(violation, allow(&["@all"])));
        for (number, x86_64, aarch64) in [
            (337, ENOSYS, ENOSYS),
            (470, ENOSYS, ENOSYS),
            (512, ENOSYS, ENOSYS),
            (0x3fff_ffff, ENOSYS, ENOSYS),
            (0x4000_0000, if violation == Violation::Kill { KILL } else { ENOSYS }, ENOSYS),
            (0x7fff_ffff, if violation == Violation::Kill { KILL } else { ENOSYS }, ENOSYS),
            (0x8000_0000, ENOSYS, ENOSYS),
            (0xc000_0001, ENOSYS, ENOSYS),
            (u32::MAX, ENOSYS, ENOSYS),
        ] {
            assert_eq!(run(&program, &Call::new(Arch::X86_64.audit(), number, &[])), x86_64, "{number:#x}");
            assert_eq!(run(&program, &Call::new(Arch::Aarch64.audit(), number, &[])), aarch64, "{number:#x}");
        }
    }
}

#[test]
fn each_filter_answers_its_own_sentinel_and_no_other() {
    let [option, filter, once] = [sentinel::OPTION, sentinel::FILTER, sentinel::EXEC_ONCE].map(u64::from);
    let answered = errno(sentinel::ERRNO.into());
    for violation in EVERY_VIOLATION {
        let policy = under(violation, allow(&["getpid"]));
        assert_eq!(answer(&policy, "prctl", &[option, filter]), answered);
        assert_eq!(answer(&policy, "prctl", &[option | 7 << 32, filter, 9, 9, 9]), answered);
        for args in [[option, once], [option, filter | 1 << 32], [option + 1, filter], [0, 0]] {
            assert_ne!(answer(&policy, "prctl", &args), answered, "{args:x?}");
        }
    }
    let program = exec_once(&BOTH);
    verify(&program);
    for arch in BOTH {
        let prctl =
            |args: &[u64]| run(&program, &Call::new(arch.audit(), arch.number("prctl").unwrap(), args));
        assert_eq!(prctl(&[option | 7 << 32, once]), answered);
        assert_eq!(prctl(&[option, filter]), ALLOW);
    }
}

#[test]
fn exec_once_asks_about_every_exec_and_nothing_else() {
    let program = exec_once(&BOTH);
    for arch in BOTH {
        for name in (0..600).filter_map(|number| arch.name(number)) {
            let told = run(&program, &Call::new(arch.audit(), arch.number(name).unwrap(), &[1; 6]));
            assert_eq!(told, if name.starts_with("execve") { NOTIFY } else { ALLOW }, "{name}");
        }
    }
    assert_eq!(run(&program, &Call::new(0x4000_0003, 11, &[])), ALLOW);
    assert!(program.instructions().len() <= 32, "{}", program.instructions().len());
}

#[test]
fn ending_and_returning_pass_even_when_everything_is_killed() {
    for name in ["exit", "exit_group", "rt_sigreturn", "restart_syscall"] {
        for violation in EVERY_VIOLATION {
            let rules = Syscalls { kill: names(&["@all"]), ..Syscalls::default() };
            assert_eq!(
                answer(&Filter { syscalls: rules, on_violation: violation, single_process: true }, name, &[]),
                ALLOW
            );
        }
    }
}

#[test]
fn clone3_is_never_there() {
    for violation in EVERY_VIOLATION {
        assert_eq!(answer(&under(violation, allow(&["@all"])), "clone3", &[]), ENOSYS);
        assert_eq!(answer(&under(violation, allow(&["getpid"])), "clone3", &[]), ENOSYS);
    }
}

#[test]
fn exec_is_left_to_the_other_filter_only_where_no_rule_lets_it_pass() {
    let silent = under(Violation::Kill, allow(&["getpid"]));
    assert!(!silent.executes() && !silent.may_pass(Arch::X86_64, "execve"));
    assert_eq!([answer(&silent, "execve", &[]), answer(&silent, "execveat", &[])], [ALLOW; 2]);

    let one = under(Violation::Kill, allow(&["execve"]));
    assert!(one.executes());
    assert_eq!([answer(&one, "execve", &[]), answer(&one, "execveat", &[])], [ALLOW, KILL]);

    let some = ruled(vec![rule(&["execveat"], &[masked(4, 0x1000, 0x1000)], Action::Allow)]);
    assert!(some.executes());
    assert_eq!(answer(&some, "execveat", &[0, 0, 0, 0, 0x1000]), ALLOW);
    assert_eq!([answer(&some, "execve", &[]), answer(&some, "execveat", &[])], [EPERM; 2]);

    let covered = Syscalls {
        rules: vec![
            rule(&["execveat"], &[when(4, Comparison::Lt, 8), when(0, Comparison::Eq, 3)], Action::Allow),
            rule(&["execveat"], &[when(4, Comparison::Le, 9)], Action::Kill),
        ],
        ..Syscalls::default()
    };
    assert!(!Filter { syscalls: covered, ..Filter::default() }.executes());
    assert!(under(Violation::Log, Filter::default()).executes());
}

#[test]
fn the_floor_holds_whatever_is_allowed() {
    for violation in EVERY_VIOLATION {
        let filter = under(violation, allow(&["@all"]));
        let program = compile(&filter);
        for arch in BOTH {
            for name in floor() {
                let Some(number) = arch.number(name) else { continue };
                assert_eq!(
                    run(&program, &Call::new(arch.audit(), number, &[])),
                    refusal(violation),
                    "{name}"
                );
                assert!(!filter.may_pass(arch, name));
            }
        }
    }
}

/// What is refused, and its neighbours that are not.
const FLOOR: &[(&str, &[u64], bool)] = &[
    ("clone", &[0x1000_0000], true),
    ("clone", &[0x80], true),
    ("clone", &[0x0002_0011], true),
    ("clone", &[0x0200_0000], true),
    ("clone", &[0x0400_0000], true),
    ("clone", &[0x0800_0000], true),
    ("clone", &[0x2000_0000], true),
    ("clone", &[0x4000_0000], true),
    ("clone", &[0x003d_0f00], false),
    ("clone", &[0x0120_0011], false),
    ("clone", &[0x1000_0000_0000_0011], false),
    ("ioctl", &[0, 0x5412], true),
    ("ioctl", &[0, 0x7_0000_5412], true),
    ("ioctl", &[0, 0x541c], true),
    ("ioctl", &[0, 0xffff_ffff_0000_541c], true),
    ("ioctl", &[0x5412, 0x5413], false),
    ("setrlimit", &[4], true),
    ("setrlimit", &[1 << 32 | 4], true),
    ("setrlimit", &[7], false),
    ("prlimit64", &[0, 4, 1], true),
    ("prlimit64", &[0, 9 << 32 | 4, 1 << 40], true),
    ("prlimit64", &[0, 4, 0], false),
    ("prlimit64", &[4, 7, 1], false),
    ("personality", &[0], false),
    ("personality", &[8], false),
    ("personality", &[0x2_0000], false),
    ("personality", &[0x2_0008], false),
    ("personality", &[0xffff_ffff], false),
    ("personality", &[u64::MAX], false),
    ("personality", &[0x4_0000], true),
    ("personality", &[0x1_0004_0000], true),
    ("personality", &[1], true),
    ("seccomp", &[1, 8], true),
    ("seccomp", &[1, 1 << 32 | 9], true),
    ("seccomp", &[1, 1], false),
];

#[test]
fn the_floor_looks_at_arguments_in_the_width_that_the_kernel_reads() {
    for violation in EVERY_VIOLATION {
        let filter = under(violation, allow(&["@all"]));
        for (name, args, refused) in FLOOR {
            let expected = if *refused { refusal(violation) } else { ALLOW };
            assert_eq!(answer(&filter, name, args), expected, "{name} {args:x?}");
        }
    }
}

#[test]
fn sockets_have_three_families() {
    for violation in EVERY_VIOLATION {
        let unknown = if violation == Violation::Kill { KILL } else { errno(97) };
        for name in ["socket", "socketpair"] {
            for family in 0..50 {
                let expected = if [1, 2, 10].contains(&family) { ALLOW } else { unknown };
                assert_eq!(answer(&under(violation, allow(&["@all"])), name, &[family, 1, 0]), expected);
                assert_eq!(answer(&under(violation, allow(&["@all"])), name, &[3 << 32 | family]), expected);
            }
            let none = if violation == Violation::Log { LOG } else { refusal(violation) };
            assert_eq!(answer(&under(violation, Filter::default()), name, &[1]), none);
            assert_eq!(answer(&under(violation, Filter::default()), name, &[16]), unknown);
        }
    }
}

#[test]
fn the_strictest_answer_holds_in_any_order() {
    use Action::{Allow, Errno, Kill, Log, Notify, Trap};
    let ranks = [(Allow, ALLOW), (Log, LOG), (Notify, NOTIFY), (Errno, EPERM), (Trap, TRAP), (Kill, KILL)];
    for (lenient, stricter) in (0..6).flat_map(|low| (low + 1..6).map(move |high| (low, high))) {
        let mut rules = vec![
            rule(&["lseek"], &[when(1, Comparison::Lt, 100)], ranks[lenient].0),
            rule(&["lseek"], &[when(1, Comparison::Gt, 50)], ranks[stricter].0),
        ];
        for _ in 0..2 {
            let filter = ruled(rules.clone());
            let at = |offset| answer(&filter, "lseek", &[0, offset]);
            assert_eq!([at(1), at(60), at(200)], [ranks[lenient].1, ranks[stricter].1, ranks[stricter].1]);
            rules.reverse();
        }
    }
}

#[test]
fn of_two_errors_the_larger_number_holds() {
    let mut small = rule(&["lseek"], &[when(1, Comparison::Lt, 100)], Action::Errno);
    let mut large = rule(&["lseek"], &[when(1, Comparison::Gt, 50)], Action::Errno);
    (small.errno, large.errno) = (Some(2), Some(22));
    let filter = ruled(vec![large, small]);
    let at = |offset| answer(&filter, "lseek", &[0, offset]);
    assert_eq!([at(1), at(60), at(200)], [errno(2), errno(22), errno(22)]);
}

#[test]
fn a_list_answers_what_it_says() {
    let rules = Syscalls {
        allow: names(&["@io"]),
        deny: names(&["lseek"]),
        kill: names(&["splice"]),
        log: names(&["read"]),
        rules: Vec::new(),
    };
    for (violation, denied) in
        [(Violation::Errno(13), errno(13)), (Violation::Kill, EPERM), (Violation::Log, EPERM)]
    {
        let filter = Filter { syscalls: rules.clone(), on_violation: violation, single_process: false };
        let told = ["write", "lseek", "splice", "read"].map(|name| answer(&filter, name, &[]));
        assert_eq!(told, [ALLOW, denied, KILL, LOG]);
    }
}

#[test]
fn a_single_process_has_no_children_and_no_threads() {
    for violation in EVERY_VIOLATION {
        let filter = |syscalls| Filter { syscalls, on_violation: violation, single_process: true };
        let all = filter(Syscalls { allow: names(&["@all"]), ..Syscalls::default() });
        for name in ["fork", "vfork", "clone"] {
            assert_eq!(answer(&all, name, &[0x11]), errno(11));
            assert_eq!(answer(&filter(Syscalls::default()), name, &[0x11]), errno(11));
            let killed = Syscalls { kill: names(&[name]), ..Syscalls::default() };
            assert_eq!(answer(&filter(killed), name, &[0x11]), KILL);
        }
        assert_eq!(answer(&all, "clone", &[0x1000_0011]), refusal(violation));
        assert_eq!(answer(&all, "clone3", &[]), ENOSYS);
        assert!(!all.may_pass(Arch::X86_64, "clone"));
    }
}

#[test]
fn a_violation_is_answered_as_the_policy_says() {
    for violation in EVERY_VIOLATION {
        let filter = under(violation, allow(&["getpid"]));
        let logged = if violation == Violation::Log { LOG } else { refusal(violation) };
        assert_eq!(answer(&filter, "getpid", &[]), ALLOW);
        assert_eq!(answer(&filter, "getuid", &[]), logged);
        for name in
            ["ptrace", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "sethostname", "mount"]
        {
            assert_eq!(answer(&filter, name, &[]), refusal(violation), "{name}");
        }
    }
}

#[test]
fn arguments_are_compared_in_their_width() {
    use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
    const HIGH: u64 = 0xffff_fff0_0000_0000;
    /// The call, the condition, arguments that match, arguments that do not.
    type Row = (&'static str, u8, Comparison, i128, &'static [u64], &'static [u64]);
    let table: &[Row] = &[
        ("openat", 0, Eq, -100, &[0xffff_ff9c, 0xffff_ffff_ffff_ff9c, HIGH | 0xffff_ff9c], &[0, 100]),
        ("openat", 3, Eq, 0o4755, &[0o4755, 0x1_0000 | 0o4755, HIGH | 0o4755], &[0o755]),
        ("lseek", 1, Eq, -1, &[u64::MAX], &[0xffff_ffff, 0xffff_ffff_0000_0000]),
        ("lseek", 1, Ne, 0x1_0000_0001, &[1, 0x1_0000_0000, 0x2_0000_0001], &[0x1_0000_0001]),
        ("lseek", 1, Lt, 0x1_0000_0001, &[0, 0xffff_ffff, 0x1_0000_0000], &[0x1_0000_0001, 0x2_0000_0000]),
        ("lseek", 1, Le, 0x1_0000_0001, &[0x1_0000_0001, 7], &[0x1_0000_0002, 0x2_0000_0000]),
        ("lseek", 1, Gt, 0x1_0000_0001, &[0x1_0000_0002, 0x2_0000_0000], &[0x1_0000_0001, 0xffff_ffff]),
        ("lseek", 1, Ge, 0x1_0000_0001, &[0x1_0000_0001, u64::MAX], &[0x1_0000_0000, 0xffff_ffff]),
        ("kill", 1, Gt, 31, &[32, HIGH | 32], &[31, HIGH | 31, HIGH]),
        ("kill", 0, Eq, -1, &[0xffff_ffff, u64::MAX, 0x0000_0007_ffff_ffff], &[1]),
    ];
    for (name, index, op, value, matching, others) in table {
        let filter = ruled(vec![rule(&[name], &[when(*index, *op, *value)], Action::Allow)]);
        for (values, expected) in [(matching, ALLOW), (others, EPERM)] {
            for value in *values {
                let mut args = [0x55; 6];
                args[usize::from(*index)] = *value;
                assert_eq!(answer(&filter, name, &args), expected, "{name} {op:?} {value:#x}");
            }
        }
    }
}

#[test]
fn masks_come_before_comparisons() {
    let filter = ruled(vec![rule(&["lseek"], &[masked(1, 0xff_0000_00ff, 0x01_0000_0002)], Action::Allow)]);
    for (offset, expected) in
        [(0x01_0000_0002, ALLOW), (0xffff_ff01_ffff_ff02, ALLOW), (0x02, EPERM), (0x01_0000_0000, EPERM)]
    {
        assert_eq!(answer(&filter, "lseek", &[0, offset]), expected, "{offset:#x}");
    }
}

#[test]
fn all_conditions_of_a_rule_hold_together_and_rules_are_alternatives() {
    let filter = ruled(vec![
        rule(&["lseek"], &[when(0, Comparison::Eq, 1), when(2, Comparison::Eq, 2)], Action::Allow),
        rule(&["lseek"], &[when(1, Comparison::Eq, 7)], Action::Allow),
    ]);
    for (args, expected) in [([1, 0, 2], ALLOW), ([1, 0, 3], EPERM), ([2, 0, 2], EPERM), ([9, 7, 9], ALLOW)] {
        assert_eq!(answer(&filter, "lseek", &args), expected, "{args:?}");
    }
}

#[test]
fn threads_without_children_can_be_said() {
    const CLONE_THREAD: u64 = 0x1_0000;
    let mut filter = allow(&["@threads"]);
    filter.syscalls.rules =
        vec![rule(&["clone"], &[masked(0, CLONE_THREAD, CLONE_THREAD.into())], Action::Allow)];
    assert_eq!(answer(&filter, "clone", &[0x3d_0f00]), ALLOW);
    assert_eq!(answer(&filter, "clone", &[0x0120_0011]), EPERM);
    assert_eq!(answer(&filter, "clone", &[0x1000_0000 | 0x3d_0f00]), EPERM);
    assert_eq!(answer(&filter, "fork", &[]), EPERM);
}

#[test]
fn a_program_can_stand_in_the_binary() {
    use ringfence_seccomp::Instruction;
    static CODE: [Instruction; 1] = [Instruction { code: 6, jt: 0, jf: 0, k: ALLOW }];
    const PROGRAM: Program = Program::from_static(&CODE);
    assert_eq!(run(&PROGRAM, &Call::new(0, 0, &[])), ALLOW);
}
