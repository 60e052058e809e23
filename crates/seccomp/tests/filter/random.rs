//! Random policies: the compiled program answers as the naive reading does.

use ringfence_seccomp::{
    Action, Arch, Comparison, Condition, Filter, Rule, Syscalls, Violation, arguments, check,
};

use crate::machine::{self, Call, known_beforehand};
use crate::naive::{Naive, expand};
use crate::{ALLOW, BOTH, EVERY_VIOLATION, LOG, NOTIFY};

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn of<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

const EDGES: [u64; 16] = [
    0,
    1,
    2,
    10,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0xffff_ffff_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ffff,
    0x5412,
    0xdead_beef_0000_5412,
];

/// Calls that are worth conditions: of every width, and those of the floor.
const CALLS: [&str; 14] = [
    "socket",
    "socketpair",
    "ioctl",
    "clone",
    "prctl",
    "personality",
    "openat",
    "mmap",
    "prlimit64",
    "seccomp",
    "execve",
    "chmod",
    "fork",
    "lseek",
];

const ENTRIES: [&str; 12] = [
    "@all",
    "@io",
    "@network",
    "@process",
    "@children",
    "@exec",
    "@files",
    "@privileged",
    "@debug",
    "getpid",
    "openat",
    "kill",
];

fn condition(random: &mut Random) -> Condition {
    use Comparison::{Eq, Ge, Gt, Le, Lt, MaskedEq, Ne};
    let mask = (random.below(3) == 0).then(|| random.of(&EDGES) | random.of(&EDGES));
    let edge = i128::from(random.of(&EDGES)) + random.below(3) as i128 - 1;
    let value = match mask {
        Some(mask) if edge >= 0 => edge & i128::from(mask),
        _ => edge,
    };
    Condition {
        index: random.below(6) as u8,
        op: random.of(&[Eq, Ne, Lt, Le, Gt, Ge, MaskedEq]),
        value,
        mask,
    }
}

fn rule(random: &mut Random) -> Rule {
    use Action::{Allow, Errno, Kill, Log, Notify, Trap};
    let action = random.of(&[Allow, Log, Notify, Errno, Errno, Trap, Kill]);
    let entry = if random.below(4) == 0 { random.of(&ENTRIES) } else { random.of(&CALLS) };
    let args = (0..random.below(4)).map(|_| condition(random)).collect();
    let errno = (action == Errno).then(|| 1 + random.below(40) as u16);
    Rule { syscalls: vec![entry.to_owned()], args, action, errno }
}

/// A policy without mistakes: what is wrong is left out, as a person would.
fn filter(random: &mut Random) -> Filter {
    let entries = |random: &mut Random, most: usize| {
        let mut entries: Vec<_> = (0..random.below(most))
            .map(|_| random.of(&[ENTRIES.as_slice(), &CALLS].concat()).to_owned())
            .collect();
        entries.sort();
        entries.dedup();
        entries
    };
    let mut syscalls = Syscalls { allow: entries(random, 8), ..Syscalls::default() };
    for (list, most) in [(&mut syscalls.log, 2), (&mut syscalls.deny, 3), (&mut syscalls.kill, 2)] {
        *list = entries(random, most);
        list.retain(|entry| !syscalls.allow.contains(entry));
    }
    syscalls.deny.retain(|entry| !syscalls.log.contains(entry));
    syscalls.kill.retain(|entry| !syscalls.log.contains(entry) && !syscalls.deny.contains(entry));
    for _ in 0..random.below(12) {
        syscalls.rules.push(rule(random));
        if !check(&syscalls).is_empty() {
            syscalls.rules.pop();
        }
    }
    assert_eq!(check(&syscalls), []);
    Filter { syscalls, on_violation: random.of(&EVERY_VIOLATION), single_process: random.below(4) == 0 }
}

/// Arguments at the edges of a policy's own conditions, and at everybody's.
fn edges(filter: &Filter) -> Vec<u64> {
    let mut edges = EDGES.to_vec();
    for condition in filter.syscalls.rules.iter().flat_map(|rule| &rule.args) {
        let value = condition.value as u64;
        edges.extend([value.wrapping_sub(1), value, value.wrapping_add(1), value | 0xabcd_0000_0000]);
        edges.extend(condition.mask);
    }
    edges
}

#[test]
fn compiled_filters_answer_as_their_rules_read() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut decisions = 0;
    for _ in 0..100 {
        let filter = filter(&mut random);
        let program = filter.compile(&BOTH).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{filter:#?}"));
        machine::verify(&program);
        let naive = Naive::new(&filter);
        let edges = edges(&filter);
        let named: Vec<&str> = filter
            .syscalls
            .rules
            .iter()
            .flat_map(|rule| &rule.syscalls)
            .map(String::as_str)
            .chain(CALLS)
            .filter(|name| arguments(name).is_some())
            .collect();
        for arch in BOTH {
            let plain = (0..600).chain([0x4000_0000, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
            let pointed: Vec<u32> = (0..1500).filter_map(|_| arch.number(random.of(&named))).collect();
            for number in plain.chain(pointed) {
                let args: Vec<u64> = (0..6).map(|_| random.of(&edges)).collect();
                let call = Call::new(arch.audit(), number, &args);
                let (told, meant) = (machine::run(&program, &call), naive.answer(arch, &call));
                assert_eq!(told, meant, "{:?} {call:#x?} {filter:#?}", arch.name(number));
                decisions += 1;
            }
        }
    }
    assert!(decisions > 400_000, "{decisions} decisions");
}

#[test]
fn the_kernel_knows_every_answer_beforehand_that_depends_on_no_argument() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..60 {
        let filter = Filter { on_violation: Violation::Kill, ..filter(&mut random) };
        let program = filter.compile(&BOTH).unwrap();
        let rules = filter.syscalls.rules.iter().filter(|rule| !rule.args.is_empty());
        let conditional: Vec<_> = rules.flat_map(|rule| expand(&rule.syscalls)).collect();
        for arch in BOTH {
            for name in (0..600).filter_map(|number| arch.name(number)) {
                let argument_checked = conditional.contains(&name)
                    || [
                        "clone",
                        "ioctl",
                        "personality",
                        "prctl",
                        "prlimit64",
                        "seccomp",
                        "setrlimit",
                        "socket",
                        "socketpair",
                    ]
                    .contains(&name);
                let number = arch.number(name).unwrap();
                let allowed = machine::run(&program, &Call::new(arch.audit(), number, &[])) == ALLOW;
                if !argument_checked {
                    assert_eq!(
                        known_beforehand(&program, arch.audit(), number),
                        allowed,
                        "{name} {filter:#?}"
                    );
                }
            }
        }
    }
}

#[test]
fn may_pass_is_true_where_some_arguments_pass() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for _ in 0..100 {
        let filter = filter(&mut random);
        let naive = Naive::new(&filter);
        let edges = edges(&filter);
        for name in CALLS {
            let Some(number) = Arch::X86_64.number(name) else { continue };
            if matches!(name, "execve") {
                continue;
            }
            let passes = (0..400).any(|_| {
                let args: Vec<u64> = (0..6).map(|_| random.of(&edges)).collect();
                let call = Call::new(Arch::X86_64.audit(), number, &args);
                matches!(naive.answer(Arch::X86_64, &call), ALLOW | LOG | NOTIFY)
            });
            assert!(!passes || filter.may_pass(Arch::X86_64, name), "{name} {filter:#?}");
        }
    }
}
