//! One look at the live sandboxes, and what changed since the last one.

use std::collections::BTreeMap;
use std::time::Instant;

use ringfence::Registry;
use ringfence::registry::{Entry, Figures, figures};

use crate::table::Table;
use crate::{human, ps};

/// A live sandbox.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) entry: Entry,
    /// What it uses; `None` while it starts.
    pub(super) figures: Option<Figures>,
    /// Processor time since the last look, in per cent of one processor; `None` at the first.
    pub(super) cpu: Option<f64>,
}

/// What the rows stand in order of: the largest first, names from A on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Cpu,
    Memory,
    Processes,
    Age,
    Name,
}

impl Sort {
    pub(super) const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Processes, Self::Age, Self::Name];

    pub(super) fn apply(self, rows: &mut [Row]) {
        let figure = |row: &Row, part: fn(&Figures) -> u64| row.figures.as_ref().map_or(0, part);
        // Stable, and the list comes in order of age.
        match self {
            Self::Cpu => rows.sort_by(|a, b| b.cpu.unwrap_or(0.0).total_cmp(&a.cpu.unwrap_or(0.0))),
            Self::Memory => rows.sort_by_key(|row| std::cmp::Reverse(figure(row, |f| f.memory_bytes))),
            Self::Processes => rows.sort_by_key(|row| std::cmp::Reverse(figure(row, |f| f.processes))),
            Self::Age => rows.sort_by_key(|row| std::cmp::Reverse(figure(row, |f| f.age_us))),
            Self::Name => rows.sort_by_key(|row| (row.entry.name.is_none(), row.entry.name.clone())),
        }
    }
}

/// Remembers the last look.
#[derive(Default)]
pub(super) struct Sampler {
    before: BTreeMap<String, (Instant, u64)>,
}

impl Sampler {
    /// Looks.
    pub(super) fn sample(&mut self) -> Vec<Row> {
        let entries = Registry::list();
        let figures = figures(&entries);
        self.rows(entries, figures, Instant::now())
    }

    fn rows(&mut self, entries: Vec<Entry>, figures: Vec<Option<Figures>>, now: Instant) -> Vec<Row> {
        let mut seen = BTreeMap::new();
        let row = |(entry, figures): (Entry, Option<Figures>)| {
            let used = figures.as_ref().map(|figures| figures.cpu_us);
            let cpu = self.before.get(&entry.id).zip(used).and_then(|((at, before), used)| {
                let passed = now.duration_since(*at).as_micros() as f64;
                // A process that ended takes its account along until its parent has reaped it.
                (passed > 0.0).then(|| used.saturating_sub(*before) as f64 * 100.0 / passed)
            });
            if let Some(used) = used {
                seen.insert(entry.id.clone(), (now, used));
            }
            Row { entry, figures, cpu }
        };
        let rows = entries.into_iter().zip(figures).map(row).collect();
        self.before = seen;
        rows
    }
}

/// The rows as a table, in their order.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "CPU%", "MEMORY", "PROCS", "AGE", "COMMAND"], &[2, 3, 4, 5]);
    let entries: Vec<_> = rows.iter().map(|row| row.entry.clone()).collect();
    for (row, id) in rows.iter().zip(ps::short_ids(&entries)) {
        let figure = |part: fn(&Figures) -> String| row.figures.as_ref().map_or_else(|| "-".to_owned(), part);
        table.row([
            id,
            ps::bounded(row.entry.name.as_deref().unwrap_or("-"), 16),
            row.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}")),
            figure(|figures| human::size(figures.memory_bytes)),
            figure(|figures| figures.processes.to_string()),
            figure(|figures| human::age(figures.age_us)),
            ps::command(&row.entry),
        ]);
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ps::tests::{FIGURES, entry};

    pub(in crate::top) fn rows() -> Vec<Row> {
        let row = |id: &str, name, cpu, memory_bytes, processes, age_us| Row {
            entry: entry(id, name),
            figures: Some(Figures { memory_bytes, processes, age_us, ..FIGURES }),
            cpu: Some(cpu),
        };
        vec![
            row("aaaaaaaa1", Some("zebra"), 5.0, 300, 1, 9_000_000),
            row("bbbbbbbb2", None, 150.0, 200, 7, 7_000_000),
            row("cccccccc3", Some("ant"), 0.0, 900, 3, 1_000_000),
        ]
    }

    #[test]
    fn processor_time_is_of_the_time_between_two_looks() {
        let mut sampler = Sampler::default();
        let begun = Instant::now();
        let at = |cpu_us| vec![Some(Figures { cpu_us, ..FIGURES })];
        let entries = || vec![entry("a", None)];
        assert_eq!(sampler.rows(entries(), at(1_000_000), begun)[0].cpu, None, "the first look");
        let later = begun + Duration::from_secs(2);
        assert_eq!(sampler.rows(entries(), at(4_000_000), later)[0].cpu, Some(150.0));
        let last = later + Duration::from_secs(1);
        assert_eq!(sampler.rows(entries(), at(3_000_000), last)[0].cpu, Some(0.0), "never below nothing");
        assert_eq!(sampler.rows(entries(), vec![None], last)[0].cpu, None);
    }

    #[test]
    fn every_order_is_one() {
        let mut rows = rows();
        for (sort, ids) in [
            (Sort::Cpu, "bac"),
            (Sort::Memory, "cab"),
            (Sort::Processes, "bca"),
            (Sort::Age, "abc"),
            (Sort::Name, "cab"),
        ] {
            sort.apply(&mut rows);
            let first: String = rows.iter().filter_map(|row| row.entry.id.chars().next()).collect();
            assert_eq!(first, ids, "{sort:?}");
        }
    }
}
