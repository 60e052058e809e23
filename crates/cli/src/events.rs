//! `--events FILE|fd:N`: what happens, a JSON line each, while it happens.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ringfence::policy::Problem;
use ringfence::{Event, Plan};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use serde::Serialize;

use crate::errno;
use crate::report_file::{Target, open_fd};

/// Where events go, open.
pub(crate) struct Events {
    file: File,
    /// The folder of a file that has a name, resolved.
    folder: Option<PathBuf>,
    /// Events that nobody had room for.
    lost: u64,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    /// How many lines before this one had no room in a pipe that nobody reads.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Events {
    /// Opens it before anything is started. A file begins empty.
    ///
    /// # Errors
    /// It cannot be opened for writing.
    pub(crate) fn open(target: &Target) -> Result<Self, Problem> {
        let (file, folder) = match target {
            Target::Fd(number) => (open_fd(*number, "events")?, None),
            Target::File(path) => {
                let failed = |e: std::io::Error| {
                    let what = format!("the events cannot be written to `{}`", path.display());
                    errno::problem("events", &what, &e)
                        .at(path)
                        .remedy("name a file in a folder that exists and that you can write")
                };
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(failed)?;
                let place = folder.join(path.file_name().unwrap_or_default());
                // A FIFO without a reader would be waited for, a link would lead elsewhere.
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
                let file = rustix::fs::open(place, flags, Mode::from_raw_mode(0o644));
                (file.map_err(|e| failed(e.into()))?.into(), Some(folder))
            }
        };
        Ok(Self { file, folder, lost: 0 })
    }

    /// Refuses a folder that the program could write: it could change what happened.
    ///
    /// # Errors
    /// The plan grants the folder, or one above it, writable.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), Problem> {
        let Some(folder) = &self.folder else { return Ok(()) };
        match plan.writable().iter().find(|writable| folder.starts_with(writable)) {
            None => Ok(()),
            Some(writable) => {
                let why =
                    format!("the events would be in `{}`, which the program can write", writable.display());
                Err(Problem::request("events", why)
                    .at(folder)
                    .remedy("put them outside, or use --events fd:N"))
            }
        }
    }

    /// Writes one line, or counts it as lost: nobody who does not read may hold a run back.
    pub(crate) fn write(&mut self, event: &Event) {
        let line = serde_json::to_vec(&Line { event, lost: self.lost }).map(|mut line| {
            line.push(b'\n');
            line
        });
        let written = line.is_ok_and(|line| self.has_room() && self.file.write_all(&line).is_ok());
        self.lost = if written { 0 } else { self.lost + 1 };
    }

    /// A pipe that can be written takes a whole line (PIPE_BUF, pipe(7)).
    fn has_room(&self) -> bool {
        let kind = rustix::fs::fstat(&self.file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::RegularFile) {
            return true;
        }
        let mut file = [PollFd::new(&self.file, PollFlags::OUT)];
        poll(&mut file, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use ringfence::policy::Happened;

    use super::*;

    fn event(pid: i32) -> Event {
        Event { at_us: 1, what: Happened::Started { pid } }
    }

    #[test]
    fn a_file_begins_empty_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        fs::write(&path, "old\n").unwrap();
        let mut events = Events::open(&Target::File(path.clone())).unwrap();
        events.write(&event(1));
        events.write(&event(2));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"at_us":1,"event":"started","pid":1}"#));
        assert_eq!(text.lines().count(), 2);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let said = Events::open(&Target::File(link)).err().unwrap().to_string();
        assert!(said.contains("ELOOP"), "{said}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_loses_lines_and_says_so() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut events = Events::open(&Target::Fd(writer.as_raw_fd())).unwrap();
        (0..5000).for_each(|number| events.write(&event(number)));
        let lost = events.lost;
        assert!(lost > 0);
        let mut text = vec![0; 1 << 20];
        let length = rustix::io::read(&reader, &mut text).unwrap();
        assert!(text[..length].starts_with(br#"{"at_us":1,"event":"started","pid":0}"#));
        events.write(&event(7));
        let length = rustix::io::read(&reader, &mut text).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&text[..length]).unwrap();
        assert_eq!((line["pid"].as_i64(), line["lost"].as_u64()), (Some(7), Some(lost)));
    }
}
