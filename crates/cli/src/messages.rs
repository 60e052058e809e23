//! Everything that is said on stderr: whole lines that begin `ringfence: `.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use ringfence::policy::Problem;
use ringfence::without_file_size_signal;

use crate::colour::{self, Style};

/// Says one line. What cannot be said is dropped: where stderr is gone, nobody is left to tell.
pub(crate) fn say(text: &str) {
    line("ringfence:", text);
}

fn line(prefix: &str, text: &str) {
    // One write, so that the program's own output cannot split the line.
    let line = format!("{prefix} {}\n", escaped(text));
    let _ = without_file_size_signal(|| std::io::stderr().lock().write_all(line.as_bytes()));
}

/// Says what is wrong: WHAT (ERRNO); REMEDY; and the line of the file that it is about.
pub(crate) fn problem(problem: &Problem) {
    let coloured = colour::wanted(std::io::stderr().is_terminal());
    line(&colour::styled("ringfence:", Style::Error, coloured), &problem.to_string());
    problem.excerpt.iter().for_each(|line| say(line));
}

/// The text without anything that could move a terminal's cursor, end the line or turn its reading order.
/// Names of files, arguments and reports come from people who may want that.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(escaped("a\nringfence: b"), r"a\nringfence: b");
        assert_eq!(escaped("\u{1b}[2J\u{7f}\u{9b}"), r"\u{1b}[2J\u{7f}\u{9b}");
        assert_eq!(escaped("a\u{202e}b"), r"a\u{202e}b");
        assert_eq!(escaped("grün `x` 'y'"), "grün `x` 'y'");
    }
}
