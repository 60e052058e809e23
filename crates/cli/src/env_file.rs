//! `--env-file`: NAME=VALUE lines, taken literally to the end of the line, quotes and all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ringfence::policy::Problem;

use crate::errno;

/// More than a program's arguments and environment can hold together (`execve(2)`), so that `/dev/zero` ends.
const LARGEST: u64 = 8 << 20;

/// One variable, and where it was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) value: String,
    /// `FILE:LINE`
    pub(crate) place: String,
}

/// The variables of a file.
///
/// # Errors
/// The file cannot be read, or a line is no variable; the error names file and line, and never a value.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Problem> {
    let wrong = |message: String| Problem::request("env-file", message).at(path);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|e| {
        let what = format!("cannot read the file `{}` of --env-file", path.display());
        errno::problem("env-file", &what, &e).at(path).remedy("name a file that you can read")
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("the file `{}` of --env-file is larger than 8 MiB", path.display())));
    }
    let mut variables = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = format!("{}:{}", path.display(), index + 1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let variable = variable(line).map_err(|why| {
            wrong(format!("{place}: {why}")).remedy("a line is NAME=VALUE, empty, or begins with `#`")
        })?;
        variables.extend(variable.map(|(name, value)| Line { name, value, place }));
    }
    Ok(variables)
}

/// The variable of one line; `None` for a blank line or a comment.
fn variable(line: &[u8]) -> Result<Option<(String, String)>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    let text = text.trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = text.split_once('=').ok_or("the line has no `=`")?;
    if name.is_empty() {
        return Err("the variable has no name".to_owned());
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("the name `{}` holds a space or a control character", name.escape_default()));
    }
    if value.contains('\0') {
        return Err(format!("the value of `{name}` holds a NUL"));
    }
    Ok(Some((name.to_owned(), value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        std::fs::write(&path, text).unwrap();
        let lines = read(&path).map_err(|problem| problem.to_string())?;
        Ok(lines.into_iter().map(|line| (line.name, line.value)).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_literal() {
        let text = b"# a comment\n\n  \nA=1\n  B = 2\n".as_slice();
        assert!(read_text(text).unwrap_err().contains("holds a space"), "a name with a space is a mistake");
        let text = b"# c\n\n \t\nA=1\nB=\"x y\" # z\nC=a=b\nD=\nE=e\r\n F=f \nG=g";
        let expected =
            [("A", "1"), ("B", "\"x y\" # z"), ("C", "a=b"), ("D", ""), ("E", "e"), ("F", "f "), ("G", "g")];
        assert_eq!(read_text(text).unwrap(), pairs(&expected));
    }

    #[test]
    fn a_bad_line_is_named_and_no_value_is_shown() {
        for (text, part) in [
            (&b"A=1\nB\n"[..], "e:2: the line has no `=`"),
            (b"=secret", "e:1: the variable has no name"),
            (b"export A=secret", "e:1: the name `export A` holds a space"),
            (b"#\n\nA=secret\xff", "e:3: the line is not UTF-8"),
            (b"A=secret\0", "e:1: the value of `A` holds a NUL"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
            assert!(error.contains("a line is NAME=VALUE"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
    }
}
