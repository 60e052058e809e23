//! A file of the host: read once here, compared again inside.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::Request;
use crate::{errno, look};

/// A file or folder of the host, by what cannot be swapped: device, inode, type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, without symlinks.
    pub path: PathBuf,
    /// Device number, as stat(2) gives it.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// The type bits of its mode.
    pub kind: u32,
    /// Its owner.
    pub owner: (u32, u32),
    /// The permission bits of its mode.
    pub mode: u32,
}

impl Source {
    /// Looks at a path that has no symlinks in it.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn at(path: &Path) -> Result<Self, Problem> {
        let metadata = look::at(path).map_err(|e| {
            errno::problem("source", format!("`{}` cannot be shown", path.display()), e).at(path)
        })?;
        Ok(Self::of(path, &metadata))
    }

    /// What was seen at a path that has no symlinks in it.
    pub(crate) fn of(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            kind: metadata.mode() & libc::S_IFMT,
            owner: (metadata.uid(), metadata.gid()),
            mode: metadata.mode() & 0o7777,
        }
    }

    /// Is it a folder?
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        self.kind == libc::S_IFDIR
    }

    /// Is it a device node?
    #[must_use]
    pub const fn is_device(&self) -> bool {
        matches!(self.kind, libc::S_IFCHR | libc::S_IFBLK)
    }

    /// Is it a socket or a FIFO: a way to a process outside?
    #[must_use]
    pub const fn is_channel(&self) -> bool {
        matches!(self.kind, libc::S_IFSOCK | libc::S_IFIFO)
    }
}

/// A path as a policy writes it, made absolute: `.` is the working directory, `~/` the home, `${NAME}` a
/// variable of the caller.
pub(crate) fn expand(written: &Path, request: &Request) -> Result<PathBuf, Problem> {
    let bad = |why: &str| {
        let shown = written.to_string_lossy().escape_debug().to_string();
        Problem::request("path", format!("the path `{shown}` {why}")).at(written)
    };
    let text = written.to_str().ok_or_else(|| bad("is not UTF-8"))?;
    if text.is_empty() {
        return Err(bad("is empty"));
    }
    if text.contains(['\0', '\n']) {
        return Err(bad("holds a NUL or a newline"));
    }
    let text = expand_variables(text, request).ok_or_else(|| bad("names a variable that is not set"))?;
    let path = match text.strip_prefix('~') {
        Some("") => request.home.clone(),
        Some(rest) if rest.starts_with('/') => request.home.join(rest.trim_start_matches('/')),
        Some(_) => return Err(bad("begins with another user's home; write it out")),
        None => PathBuf::from(&text),
    };
    Ok(request.directory.join(path))
}

fn expand_variables(text: &str, request: &Request) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let end = after.find('}')?;
        let value = request.environment.get(std::ffi::OsStr::new(&after[2..end]))?;
        out.push_str(before);
        out.push_str(value.to_str()?);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Some(out)
}

/// The path without symlinks, and what stands there.
pub(crate) fn locate(written: &Path, request: &Request) -> Result<(PathBuf, Source), Problem> {
    let expanded = expand(written, request)?;
    let real = look::real(&expanded).map_err(|e| {
        let what =
            if e.kind() == std::io::ErrorKind::NotFound { "does not exist" } else { "cannot be reached" };
        errno::problem("source", format!("`{}` {what}, so it cannot be shown inside", expanded.display()), e)
            .at(&expanded)
            .remedy("make it first, or leave the flag out")
    })?;
    let source = Source::at(&real)?;
    Ok((lexical(&expanded), source))
}

/// The path without `.`, `..` and doubled slashes; links are not looked at.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            command: vec!["true".into()],
            directory: "/srv/dir".into(),
            environment: [("CACHE".into(), "/var/cache".into())].into(),
            home: "/home/alice".into(),
            passed: Vec::new(),
            hidden: Vec::new(),
            terminal: None,
            instead: None,
        }
    }

    #[test]
    fn paths_expand_as_the_contract_says() {
        for (written, path) in [
            (".", "/srv/dir"),
            ("./a/../b", "/srv/dir/b"),
            ("~", "/home/alice"),
            ("~/x", "/home/alice/x"),
            ("/abs", "/abs"),
            ("${CACHE}/y", "/var/cache/y"),
        ] {
            assert_eq!(
                lexical(&expand(Path::new(written), &request()).unwrap()),
                Path::new(path),
                "{written}"
            );
        }
        for bad in ["", "~bob/x", "${NOPE}/x", "a\nb", "${CACHE"] {
            assert!(expand(Path::new(bad), &request()).is_err(), "{bad}");
        }
    }
}
