//! What stands at a path of the host, and nothing where nothing is. What nobody knows is a problem: a version file,
//! a link or a folder's owner taken for absent would show another installation, or more of one.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use crate::look;

fn known<T>(answer: io::Result<T>, path: &Path) -> Result<Option<T>, Problem> {
    look::present(answer).map_err(|e| look::unknown(path, e))
}

/// What stands there.
pub(super) fn at(path: &Path) -> Result<Option<Metadata>, Problem> {
    known(look::at(path), path)
}

/// What it leads to.
pub(super) fn behind(path: &Path) -> Result<Option<Metadata>, Problem> {
    known(look::behind(path), path)
}

pub(super) fn is_there(path: &Path) -> Result<bool, Problem> {
    Ok(behind(path)?.is_some())
}

pub(super) fn is_file(path: &Path) -> Result<bool, Problem> {
    Ok(behind(path)?.is_some_and(|there| there.is_file()))
}

pub(super) fn is_folder(path: &Path) -> Result<bool, Problem> {
    Ok(behind(path)?.is_some_and(|there| there.is_dir()))
}

/// An executable file.
pub(super) fn is_program(path: &Path) -> Result<bool, Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(behind(path)?.is_some_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0))
}

/// Do both lead to one file?
pub(super) fn are_one(path: &Path, other: &Path) -> Result<bool, Problem> {
    let (one, other) = (behind(path)?, behind(other)?);
    Ok(one.zip(other).is_some_and(|(one, other)| look::same(&one, &other)))
}

/// The path without symlinks.
pub(super) fn real(path: &Path) -> Result<Option<PathBuf>, Problem> {
    known(look::real(path), path)
}

/// Where it points, when it is a symlink.
pub(super) fn target(path: &Path) -> Result<Option<PathBuf>, Problem> {
    match at(path)? {
        Some(there) if there.is_symlink() => known(look::target(path), path),
        _ => Ok(None),
    }
}

/// The first bytes of a regular file.
pub(super) fn start(path: &Path, most: usize) -> Result<Option<Vec<u8>>, Problem> {
    Ok(known(look::regular(path, most), path)?.flatten())
}

/// The names in what is a folder, or leads to one; `None` when it cannot be listed.
pub(super) fn names(folder: &Path) -> Result<Option<Vec<OsString>>, Problem> {
    let Some(real) = real(folder)? else { return Ok(None) };
    let entries = known(look::entries(&real), &real)?;
    Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.name).collect()))
}

/// The first of these for which it is so.
pub(super) fn first<T>(
    mut of: impl Iterator<Item = T>,
    is_so: impl Fn(&T) -> Result<bool, Problem>,
) -> Result<Option<T>, Problem> {
    of.find_map(|one| is_so(&one).map(|so| so.then_some(one)).transpose()).transpose()
}

/// The first answer that there is.
pub(super) fn first_of<T, U>(
    mut of: impl Iterator<Item = T>,
    ask: impl Fn(T) -> Result<Option<U>, Problem>,
) -> Result<Option<U>, Problem> {
    of.find_map(|one| ask(one).transpose()).transpose()
}
