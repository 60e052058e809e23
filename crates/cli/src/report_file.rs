//! `--report FILE|fd:N`: where the report of a run goes.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;

use ringfence::policy::{Problem, Report};
use ringfence::{Plan, ReportFile, without_file_size_signal};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::{errno, values};

/// Where a report should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    File(PathBuf),
    /// A descriptor that the caller left open for us.
    Fd(RawFd),
}

/// Where a report goes, open.
pub(crate) enum Destination {
    File(ReportFile),
    Fd(File),
}

impl Target {
    /// Reads `FILE` or `fd:N`; a file of that name is `./fd:N`. The system's own names of descriptors are what a
    /// shell makes of `>(...)`.
    pub(crate) fn parse(text: OsString) -> Result<Self, String> {
        let number = match text.to_str() {
            Some("/dev/stdout") => Some("1"),
            Some("/dev/stderr") => Some("2"),
            Some("-") => {
                return Err("`-` is no file here; write fd:1 for stdout, fd:2 for stderr, or ./- for a file"
                    .to_owned());
            }
            Some(text) => {
                ["fd:", "/dev/fd/", "/proc/self/fd/"].iter().find_map(|prefix| text.strip_prefix(prefix))
            }
            None => None,
        };
        let Some(number) = number else {
            return values::path(&text).map(Self::File);
        };
        match number.parse() {
            Ok(n) if n > 0 => Ok(Self::Fd(n)),
            Ok(0) => Err("`fd:0` is stdin, which nobody reads a report from".to_owned()),
            _ => Err(format!(
                "`fd:{number}` is not a file descriptor; write fd:3, or ./fd:{number} for a file"
            )),
        }
    }

    /// Opens it before anything is started: a run whose report has no place must not begin.
    ///
    /// # Errors
    /// It cannot be opened for writing.
    pub(crate) fn open(&self) -> Result<Destination, Problem> {
        match self {
            Self::File(path) => ReportFile::create(path).map(Destination::File),
            Self::Fd(number) => open_fd(*number, "report").map(Destination::Fd),
        }
    }
}

impl Destination {
    /// Refuses a folder that the program could write. A descriptor is no place that it could reach.
    ///
    /// # Errors
    /// The plan grants the folder writable.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), Problem> {
        match self {
            Self::File(file) => file.check(plan),
            Self::Fd(_) => Ok(()),
        }
    }

    /// Writes the whole report: the file appears at once, a descriptor gets one line.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn write(self, report: &Report) -> Result<(), Problem> {
        match self {
            Self::File(file) => file.write(report),
            Self::Fd(mut file) => {
                let line = serde_json::to_vec(report).map(|mut line| {
                    line.push(b'\n');
                    line
                });
                let write = |line: Vec<u8>| without_file_size_signal(|| file.write_all(&line));
                line.map_err(io::Error::from).and_then(write).map_err(|e| {
                    errno::problem("report", "cannot write the report to its file descriptor", &e)
                })
            }
        }
    }
}

/// A descriptor of the caller's that `what` is written to.
pub(crate) fn open_fd(number: RawFd, code: &str) -> Result<File, Problem> {
    let what = format!("cannot write the {code} to fd {number}");
    let remedy = format!("open it for writing in the caller, like {number}>{code}.json");
    let failed = |e: io::Error| errno::problem(code, &what, &e).remedy(remedy.clone());
    let file = duplicate(number).map_err(failed)?;
    let mode = fcntl_getfl(&file).map_err(|e| failed(e.into()))?;
    if mode.contains(OFlags::PATH) || !mode.intersects(OFlags::WRONLY | OFlags::RDWR) {
        return Err(Problem::request(code, format!("{what}: it is open for reading only")).remedy(remedy));
    }
    Ok(file)
}

/// A descriptor of our own for the caller's. A number becomes a descriptor without unsafe code only through
/// the kernel: by pidfd_getfd(2), which works for sockets too (what Node's `stdio` makes), and where a container
/// forbids that call (Docker's default does) by opening it again in /proc, to append, because a file opened
/// anew would begin at its start.
fn duplicate(number: RawFd) -> io::Result<File> {
    let through_pidfd = || {
        let own = pidfd_open(getpid(), PidfdFlags::empty())?;
        if own.as_raw_fd() == number {
            // The number was free, and is now our own.
            return Err(rustix::io::Errno::BADF);
        }
        pidfd_getfd(&own, number, PidfdGetfdFlags::empty())
    };
    match through_pidfd() {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::BADF) => Err(rustix::io::Errno::BADF.into()),
        Err(_) => OpenOptions::new().append(true).open(format!("/proc/self/fd/{number}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn report() -> Report {
        Report::begin("id".to_owned(), vec!["true".to_owned()], None, "now".to_owned())
    }

    #[test]
    fn a_target_is_a_file_or_a_descriptor() {
        let parse = |text: &str| Target::parse(text.into());
        assert_eq!(parse("a/b"), Ok(Target::File("a/b".into())));
        assert_eq!(parse("fd:3"), Ok(Target::Fd(3)));
        assert_eq!(parse("/dev/fd/63"), Ok(Target::Fd(63)));
        assert_eq!(parse("/dev/stdout"), Ok(Target::Fd(1)));
        assert_eq!(parse("./fd:3"), Ok(Target::File("./fd:3".into())));
        assert_eq!(parse("./-"), Ok(Target::File("./-".into())));
        for bad in ["", "-", "fd:", "fd:x", "fd:-1", "fd:0", "fd:3x", "fd:99999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_plain_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [link, fifo, folder.path().to_owned()] {
            let said = Target::File(path).open().err().unwrap().to_string();
            assert!(said.contains("a report would replace it"), "{said}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "old").unwrap();
        Target::File(file.clone()).open().unwrap().write(&report()).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains("\"id\""));
    }

    #[test]
    fn a_descriptor_gets_one_line() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        Target::Fd(writer.as_raw_fd()).open().unwrap().write(&report()).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["id"], "id");
    }

    #[test]
    fn the_place_in_a_file_is_the_callers() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before\n").unwrap();
        Target::Fd(file.as_raw_fd()).open().unwrap().write(&report()).unwrap();
        file.write_all(b"after\n").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("before\n{") && text.ends_with("}\nafter\n"), "{text}");
    }

    #[test]
    fn a_descriptor_that_cannot_take_it_is_refused_before_the_run() {
        let said = |number| Target::Fd(number).open().err().unwrap().to_string();
        let reading = File::open("/dev/null").unwrap();
        assert!(said(reading.as_raw_fd()).contains("reading only"), "{}", said(reading.as_raw_fd()));
        assert!(said(100_000).contains("EBADF"), "{}", said(100_000));
    }

    #[test]
    fn the_same_holds_where_only_proc_is_left() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"before\n").unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"x\n").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"before\nx\n");
    }
}
