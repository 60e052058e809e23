//! What the test executables said, summed.

use std::fmt;
use std::process::ExitStatus;

/// Passed, failed, ignored.
pub(crate) type Counts = [u64; 3];

/// The sum over all executables.
#[derive(Default)]
pub(crate) struct Tally {
    executables: usize,
    counts: Counts,
    /// What failed: the executable, and how.
    pub(crate) bad: Vec<String>,
}

impl Tally {
    /// Adds one executable: the results that it printed, and how it ended.
    pub(crate) fn add(&mut self, label: &str, results: &[Counts], status: ExitStatus) {
        self.executables += 1;
        let [mut passed, mut failed, mut ignored] = [0; 3];
        for [p, f, i] in results {
            (passed, failed, ignored) = (passed + p, failed + f, ignored + i);
        }
        match (status.success(), results.is_empty()) {
            // A harness of its own counts as one test.
            (true, true) => passed = 1,
            (false, _) if failed == 0 => failed = 1,
            _ => {}
        }
        if failed > 0 {
            self.bad.push(format!("{label} ({status})"));
        }
        for (sum, more) in self.counts.iter_mut().zip([passed, failed, ignored]) {
            *sum += more;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed, ignored] = self.counts;
        write!(f, "{passed} passed, {failed} failed, {ignored} ignored in {} executables", self.executables)
    }
}

/// The numbers of a line `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
pub(crate) fn counts(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = [0; 3];
    for part in numbers.split(';') {
        let Some((number, word)) = part.trim().split_once(' ') else { continue };
        if let Some(index) = ["passed", "failed", "ignored"].iter().position(|known| *known == word) {
            counts[index] = number.parse().ok()?;
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn tally(lines: &[&str], status: i32) -> Tally {
        let results: Vec<_> = lines.iter().filter_map(|line| counts(line)).collect();
        let mut tally = Tally::default();
        tally.add("one", &results, ExitStatus::from_raw(status));
        tally
    }

    #[test]
    fn reads_the_harness() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(counts(line), Some([12, 3, 1]));
        assert_eq!(counts("test escape::row_5 ... ok"), None);
    }

    #[test]
    fn a_death_before_any_result_is_a_failure() {
        assert_eq!(tally(&[], 11).counts, [0, 1, 0]);
        assert_eq!(tally(&["test result: ok. 2 passed; 0 failed; 0 ignored; "], 6).counts, [2, 1, 0]);
        assert_eq!(tally(&[], 11).bad.len(), 1);
    }

    #[test]
    fn a_harness_of_its_own_is_one_test() {
        assert_eq!(tally(&[], 0).counts, [1, 0, 0]);
        assert!(tally(&[], 0).bad.is_empty());
    }
}
