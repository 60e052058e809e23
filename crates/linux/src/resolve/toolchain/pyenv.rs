//! pyenv, and its relatives of the same make: `shims/NAME` stands for `versions/VERSION/bin/NAME`.

use std::ffi::OsStr;
use std::path::Path;

use ringfence_policy::Problem;

use super::version::{self, Choice};
use super::{Request, Shim, files};

/// A manager of this make.
struct Manager {
    /// The word that its shims hold.
    name: &'static str,
    variable: &'static str,
    file: &'static str,
    /// May stand before a version.
    language: &'static str,
}

const MANAGERS: [Manager; 4] = [
    Manager { name: "pyenv", variable: "PYENV_VERSION", file: ".python-version", language: "python-" },
    Manager { name: "rbenv", variable: "RBENV_VERSION", file: ".ruby-version", language: "ruby-" },
    Manager { name: "nodenv", variable: "NODENV_VERSION", file: ".node-version", language: "v" },
    Manager { name: "goenv", variable: "GOENV_VERSION", file: ".go-version", language: "go-" },
];

/// The version by variable, by the nearest file of the working directory and above, or global; several are tried
/// in order, and last what PATH finds without the shims.
pub(super) fn shim(path: &Path, _real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let Some(shims) = path.parent().filter(|dir| dir.file_name() == Some(OsStr::new("shims"))) else {
        return Ok(None);
    };
    let (Some(root), Some(name)) = (shims.parent(), path.file_name()) else { return Ok(None) };
    let versions = root.join("versions");
    if !files::is_folder(&versions)? {
        return Ok(None);
    }
    let Some(text) = version::text_of(path)? else { return Ok(None) };
    let Some(manager) = MANAGERS.iter().find(|manager| text.contains(manager.name)) else {
        return Ok(None);
    };
    let Choice { words, origin } = choice(manager, root, request)?;
    let installed = version::installed(&versions)?;
    let mut missing = None;
    for word in &words {
        if word == "system" {
            continue;
        }
        if !version::is_plain(word) {
            return Err(version::not_plain(manager.name, word, &origin));
        }
        let Some(found) = resolve(word, manager, &installed) else {
            missing = missing.or(Some(word));
            continue;
        };
        let folder = versions.join(&found);
        let program = folder.join("bin").join(name);
        if files::is_program(&program)? {
            let variables = [(manager.variable.into(), found.into())].into();
            return Ok(Some(Shim { variables, ..Shim::of_version(program, folder) }));
        }
    }
    // pyenv would go on to the system's: another program than the one that was asked for.
    if let Some(word) = missing {
        return Err(version::not_installed(manager.name, word, &origin, &installed));
    }
    let system = version::elsewhere_in_path(name, shims, request)?;
    let missing = || version::not_in_it(manager.name, &name.to_string_lossy(), &words, &origin);
    system.map(|program| Some(Shim::of(program))).ok_or_else(missing)
}

fn choice(manager: &Manager, root: &Path, request: &Request) -> Result<Choice, Problem> {
    if let Some(value) = version::variable(manager.variable, request) {
        let words = value.split(':').map(str::to_owned).collect();
        return Ok(Choice { words, origin: manager.variable.to_owned() });
    }
    let local = version::folders(request).map(|folder| folder.join(manager.file));
    for file in local.chain([root.join("version")]) {
        let words = version::text_of(&file)?.map(|text| version::words(&text)).unwrap_or_default();
        if !words.is_empty() {
            return Ok(Choice { words, origin: format!("`{}`", file.display()) });
        }
    }
    Ok(Choice { words: vec!["system".to_owned()], origin: "no version is set".to_owned() })
}

fn resolve(word: &str, manager: &Manager, installed: &[String]) -> Option<String> {
    let short = word.strip_prefix(manager.language).unwrap_or(word);
    let exact = [word, short].into_iter().find(|name| installed.iter().any(|there| there == name));
    exact.map(str::to_owned).or_else(|| version::newest_of(short, installed))
}
