//! Moving bytes between a stream of the program and the caller, a bounded piece at a time.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// How much is held between a reader and a writer.
const HELD: usize = 64 * 1024;
/// How much is written at once to a file that may block: what a pipe takes without waiting when poll says that
/// it is writable (pipe(7)).
const PIECE: usize = 4096;

/// Where bytes go.
#[derive(Debug)]
pub enum Sink {
    /// Into a file: the caller's terminal, or the program's standard input.
    File(OwnedFd),
    /// Into memory, for the caller.
    Memory(Vec<u8>),
}

/// A one-way connection.
#[derive(Debug)]
pub struct Pump {
    source: Option<OwnedFd>,
    sink: Option<Sink>,
    held: Vec<u8>,
    total: u64,
    /// The program's stream: 0, 1 or 2.
    stream: usize,
}

impl Pump {
    /// Carries what the program writes to its stream 1 or 2.
    #[must_use]
    pub fn from_program(stream: usize, source: OwnedFd, sink: Sink) -> Self {
        Self { source: Some(source), sink: Some(sink), held: Vec::new(), total: 0, stream }
    }

    /// Carries what the program reads.
    #[must_use]
    pub fn to_program(source: OwnedFd, sink: OwnedFd) -> Self {
        let sink = Some(Sink::File(sink));
        Self { source: Some(source), sink, held: Vec::new(), total: 0, stream: 0 }
    }

    /// How many bytes have arrived.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
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
    pub(crate) fn turn(&mut self) {
        if self.held.is_empty() {
            self.fill()
        } else {
            self.drain()
        }
        if self.source.is_none() && self.held.is_empty() && matches!(self.sink, Some(Sink::File(_))) {
            // The end of the input is the end of the program's input.
            self.sink = None;
        }
    }

    fn fill(&mut self) {
        let Some(source) = &self.source else { return };
        let mut buffer = vec![0; HELD];
        match rustix::io::read(source, &mut buffer) {
            Ok(length) if length > 0 => {
                self.total += length as u64;
                buffer.truncate(length);
                match &mut self.sink {
                    Some(Sink::Memory(bytes)) => bytes.append(&mut buffer),
                    Some(Sink::File(_)) => self.held = buffer,
                    None => {}
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The end, or a terminal that is gone (EIO): there is no more.
            Ok(_) | Err(_) => self.source = None,
        }
    }

    fn drain(&mut self) {
        let Some(Sink::File(sink)) = &self.sink else { return };
        let piece = &self.held[..self.held.len().min(PIECE)];
        match rustix::io::write(sink, piece) {
            Ok(length) => drop(self.held.drain(..length)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => {
                // Nobody reads any more. The program's own next write says so to it.
                self.held.clear();
                (self.source, self.sink) = (None, None);
            }
        }
    }

    /// After the program: reads what is left. Not to the end, which need not come: the program may have handed its
    /// stream to somebody else.
    pub(crate) fn finish(&mut self) {
        while self.stream != 0 && self.sink.is_some() && (self.has_more() || !self.held.is_empty()) {
            self.turn();
        }
        (self.source, self.held) = (None, Vec::new());
    }

    /// Is there something to read now?
    fn has_more(&self) -> bool {
        let Some(source) = &self.source else { return false };
        let mut file = [PollFd::new(source, PollFlags::IN)];
        let now = rustix::event::Timespec::default();
        // At the end of a pipe poll says so (POLLHUP), and the next read ends the pump.
        rustix::event::poll(&mut file, Some(&now)).is_ok_and(|ready| ready > 0)
    }
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
pub fn duplicate(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 3)?)
}
