//! Order statistics: a few slow starts on a busy machine must not move the answer.

/// The middle value.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The least value that at least this share of the values do not exceed (the nearest rank).
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The median over the rounds of one contender's time in units of the other's in the same round: what slows a
/// round down slows both.
pub(super) fn paired_ratio(values: &[f64], units: &[f64]) -> f64 {
    let ratios: Vec<_> = values.iter().zip(units).map(|(value, unit)| value / unit).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_nearest_rank() {
        let values: Vec<_> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((median(&values), quantile(&values, 0.99), quantile(&values, 0.0)), (50.0, 99.0, 1.0));
        assert_eq!(quantile(&[3.0], 0.99), 3.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn pairs_by_round() {
        assert_eq!(paired_ratio(&[2.0, 40.0, 6.0], &[1.0, 10.0, 3.0]), 2.0);
    }
}
