//! The prober's mouth, and the one way in which it calls the kernel.

use core::ffi::CStr;

use crate::abi::{self, nr};
use crate::inspect::{CALLS, Head, Kind, LONGEST_TEXT, NOT_TRIED, Section};
use crate::sys::{self, Errno, Fd};

/// What a call answered: every error is a finding.
pub(crate) type Answer = Result<usize, i32>;

const WORDS: usize = CALLS / 64;

/// The prober: where it tells, and which calls it must not or did already make.
pub(crate) struct Prober {
    out: Fd,
    buffer: [u8; 4096],
    used: usize,
    /// How many forks below the first process.
    depth: u64,
    /// The call that was announced last. A filter may look at arguments: what passed once may yet end this process.
    last: usize,
    /// Each change of call is announced; where there are millions of them, only the first of each.
    pub(crate) careful: bool,
    avoid: [u64; WORDS],
    tried: [u64; WORDS],
}

impl Prober {
    pub(crate) const fn new(out: Fd, avoid: [u64; WORDS]) -> Self {
        Self {
            out,
            buffer: [0; 4096],
            used: 0,
            depth: 0,
            last: CALLS,
            careful: true,
            avoid,
            tried: [0; WORDS],
        }
    }

    /// The number that it tells on.
    pub(crate) const fn telling(&self) -> usize {
        self.out.0 as usize
    }

    /// Is this not the first process?
    pub(crate) const fn is_forked(&self) -> bool {
        self.depth > 0
    }

    /// Must this call not be made?
    pub(crate) fn avoids(&self, number: usize) -> bool {
        self.avoid.get(number / 64).is_none_or(|word| word >> (number % 64) & 1 == 1)
    }

    /// Says a record: whole, because several processes write into one pipe.
    pub(crate) fn say(&mut self, head: Head, text: &[&[u8]]) {
        let length = text.iter().map(|part| part.len()).sum::<usize>();
        if length > LONGEST_TEXT {
            return;
        }
        if self.buffer.len() - self.used < Head::SIZE + length {
            self.flush();
        }
        self.put(&Head { length: length as u32, ..head }.to_bytes());
        for part in text {
            self.put(part);
        }
    }

    /// Says what something named was answered.
    pub(crate) fn said(&mut self, name: &str, answer: Answer) {
        let errno = answer.err().unwrap_or(0);
        let numbers = [answer.unwrap_or(0) as u64, 0, 0];
        self.say(Head { kind: Kind::Try as u32, errno, numbers, ..Head::default() }, &[name.as_bytes()]);
    }

    pub(crate) fn mark(&mut self, kind: Kind, numbers: [u64; 3]) {
        self.say(Head { kind: kind as u32, numbers, ..Head::default() }, &[]);
        self.flush();
    }

    pub(crate) fn begin(&mut self, section: Section) {
        self.mark(Kind::Begin, [section as u64, 0, 0]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// Writes what was said. Whoever cannot write is of no use.
    pub(crate) fn flush(&mut self) {
        let mut done = 0;
        while done < self.used {
            match sys::write(self.out, &self.buffer[done..self.used]) {
                Ok(written) if written > 0 => done += written,
                Err(Errno(abi::EINTR)) => {}
                Ok(_) | Err(_) => sys::exit(1),
            }
        }
        self.used = 0;
    }

    /// Makes a call, unless it ended an earlier prober. It is said before: it may end this one.
    ///
    /// # Safety
    /// As [`sys::any`].
    pub(crate) unsafe fn call(&mut self, number: usize, arguments: [usize; 6]) -> Answer {
        if self.avoids(number) {
            return Err(NOT_TRIED);
        }
        let (word, bit) = (number / 64, 1 << (number % 64));
        if self.tried[word] & bit == 0 || self.careful && self.last != number {
            self.tried[word] |= bit;
            self.last = number;
            self.mark(Kind::Trying, [number as u64, self.depth, 0]);
        }
        // SAFETY: the caller vouches for the arguments.
        unsafe { sys::any(number, arguments) }.map_err(|Errno(errno)| errno)
    }

    /// A call whose arguments are numbers only.
    pub(crate) fn plain(&mut self, number: usize, arguments: [usize; 6]) -> Answer {
        // SAFETY: used only with calls whose arguments, as given, are no addresses, or addresses that are null.
        unsafe { self.call(number, arguments) }
    }

    pub(crate) fn open(&mut self, at: Fd, path: &CStr, flags: u64) -> Result<Fd, i32> {
        let flags = (flags | abi::O_CLOEXEC | abi::O_NONBLOCK | abi::O_NOCTTY) as usize;
        // SAFETY: `path` is terminated.
        unsafe { self.call(nr::SYS_openat, [at.0 as usize, path.as_ptr() as usize, flags, 0o600, 0, 0]) }
            .map(|file| Fd(file as i32))
    }

    pub(crate) fn close(&mut self, file: Fd) {
        let _it_was_open = self.plain(nr::SYS_close, [file.0 as usize, 0, 0, 0, 0, 0]);
    }

    pub(crate) fn read(&mut self, file: Fd, buffer: &mut [u8]) -> Answer {
        let (address, length) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the buffer is ours for its whole length.
        unsafe { self.call(nr::SYS_read, [file.0 as usize, address, length, 0, 0, 0]) }
    }

    /// clone(2) as fork: `Ok(0)` in the child. Refused where nobody could wait for it.
    pub(crate) fn fork(&mut self) -> Answer {
        if self.avoids(nr::SYS_wait4) {
            return Err(NOT_TRIED);
        }
        // Or the child would say it again.
        self.flush();
        let answer = self.plain(nr::SYS_clone, [abi::SIGCHLD as usize, 0, 0, 0, 0, 0]);
        self.depth += u64::from(answer == Ok(0));
        answer
    }

    /// wait4(2): how a child ended.
    pub(crate) fn wait(&mut self, child: usize) -> Result<i32, i32> {
        let mut status = 0_i32;
        loop {
            // SAFETY: room for one status; no usage is asked for.
            let answer = unsafe { self.call(nr::SYS_wait4, [child, (&raw mut status) as usize, 0, 0, 0, 0]) };
            match answer {
                Ok(_) => return Ok(status),
                Err(abi::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
