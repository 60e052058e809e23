//! Text without an allocator: decimal numbers, and the lines of a file in /proc.

use core::ffi::CStr;

use crate::abi;
use crate::steps::Fault;
use crate::sys::{self, Fd};

/// A number as text.
pub(crate) struct Decimal {
    digits: [u8; 21],
    first: usize,
}

impl Decimal {
    /// The decimal digits of a number.
    pub(crate) fn of(mut number: u64) -> Self {
        let mut text = Self { digits: [0; 21], first: 20 };
        loop {
            text.first -= 1;
            text.digits[text.first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return text;
            }
        }
    }

    /// The digits, terminated.
    pub(crate) fn text(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.digits[self.first..]).unwrap_or_default()
    }
}

/// The number that `text` begins with, in base 10 or 16.
pub(crate) fn number(text: &[u8], base: u32) -> Option<u64> {
    let mut value = None;
    for byte in text {
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        value = Some(value.unwrap_or(0_u64).checked_mul(u64::from(base))?.checked_add(u64::from(digit))?);
    }
    value
}

/// The words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// How much of a line is kept. What stands first in a line is what is read here; the rest may be cut.
const LINE: usize = 8192;

/// A file of /proc, line by line.
pub(crate) struct Lines {
    file: Fd,
    buffer: [u8; 4096],
    filled: usize,
    used: usize,
    line: [u8; LINE],
}

impl Lines {
    /// Opens a file.
    pub(crate) fn open(path: &CStr) -> Result<Self, Fault> {
        let file = sys::openat(Fd(abi::AT_FDCWD), path, abi::O_RDONLY | abi::O_CLOEXEC, 0)?;
        Ok(Self { file, buffer: [0; 4096], filled: 0, used: 0, line: [0; LINE] })
    }

    /// The next line, at most its first [`LINE`] bytes; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        let mut length = 0;
        loop {
            if self.used == self.filled {
                self.filled = sys::read(self.file, &mut self.buffer)?;
                self.used = 0;
                if self.filled == 0 {
                    return Ok((length > 0).then(|| &self.line[..length]));
                }
            }
            let byte = self.buffer[self.used];
            self.used += 1;
            if byte == b'\n' {
                return Ok(Some(&self.line[..length]));
            }
            if length < LINE {
                self.line[length] = byte;
                length += 1;
            }
        }
    }

    /// Closes the file.
    pub(crate) fn close(self) -> Result<(), Fault> {
        Ok(sys::close(self.file)?)
    }
}
