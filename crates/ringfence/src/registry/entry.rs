//! One live sandbox, as its file says it: a line when its name is taken, a second when it runs.

use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

/// One live sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The run's id, as its report has it.
    pub id: String,
    /// The name that the caller gave.
    pub name: Option<String>,
    /// The process that supervises it.
    pub supervisor: Who,
    /// The sandbox's first process; not there yet while it starts.
    pub init: Option<Who>,
    /// The boot that all this is of.
    pub boot_id: String,
    /// The PID namespace in which the numbers mean something.
    pub pid_namespace: u64,
    /// The command.
    pub command: Vec<String>,
    /// The profile.
    pub profile: String,
    /// When it began, UTC, RFC 3339.
    pub started_at: String,
}

impl Entry {
    /// The whole file.
    pub(super) fn lines(&self) -> Vec<u8> {
        let mut lines = serde_json::to_vec(&Self { init: None, ..self.clone() }).unwrap_or_default();
        lines.push(b'\n');
        lines.extend(self.init_line());
        lines
    }

    /// The second line, when there is one.
    pub(super) fn init_line(&self) -> Vec<u8> {
        let mut line = self.init.and_then(|who| serde_json::to_vec(&who).ok()).unwrap_or_default();
        if !line.is_empty() {
            line.push(b'\n');
        }
        line
    }

    /// Reads a file; `None` when it is no entry.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|byte| *byte == b'\n');
        let mut entry: Self = serde_json::from_slice(lines.next()?).ok()?;
        entry.init = lines.next().and_then(|line| serde_json::from_slice(line).ok());
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_was_written_with_and_without_its_second_line() {
        let who = Who { pid: 7, started: 9 };
        let mut entry = Entry {
            id: "i".to_owned(),
            name: Some("n".to_owned()),
            supervisor: who,
            init: None,
            boot_id: "b".to_owned(),
            pid_namespace: 3,
            command: vec!["a\nb".to_owned()],
            profile: "default".to_owned(),
            started_at: "now".to_owned(),
        };
        assert_eq!(Entry::read(&entry.lines()), Some(entry.clone()));
        let first = entry.lines();
        entry.init = Some(who);
        assert_eq!(Entry::read(&entry.lines()), Some(entry.clone()));
        assert_eq!(Entry::read(&[first, entry.init_line()].concat()), Some(entry));
        for bad in [&b""[..], b"{}", b"\n", b"[1]", &[0xff, 0]] {
            assert_eq!(Entry::read(bad), None);
        }
    }
}
