//! What a program must look like, whatever it answers.

use ringfence_seccomp::Arch;

use crate::answers;
use crate::compare;
use crate::facts;
use crate::interpreter::{self, Data};
use crate::naive::Naive;
use crate::random::{self, EDGES, Random};
use crate::subjects;

/// The kernel answers a call without running the program when nothing but its number decides and the answer is
/// ALLOW. So no such call may cost a look at an argument.
#[test]
fn what_always_passes_is_in_the_kernels_cache() {
    let mut random = Random(1);
    let mut arguments: Vec<_> = EDGES.iter().map(|edge| [*edge; 6]).collect();
    arguments.extend((0..20).map(|_| std::array::from_fn(|_| random.pick(&EDGES))));
    let (mut passing, mut cached) = (0, 0);
    for (name, filter) in subjects::builtin() {
        let program = compare::program(&filter, &Arch::ALL);
        let naive = Naive::new(&filter, &Arch::ALL);
        for (arch, nr, call) in Arch::ALL
            .into_iter()
            .flat_map(|arch| facts::table(arch).into_iter().map(move |(nr, call)| (arch, nr, call)))
        {
            let arch = facts::audit(arch);
            let passes = |args: &[u64; 6]| naive.answer(&Data { nr, arch, args: *args }) == answers::ALLOW;
            let always = !facts::has_argument_rules(&filter, call) && arguments.iter().all(passes);
            let is_cached = interpreter::is_cached(&program, nr, arch);
            assert_eq!(
                is_cached, always,
                "{name}: {call} ({nr} on {arch:x}) passes always, and is in the cache"
            );
            passing += u32::from(arguments.iter().any(passes));
            cached += u32::from(is_cached);
        }
    }
    println!(
        "of {passing} calls that pass, {cached} are in the kernel's cache: the others depend on an argument"
    );
    assert!(cached > 0);
}

/// The same rules are the same program, whatever the process did before; and no program is near the limit.
#[test]
fn programs_are_small_and_the_same_each_time() {
    let mut largest = 0;
    for (name, filter) in subjects::builtin() {
        let one = compare::program(&filter, &Arch::ALL);
        assert_eq!(one, compare::program(&filter, &Arch::ALL), "{name}");
        assert!(one.len() < interpreter::LONGEST);
        largest = largest.max(one.len());
    }
    println!("the largest of the built-in profiles, for both architectures: {largest} instructions");
    let mut random = Random(2);
    let mut largest = 0;
    for _ in 0..40 {
        let (filter, archs) = random::filter(&mut random);
        let program = compare::program(&filter, &archs);
        assert_eq!(program, compare::program(&filter, &archs));
        assert_eq!(interpreter::verify(&program), Ok(()));
        largest = largest.max(program.len());
    }
    println!("the largest of 40 random rule sets: {largest} instructions");
}

/// The order of entries and rules is never a meaning.
#[test]
fn order_never_matters() {
    let mut random = Random(3);
    for _ in 0..20 {
        let (filter, archs) = random::filter(&mut random);
        let mut turned = filter.clone();
        let rules = &mut turned.syscalls;
        for list in [&mut rules.allow, &mut rules.deny, &mut rules.kill, &mut rules.log] {
            list.reverse();
        }
        rules.rules.reverse();
        let (one, other) = (compare::program(&filter, &archs), compare::program(&turned, &archs));
        for call in random::calls(&mut random, &filter).iter().step_by(7) {
            assert_eq!(interpreter::run(&one, call), interpreter::run(&other, call), "{call:x?} {filter:?}");
        }
    }
}
