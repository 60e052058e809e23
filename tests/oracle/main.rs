//! The filter compiler against three other readings of the same rules: THREATS.md rows 46 to 50.
//!
//! A compiled program is run on random and on chosen calls by an interpreter of our own (`interpreter`) and by the
//! real kernel (`kernel`), and both are compared with the rules evaluated one by one (`naive`). What is asked is never
//! done. Rule sets are those of the built-in profiles and random ones (`random`).
//!
//! The ordinary run takes some seconds. `RINGFENCE_ORACLE=all` goes on until the kernel has made ten million
//! decisions, `RINGFENCE_ORACLE=N` takes N random rule sets: an emulated machine is slow. `RINGFENCE_ORACLE_SEED=N`
//! repeats a run: the seed is printed.

mod answers;
mod compare;
mod controls;
mod exec_once;
mod facts;
mod interpreter;
mod kernel;
mod naive;
mod random;
mod structure;
mod subjects;
mod tables;

use std::time::{SystemTime, UNIX_EPOCH};

use ringfence_seccomp::{Arch, Filter};

use compare::Counts;
use random::Random;

/// Decisions of the kernel, and of the interpreter, that the whole run makes at least.
const ALL: u64 = 10_000_000;
/// Random rule sets of the ordinary run.
const FEW: u64 = 25;

/// When there were enough random rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budget {
    Decisions(u64),
    RuleSets(u64),
}

fn budget() -> Budget {
    match std::env::var("RINGFENCE_ORACLE").as_deref() {
        Ok("all") => Budget::Decisions(ALL),
        Ok(count) => Budget::RuleSets(count.parse().expect("RINGFENCE_ORACLE is `all` or a number")),
        Err(_) => Budget::RuleSets(FEW),
    }
}

fn is_whole() -> bool {
    budget() == Budget::Decisions(ALL)
}

/// The ordinary run is the same each time; the whole one is another each time.
fn seed() -> u64 {
    let given = std::env::var("RINGFENCE_ORACLE_SEED").ok();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    given.map_or_else(
        || if is_whole() { now() } else { 1 },
        |given| given.parse().expect("RINGFENCE_ORACLE_SEED is a number"),
    )
}

fn check(what: &str, filter: &Filter, archs: &[Arch], random: &mut Random) -> Counts {
    let program = compare::program(filter, archs);
    let calls = random::calls(random, filter);
    let (counts, found) = compare::compare(filter, archs, &program, &calls)
        .unwrap_or_else(|error| panic!("{what}: {error}: {filter:?}"));
    assert!(found.is_empty(), "{what}: {}", compare::tell(filter, archs, &found));
    counts
}

/// Rows 46 (i386), 47 (x32), 48 (edges of arguments), 49 (two conditions) and 50 (unknown numbers, and -1).
#[test]
fn builtin_profiles_decide_as_their_rules_say() {
    let mut random = Random(seed());
    let mut counts = Counts::default();
    for (name, filter) in subjects::builtin() {
        counts.add(check(&name, &filter, &Arch::ALL, &mut random));
    }
    println!("built-in profiles: 0 disagreements; {counts}");
}

#[test]
fn random_rules_decide_as_they_say() {
    let seed = seed();
    println!("seed {seed}");
    let mut counts = Counts::default();
    let mut round = 0;
    while match budget() {
        Budget::Decisions(wanted) => counts.asked() < wanted,
        Budget::RuleSets(wanted) => round < wanted,
    } {
        // Each rule set has a seed of its own, so that one can be repeated without those before it.
        let own = seed.wrapping_add(round);
        let mut random = Random(own);
        let (filter, archs) = random::filter(&mut random);
        counts.add(check(&format!("RINGFENCE_ORACLE_SEED={own}"), &filter, &archs, &mut random));
        round += 1;
        if round % 100 == 0 {
            println!("so far 0 disagreements; {counts}");
        }
    }
    println!("random rules: 0 disagreements; {counts}");
}
