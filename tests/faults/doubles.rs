//! Two failures in one run, and shares of the campaign that are quick: lies and stops of a plain start.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::calls;
use crate::campaign::{campaign, everything, tracing_works};
use crate::inject::{self, Fault, Injection};
use crate::place::Place;
use crate::tracer::Role;
use crate::verdict::{self, Ended};

/// Pairs of an ordinary run; `RINGFENCE_FAULTS_DOUBLES` takes another number.
const PAIRS: usize = 60;
const ALL_PAIRS: usize = 2000;

/// Numbers that are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap_or(0)
    }
}

#[test]
fn two_failures_in_one_start_are_closed() {
    if !tracing_works() {
        return;
    }
    let place = Place::plain();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let reference = place.reference(&seen);
    let injections = inject::all(&recorder.calls);
    let asked = std::env::var("RINGFENCE_FAULTS_DOUBLES").ok().and_then(|count| count.parse().ok());
    let count = asked.unwrap_or(if everything() { ALL_PAIRS } else { PAIRS });
    let seed = std::env::var("RINGFENCE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x7269_6e67);
    let mut numbers = Numbers(seed);
    let pairs: Vec<[&Injection; 2]> = (0..count)
        .map(|_| [&injections[numbers.below(injections.len())], &injections[numbers.below(injections.len())]])
        .collect();
    let (next, failures, ended) =
        (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(BTreeMap::<String, usize>::new()));
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (next, failures, ended, place, pairs, reference) =
                (&next, &failures, &ended, &place, &pairs, &reference);
            scope.spawn(move || {
                while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (seen, hit) = place.inject_both(worker, *pair).expect("it can be traced");
                    let name = match verdict::judge_both(reference, *pair, &seen) {
                        Ok(ended) => format!("{ended:?}{}", if hit { "" } else { " (one of the two)" }),
                        Err(why) => {
                            failures.lock().unwrap().push(format!("{} and {}: {why}", pair[0], pair[1]));
                            "failed".to_owned()
                        }
                    };
                    *ended.lock().unwrap().entry(name).or_default() += 1;
                }
            });
        }
    });
    let (failures, ended) = (failures.into_inner().unwrap(), ended.into_inner().unwrap());
    println!("pairs: {count} runs, seed {seed}: {ended:?}");
    assert!(ended.contains_key(&format!("{:?}", Ended::Refused)), "no pair was reached: {ended:?}");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

/// What holds something in: each of these calls, told that it was made.
const HOLDS: [&str; 23] = [
    "mount_setattr",
    "move_mount",
    "mount",
    "umount2",
    "pivot_root",
    "prctl",
    "capset",
    "seccomp",
    "setresuid",
    "setresgid",
    "setgroups",
    "close_range",
    "keyctl",
    "prlimit64",
    "chdir",
    "fchdir",
    "setsid",
    "sethostname",
    "setdomainname",
    "umask",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
];

#[test]
fn every_lie_of_a_plain_start_is_found() {
    if !tracing_works() {
        return;
    }
    let place = Place::plain();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let mut lies = inject::all(&recorder.calls);
    lies.retain(|lie| {
        let inside = matches!(lie.role, Role::Child | Role::Init | Role::Target);
        inside && lie.fault == Fault::FalseSuccess && HOLDS.contains(&calls::name(lie.call.number).as_str())
    });
    // One of each kind that says the same is enough here: the campaign takes every one.
    let mut known = std::collections::BTreeSet::new();
    let family = |lie: &Injection| {
        (lie.role, lie.call.number, lie.every, lie.call.shown.split(',').next().map(str::to_owned))
    };
    lies.retain(|lie| known.insert(family(lie)));
    assert!(lies.len() > 30, "the calls that hold something in are not seen: {}", lies.len());
    campaign("lies", &place, &place.reference(&seen), &lies);
}

#[test]
fn a_process_that_is_stopped_during_the_start_is_the_same_sandbox() {
    if !tracing_works() {
        return;
    }
    let place = Place::plain();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let stops = inject::stops(&recorder.calls, if everything() { 1 } else { 23 });
    campaign("stops", &place, &place.reference(&seen), &stops);
}
