//! Versions by name: from a variable, or from a file that may be a hostile repository's. Such a file chooses among
//! what is installed, by a plain name, and does nothing else.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::{Request, files};
use crate::resolve::environment::DEFAULT_PATH;

/// No version file is longer; what is longer is not read to its end.
const LONGEST: usize = 65_536;

/// The versions that were asked for, and where.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) words: Vec<String>,
    /// A file or a variable.
    pub(super) origin: String,
}

/// The start of a regular file as text. Never waits: a repository may put a FIFO in its place.
pub(super) fn text_of(path: &Path) -> Result<Option<String>, Problem> {
    Ok(files::start(path, LONGEST)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// A variable of the caller, when it is set to something.
pub(super) fn variable(name: &str, request: &Request) -> Option<String> {
    let value = request.environment.get(OsStr::new(name))?.to_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// A folder that a variable may name, else one in the home.
pub(super) fn folder(name: &str, otherwise: &str, request: &Request) -> PathBuf {
    variable(name, request).map_or_else(|| request.home.join(otherwise), PathBuf::from)
}

/// The working directory and the folders above it, nearest first.
pub(super) fn folders(request: &Request) -> impl Iterator<Item = &Path> {
    request.directory.ancestors()
}

/// The first word of every line; `#` begins a comment.
pub(super) fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Is it a name that can only mean one of the installed versions?
pub(super) fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && word.chars().all(plain)
}

/// Names of the folders in a folder, in the order of versions.
pub(super) fn installed(folder: &Path) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for name in files::names(folder)?.unwrap_or_default() {
        if files::is_folder(&folder.join(&name))? {
            names.extend(name.into_string().ok());
        }
    }
    names.sort_by(|a, b| compare(a, b));
    Ok(names)
}

/// The newest installed version that a shorter one stands for: 3.12.1 for 3.12, never 3.1.
pub(super) fn newest_of(wanted: &str, installed: &[String]) -> Option<String> {
    let of_it = |name: &&String| {
        name.strip_prefix(wanted).is_some_and(|rest| {
            rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    installed.iter().rfind(of_it).cloned()
}

/// Numbers by their value, the rest as text.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        text.split(['.', '-', '_']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    parts(a).cmp(&parts(b))
}

/// The word names no version by a plain name.
pub(super) fn not_plain(manager: &str, word: &str, origin: &str) -> Problem {
    let why = format!("{origin} asks {manager} for `{}`, which is no version's name", shown(word));
    Problem::request("toolchain", why).remedy("name an installed version, or the program by its path")
}

/// The manager has no such version.
pub(super) fn not_installed(manager: &str, word: &str, origin: &str, installed: &[String]) -> Problem {
    let has = match installed {
        [] => "none".to_owned(),
        names => names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", "),
    };
    let why = format!("{origin} asks {manager} for `{}`, which is not installed; it has {has}", shown(word));
    Problem::request("toolchain", why).remedy("install it first, or choose another")
}

/// The version is there, the program is not in it.
pub(super) fn not_in_it(manager: &str, program: &str, words: &[String], origin: &str) -> Problem {
    let words: Vec<_> = words.iter().map(|word| shown(word)).collect();
    let why = format!("{manager}'s `{program}` is not in {} ({origin})", words.join(", "));
    Problem::request("toolchain", why).remedy("choose a version that has it, or name the program by its path")
}

/// What a file says, made fit for a message.
fn shown(word: &str) -> String {
    let start: String = word.chars().take(60).collect();
    start.escape_debug().to_string()
}

/// The program of this name that PATH finds when one folder is left out.
pub(super) fn elsewhere_in_path(
    name: &OsStr,
    without: &Path,
    request: &Request,
) -> Result<Option<PathBuf>, Problem> {
    let path = request.environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), |path| path);
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute() && folder != without);
    files::first(folders.map(|folder| folder.join(name)), |program| files::is_program(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_versions() {
        for good in ["3.12.1", "temurin-17.0.9+9", "nightly-2024-01-01", "v20.11.0", "pypy3.10_x", "21-tem@1"]
        {
            assert!(is_plain(good), "{good}");
        }
        for bad in
            ["", "..", ".", ".ssh", "a/b", "/etc", "../x", "a\nb", "a b", "-x", "a:b", "~", "$HOME", "ü"]
        {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn the_newest_of_a_short_version_is_found() {
        let mut names: Vec<String> =
            ["3.9.18", "3.1.4", "3.12.1", "3.12.10", "3.12.9", "3.12-dev"].map(str::to_owned).to_vec();
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(newest_of("3.12", &names).as_deref(), Some("3.12.10"));
        assert_eq!(newest_of("3", &names).as_deref(), Some("3.12.10"));
        assert_eq!(newest_of("3.1", &names).as_deref(), Some("3.1.4"));
        assert_eq!(newest_of("3.12.1", &names), None);
        assert_eq!(newest_of("4", &names), None);
    }

    #[test]
    fn a_fifo_in_a_version_files_place_is_not_waited_for() {
        let scene = tempfile::tempdir().unwrap();
        let path = scene.path().join(".python-version");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(text_of(&path).unwrap(), None);
        assert_eq!(text_of(scene.path()).unwrap(), None);
        let plain = scene.path().join("plain");
        std::fs::write(&plain, "# x\n 3.1 y # z\n\n2\n").unwrap();
        assert_eq!(words(&text_of(&plain).unwrap().unwrap()), ["3.1", "2"]);
    }
}
