//! The little languages inside flags: `SRC:DST[:ro|:rw]`, `DST[:SIZE]`, `NAME[=VALUE]`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Access, Size};

/// `SRC:DST[:ro|:rw]`; a colon inside a path is written `\:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindSpec {
    /// The host's path, as written.
    pub source: PathBuf,
    /// The absolute path inside.
    pub destination: PathBuf,
    /// Read-write unless `:ro` is said.
    pub access: Access,
}

impl FromStr for BindSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = split_colons(text);
        let (source, destination, access) = match parts.as_slice() {
            [s, d] => (s, d, Access::Write),
            [s, d, mode] if mode == "ro" => (s, d, Access::Read),
            [s, d, mode] if mode == "rw" => (s, d, Access::Write),
            [_, _, mode] => return Err(format!("`{mode}` in `{text}` is neither `ro` nor `rw`")),
            _ => {
                return Err(format!(
                    "`{text}` is not SRC:DST, SRC:DST:ro or SRC:DST:rw (a colon in a path is `\\:`)"
                ));
            }
        };
        let source = plain_path(source)?;
        Ok(Self { source, destination: absolute(destination)?, access })
    }
}

/// `DST[:SIZE]`: an empty writable folder in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmpfsSpec {
    /// The absolute path inside.
    pub path: PathBuf,
    /// Its size; the policy's `limits.tmp` when not given.
    pub size: Option<Size>,
}

impl FromStr for TmpfsSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match split_colons(text).as_slice() {
            [path] => Ok(Self { path: absolute(path)?, size: None }),
            [path, size] => Ok(Self { path: absolute(path)?, size: Some(size.parse()?) }),
            _ => Err(format!("`{text}` is not DST or DST:SIZE (a colon in a path is `\\:`)")),
        }
    }
}

/// `NAME` (passed from the caller) or `NAME=VALUE` (set).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Never empty, never with `=` or NUL.
    pub name: OsString,
    /// `None`: passed from the caller's environment.
    pub value: Option<OsString>,
}

impl Variable {
    /// Reads one variable as `--env` takes it.
    ///
    /// # Errors
    /// The name is empty, or name or value hold a NUL; a newline is allowed in a value only.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_encoded_bytes();
        let shown = text.to_string_lossy();
        let at = bytes.iter().position(|b| *b == b'=');
        let name = &bytes[..at.unwrap_or(bytes.len())];
        if name.is_empty() {
            return Err(format!("`{shown}` has no name; write NAME or NAME=VALUE"));
        }
        if bytes.contains(&0) {
            return Err(format!("`{}` holds a NUL byte", shown.escape_default()));
        }
        if name.contains(&b'\n') {
            return Err(format!("the name in `{}` holds a newline", shown.escape_default()));
        }
        let text = |b: &[u8]| -> Result<OsString, String> {
            String::from_utf8(b.to_vec()).map(OsString::from).map_err(|_| format!("`{shown}` is not UTF-8"))
        };
        Ok(Self { name: text(name)?, value: at.map(|at| text(&bytes[at + 1..])).transpose()? })
    }
}

/// Splits at colons that no backslash precedes, and takes those backslashes away.
fn split_colons(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&':') => {
                chars.next();
                push(&mut parts, ':');
            }
            ':' => parts.push(String::new()),
            other => push(&mut parts, other),
        }
    }
    parts
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

pub(crate) fn plain_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("a path is empty".into());
    }
    if text.contains(['\0', '\n']) {
        return Err(format!("the path `{}` holds a NUL or a newline", text.escape_default()));
    }
    Ok(PathBuf::from(text))
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(crate) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = plain_path(text)?;
    if !path.is_absolute() {
        return Err(format!("the path inside, `{text}`, is relative; it must be absolute (like /work)"));
    }
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                return Err(format!("the path inside, `{text}`, holds `..`; write the path that it means"));
            }
            _ => {}
        }
    }
    Ok(clean)
}

/// The name of a program, as `PATH` looks it up.
pub(crate) fn command_name(name: &str) -> Result<(), String> {
    if name.is_empty()
        || name == "."
        || name == ".."
        || name.contains('/')
        || name.chars().any(char::is_control)
    {
        let shown = name.escape_debug();
        return Err(format!("the command `{shown}` is no plain name; write it as PATH finds it (like ls)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_writable_unless_ro() {
        let bind: BindSpec = "src:/dst".parse().unwrap();
        assert_eq!((bind.source.as_os_str(), bind.access), (OsStr::new("src"), Access::Write));
        assert_eq!("a:/b:ro".parse::<BindSpec>().unwrap().access, Access::Read);
        let bind: BindSpec = r"a\:b:/c\:d//e/./f:rw".parse().unwrap();
        assert_eq!(bind.source, PathBuf::from("a:b"));
        assert_eq!(bind.destination, PathBuf::from("/c:d/e/f"));
    }

    #[test]
    fn bad_binds_say_what_is_wrong() {
        for (text, part) in [
            ("a", "is not SRC:DST"),
            ("a:b", "relative"),
            ("a:/b:rx", "neither"),
            (":/b", "empty"),
            ("a:/b/../c", ".."),
            ("a:/b\nc", "newline"),
            ("a:/b:ro:x", "is not SRC:DST"),
        ] {
            let error = text.parse::<BindSpec>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_variable_is_passed_or_set() {
        let parse = |t: &str| Variable::parse(OsStr::new(t));
        assert_eq!(parse("A").unwrap().value, None);
        assert_eq!(parse("A=").unwrap().value, Some(OsString::new()));
        assert_eq!(parse("A=b=c\nd").unwrap().value, Some(OsString::from("b=c\nd")));
        for bad in ["", "=x", "A\nB=c", "A=\0"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
