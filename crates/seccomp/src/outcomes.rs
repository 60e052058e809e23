//! What can happen at all: which cases can hold together, decided exactly.
//!
//! Tests of one argument are followed bit by bit from the top, where each is still open or already decided; arguments
//! are independent of each other, so what they allow is combined.

use std::collections::BTreeSet;

use crate::argument::Test;
use crate::decide::{Case, Decision};

/// What a decision can answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// The call passes for some arguments.
    pub(crate) passes: bool,
    /// It is refused for some.
    pub(crate) refused: bool,
}

impl Decision {
    pub(crate) fn outcomes(&self) -> Outcomes {
        let answers: Vec<_> = match worlds(&self.cases) {
            Some(worlds) => worlds.into_iter().map(|holds| self.first(holds)).collect(),
            None => self.cases.iter().map(|case| case.answer).chain([self.otherwise]).collect(),
        };
        let passes = answers.iter().any(|answer| answer.passes());
        Outcomes { passes, refused: answers.iter().any(|answer| !answer.passes()) }
    }

    fn first(&self, holds: u64) -> crate::answer::Answer {
        self.cases.get(holds.trailing_zeros() as usize).map_or(self.otherwise, |case| case.answer)
    }
}

/// How many sets of cases are looked at before giving up; no sensible policy comes near.
const MOST_WORLDS: usize = 1 << 14;

/// Every set of cases that can hold together while no other does, one bit for each case.
/// `None` when there are too many to say.
pub(crate) fn worlds(cases: &[Case]) -> Option<BTreeSet<u64>> {
    if cases.len() > 64 {
        return None;
    }
    // Which cases are not yet refuted by the arguments seen so far.
    let mut worlds = BTreeSet::from([if cases.len() == 64 { u64::MAX } else { (1 << cases.len()) - 1 }]);
    for argument in 0..6 {
        let mut tests: Vec<Test> = cases.iter().flat_map(|case| &case.tests).copied().collect();
        tests.retain(|test| test.argument == argument);
        tests.sort_unstable();
        tests.dedup();
        if tests.is_empty() {
            continue;
        }
        let truths = truths(&tests)?;
        let survives = |truth: u64| {
            let holds = |test: &Test| tests.binary_search(test).is_ok_and(|place| truth >> place & 1 == 1);
            let bits = cases.iter().enumerate().map(|(place, case)| {
                let all = case.tests.iter().filter(|test| test.argument == argument).all(holds);
                u64::from(all) << place
            });
            bits.sum::<u64>()
        };
        let masks: BTreeSet<u64> = truths.into_iter().map(survives).collect();
        worlds = worlds.iter().flat_map(|world| masks.iter().map(move |mask| world & mask)).collect();
        if worlds.len() > MOST_WORLDS {
            return None;
        }
    }
    Some(worlds)
}

/// Which tests of one argument can hold together while no other does, one bit for each test.
fn truths(tests: &[Test]) -> Option<BTreeSet<u64>> {
    // Two bits for each test: 0 equal so far, 1 decided as less, 2 decided as greater.
    if tests.len() > 64 {
        return None;
    }
    let mut states = BTreeSet::from([0_u128]);
    for bit in (0..64).rev() {
        states = states
            .iter()
            .flat_map(|state| [step(*state, tests, bit, 0), step(*state, tests, bit, 1)])
            .collect();
        if states.len() > MOST_WORLDS {
            return None;
        }
    }
    let truth = |state: u128| {
        let bits = tests.iter().enumerate().map(|(place, test)| {
            let order = match state >> (2 * place) & 3 {
                0 => 0,
                1 => -1,
                _ => 1,
            };
            u64::from(test.op.holds(order, 0)) << place
        });
        bits.sum::<u64>()
    };
    Some(states.into_iter().map(truth).collect())
}

/// The state after one more bit of the argument.
fn step(mut state: u128, tests: &[Test], bit: u32, value: u64) -> u128 {
    for (place, test) in tests.iter().enumerate() {
        if state >> (2 * place) & 3 == 0 {
            let decided = match (value & (test.mask >> bit & 1)).cmp(&(test.value >> bit & 1)) {
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Less => 1,
                std::cmp::Ordering::Greater => 2,
            };
            state |= decided << (2 * place);
        }
    }
    state
}
