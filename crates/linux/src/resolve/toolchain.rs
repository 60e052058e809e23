//! Where a program really lives: through version managers' shims, symlinks and virtual environments, to the
//! folder that it needs to run, without the folders around it that hold credentials.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Problem};

use super::{Request, Source};
use crate::layout::{Layout, Node, Rank};

/// A folder that a program needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// Shown read-only at its own place: a folder, or one file.
    pub(super) root: PathBuf,
    /// Goes first in PATH, so that the program finds its own parts first.
    pub(super) bin: Option<PathBuf>,
    /// Variables that say where it is.
    pub(super) variables: BTreeMap<OsString, OsString>,
}

/// Follows one step from what PATH names to what runs: a version manager's shim to its program. `None` when the
/// path is no shim.
pub(super) fn behind_shim(path: &Path, request: &Request) -> Option<PathBuf> {
    pyenv(path, request).or_else(|| rustup(path, request))
}

/// pyenv: `shims/NAME` stands for `versions/VERSION/bin/NAME`, the version by variable, by file, or global.
fn pyenv(path: &Path, request: &Request) -> Option<PathBuf> {
    let shims = path.parent().filter(|dir| dir.file_name() == Some(OsStr::new("shims")))?;
    let root = shims.parent()?;
    let versions = root.join("versions");
    if !versions.is_dir() || !fs::read_to_string(path).is_ok_and(|text| text.contains("pyenv")) {
        return None;
    }
    let local = request.directory.ancestors().map(|dir| dir.join(".python-version"));
    let files = local.chain([root.join("version")]).find_map(|file| fs::read_to_string(file).ok());
    let variable =
        request.environment.get(OsStr::new("PYENV_VERSION")).and_then(|v| v.to_str().map(str::to_owned));
    let wanted = variable.or(files)?;
    let name = path.file_name()?;
    wanted
        .split([':', '\n', ' '])
        .filter(|version| !version.is_empty())
        .map(|version| versions.join(version).join("bin").join(name))
        .find(|program| program.is_file())
}

/// rustup: `~/.cargo/bin/NAME` stands for `toolchains/DEFAULT/bin/NAME`. The folder of the shim holds
/// credentials and is never shown.
fn rustup(path: &Path, request: &Request) -> Option<PathBuf> {
    let variable = |name: &str| request.environment.get(OsStr::new(name)).map(PathBuf::from);
    let cargo_home = variable("CARGO_HOME").unwrap_or_else(|| request.home.join(".cargo"));
    if path.parent()? != cargo_home.join("bin") {
        return None;
    }
    let home = variable("RUSTUP_HOME").unwrap_or_else(|| request.home.join(".rustup"));
    let settings = fs::read_to_string(home.join("settings.toml")).unwrap_or_default();
    let default = settings.lines().find_map(|line| {
        line.strip_prefix("default_toolchain")?
            .trim()
            .strip_prefix('=')?
            .trim()
            .strip_prefix('"')?
            .strip_suffix('"')
    });
    let chosen = variable("RUSTUP_TOOLCHAIN").and_then(|v| v.to_str().map(str::to_owned));
    let toolchain = chosen.or_else(|| default.map(str::to_owned))?;
    let program = home.join("toolchains").join(toolchain).join("bin").join(path.file_name()?);
    program.is_file().then_some(program)
}

/// The toolchains of a program at its path (as found, perhaps a symlink) and its real path.
pub(super) fn of(path: &Path, real: &Path, request: &Request) -> Vec<Toolchain> {
    let mut found = Vec::new();
    if let Some(environment) = virtual_environment(path) {
        let variables = [("VIRTUAL_ENV".into(), environment.clone().into())].into();
        found.push(Toolchain { bin: Some(environment.join("bin")), root: environment, variables });
    }
    let prefix =
        real.parent().filter(|bin| bin.file_name() == Some(OsStr::new("bin"))).and_then(Path::parent);
    match prefix.filter(|prefix| is_a_toolchain(prefix, request)) {
        Some(prefix) => found.push(Toolchain {
            root: prefix.to_owned(),
            bin: Some(prefix.join("bin")),
            variables: BTreeMap::new(),
        }),
        None => found.push(Toolchain { root: real.to_owned(), bin: None, variables: BTreeMap::new() }),
    }
    found
}

/// The virtual environment that a program's path is in (`pyvenv.cfg`, PEP 405).
fn virtual_environment(path: &Path) -> Option<PathBuf> {
    let root = path.parent()?.parent()?;
    root.join("pyvenv.cfg").is_file().then(|| root.to_owned())
}

/// May a prefix be shown whole? Not a folder that is a person's: their home, what is above it, or the folders
/// in it that hold more than programs.
fn is_a_toolchain(prefix: &Path, request: &Request) -> bool {
    let home = fs::canonicalize(&request.home).unwrap_or_else(|_| request.home.clone());
    let personal = [".local", ".cargo", ".config", ".ssh", ".cache"].map(|name| home.join(name));
    prefix.parent().is_some() && !home.starts_with(prefix) && !personal.iter().any(|folder| folder == prefix)
}

/// Shows what is not yet to be seen, read-only.
pub(super) fn show(layout: &mut Layout, toolchains: &[Toolchain]) -> Result<(), Problem> {
    for toolchain in toolchains {
        let source = Source::at(&toolchain.root)?;
        let same = |found: crate::layout::Found| found.identity() == Some((source.device, source.inode));
        if layout.look_up(&toolchain.root).is_some_and(same) {
            continue;
        }
        super::base::make_room(layout, &toolchain.root)?;
        let node = Node::Bind { source, access: Access::Read, elsewhere: false };
        layout.put(&toolchain.root, Rank::Toolchain, node);
    }
    Ok(())
}
