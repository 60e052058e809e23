//! Colour, sparingly: the `ringfence:` before an error, and the headings of tables. Where a terminal shows it, unless
//! NO_COLOR says otherwise; FORCE_COLOR asks for it elsewhere too.

use std::borrow::Cow;
use std::ffi::OsStr;

/// What is told apart.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Error,
    Heading,
}

/// Does a stream that is, or is not, a terminal get colour?
pub(crate) fn wanted(is_terminal: bool) -> bool {
    let variable = |name| std::env::var_os(name);
    decide(
        variable("NO_COLOR").as_deref(),
        variable("FORCE_COLOR").as_deref(),
        variable("TERM").as_deref(),
        is_terminal,
    )
}

/// An empty variable says nothing (no-color.org, force-color.org); NO_COLOR is the stronger.
fn decide(no: Option<&OsStr>, force: Option<&OsStr>, term: Option<&OsStr>, is_terminal: bool) -> bool {
    let said = |word: Option<&OsStr>| word.is_some_and(|word| !word.is_empty());
    match force {
        _ if said(no) => false,
        Some(word) if said(force) => word != "0" && word != "false",
        _ => is_terminal && term.is_some_and(|term| !term.is_empty() && term != "dumb"),
    }
}

/// The text in a style (ECMA-48, SGR), where that is wanted.
pub(crate) fn styled(text: &str, style: Style, wanted: bool) -> Cow<'_, str> {
    let number = match style {
        _ if !wanted => return Cow::Borrowed(text),
        Style::Error => "1;31",
        Style::Heading => "1",
    };
    Cow::Owned(format!("\u{1b}[{number}m{text}\u{1b}[0m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colour_unless_somebody_says_otherwise() {
        let decide = |no: Option<&str>, force: Option<&str>, term: Option<&str>, is_terminal| {
            super::decide(no.map(OsStr::new), force.map(OsStr::new), term.map(OsStr::new), is_terminal)
        };
        let term = Some("xterm");
        assert!(decide(None, None, term, true) && decide(Some(""), Some(""), term, true));
        assert!(!decide(None, None, term, false) && !decide(None, None, Some("dumb"), true));
        assert!(!decide(None, None, None, true) && !decide(Some("1"), None, term, true));
        assert!(decide(None, Some("1"), None, false) && decide(None, Some("3"), Some("dumb"), false));
        assert!(!decide(None, Some("0"), term, true) && !decide(None, Some("false"), term, true));
        assert!(!decide(Some("1"), Some("1"), term, true), "NO_COLOR is the stronger");
    }

    #[test]
    fn a_style_ends_where_its_text_does() {
        assert_eq!(styled("a", Style::Heading, true), "\u{1b}[1ma\u{1b}[0m");
        assert_eq!(styled("a", Style::Error, false), "a");
    }
}
