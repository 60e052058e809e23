//! `ringfence ps`: the live sandboxes of this user, for people as a table, for scripts as JSON.

use ringfence::Registry;
use ringfence::registry::{Entry, Figures, figures};
use serde_json::{Value, json};

use crate::colour::{self, Style};
use crate::table::{self, Table};
use crate::values::quoted;
use crate::{human, output};

/// The version of the list's JSON.
const SCHEMA: u32 = 1;

/// Lists them.
pub(crate) fn ps(json: bool) -> u8 {
    let entries = Registry::list();
    let figures = figures(&entries);
    if json {
        return output::print(format!("{:#}\n", list(&entries, &figures)));
    }
    let mut lines = table(&entries, &figures).lines(table::width());
    let coloured = colour::wanted(std::io::IsTerminal::is_terminal(&std::io::stdout()));
    lines[0] = colour::styled(&lines[0], Style::Heading, coloured).into_owned();
    output::print(lines.join("\n") + "\n")
}

fn list(entries: &[Entry], figures: &[Option<Figures>]) -> Value {
    let one = |(entry, figures): (&Entry, &Option<Figures>)| {
        let mut value = json!(entry);
        value["figures"] = json!(figures);
        value
    };
    json!({ "schema": SCHEMA, "sandboxes": entries.iter().zip(figures).map(one).collect::<Vec<_>>() })
}

fn table(entries: &[Entry], figures: &[Option<Figures>]) -> Table {
    let mut table =
        Table::new(&["ID", "NAME", "AGE", "CPU", "MEMORY", "PROCS", "PROFILE", "COMMAND"], &[2, 3, 4, 5]);
    let ids = short_ids(entries);
    for ((entry, figures), id) in entries.iter().zip(figures).zip(ids) {
        let figure = |part: fn(&Figures) -> String| figures.as_ref().map_or_else(|| "-".to_owned(), part);
        table.row([
            id,
            bounded(entry.name.as_deref().unwrap_or("-"), 12),
            figure(|figures| human::age(figures.age_us)),
            figure(|figures| human::age(figures.cpu_us)),
            figure(|figures| human::size(figures.memory_bytes)),
            figure(|figures| figures.processes.to_string()),
            bounded(&entry.profile, 14),
            command(entry),
        ]);
    }
    table
}

/// The command as a shell would take it.
pub(crate) fn command(entry: &Entry) -> String {
    entry.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A cell that leaves room for the others: of a path its end says more.
pub(crate) fn bounded(text: &str, longest: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(count - (longest - 1))).collect()
}

/// As much of each id as tells it from the others, eight characters at least: `kill` takes them.
pub(crate) fn short_ids(entries: &[Entry]) -> Vec<String> {
    let start = |id: &str, length: usize| id.chars().take(length).collect::<String>();
    let is_clear = |id: &str, length: usize| {
        entries.iter().filter(|other| start(&other.id, length) == start(id, length)).count() == 1
    };
    let short = |entry: &Entry| {
        let all = entry.id.chars().count();
        let length = (8..all).find(|length| is_clear(&entry.id, *length)).unwrap_or(all);
        start(&entry.id, length)
    };
    entries.iter().map(short).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use ringfence::registry::{Source, Who};

    use super::*;

    pub(crate) fn entry(id: &str, name: Option<&str>) -> Entry {
        Entry {
            id: id.to_owned(),
            name: name.map(str::to_owned),
            supervisor: Who { pid: 1, started: 1 },
            init: Some(Who { pid: 77, started: 2 }),
            boot_id: "b".to_owned(),
            pid_namespace: 1,
            command: vec!["sh".to_owned(), "-c".to_owned(), "\u{1b}[2J\nx".to_owned()],
            profile: "default".to_owned(),
            started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        }
    }

    pub(crate) const FIGURES: Figures = Figures {
        age_us: 185_000_000,
        cpu_us: 1_230_000,
        memory_bytes: 12_897_485,
        memory_source: Source::Proc,
        processes: 3,
    };

    #[test]
    fn columns_stand_under_each_other_and_nothing_steers_a_terminal() {
        let entries = [entry("0123456789abcdef", None), entry("0123456799abcdef", Some("a-name"))];
        let lines = table(&entries, &[Some(FIGURES), None]).lines(None);
        assert_eq!(
            lines,
            [
                "ID         NAME     AGE   CPU  MEMORY  PROCS  PROFILE  COMMAND",
                r"012345678  -       3m5s  1.2s   12.3M      3  default  sh -c '\u{1b}[2J\nx'",
                r"012345679  a-name     -     -       -      -  default  sh -c '\u{1b}[2J\nx'",
            ]
        );
    }

    #[test]
    fn the_widest_cells_leave_room_for_the_command_in_80_columns() {
        let mut widest = entry("0123456789abcdef", Some(&"n".repeat(64)));
        widest.profile = "/a/long/path/to/a/profile.json".to_owned();
        widest.command = vec!["c".repeat(200)];
        let figures = Figures {
            age_us: 99 * 86_400_000_000,
            cpu_us: 3_599_000_000,
            memory_bytes: 1_072_693_248,
            processes: 99_999,
            ..FIGURES
        };
        let lines = table(&[widest], &[Some(figures)]).lines(Some(80));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1].contains("cccc…"), "{lines:#?}");
    }

    #[test]
    fn the_list_says_its_schema_and_who_has_figures() {
        let list = list(&[entry("a", None), entry("b", None)], &[Some(FIGURES), None]);
        assert_eq!(list["schema"], 1);
        assert_eq!(list["sandboxes"][0]["figures"]["memory_source"], "proc");
        assert_eq!(list["sandboxes"][1]["figures"], Value::Null);
    }
}
