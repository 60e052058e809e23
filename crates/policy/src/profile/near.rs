//! The word that was most likely meant.

/// "; did you mean `openat`?", or nothing where no word is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let furthest = match word.chars().count() {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    let nearest = known.into_iter().map(|other| (distance(word, other), other)).min();
    match nearest {
        Some((distance, near)) if distance <= furthest => format!("; did you mean `{near}`?"),
        _ => String::new(),
    }
}

/// How many characters must be put in, taken out, replaced, or exchanged with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant_and_a_far_one_is_not() {
        let words = ["open", "openat", "opendir", "read"];
        assert_eq!(did_you_mean("opnat", words), "; did you mean `openat`?");
        assert_eq!(did_you_mean("raed", words), "; did you mean `read`?");
        assert_eq!(did_you_mean("mount", words), "");
        assert_eq!(did_you_mean("x", []), "");
    }
}
