//! Lines of standard input, none longer than memory is meant for.

use std::io::{self, BufRead, BufReader, Read};

use ringfence::policy::Problem;

/// No line may be longer.
const LONGEST: usize = 16 << 20;

/// A line of input.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// It was skipped.
    TooLong,
    Failed(io::Error),
}

pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    ended: bool,
}

/// What is wrong with a line that is too long.
pub(super) fn too_long() -> Problem {
    Problem::request("line", "the line is longer than 16 MiB".to_owned())
        .remedy("name a file of the host with stdin_file instead of the bytes")
}

impl<R: Read> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input: BufReader::with_capacity(64 << 10, input), line: Vec::new(), ended: false }
    }

    /// The next line, without its end; `None` at the end of the input.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        if self.ended {
            return None;
        }
        // What a long line took is given back.
        if self.line.capacity() > 1 << 20 {
            self.line = Vec::new();
        }
        self.line.clear();
        let mut long = false;
        loop {
            let piece = match self.input.fill_buf() {
                Ok(piece) => piece,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.ended = true;
                    return Some(Line::Failed(e));
                }
            };
            if piece.is_empty() {
                self.ended = true;
                return (long || !self.line.is_empty()).then(|| self.finished(long));
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(piece.len());
            long |= self.line.len() + length > LONGEST;
            if !long {
                self.line.extend_from_slice(&piece[..length]);
            }
            self.input.consume(length + usize::from(end.is_some()));
            if end.is_some() {
                return Some(self.finished(long));
            }
        }
    }

    fn finished(&self, long: bool) -> Line<'_> {
        if long { Line::TooLong } else { Line::Whole(&self.line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let long = vec![b'x'; LONGEST + 1];
        let input = [b"one\n\n".as_slice(), &long, b"\ntwo\n", &long[1..], b"\nlast"].concat();
        let mut lines = Lines::of(input.as_slice());
        let mut seen = Vec::new();
        while let Some(line) = lines.next() {
            seen.push(match line {
                Line::Whole(text) => text.len(),
                Line::TooLong => usize::MAX,
                Line::Failed(e) => panic!("{e}"),
            });
        }
        assert_eq!(seen, [3, 0, usize::MAX, 3, LONGEST, 4]);
    }
}
