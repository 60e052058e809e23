//! Tables: columns under each other, nothing in a cell that steers a terminal, and no line longer than it is wide.

use crate::messages::escaped;

/// A table: a heading, then rows.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of figures, which stand to the right.
    figures: &'static [usize],
}

impl Table {
    pub(crate) fn new(heading: &[&str], figures: &'static [usize]) -> Self {
        Self { rows: vec![heading.iter().map(|&word| word.to_owned()).collect()], figures }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell).into_owned()).collect());
    }

    /// The lines, the heading first; the last column is cut where a line would be too wide.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let columns = self.rows[0].len();
        let longest =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(longest).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let (before, after) =
                    if self.figures.contains(&column) { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line += if column > 0 { "  " } else { "" };
                line += &format!("{before}{cell}{after}");
            }
            cut(line.trim_end(), width)
        };
        self.rows.iter().map(line).collect()
    }
}

/// As much of a line as a terminal of this width shows. What is not ASCII may take two columns.
pub(crate) fn cut(line: &str, width: Option<usize>) -> String {
    let wide = |c: char| if c.is_ascii() { 1 } else { 2 };
    let Some(width) = width.filter(|width| line.chars().map(wide).sum::<usize>() > *width) else {
        return line.to_owned();
    };
    let mut left = width.saturating_sub(2);
    let kept = line.chars().take_while(|c| {
        let fits = wide(*c) <= left;
        left = left.saturating_sub(wide(*c));
        fits
    });
    kept.chain((width >= 2).then_some('…')).collect()
}

/// How many columns standard output has, where it is a terminal that says so.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_no_line_is_too_wide() {
        let mut table = Table::new(&["NAME", "SIZE", "COMMAND"], &[1]);
        table.row(["a".to_owned(), "7".to_owned(), "sh -c \u{1b}[2J".to_owned()]);
        table.row(["longer".to_owned(), "12345".to_owned(), "grün".to_owned()]);
        assert_eq!(
            table.lines(None),
            ["NAME     SIZE  COMMAND", r"a           7  sh -c \u{1b}[2J", "longer  12345  grün"]
        );
        for width in 0..40 {
            let lines = table.lines(Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
        }
        assert_eq!(table.lines(Some(22))[1], "a           7  sh -c…");
    }
}
