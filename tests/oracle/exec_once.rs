//! The filter that comes first where a policy does not let the program execute others, and when it comes.

use ringfence_seccomp::{Arch, Filter, Violation, sentinel};

use crate::answers;
use crate::compare;
use crate::facts;
use crate::interpreter::{self, Data};
use crate::kernel;
use crate::naive::Naive;
use crate::random::{self, Random};
use crate::subjects;

/// What the first filter is to answer: it asks about every exec, proves itself, and leaves the rest to the second.
fn wanted(archs: &[Arch], call: &Data) -> u32 {
    let arch = facts::arch(call.arch).filter(|arch| archs.contains(arch));
    match arch.and_then(|arch| facts::name(arch, call.nr)) {
        Some("execve" | "execveat") => answers::NOTIFY,
        Some("prctl") => {
            let [option, which, ..] = call.args;
            let proves = option as u32 == sentinel::OPTION && which == u64::from(sentinel::EXEC_ONCE);
            if proves { answers::errno(sentinel::ERRNO) } else { answers::ALLOW }
        }
        _ => answers::ALLOW,
    }
}

#[test]
fn the_first_filter_asks_about_execs_and_nothing_else() {
    let calls = random::calls(&mut Random(7), &Filter::default());
    let (asked, unasked): (Vec<Data>, Vec<Data>) = calls.iter().partition(|call| kernel::can_ask(call));
    for archs in [&[Arch::X86_64][..], &[Arch::Aarch64], &Arch::ALL] {
        let program = compare::instructions(&ringfence_seccomp::exec_once(archs));
        assert_eq!(interpreter::verify(&program), Ok(()));
        let heard = kernel::answers(&program, &asked).unwrap();
        for (call, kernel) in asked.iter().zip(heard) {
            assert_eq!(kernel, wanted(archs, call), "the kernel, {archs:?}: {call:x?}");
        }
        for call in asked.iter().chain(&unasked) {
            assert_eq!(interpreter::run(&program, call), Ok(wanted(archs, call)), "{archs:?}: {call:x?}");
        }
        let is_proof = |call: &&Data| wanted(archs, call) == answers::errno(sentinel::ERRNO);
        let proofs = calls.iter().filter(is_proof).count();
        println!("{archs:?}: {} decisions, {proofs} of them proofs", calls.len());
        assert!(proofs > 0);
    }
}

/// When the rules let no exec pass, the second filter lets all of them pass: so nothing may be wrong about when.
#[test]
fn a_filter_that_executes_nothing_has_no_exec_that_passes() {
    let mut random = Random(8);
    let mut filters: Vec<_> = subjects::builtin().into_iter().map(|(_, filter)| filter).collect();
    filters.extend((0..30).map(|_| random::filter(&mut random).0));
    let [mut shown, mut unshown, mut none] = [0; 3];
    for filter in filters {
        let rules = Naive::assuming(&filter, &Arch::ALL, true);
        let is_exec = |call: &&Data| {
            let name = facts::arch(call.arch).and_then(|arch| facts::name(arch, call.nr));
            matches!(name, Some("execve" | "execveat"))
        };
        let lenient = [answers::ALLOW, answers::LOG, answers::NOTIFY];
        let calls = random::calls(&mut random, &filter);
        let passing = calls.iter().filter(is_exec).find(|call| lenient.contains(&rules.answer(call)));
        match (filter.executes(), passing) {
            (false, Some(call)) => panic!("{filter:?} executes nothing, and lets pass {call:x?}"),
            (false, None) => none += 1,
            (true, Some(_)) => shown += 1,
            (true, None) => unshown += 1,
        }
    }
    println!(
        "{none} filters execute nothing; {shown} do, with an exec that shows it; {unshown} do, none was found"
    );
    assert!(none > 0 && shown > 0, "{none} {shown}");
    assert!(Filter { on_violation: Violation::Log, ..Filter::default() }.executes());
}
