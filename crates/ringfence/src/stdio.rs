//! What a program's streams are connected to.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use ringfence_linux::{
    Connection, Keyboard, Outer, OwnTerminal, Pump, Sink, Streams, Take, closable, duplicate, is_terminal,
    pipe, without_waiting,
};

/// What one stream is connected to, as [`std::process::Stdio`].
#[derive(Debug)]
pub struct Stdio(pub(crate) Kind);

pub(crate) enum Kind {
    Inherit,
    Null,
    Piped,
    File(OwnedFd),
    /// Collected in memory by `output`.
    Collected,
    /// Given to the program, then the end.
    Bytes(Vec<u8>),
    /// Handed to a function.
    Each(Take),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inherit => "Inherit",
            Self::Null => "Null",
            Self::Piped => "Piped",
            Self::File(_) => "File",
            Self::Collected => "Collected",
            Self::Bytes(_) => "Bytes",
            Self::Each(_) => "Each",
        })
    }
}

impl Stdio {
    /// The caller's own stream. A terminal, and a file that is open for reading only, is never passed in: it is
    /// relayed while [`Child::wait`](crate::Child::wait) runs, by a pipe, or to the terminal that the sandbox has of its own
    /// ([`Tty`](crate::policy::Tty)).
    #[must_use]
    pub const fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// `/dev/null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Kind::Null)
    }

    /// A pipe, whose other end is in [`Child`](crate::Child). What passes through it passes the library by, so it
    /// is refused for output under a policy that limits output.
    #[must_use]
    pub const fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// For standard input: these bytes, then the end, while [`Child::wait`](crate::Child::wait) runs.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }

    /// For standard output and error: each piece goes to a function as it comes, while
    /// [`Child::wait`](crate::Child::wait) runs, on its thread. A function that takes long holds the program back
    /// and loses nothing; the policy's deadline goes on.
    #[must_use]
    pub fn each(take: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self(Kind::Each(Box::new(take)))
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
    /// A copy of standard input, where its other side can be closed.
    pub(crate) input: Option<OwnedFd>,
    /// What the sandbox's own terminal is connected to.
    pub(crate) terminal: Option<Connection>,
}

/// How streams are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways<'a> {
    /// Everything that is printed is counted.
    pub(crate) counted: bool,
    /// The end of standard input matters.
    pub(crate) ends_with_input: bool,
    /// The sandbox's own terminal.
    pub(crate) terminal: Option<&'a OwnTerminal>,
    /// The caller's terminal, for a run in the foreground.
    pub(crate) outer: Option<&'a Outer>,
}

/// Connects three streams.
pub(crate) fn connect(kinds: [Kind; 3], ways: Ways<'_>) -> io::Result<Connected> {
    let mut connected = Connected::default();
    let mut on_terminal = [None, None, None];
    for (number, kind) in kinds.into_iter().enumerate() {
        if number == 0 && ways.ends_with_input {
            connected.input = match &kind {
                Kind::Inherit => closable(io::stdin())?,
                Kind::File(file) => closable(file)?,
                _ => None,
            };
        }
        if ways.terminal.is_some_and(|terminal| terminal.streams[number]) {
            on_terminal[number] = Some(kind);
        } else {
            connect_one(&mut connected, number, kind, ways)?;
        }
    }
    connected.terminal = ways.terminal.map(|own| connection(own, on_terminal, ways)).transpose()?;
    Ok(connected)
}

fn connect_one(connected: &mut Connected, number: usize, kind: Kind, ways: Ways<'_>) -> io::Result<()> {
    let counted = ways.counted && number != 0;
    let theirs = match kind {
        Kind::Null if counted => collect(connected, number, Sink::Nowhere)?,
        Kind::Null => File::options().read(true).write(true).open("/dev/null")?.into(),
        Kind::File(file) if counted && !is_folder(file.as_fd()) || must_be_relayed(file.as_fd(), number) => {
            relay(connected, number, file)?
        }
        Kind::File(file) => file,
        Kind::Inherit => match own_stream(number, counted)? {
            Own::Passed => return Ok(()),
            Own::Relayed(file) => relay(connected, number, file)?,
            Own::Missing => collect(connected, number, Sink::Nowhere)?,
        },
        Kind::Piped if counted => {
            let why = "a pipe of the caller's cannot be counted; use Stdio::each, or output()";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Kind::Piped => {
            let (read, write) = pipe()?;
            let (theirs, ours) = if number == 0 { (read, write) } else { (write, read) };
            if number == 0 && ways.ends_with_input {
                connected.input = closable(&theirs)?;
            }
            connected.ours[number] = Some(ours.into());
            theirs
        }
        Kind::Collected => collect(connected, number, Sink::Memory(Vec::new()))?,
        Kind::Each(take) if number != 0 => collect(connected, number, Sink::Each(take))?,
        Kind::Bytes(bytes) if number == 0 => {
            let (read, write) = pipe()?;
            connected.pumps.push(Pump::bytes_to_program(bytes, write));
            read
        }
        Kind::Each(_) | Kind::Bytes(_) => {
            let why = "bytes are for standard input, functions for output and error";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    connected.streams.standard[number] = Some(theirs);
    Ok(())
}

/// What the sandbox's terminal is connected to: instead of the streams that are on it, whose kinds these are.
fn connection(own: &OwnTerminal, kinds: [Option<Kind>; 3], ways: Ways<'_>) -> io::Result<Connection> {
    let [stdin, stdout, stderr] = kinds;
    let (stream, screen) = match (stdout, stderr) {
        (Some(kind), _) => (1, screen(1, kind)?),
        (None, Some(kind)) => (2, screen(2, kind)?),
        // What is typed is shown all the same.
        (None, None) => match ways.outer {
            Some(outer) => (3, Sink::File(without_waiting(outer.screen()?))),
            None => (3, Sink::Nowhere),
        },
    };
    let keyboard = match stdin {
        // A program whose input is something else may still ask at its terminal.
        None => Keyboard::Outer,
        Some(Kind::Inherit) if is_terminal(io::stdin()) => Keyboard::Outer,
        Some(Kind::Inherit) => duplicate(io::stdin()).map_or(Keyboard::Nowhere, Keyboard::File),
        Some(Kind::File(file)) if is_terminal(&file) => Keyboard::Outer,
        Some(Kind::File(file)) => Keyboard::File(file),
        Some(Kind::Bytes(bytes)) => Keyboard::Bytes(bytes),
        Some(Kind::Null) => Keyboard::Nowhere,
        Some(_) => return Err(no_pipe("Stdio::bytes, or a file")),
    };
    Ok(Connection { keyboard, screen, stream, outer: ways.outer.cloned(), eager: own.eager })
}

fn screen(number: usize, kind: Kind) -> io::Result<Sink> {
    Ok(match kind {
        Kind::Inherit => match own_stream(number, true)? {
            Own::Relayed(file) => Sink::File(without_waiting(file)),
            Own::Passed | Own::Missing => Sink::Nowhere,
        },
        Kind::File(file) => Sink::File(without_waiting(file)),
        Kind::Null => Sink::Nowhere,
        Kind::Collected => Sink::Memory(Vec::new()),
        Kind::Each(take) => Sink::Each(take),
        Kind::Piped | Kind::Bytes(_) => return Err(no_pipe("Stdio::each, or output()")),
    })
}

fn no_pipe(instead: &str) -> io::Error {
    let why = format!("a terminal of its own is no pipe's end; use {instead}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// A pipe from the program to where its output goes. Answers the program's end.
fn collect(connected: &mut Connected, number: usize, sink: Sink) -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    connected.pumps.push(Pump::from_program(number, read, sink));
    Ok(write)
}

/// A pipe between the program and a file of the caller. Answers the program's end.
fn relay(connected: &mut Connected, number: usize, file: OwnedFd) -> io::Result<OwnedFd> {
    if number != 0 {
        return collect(connected, number, Sink::File(without_waiting(file)));
    }
    let (read, write) = pipe()?;
    connected.pumps.push(Pump::to_program(file, write));
    Ok(read)
}

impl Kind {
    /// Is it a terminal outside?
    pub(crate) fn is_terminal(&self, number: usize) -> bool {
        match (self, number) {
            (Self::Inherit, 0) => is_terminal(io::stdin()),
            (Self::Inherit, 1) => is_terminal(io::stdout()),
            (Self::Inherit, _) => is_terminal(io::stderr()),
            (Self::File(file), _) => is_terminal(file),
            _ => false,
        }
    }
}

/// A terminal could be read, written into and controlled. A file that is open for reading only could be opened
/// again, for writing, through /proc/self/fd.
fn must_be_relayed(file: BorrowedFd<'_>, number: usize) -> bool {
    is_terminal(file) || number == 0 && is_readable_file(file)
}

fn is_folder(file: BorrowedFd<'_>) -> bool {
    use rustix::fs::{FileType, fstat};
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn is_readable_file(file: BorrowedFd<'_>) -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
    let regular =
        fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    regular && fcntl_getfl(file).is_ok_and(|flags| !flags.intersects(OFlags::WRONLY | OFlags::RDWR))
}

/// The caller's own stream.
enum Own {
    /// It is passed as it is.
    Passed,
    /// A copy, to be relayed.
    Relayed(OwnedFd),
    /// It is closed, and what goes there is counted.
    Missing,
}

fn own_stream(number: usize, counted: bool) -> io::Result<Own> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let file: BorrowedFd<'_> = match number {
        0 => stdin.as_fd(),
        1 => stdout.as_fd(),
        _ => stderr.as_fd(),
    };
    // A folder is passed on, and refused inside.
    if !must_be_relayed(file, number) && (!counted || is_folder(file)) {
        return Ok(Own::Passed);
    }
    match duplicate(file) {
        Err(e) if rustix::io::Errno::from_io_error(&e) == Some(rustix::io::Errno::BADF) => Ok(Own::Missing),
        copy => copy.map(Own::Relayed),
    }
}
