//! Names that are worth a word.

use crate::inspect::{Pattern, SECRETS, TOOLS};

/// The row of [`SECRETS`] that a path is, if any. `path` begins with a slash.
pub(crate) fn secret(path: &[u8]) -> Option<usize> {
    let name = last(path);
    // What packages install for everyone is no secret for its ending alone: tests and examples are full of keys.
    let installed = path.starts_with(b"/usr/");
    let fits = |pattern: &Pattern| match pattern {
        Pattern::Path(end) => path.ends_with(end.as_bytes()),
        Pattern::Prefix(start) => !installed && name.starts_with(start.as_bytes()),
        Pattern::Suffix(end) => !installed && name.ends_with(end.as_bytes()),
    };
    let row = SECRETS.iter().position(|(pattern, _)| fits(pattern))?;
    if SECRETS[row].1.is_empty() { None } else { Some(row) }
}

/// Is it one of [`TOOLS`], with or without a version?
pub(crate) fn tool(path: &[u8]) -> bool {
    let name = last(path);
    let version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let bare = name.len() - name.iter().rev().take_while(|byte| version(byte)).count();
    TOOLS.iter().any(|tool| name == tool.as_bytes() || name.get(..bare) == Some(tool.as_bytes()))
}

/// What stands behind the last slash.
pub(crate) fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The number that a name is, if it is nothing else.
pub(crate) fn number(name: &[u8]) -> Option<usize> {
    let digits = !name.is_empty() && name.len() < 10 && name.iter().all(u8::is_ascii_digit);
    digits.then(|| name.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}
