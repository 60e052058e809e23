//! What stays resident for each sandbox: its PID 1.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::program::Folder;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Bytes on disk, KiB in memory; what could not be read is absent, and a note says why.
pub(super) struct Memory {
    image_bytes: Option<u64>,
    rss_kib: Option<u64>,
    pss_kib: Option<u64>,
}

/// How long a sandbox may take to reach its program.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn measure(
    ringfence: &Path,
    workspace: &Workspace,
    folder: &Folder,
    notes: &mut Vec<String>,
) -> Result<Memory, Failure> {
    let image_bytes = image(&workspace.target).map(|(_, size)| size);
    if image_bytes.is_none() {
        notes.push("no release build of init's image was found: its size is not shown".to_owned());
    }
    let mut command = Command::new(ringfence);
    command.args(["run", "--", "sleep", "30"]).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut supervisor = command.spawn().map_err(|error| process::not_started(&command, &error))?;
    let init = await_init(&mut supervisor);
    let memory = init.map(|init| {
        let mut read = |file: &str, key| {
            let path = format!("/proc/{init}/{file}");
            fs::read_to_string(&path).map_or_else(
                |error| {
                    notes.push(format!("{path} cannot be read ({error}): root can"));
                    None
                },
                |text| field(&text, key),
            )
        };
        Memory { image_bytes, rss_kib: read("status", "VmRSS:"), pss_kib: read("smaps_rollup", "Pss:") }
    });
    // Its init follows it: that is a promise of its own, with its own test.
    let ended = supervisor.kill().and_then(|()| supervisor.wait());
    ended.map_err(|error| Failure::io("end", ringfence, &error))?;
    memory
}

/// Waits until the program runs, and says which process is its PID 1.
fn await_init(supervisor: &mut Child) -> Result<u32, Failure> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let processes = processes();
        let children = |parent: u32| processes.iter().filter(move |(_, of, _)| *of == parent);
        let init =
            children(supervisor.id()).find(|(init, ..)| children(*init).any(|(_, _, name)| name == "sleep"));
        if let Some((init, ..)) = init {
            return Ok(*init);
        }
        if let Ok(Some(status)) = supervisor.try_wait() {
            return Err(Failure::Work(format!(
                "`ringfence run -- sleep 30` ended with {status}; run it by hand"
            )));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::Work(format!("`ringfence run -- sleep 30` started no `sleep` within {PATIENCE:?}")))
}

/// Every process: its id, its parent's id, its name.
pub(super) fn processes() -> Vec<(u32, u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    // A process may end while we look.
    entries.filter_map(|entry| stat(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

/// `proc_pid_stat(5)`: `id (name) state parent ...`; the name may hold anything, blanks and brackets too.
fn stat(line: &str) -> Option<(u32, u32, String)> {
    let (id, rest) = line.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    Some((id.parse().ok()?, rest.split(' ').nth(1)?.parse().ok()?, name.to_owned()))
}

/// The number of a line `Key:   123 kB`.
fn field(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.split_whitespace().next()?.parse().ok()
}

/// The newest image that a release build embedded, and its size.
fn image(target: &Path) -> Option<(PathBuf, u64)> {
    let builds = fs::read_dir(target.join("release").join("build")).into_iter().flatten().flatten();
    let ours = builds.filter(|build| build.file_name().to_string_lossy().starts_with("ringfence-init-"));
    let images = ours.filter_map(|build| {
        let path = build.path().join("out").join("pid1");
        let found = path.metadata().ok()?;
        Some((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), path, found.len()))
    });
    images.max_by_key(|(time, ..)| *time).map(|(_, path, size)| (path, size))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: Option<u64>, unit: &str| {
            value.map_or("unknown".to_owned(), |value| format!("{value} {unit}"))
        };
        write!(
            f,
            "init: image {}, resident {}, proportional share {}",
            shown(self.image_bytes, "bytes"),
            shown(self.rss_kib, "KiB"),
            shown(self.pss_kib, "KiB")
        )
    }
}

impl Memory {
    pub(super) fn json(&self) -> Value {
        json!({ "image_bytes": self.image_bytes, "rss_kib": self.rss_kib, "pss_kib": self.pss_kib })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process() {
        assert_eq!(stat("12 (a) b) S 3 12 12 0"), Some((12, 3, "a) b".to_owned())));
        assert_eq!(stat("12 (a"), None);
    }

    #[test]
    fn reads_a_field() {
        assert_eq!(field("Name:\tinit\nVmRSS:\t      20 kB\n", "VmRSS:"), Some(20));
        assert_eq!(field("Name:\tinit\n", "VmRSS:"), None);
    }
}
