//! What a program's streams are connected to.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use ringfence_linux::{Pump, Sink, Streams, duplicate, is_terminal, pipe};

/// What one stream is connected to, as [`std::process::Stdio`].
#[derive(Debug)]
pub struct Stdio(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Inherit,
    Null,
    Piped,
    File(OwnedFd),
    /// Collected in memory by `output`.
    Collected,
}

impl Stdio {
    /// The caller's own stream. A terminal, and a file that is open for reading only, is never passed in: it is
    /// relayed by a pipe while [`Child::wait`](crate::Child::wait) runs.
    #[must_use]
    pub const fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// `/dev/null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Kind::Null)
    }

    /// A pipe, whose other end is in [`Child`](crate::Child).
    #[must_use]
    pub const fn piped() -> Self {
        Self(Kind::Piped)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self(Kind::File(file.into()))
    }
}

impl From<OwnedFd> for Stdio {
    fn from(file: OwnedFd) -> Self {
        Self(Kind::File(file))
    }
}

/// Everything that the streams of one run need.
#[derive(Debug, Default)]
pub(crate) struct Connected {
    pub(crate) streams: Streams,
    pub(crate) pumps: Vec<Pump>,
    /// Our ends of pipes: standard input, output, error.
    pub(crate) ours: [Option<File>; 3],
}

/// Connects three streams.
pub(crate) fn connect(kinds: [Kind; 3]) -> io::Result<Connected> {
    let mut connected = Connected::default();
    for (number, kind) in kinds.into_iter().enumerate() {
        connect_one(&mut connected, number, kind)?;
    }
    Ok(connected)
}

fn connect_one(connected: &mut Connected, number: usize, kind: Kind) -> io::Result<()> {
    let is_input = number == 0;
    let theirs = match kind {
        Kind::Null => File::options().read(true).write(true).open("/dev/null")?.into(),
        Kind::File(file) if must_be_relayed(file.as_fd(), number) => relay(connected, number, file)?,
        Kind::File(file) => file,
        Kind::Inherit => match own_stream(number)? {
            // Passed as it is.
            None => return Ok(()),
            Some(file) => relay(connected, number, file)?,
        },
        Kind::Piped => {
            let (read, write) = pipe()?;
            let (theirs, ours) = if is_input { (read, write) } else { (write, read) };
            connected.ours[number] = Some(ours.into());
            theirs
        }
        Kind::Collected => {
            let (read, write) = pipe()?;
            connected.pumps.push(Pump::from_program(number, read, Sink::Memory(Vec::new())));
            write
        }
    };
    connected.streams.0[number] = Some(theirs);
    Ok(())
}

/// A pipe between the program and a file of the caller. Answers the program's end.
fn relay(connected: &mut Connected, number: usize, file: OwnedFd) -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    let (theirs, pump) = if number == 0 {
        (read, Pump::to_program(file, write))
    } else {
        (write, Pump::from_program(number, read, Sink::File(file)))
    };
    connected.pumps.push(pump);
    Ok(theirs)
}

/// A terminal could be read, written into and controlled. A file that is open for reading only could be opened
/// again, for writing, through /proc/self/fd.
fn must_be_relayed(file: BorrowedFd<'_>, number: usize) -> bool {
    is_terminal(file) || number == 0 && is_readable_file(file)
}

fn is_readable_file(file: BorrowedFd<'_>) -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
    let regular =
        fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    regular && fcntl_getfl(file).is_ok_and(|flags| !flags.intersects(OFlags::WRONLY | OFlags::RDWR))
}

/// A copy of the caller's own stream, when that must be relayed.
fn own_stream(number: usize) -> io::Result<Option<OwnedFd>> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let file: BorrowedFd<'_> = match number {
        0 => stdin.as_fd(),
        1 => stdout.as_fd(),
        _ => stderr.as_fd(),
    };
    if must_be_relayed(file, number) { duplicate(file).map(Some) } else { Ok(None) }
}
