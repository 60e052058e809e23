//! Moving bytes between a stream of the program and the caller, a bounded piece at a time.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::Errno;

use crate::meter::Meter;

/// How much is held between a reader and a writer.
const HELD: usize = 64 * 1024;
/// How much is written at once to a file that may block: what a pipe takes without waiting when poll says that
/// it is writable (pipe(7)).
const PIECE: usize = 4096;

/// Takes bytes as they come.
pub type Take = Box<dyn FnMut(&[u8]) + Send>;

/// Where bytes go.
pub enum Sink {
    /// Into a file: the caller's terminal, or the program's standard input.
    File(OwnedFd),
    /// Into memory, for the caller.
    Memory(Vec<u8>),
    /// To a function of the caller, as they come.
    Each(Take),
    /// Nowhere: they are counted.
    Nowhere,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Memory(bytes) => f.debug_tuple("Memory").field(&bytes.len()).finish(),
            Self::Each(_) => f.write_str("Each"),
            Self::Nowhere => f.write_str("Nowhere"),
        }
    }
}

/// A one-way connection.
#[derive(Debug)]
pub struct Pump {
    source: Option<OwnedFd>,
    sink: Option<Sink>,
    held: Vec<u8>,
    /// How much of what is held has gone on.
    gone: usize,
    /// How much is written at once.
    piece: usize,
    /// How much may still be read, once the program has ended.
    left: Option<u64>,
    total: u64,
    dropped: u64,
    /// The program's stream: 0, 1 or 2.
    stream: usize,
}

impl Pump {
    fn new(stream: usize, source: Option<OwnedFd>, sink: Option<Sink>, held: Vec<u8>) -> Self {
        let piece = match &sink {
            Some(Sink::File(file)) if may_block(file.as_fd()) => PIECE,
            _ => HELD,
        };
        Self { source, sink, held, gone: 0, piece, left: None, total: 0, dropped: 0, stream }
    }

    /// Carries what the program writes to its stream 1 or 2.
    #[must_use]
    pub fn from_program(stream: usize, source: OwnedFd, sink: Sink) -> Self {
        Self::new(stream, Some(source), Some(sink), Vec::new())
    }

    /// Carries what the program reads.
    #[must_use]
    pub fn to_program(source: OwnedFd, sink: OwnedFd) -> Self {
        // Ours alone: nobody else sees that it does not block.
        let _else_smaller_pieces = fcntl_setfl(&sink, OFlags::WRONLY | OFlags::NONBLOCK);
        Self::new(0, Some(source), Some(Sink::File(sink)), Vec::new())
    }

    /// Gives the program these bytes to read, and then their end.
    #[must_use]
    pub fn bytes_to_program(bytes: Vec<u8>, sink: OwnedFd) -> Self {
        let _else_smaller_pieces = fcntl_setfl(&sink, OFlags::WRONLY | OFlags::NONBLOCK);
        let sink = (!bytes.is_empty()).then_some(Sink::File(sink));
        Self::new(0, None, sink, bytes)
    }

    /// How many bytes have arrived.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many of them were more than may be printed, and went nowhere.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What arrived in memory.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        match self.sink {
            Some(Sink::Memory(bytes)) => bytes,
            _ => Vec::new(),
        }
    }

    /// The program's stream that it carries: 0, 1 or 2.
    #[must_use]
    pub const fn stream(&self) -> usize {
        self.stream
    }

    /// What to wait for, if anything.
    pub(crate) fn interest(&self) -> Option<PollFd<'_>> {
        match (&self.source, &self.sink) {
            (_, Some(Sink::File(sink))) if !self.held.is_empty() => {
                Some(PollFd::from_borrowed_fd(sink.as_fd(), PollFlags::OUT))
            }
            (Some(source), Some(_)) => Some(PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    /// Does what is possible now.
    pub(crate) fn turn(&mut self, meter: &mut Meter) {
        if self.held.is_empty() {
            self.fill(meter);
        } else {
            self.drain();
        }
        if self.source.is_none() && self.held.is_empty() && matches!(self.sink, Some(Sink::File(_))) {
            // The end of the input is the end of the program's input.
            self.sink = None;
        }
    }

    fn fill(&mut self, meter: &mut Meter) {
        let Some(source) = &self.source else { return };
        self.held.reserve(HELD);
        match rustix::io::read(source, spare_capacity(&mut self.held)) {
            Ok(length) if length > 0 => {
                self.total += length as u64;
                if self.stream != 0 {
                    self.held.truncate(meter.pass(length));
                    self.dropped += (length - self.held.len()) as u64;
                }
                match &mut self.sink {
                    Some(Sink::File(_)) => {}
                    Some(Sink::Memory(bytes)) => bytes.append(&mut self.held),
                    Some(Sink::Each(take)) => {
                        take(&self.held);
                        self.held.clear();
                    }
                    Some(Sink::Nowhere) | None => self.held.clear(),
                }
                self.count_down(length as u64);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The end, or a terminal that is gone (EIO): there is no more.
            Ok(_) | Err(_) => self.source = None,
        }
    }

    fn count_down(&mut self, read: u64) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(read);
            if *left == 0 {
                self.source = None;
            }
        }
    }

    fn drain(&mut self) {
        let Some(Sink::File(sink)) = &self.sink else { return };
        // Another stream, or another process, may have filled the pipe since poll said that there was room.
        if self.piece == PIECE && !has_room(sink.as_fd()) {
            return;
        }
        let rest = &self.held[self.gone..];
        // A long input in memory is written as much at once as the pipe takes.
        match rustix::io::write(sink, &rest[..rest.len().min(self.piece)]) {
            Ok(length) => {
                self.gone += length;
                if self.gone == self.held.len() {
                    (self.held, self.gone) = (Vec::new(), 0);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => {
                // Nobody reads any more. The program's own next write says so to it.
                (self.held, self.gone) = (Vec::new(), 0);
                (self.source, self.sink) = (None, None);
            }
        }
    }

    /// After the program: what its pipe holds now is the last. Not to its end, which need not come: the program
    /// may have handed its stream to somebody else.
    pub(crate) fn last_call(&mut self) {
        if self.stream == 0 {
            self.close();
        }
        let Some(source) = &self.source else { return };
        let left = rustix::io::ioctl_fionread(source).unwrap_or(0);
        self.left = Some(left);
        if left == 0 {
            self.source = None;
        }
    }

    /// Nothing more is carried. What memory holds stays.
    pub(crate) fn close(&mut self) {
        (self.source, self.held, self.gone) = (None, Vec::new(), 0);
        if matches!(self.sink, Some(Sink::File(_) | Sink::Each(_))) {
            self.sink = None;
        }
    }
}

/// Could a write of much to it wait? To a file on a disk, or one that says that it does not block, it cannot.
fn may_block(file: BorrowedFd<'_>) -> bool {
    let regular =
        fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    !regular && !fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

fn has_room(file: BorrowedFd<'_>) -> bool {
    let mut file = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
    poll(&mut file, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// A descriptor of a caller's pipe or terminal that never waits, where the kernel gives one. The open file is a
/// new one: whoever shares the caller's does not see the difference.
pub fn without_waiting(file: OwnedFd) -> OwnedFd {
    let pipe = fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if !pipe && !crate::resolve::is_terminal(&file) {
        return file;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let again = open(path, flags, Mode::empty());
    again.ok().and_then(|again| crate::image::above_streams(again).ok()).unwrap_or(file)
}

/// A pipe, close-on-exec.
///
/// # Errors
/// No descriptors are left.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// A second descriptor of the same open file.
///
/// # Errors
/// No descriptors are left, or the file is closed.
pub fn duplicate(file: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 3)?)
}
