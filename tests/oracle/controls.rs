//! Programs that are wrong on purpose: the oracle must say so.

use ringfence_seccomp::{Arch, Filter};

use crate::answers;
use crate::compare::{self, Disagreement};
use crate::interpreter::Instruction;
use crate::random::{self, Random};
use crate::subjects::{equal, refuse, with_rules};

/// What the oracle finds when the program is another than the rules'.
fn found(rules: &Filter, program: &[Instruction]) -> Vec<Disagreement> {
    let calls = random::calls(&mut Random(4), rules);
    compare::compare(rules, &Arch::ALL, program, &calls).expect("a program that the kernel takes").1
}

fn names(found: &[Disagreement]) -> Vec<&'static str> {
    let name = |one: &Disagreement| crate::facts::name(crate::facts::arch(one.call.arch)?, one.call.nr);
    let mut names: Vec<_> = found.iter().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The subject of all of these: two conditions on one call, one of them on 64 bits.
fn rules() -> Filter {
    with_rules(vec![refuse("mprotect", 95, vec![equal(0, 0x1_0000_1000), equal(2, 7)])])
}

#[test]
fn the_right_program_is_not_reported() {
    let found = found(&rules(), &compare::program(&rules(), &Arch::ALL));
    assert!(found.is_empty(), "{}", compare::tell(&rules(), &Arch::ALL, &found));
}

/// THREATS.md row 49, CVE-2017-18367: conditions of one rule taken as alternatives.
#[test]
fn or_for_and_is_reported() {
    let wrong = with_rules(vec![
        refuse("mprotect", 95, vec![equal(0, 0x1_0000_1000)]),
        refuse("mprotect", 95, vec![equal(2, 7)]),
    ]);
    let found = found(&rules(), &compare::program(&wrong, &Arch::ALL));
    assert_eq!(names(&found), ["mprotect"]);
    // The kernel agrees with the interpreter about what is wrong.
    assert!(found.iter().any(|one| one.kernel.is_some()));
    assert!(found.iter().all(|one| one.kernel.is_none_or(|kernel| one.interpreted == Ok(kernel))));
}

/// THREATS.md row 48, CVE-2019-9893: the upper half of a 64-bit argument is not looked at.
#[test]
fn a_forgotten_upper_half_is_reported() {
    let mut program = compare::program(&rules(), &Arch::ALL);
    let mut changed = 0;
    // Instead of the upper half of argument 0, what the rule wants to see there.
    for one in program.iter_mut().filter(|one| one.code == 0x20 && one.k == 20) {
        (one.code, one.k) = (0x00, 1);
        changed += 1;
    }
    assert!(changed > 0, "no program that looks at the upper half of argument 0");
    assert_eq!(names(&found(&rules(), &program)), ["mprotect"]);
}

/// THREATS.md row 2, CVE-2019-7303: 32 bits compared as 64, so that garbage in the upper half lets TIOCSTI pass.
#[test]
fn a_narrow_argument_compared_as_wide_is_reported() {
    let op = |code, jt, jf, k| Instruction { code, jt, jf, k };
    // Before everything else: an ioctl whose request has an upper half passes.
    let mut program = vec![
        op(0x20, 0, 0, 4),
        op(0x15, 0, 5, answers::X86_64),
        op(0x20, 0, 0, 0),
        op(0x15, 0, 3, 16),
        op(0x20, 0, 0, 28),
        op(0x15, 1, 0, 0),
        op(0x06, 0, 0, answers::ALLOW),
    ];
    program.extend(compare::program(&rules(), &Arch::ALL));
    let found = found(&rules(), &program);
    assert_eq!(names(&found), ["ioctl"]);
    assert!(found.iter().any(|one| one.call.args[1] as u32 == 0x5412 && one.naive == answers::errno(1)));
}

/// One bit of one number: almost every place in a program matters, and the oracle sees which.
#[test]
fn a_flipped_bit_is_reported() {
    let right = compare::program(&rules(), &[Arch::X86_64]);
    let calls = random::calls(&mut Random(5), &rules());
    let mut random = Random(6);
    let (mut tried, mut reported) = (0, 0);
    for _ in 0..60 {
        let at = random.below(right.len());
        // The number that is compared, or answered.
        if !matches!(right[at].code, 0x15 | 0x25 | 0x35 | 0x06) {
            continue;
        }
        let mut program = right.clone();
        program[at].k ^= 1 << if right[at].code == 0x06 { 0 } else { random.below(4) };
        tried += 1;
        let naive = crate::naive::Naive::new(&rules(), &[Arch::X86_64]);
        let differs = |call| crate::interpreter::run(&program, call) != Ok(naive.answer(call));
        reported += u32::from(calls.iter().any(differs));
    }
    println!("of {tried} flipped bits, {reported} were reported");
    // What remains can be a comparison of two halves of the tree that answer the same.
    assert!(tried > 20 && reported * 10 >= tried * 8, "{reported} of {tried}");
}
