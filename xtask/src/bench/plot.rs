//! The picture of the README: start to exit, a bar for each starter, on a logarithmic scale.

use std::fmt::Write as _;

use super::timing::Row;

const WIDTH: f64 = 720.0;
const LABELS: f64 = 190.0;
const BAR: f64 = 22.0;

/// An SVG of the smallest program's rows; fit for light and dark pages.
pub(super) fn svg(rows: &[Row], load: &str) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| row.is_smallest()).collect();
    let height = BAR * rows.len() as f64 + 56.0;
    let most = rows.iter().map(|row| row.median).fold(1.0, f64::max);
    // A hundred microseconds are the left edge: no start is faster.
    let place = |value: f64| (value.max(100.0) / 100.0).ln() / (most / 100.0).ln() * (WIDTH - LABELS - 90.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#808080\">\n<text x=\"0\" y=\"16\">Start to exit of a static program, \
         microseconds, logarithmic; load average {load}</text>\n"
    );
    for (index, row) in rows.iter().enumerate() {
        let top = 30.0 + BAR * index as f64;
        let own = matches!(
            row.starter,
            super::contenders::Starter::Ringfence | super::contenders::Starter::Resident
        );
        let colour = if own { "#2f7ed8" } else { "#a0a0a0" };
        let (length, base) = (place(row.median), top + 13.0);
        let end = LABELS + length + 6.0;
        let times = row.x_bubblewrap().map_or(String::new(), |ratio| format!(" ({ratio:.2} x bubblewrap)"));
        let _to_a_string = writeln!(
            svg,
            "<text x=\"0\" y=\"{base}\">{}</text><rect x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" \
             height=\"16\" fill=\"{colour}\"/><text x=\"{end:.1}\" y=\"{base}\">{:.0}{times}</text>",
            row.starter.name(),
            row.median
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::super::contenders::Starter;
    use super::*;

    #[test]
    fn every_starter_has_a_bar_inside_the_picture() {
        let row = |starter, median| Row::of_smallest(starter, median);
        let rows = [row(Starter::Bare, 176.0), row(Starter::Ringfence, 2000.0), row(Starter::Runc, 22_000.0)];
        let svg = svg(&rows, "0.1");
        assert_eq!(svg.matches("<rect").count(), 3);
        let widths: Vec<f64> = svg
            .split("width=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(widths.is_sorted() && widths[2] <= WIDTH - LABELS, "{widths:?}");
    }
}
