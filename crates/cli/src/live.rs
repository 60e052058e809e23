//! `ringfence ps` and `ringfence kill`: the live sandboxes of this user.

use ringfence::Registry;
use ringfence::policy::Problem;
use ringfence::registry::{self, Ended, Entry};
use serde_json::json;

use crate::messages::escaped;
use crate::output::FAILED;
use crate::values::quoted;
use crate::{messages, output};

/// The version of the list's JSON.
const SCHEMA: u32 = 1;

/// Lists them.
pub(crate) fn ps(json: bool) -> u8 {
    let entries = Registry::list();
    if !json {
        return output::print(table(&entries));
    }
    output::print(format!("{:#}\n", json!({ "schema": SCHEMA, "sandboxes": entries })))
}

/// Ends those that are named; all are tried.
pub(crate) fn kill(which: &[String]) -> u8 {
    let entries = Registry::list();
    let mut lines = String::new();
    let mut failed = false;
    for word in which {
        let mut found = entries.iter().filter(|entry| is_called(entry, word));
        let problem = match (found.next(), found.next()) {
            (Some(entry), None) => {
                let ended = registry::kill(entry);
                failed |= ended.result.is_err();
                lines += &line(&ended);
                continue;
            }
            (None, _) => Problem::request("kill", format!("no live sandbox is called `{word}`"))
                .remedy("`ringfence ps` lists them"),
            (Some(_), Some(_)) => Problem::request("kill", format!("`{word}` is a name and another's id"))
                .remedy("name both by their ids"),
        };
        messages::problem(&problem);
        failed = true;
    }
    output::print(lines).max(if failed { FAILED } else { 0 })
}

/// Ends all.
pub(crate) fn kill_all() -> u8 {
    let ended = registry::kill_all();
    let lines: String = match ended.as_slice() {
        [] => "no sandbox was live\n".to_owned(),
        ended => ended.iter().map(line).collect(),
    };
    output::print(lines).max(if ended.iter().all(|ended| ended.result.is_ok()) { 0 } else { FAILED })
}

fn is_called(entry: &Entry, word: &str) -> bool {
    entry.id == word || entry.name.as_deref() == Some(word)
}

/// What was done, on one line.
fn line(ended: &Ended) -> String {
    let called = called(&ended.entry);
    let how = if ended.by_cgroup { "frozen first, at once by their cgroup" } else { "frozen first" };
    let stopped = match ended.stopped {
        0 => String::new(),
        stopped => format!(" ({stopped} of its processes were {how})"),
    };
    match &ended.result {
        Ok(()) => format!("killed {called}{stopped}\n"),
        Err(why) => format!("not killed: {called}{stopped}: {}\n", escaped(why)),
    }
}

fn called(entry: &Entry) -> String {
    let name = entry.name.as_ref().map_or_else(String::new, |name| format!(" ({})", escaped(name)));
    format!("{}{name}", escaped(&entry.id))
}

fn table(entries: &[Entry]) -> String {
    let mut rows = vec![["ID", "NAME", "PID", "STARTED", "PROFILE", "COMMAND"].map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let pid = entry.init.map_or_else(|| "starting".to_owned(), |init| init.pid.to_string());
        let command: Vec<_> = entry.command.iter().map(|word| quoted(word)).collect();
        let name = entry.name.clone().unwrap_or_else(|| "-".to_owned());
        [entry.id.clone(), name, pid, entry.started_at.clone(), entry.profile.clone(), command.join(" ")]
    }));
    for cell in rows.iter_mut().flatten() {
        *cell = escaped(cell).into_owned();
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}  {}\n", cells.join("  "), row[5])
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use ringfence::registry::Who;

    use super::*;

    fn entry(id: &str, name: Option<&str>) -> Entry {
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

    #[test]
    fn columns_stand_under_each_other_and_nothing_steers_a_terminal() {
        let text = table(&[entry("0123", None), entry("4", Some("a-name"))]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ID    NAME    PID  STARTED                   PROFILE  COMMAND");
        assert_eq!(lines[1], r"0123  -       77   2026-01-01T00:00:00.000Z  default  sh -c '\u{1b}[2J\nx'");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn what_was_done_is_said() {
        let entry = entry("4", Some("n"));
        let by =
            |by_cgroup, stopped, result| line(&Ended { entry: entry.clone(), stopped, by_cgroup, result });
        let ended = |stopped, result| by(false, stopped, result);
        assert_eq!(ended(0, Ok(())), "killed 4 (n)\n");
        assert_eq!(ended(3, Ok(())), "killed 4 (n) (3 of its processes were frozen first)\n");
        let by_cgroup = "killed 4 (n) (3 of its processes were frozen first, at once by their cgroup)\n";
        assert_eq!(by(true, 3, Ok(())), by_cgroup);
        assert_eq!(ended(0, Err("why".to_owned())), "not killed: 4 (n): why\n");
    }
}
