//! What the program has printed, against what it may: both streams together.

use ringfence_policy::{Beyond, Exceeded, OutputLimit};

/// Counts what the program prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    limit: Option<OutputLimit>,
    used: u64,
}

impl Meter {
    pub(crate) const fn new(limit: Option<OutputLimit>) -> Self {
        Self { limit, used: 0 }
    }

    /// Sets a limit where the policy has none.
    pub(crate) fn or(&mut self, limit: OutputLimit) {
        self.limit.get_or_insert(limit);
    }

    /// Counts bytes that have come. Answers how many of them may pass.
    pub(crate) fn pass(&mut self, length: usize) -> usize {
        let left = self.limit.map_or(u64::MAX, |limit| limit.size.0.saturating_sub(self.used));
        self.used = self.used.saturating_add(length as u64);
        usize::try_from(left).map_or(length, |left| left.min(length))
    }

    /// The limit, when more was printed than it allows.
    pub(crate) fn broken(&self) -> Option<OutputLimit> {
        self.limit.filter(|limit| self.used > limit.size.0)
    }

    /// Was more printed than may be, by a program that must not?
    pub(crate) fn is_fatal(&self) -> bool {
        self.broken().is_some_and(|limit| limit.beyond == Beyond::Kill)
    }

    /// The report's row.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        let limit = self.broken()?;
        Some(Exceeded { limit: "output-limit".to_owned(), allowed: limit.size.0, used: self.used })
    }
}

#[cfg(test)]
mod tests {
    use ringfence_policy::Size;

    use super::*;

    #[test]
    fn the_last_byte_that_may_pass_does_and_the_next_does_not() {
        let mut meter = Meter::new(Some(OutputLimit { size: Size(10), beyond: Beyond::Kill }));
        assert_eq!((meter.pass(4), meter.pass(6)), (4, 6));
        assert!(meter.broken().is_none() && !meter.is_fatal());
        assert_eq!((meter.pass(1), meter.pass(9)), (0, 0));
        assert!(meter.is_fatal());
        assert_eq!(meter.exceeded().map(|row| (row.allowed, row.used)), Some((10, 20)));
    }

    #[test]
    fn the_policys_limit_stays_and_without_one_all_passes() {
        let mut meter = Meter::new(None);
        assert_eq!(meter.pass(usize::MAX), usize::MAX);
        assert!(meter.exceeded().is_none());
        meter.or(OutputLimit { size: Size(1), beyond: Beyond::Truncate });
        assert!(meter.broken().is_some() && !meter.is_fatal());
        meter.or(OutputLimit { size: Size(1), beyond: Beyond::Kill });
        assert!(!meter.is_fatal());
    }
}
