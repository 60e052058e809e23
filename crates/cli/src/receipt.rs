//! The receipt as a table: which kernel layer holds which guarantee.

use ringfence::policy::{GuaranteeRow, Status};

use crate::messages::escaped;

/// One line for each row, under a heading; who established it stands in the heading where it is one for all.
pub(crate) fn table(rows: &[GuaranteeRow]) -> Vec<String> {
    let by = rows.first().map(|row| row.by.as_str()).filter(|by| rows.iter().all(|row| row.by == *by));
    let detail = by.map_or_else(|| "detail".to_owned(), |by| format!("detail ({by})"));
    let mut cells = vec![["guarantee".to_owned(), "status".to_owned(), "layers".to_owned(), detail]];
    cells.extend(rows.iter().map(|row| {
        let layers = if row.layers.is_empty() { "-".to_owned() } else { row.layers.join(", ") };
        let detail = if by.is_some() { row.detail.clone() } else { format!("{} ({})", row.detail, row.by) };
        [row.guarantee.to_string(), status(row.status).to_owned(), layers, detail]
    }));
    for cell in cells.iter_mut().flatten() {
        *cell = escaped(cell).into_owned();
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [first, second, third] = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let line = format!("{:first$}  {:second$}  {:third$}  {}", row[0], row[1], row[2], row[3]);
        line.trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Enforced => "enforced",
        Status::Partial => "partial",
        Status::Waived => "waived",
    }
}

#[cfg(test)]
mod tests {
    use ringfence::policy::Guarantee;

    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let row = |guarantee, layers: &[&str], status, by: &str, detail: &str| GuaranteeRow {
            guarantee,
            layers: layers.iter().map(|layer| (*layer).to_owned()).collect(),
            status,
            by: by.to_owned(),
            detail: detail.to_owned(),
        };
        let layers = ["mount namespace", "landlock"];
        let files = row(Guarantee::Files, &layers, Status::Enforced, "verified", "only what was granted");
        let surface = |by| row(Guarantee::KernelSurface, &[], Status::Waived, by, "no\u{1b}[0m filter");
        assert_eq!(
            table(&[files.clone(), surface("verified")]),
            [
                "guarantee       status    layers                     detail (verified)",
                "files           enforced  mount namespace, landlock  only what was granted",
                r"kernel-surface  waived    -                          no\u{1b}[0m filter",
            ]
        );
        assert_eq!(
            table(&[files, surface("planned")]),
            [
                "guarantee       status    layers                     detail",
                "files           enforced  mount namespace, landlock  only what was granted (verified)",
                r"kernel-surface  waived    -                          no\u{1b}[0m filter (planned)",
            ]
        );
    }
}
