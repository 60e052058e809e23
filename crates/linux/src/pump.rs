//! Moving bytes between a stream of the program and the caller, a bounded piece at a time.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::Errno;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};

use crate::meter::Meter;
use crate::relay::timespec;

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
    /// The program's stream: 0, 1 or 2; 3 for what its terminal says when neither of its outputs is there.
    stream: usize,
    /// Its end at the program is the master of the sandbox's terminal.
    terminal: bool,
    /// It carries what is typed, and somebody else has the keyboard now.
    paused: bool,
    /// It carries what is typed by hand: not to be read is no end.
    by_hand: bool,
    /// The last byte that was read ended a line, or nothing was read.
    ended_a_line: bool,
    /// After the program: what can be read without waiting is all.
    draining: bool,
}

impl Pump {
    fn new(stream: usize, source: Option<OwnedFd>, sink: Option<Sink>, held: Vec<u8>) -> Self {
        let piece = match &sink {
            Some(Sink::File(file)) if may_block(file.as_fd()) => PIECE,
            _ => HELD,
        };
        Self {
            source,
            sink,
            held,
            gone: 0,
            piece,
            left: None,
            total: 0,
            dropped: 0,
            stream,
            terminal: false,
            paused: false,
            by_hand: false,
            ended_a_line: true,
            draining: false,
        }
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

    /// Carries what the program writes to its terminal, whose master never waits.
    pub(crate) fn from_terminal(stream: usize, master: OwnedFd, sink: Sink) -> Self {
        Self { terminal: true, ..Self::new(stream, Some(master), Some(sink), Vec::new()) }
    }

    /// Carries what is typed by hand, once it may: [`pause`](Self::pause).
    pub(crate) fn from_keyboard(keyboard: OwnedFd, master: OwnedFd) -> Self {
        let pump = Self::new(0, Some(keyboard), Some(Sink::File(master)), Vec::new());
        Self { terminal: true, by_hand: true, paused: true, ..pump }
    }

    /// Types what a file holds, and says its end.
    pub(crate) fn typed(source: OwnedFd, master: OwnedFd) -> Self {
        Self { terminal: true, ..Self::new(0, Some(source), Some(Sink::File(master)), Vec::new()) }
    }

    /// Types these bytes, and says their end.
    pub(crate) fn typed_bytes(mut bytes: Vec<u8>, master: OwnedFd) -> Self {
        let ends_a_line = bytes.last().is_none_or(|last| *last == b'\n');
        bytes.extend(end_of_input(master.as_fd(), ends_a_line));
        let sink = (!bytes.is_empty()).then_some(Sink::File(master));
        Self { terminal: true, ..Self::new(0, None, sink, bytes) }
    }

    /// Whoever has the keyboard: while it is paused nothing is read.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused && self.by_hand;
    }

    /// Takes what was typed before the terminal was switched to raw mode: there the end of the input, which is no byte
    /// by then, would be read as a zero (termios(3), ICANON).
    pub(crate) fn take_typed_ahead(&mut self) {
        let (Some(source), Some(Sink::File(master)), true) = (&self.source, &self.sink, self.by_hand) else {
            return;
        };
        while self.held.len() < PIECE && is_ready(source.as_fd(), PollFlags::IN) {
            self.held.reserve(PIECE);
            match rustix::io::read(source, spare_capacity(&mut self.held)) {
                Ok(0) => self.held.extend(end_of_input(master.as_fd(), true)),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// Carries on, for so long, until the program's terminal has nothing more to say at the moment.
    pub(crate) fn flush(&mut self, time: Duration, meter: &mut Meter) {
        let end = Instant::now() + time;
        while self.terminal && self.stream != 0 && Instant::now() < end {
            let wait = if self.held.is_empty() {
                Duration::ZERO
            } else {
                end.saturating_duration_since(Instant::now())
            };
            let Some(interest) = self.interest() else { return };
            match poll(&mut [interest], Some(&timespec(wait))) {
                Ok(ready) if ready > 0 => self.turn(meter),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
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
            (Some(source), Some(_)) if !self.paused => {
                Some(PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN))
            }
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
                self.ended_a_line = self.held.last() == Some(&b'\n');
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
            // It was taken away between poll and read: whether it comes back, its owner says.
            Err(Errno::IO) if self.by_hand => self.paused = true,
            // The end, or a terminal that is gone (EIO): there is no more.
            Ok(_) | Err(_) => self.source_ended(),
        }
        let source = self.source.as_ref().filter(|_| self.draining);
        if source.is_some_and(|source| !is_ready(source.as_fd(), PollFlags::IN)) {
            self.source = None;
        }
    }

    fn source_ended(&mut self) {
        self.source = None;
        if let (0, true, Some(Sink::File(master))) = (self.stream, self.terminal, &self.sink) {
            self.held = end_of_input(master.as_fd(), self.ended_a_line).collect();
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
        if self.piece == PIECE && !is_ready(sink.as_fd(), PollFlags::OUT) {
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
        if self.terminal {
            // A count would miss what the kernel still has on its way. A terminal that nobody inside has open says its
            // end after the last byte.
            self.draining = true;
            if !is_ready(source.as_fd(), PollFlags::IN) {
                self.source = None;
            }
            return;
        }
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

/// The end of the input as a person types it (termios(3)): in the middle of a line the first one only sends the line.
fn end_of_input(master: BorrowedFd<'_>, ended_a_line: bool) -> impl Iterator<Item = u8> {
    let settings =
        tcgetattr(master).ok().filter(|settings| settings.local_modes.contains(LocalModes::ICANON));
    let key = settings.map(|settings| settings.special_codes[SpecialCodeIndex::VEOF]);
    key.into_iter().flat_map(move |key| std::iter::repeat_n(key, if ended_a_line { 1 } else { 2 }))
}

fn is_ready(file: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let mut file = [PollFd::from_borrowed_fd(file, flags)];
    poll(&mut file, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// A descriptor of a caller's pipe or terminal that never waits, where the kernel gives one. The open file is a
/// new one: whoever shares the caller's does not see the difference.
pub fn without_waiting(file: OwnedFd) -> OwnedFd {
    let pipe = fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if !pipe && !crate::resolve::is_terminal(&file) {
        return file;
    }
    opened_again(file.as_fd(), OFlags::WRONLY | OFlags::NONBLOCK).unwrap_or(file)
}

/// A new open file of what a descriptor is open on, where its permissions allow that.
pub(crate) fn opened_again(file: BorrowedFd<'_>, flags: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let again = open(path, flags | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    crate::image::above_streams(again).ok()
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
