//! Random rule sets, and the calls that are worth asking about them.

use ringfence_seccomp::{
    Action, Arch, Comparison, Condition, Filter, Place, Rule, Syscalls, Violation, sentinel,
};

use crate::answers;
use crate::facts;
use crate::interpreter::Data;

/// splitmix64: a seed says all that follows.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Where comparisons go wrong: zero, ±1, the two halves' borders, and numbers that were sign-extended.
pub const EDGES: [u64; 20] = [
    0,
    1,
    2,
    u64::MAX,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_ffff_ffff,
    0xffff_ffff_0000_0000,
    0xffff_ffff_0000_0001,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_fffe,
];

/// Calls that the floor or the compiler treats in a way of their own: rules on them are worth more.
const SPECIAL: [&str; 20] = [
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "ioctl",
    "personality",
    "prctl",
    "prlimit64",
    "setrlimit",
    "socket",
    "socketpair",
    "exit",
    "exit_group",
    "bpf",
    "mount",
    "read",
    "openat",
    "mmap",
];

/// A rule set that the crate accepts, and the architectures that it is compiled for.
pub fn filter(random: &mut Random) -> (Filter, Vec<Arch>) {
    let on_violation = match random.below(6) {
        0 => Violation::Kill,
        1 => Violation::Log,
        2 => Violation::Errno(random.pick(&[1, 13, 38, 95, 4095])),
        _ => Violation::Errno(1),
    };
    let mut filter = Filter { syscalls: syscalls(random), on_violation, single_process: random.chance(25) };
    let archs = match random.below(8) {
        0 => vec![Arch::X86_64],
        1 => vec![Arch::Aarch64],
        2 => vec![Arch::Aarch64, Arch::X86_64],
        _ => vec![Arch::X86_64, Arch::Aarch64],
    };
    // What the crate calls a mistake is taken out until nothing is left to say.
    while let Err(mistakes) = filter.compile(&archs) {
        if mistakes.iter().all(|mistake| mistake.place == Place::Whole) {
            filter.syscalls = syscalls(random);
        }
        let Syscalls { allow, deny, kill, log, rules } = &mut filter.syscalls;
        let wrong = |place: &dyn Fn(Place) -> Option<usize>| -> Vec<usize> {
            mistakes.iter().filter_map(|mistake| place(mistake.place)).collect()
        };
        retain(allow, &wrong(&|place| if let Place::Allow(at) = place { Some(at) } else { None }));
        retain(deny, &wrong(&|place| if let Place::Deny(at) = place { Some(at) } else { None }));
        retain(kill, &wrong(&|place| if let Place::Kill(at) = place { Some(at) } else { None }));
        retain(log, &wrong(&|place| if let Place::Log(at) = place { Some(at) } else { None }));
        retain(rules, &wrong(&in_rule));
    }
    (filter, archs)
}

fn in_rule(place: Place) -> Option<usize> {
    match place {
        Place::Rule(at) | Place::RuleName(at, _) | Place::RuleArgument(at, _) => Some(at),
        _ => None,
    }
}

fn retain<T>(list: &mut Vec<T>, wrong: &[usize]) {
    let mut index = 0..;
    list.retain(|_| index.next().is_none_or(|index| !wrong.contains(&index)));
}

fn syscalls(random: &mut Random) -> Syscalls {
    let names = facts::all_names();
    let groups = facts::groups();
    let words = |random: &mut Random, most: usize| -> Vec<String> {
        let count = random.below(most + 1);
        let mut list: Vec<_> = (0..count).map(|_| word(random, &names, &groups)).collect();
        list.sort();
        list.dedup();
        list
    };
    let mut allow = match random.below(5) {
        0 => vec!["@all".to_owned()],
        1 => words(random, 200),
        2 => words(random, 20),
        _ => vec!["@default".to_owned()],
    };
    allow.extend(words(random, 3));
    let deny = words(random, 6);
    let kill = words(random, 3);
    let log = words(random, 5);
    // Few names, so that several rules meet on one call.
    let pool: Vec<_> = (0..6).map(|_| word(random, &names, &groups)).collect();
    let rules = (0..random.below(16)).map(|_| rule(random, &pool)).collect();
    Syscalls { allow, deny, kill, log, rules }
}

fn word(random: &mut Random, names: &[&'static str], groups: &[&'static str]) -> String {
    let word = match random.below(10) {
        0 if !groups.is_empty() => random.pick(groups),
        1..4 => random.pick(&SPECIAL),
        _ => random.pick(names),
    };
    word.to_owned()
}

fn rule(random: &mut Random, pool: &[String]) -> Rule {
    let mut syscalls: Vec<_> =
        (0..1 + random.below(2)).map(|_| pool[random.below(pool.len())].clone()).collect();
    syscalls.dedup();
    let arguments = syscalls.iter().map(|word| facts::arguments(word)).min().unwrap_or(0);
    let conditions = if arguments == 0 { 0 } else { random.below(4) };
    let args = (0..conditions).map(|_| condition(random, arguments)).collect();
    let actions = [Action::Allow, Action::Log, Action::Notify, Action::Errno, Action::Trap, Action::Kill];
    let action = random.pick(&actions);
    let errno =
        (action == Action::Errno && random.chance(70)).then(|| random.pick(&[1, 2, 13, 38, 95, 4095]));
    Rule { syscalls, args, action, errno }
}

fn condition(random: &mut Random, arguments: usize) -> Condition {
    let ops =
        [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
    let mut op = random.pick(&ops);
    let mask = random.chance(35).then(|| match random.below(3) {
        0 => random.pick(&EDGES),
        1 => 1 << random.below(64),
        _ => random.next() & random.next(),
    });
    if mask.is_some() && random.chance(30) {
        op = Comparison::MaskedEq;
    }
    let mut value = match random.below(4) {
        0 => random.pick(&EDGES),
        1 => random.below(64) as u64,
        2 => 1 << random.below(64),
        _ => random.next() >> random.below(64),
    };
    if random.chance(50) {
        value &= 0xffff_ffff;
    }
    value &= mask.unwrap_or(u64::MAX);
    // The same number, as a person may write it.
    let value = if mask.is_none() && value >> 63 == 1 && random.chance(50) {
        i128::from(value as i64)
    } else {
        i128::from(value)
    };
    Condition { index: random.below(arguments) as u8, op, value, mask }
}

/// The numbers and architectures that are asked about.
fn numbers(random: &mut Random) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    for arch in [answers::X86_64, answers::AARCH64] {
        found.extend((0..1024).map(|nr| (nr, arch)));
        // x32, which begins at bit 30 and has numbers of its own from 512.
        found.extend((0..600).step_by(1 + random.below(5)).map(|nr| (0x4000_0000 | nr, arch)));
        for nr in
            [1024, 4096, 0xffff, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xc000_0001]
        {
            found.push((nr, arch));
        }
        // -1 and its neighbours, and what no table has.
        found.extend([u32::MAX, u32::MAX - 1, u32::MAX - 512].map(|nr| (nr, arch)));
        found.extend((0..20).map(|_| (random.next() as u32 >> random.below(32), arch)));
        found.extend((0..5).map(|_| (0x8000_0000 | random.below(600) as u32, arch)));
    }
    found.extend((0..512).step_by(1 + random.below(3)).map(|nr| (nr, answers::I386)));
    for arch in [answers::I386, answers::ARM, answers::RISCV64, 0, u32::MAX, answers::X86_64 ^ 0x8000_0000] {
        found.extend([0, 1, 59, 60, 157, 221, 0x4000_0000, u32::MAX].map(|nr| (nr, arch)));
    }
    found
}

/// Calls that are worth asking about a filter: every number, and for each the values of its rules and their
/// neighbours, alone and with garbage in the upper half.
pub fn calls(random: &mut Random, filter: &Filter) -> Vec<Data> {
    let mut found = Vec::new();
    for (nr, arch) in numbers(random) {
        let name = facts::arch(arch).and_then(|arch| facts::name(arch, nr));
        let pools = name.map(|name| pools(filter, name)).unwrap_or_default();
        let special = pools.iter().any(|pool| !pool.is_empty());
        for _ in 0..if special { 24 } else { 3 } {
            found.push(one(random, nr, arch, &pools));
        }
        for (index, pool) in pools.iter().enumerate() {
            for value in pool {
                let mut call = one(random, nr, arch, &pools);
                call.args[index] = *value;
                found.push(call);
            }
        }
        for together in name.map(|name| together(filter, name)).unwrap_or_default() {
            for _ in 0..12 {
                let mut call = one(random, nr, arch, &pools);
                for (index, values) in &together {
                    call.args[*index] = random.pick(values);
                }
                found.push(call);
            }
        }
    }
    for call in &mut found {
        if call.arch == answers::I386 {
            // Registers of 32 bits.
            call.args = call.args.map(|arg| arg & 0xffff_ffff);
        }
    }
    found
}

fn one(random: &mut Random, nr: u32, arch: u32, pools: &[Vec<u64>; 6]) -> Data {
    let args = std::array::from_fn(|index| {
        let pool = &pools[index];
        if !pool.is_empty() && random.chance(80) { random.pick(pool) } else { random.pick(&EDGES) }
    });
    Data { nr, arch, args }
}

/// For each argument what is worth trying.
fn pools(filter: &Filter, name: &str) -> [Vec<u64>; 6] {
    let mut pools: [Vec<u64>; 6] = Default::default();
    for rule in filter.syscalls.rules.iter().filter(|rule| facts::names(&rule.syscalls, name)) {
        for one in &rule.args {
            let pool = &mut pools[usize::from(one.index)];
            let (value, mask) = (one.value as u64, one.mask.unwrap_or(u64::MAX));
            around(pool, value);
            if one.mask.is_some() {
                pool.extend([mask, !mask, value | !mask, mask.wrapping_add(1), (value ^ mask) & mask]);
            }
        }
    }
    for (index, values) in floor(name) {
        for value in *values {
            around(&mut pools[*index], *value);
        }
    }
    for pool in &mut pools {
        if !pool.is_empty() {
            pool.extend(EDGES);
        }
    }
    pools
}

/// Values for several arguments at once: what one rule, the floor or a sentinel wants to see together. Picked alone
/// they would almost never meet.
fn together(filter: &Filter, name: &str) -> Vec<Vec<(usize, Vec<u64>)>> {
    let mut found = Vec::new();
    for rule in filter.syscalls.rules.iter().filter(|rule| facts::names(&rule.syscalls, name)) {
        let near = |one: &Condition| {
            let (value, garbage) = (one.value as u64, one.mask.map_or(0, |mask| !mask));
            let step = match one.op {
                Comparison::Eq | Comparison::MaskedEq | Comparison::Le | Comparison::Ge => 0,
                Comparison::Ne | Comparison::Gt => 1,
                Comparison::Lt => u64::MAX,
            };
            let fitting = value.wrapping_add(step);
            (
                usize::from(one.index),
                vec![fitting, fitting, fitting | garbage, fitting ^ 0x1_0000_0000, value],
            )
        };
        found.push(rule.args.iter().map(near).collect());
    }
    if name == "prctl" {
        let option = u64::from(sentinel::OPTION);
        let which = [sentinel::FILTER, sentinel::EXEC_ONCE].map(u64::from).to_vec();
        found.push(vec![(0, vec![option, option | 0xffff_ffff_0000_0000]), (1, which.clone())]);
        let beside = which.iter().flat_map(|which| [which | 0x1_0000_0000, which ^ 1]).collect();
        found.push(vec![(0, vec![option]), (1, beside)]);
    }
    if name == "prlimit64" {
        let core = vec![4, 0xffff_ffff_0000_0004];
        found.push(vec![(1, core), (2, vec![0, 1, 0x1_0000_0000, 0xffff_ffff_0000_0000])]);
    }
    found
}

/// A value, its neighbours, and the value with another upper half.
fn around(pool: &mut Vec<u64>, value: u64) {
    pool.extend([value, value.wrapping_add(1), value.wrapping_sub(1)]);
    pool.extend([0x1_0000_0000, 0xffff_ffff_0000_0000, 0x8000_0000_0000_0000].map(|garbage| value ^ garbage));
}

/// The arguments that the floor and the sentinel look at.
fn floor(name: &str) -> &'static [(usize, &'static [u64])] {
    match name {
        "socket" | "socketpair" => &[(0, &[1, 2, 10, 16, 17, 38, 40])],
        "clone" => &[(
            0,
            &[
                0,
                17,
                0x80,
                0x2_0000,
                0x200_0000,
                0x400_0000,
                0x800_0000,
                0x1000_0000,
                0x2000_0000,
                0x4000_0000,
                0x7d_0f00,
            ],
        )],
        "ioctl" => &[(1, &[0x5401, 0x5412, 0x541c, 0x540e])],
        "personality" => &[(0, &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff, 0x4_0000])],
        "setrlimit" => &[(0, &[4, 7])],
        "prlimit64" => &[(1, &[4, 7]), (2, &[0, 0x7fff_0000_0000])],
        "seccomp" => &[(1, &[0, 1, 8, 9])],
        "prctl" => &[
            (0, &[sentinel::OPTION as u64, 38]),
            (1, &[sentinel::FILTER as u64, sentinel::EXEC_ONCE as u64]),
        ],
        _ => &[],
    }
}
