//! Names: which there are, and which one is meant.

use std::path::{Path, PathBuf};

use ringfence_linux::errno_name;
use ringfence_policy::{BUILTIN_PROFILES, Problem, Profile};

use super::{Origin, Profiles, format_of, read};

/// A profile that a name can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
    /// Its file; `None` for a built-in one.
    pub path: Option<PathBuf>,
    /// Its own description, or why it would be refused.
    pub description: Result<String, String>,
}

impl Profiles {
    /// The one file of a name that is not built in.
    pub(super) fn search(&self, name: &str) -> Result<(PathBuf, Origin), Problem> {
        check_name(name)?;
        let mut found = Vec::new();
        for (folder, origin) in self.folders() {
            for end in ["json", "toml"] {
                let path = folder.join(format!("{name}.{end}"));
                // Two of the folders may be one (the working directory may be the user's own folder).
                let known = |(other, _): &(PathBuf, Origin)| same_file(other, &path);
                if is_there(&path)? && !found.iter().any(known) {
                    found.push((path, origin));
                }
            }
        }
        match found.as_slice() {
            [_] => Ok(found.remove(0)),
            // The built-in ones and the nearest of them, in the words of the crate that knows them.
            [] => {
                Err(Profile::builtin(name).err().unwrap_or_else(|| none(name))).map_err(|problem: Problem| {
                    let remedy = problem.remedy.clone().unwrap_or_default();
                    problem.remedy(format!("{remedy}; `ringfence profile list` says which others there are"))
                })
            }
            [(first, _), (second, _), ..] => {
                let (first, second) = (first.display(), second.display());
                let message = format!("`{name}` is two profiles: `{first}` and `{second}`");
                Err(Problem::request("profile", message).remedy("name one of them as a path (-p FILE)"))
            }
        }
    }

    /// The folders that are searched, in the order in which they are shown.
    fn folders(&self) -> Vec<(PathBuf, Origin)> {
        let mut folders = vec![(self.system.clone(), Origin::System)];
        folders.extend(self.user.clone().map(|folder| (folder, Origin::User)));
        folders.push((self.directory.join("profiles"), Origin::WorkingDirectory));
        folders
    }

    /// Every profile that a name can mean, and what would be refused. A file of the working directory that is no
    /// profile is not listed: many projects have a folder of that name.
    ///
    /// # Errors
    /// A built-in profile does not load.
    pub fn list(&self) -> Result<Vec<Listed>, Problem> {
        let mut all = Vec::new();
        for (name, _) in BUILTIN_PROFILES {
            let description = Ok(Profile::builtin(name)?.description);
            all.push(Listed { name: name.to_owned(), origin: Origin::BuiltIn, path: None, description });
        }
        for (folder, origin) in self.folders() {
            let mut paths: Vec<_> = std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            paths.sort();
            let listed = paths.iter().filter_map(|path| self.listed(path, origin));
            all.extend(listed.filter(|one| origin != Origin::WorkingDirectory || is_profile(one)));
        }
        Ok(all)
    }

    fn listed(&self, path: &Path, origin: Origin) -> Option<Listed> {
        let end = path.extension()?.to_str()?;
        let name = path.file_stem()?.to_str()?;
        if !["json", "toml"].contains(&end) || check_name(name).is_err() {
            return None;
        }
        let builtin = BUILTIN_PROFILES.iter().any(|(known, _)| *known == name);
        let description = if builtin {
            Err(format!("never used: `{name}` is built in"))
        } else {
            self.search(name)
                .and_then(|_| self.find(name))
                .map(|found| found.profile.description)
                .map_err(|e| e.message)
        };
        Some(Listed { name: name.to_owned(), origin, path: Some(path.to_owned()), description })
    }
}

/// Does the file look like a profile at all?
fn is_profile(listed: &Listed) -> bool {
    let Some(path) = listed.path.as_ref().filter(|_| listed.description.is_err()) else { return true };
    read::read(read::PROFILE, path, false)
        .is_ok_and(|file| Profile::parse(&file.text, format_of(path, &file.text)).is_ok())
}

fn none(name: &str) -> Problem {
    Problem::request("profile", format!("no profile is called `{name}`"))
}

/// A name is a plain word: it cannot lead out of the folders that are searched.
fn check_name(name: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let message = format!("`{}` is not the name of a profile", name.escape_debug());
    Err(Problem::request("profile", message)
        .remedy("a name is letters, digits, `-`, `_` and `.`; a path holds a `/` or ends in .json or .toml"))
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(a).is_some_and(|a| real(b) == Some(a))
}

/// Is there anything of that name? What cannot be looked at might be another profile of the same name.
fn is_there(path: &Path) -> Result<bool, Problem> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(e) => {
            let message = format!("whether there is a profile `{}` cannot be told", path.display());
            let errno = e.raw_os_error().map_or_else(|| e.to_string(), errno_name);
            Err(Problem::request("profile", message)
                .at(path)
                .errno(errno)
                .remedy("name a profile as a path (-p FILE)"))
        }
    }
}
