//! Where a program really lives: through version managers' shims, symlinks and virtual environments, to the
//! folder that it needs to run, without the folders around it that hold credentials.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Problem};

use super::{Request, Source};
use crate::layout::{Layout, Node, Rank};
use crate::look;

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

/// Whose word led to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The caller's PATH holds it.
    InPath,
    /// The caller named its path; links on the way may be a hostile repository's.
    ByPath,
    /// A file named it, in its `#!` line.
    ByFile,
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
        // One plain name: the file may come from a hostile repository.
        .filter(|version| !version.is_empty() && !version.contains('/') && !version.starts_with('.'))
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
///
/// What a hostile file names is shown only where it is unmistakably a language's installation; else the one file
/// is.
pub(super) fn of(path: &Path, real: &Path, request: &Request, named: Named) -> Vec<Toolchain> {
    let mut found = Vec::new();
    if let Some(environment) = virtual_environment(path, request) {
        let variables = [("VIRTUAL_ENV".into(), environment.clone().into())].into();
        found.push(Toolchain { bin: Some(environment.join("bin")), root: environment, variables });
    }
    let prefix =
        real.parent().filter(|bin| bin.file_name() == Some(OsStr::new("bin"))).and_then(Path::parent);
    let whole = |prefix: &&Path| {
        let by_caller = match named {
            Named::InPath => true,
            Named::ByPath => path.starts_with(prefix),
            Named::ByFile => false,
        };
        let loose = by_caller && has_its_parts_beside(prefix);
        may_be_shown(prefix, request)
            && (is_an_installation(prefix) || loose && !is_first_level(prefix, request))
    };
    found.push(match prefix.filter(whole) {
        Some(prefix) => {
            Toolchain { root: prefix.to_owned(), bin: Some(prefix.join("bin")), variables: BTreeMap::new() }
        }
        None => Toolchain { root: real.to_owned(), bin: None, variables: BTreeMap::new() },
    });
    found
}

/// The virtual environment that a program's path is in (`pyvenv.cfg`, PEP 405).
fn virtual_environment(path: &Path, request: &Request) -> Option<PathBuf> {
    let bin = path.parent().filter(|bin| bin.file_name() == Some(OsStr::new("bin")))?;
    let root = bin.parent().filter(|root| may_be_shown(root, request))?;
    let marker = root.join("pyvenv.cfg");
    (marker.is_file() && is_ours(&marker)).then(|| root.to_owned())
}

/// Unmistakably the installation of a language: its library is there.
fn is_an_installation(prefix: &Path) -> bool {
    let fixed = ["lib/rustlib", "lib/node_modules/npm", "lib/modules", "pkg/tool", "pyvenv.cfg"];
    let python = || {
        let entries = fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join("os.py")).any(|file| file.is_file())
    };
    fixed.iter().any(|name| prefix.join(name).exists()) || python()
}

/// It has libraries or data of its own beside its `bin`, and is not the root of another system.
fn has_its_parts_beside(prefix: &Path) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| prefix.join(name).is_dir());
    has(&["lib", "lib64", "libexec", "share"]) && !has(&["etc", "home", "root", "var"])
}

/// A folder right in the home: more than one program's.
fn is_first_level(prefix: &Path, request: &Request) -> bool {
    home(request).is_none_or(|home| prefix.parent() == Some(&home))
}

/// The home without symlinks; `None` when nobody knows.
fn home(request: &Request) -> Option<PathBuf> {
    let home = look::present(look::real(&request.home)).ok()?;
    Some(home.unwrap_or_else(|| request.home.clone()))
}

/// May a prefix be shown whole? Never what is a person's or everybody's: a home, what is above it, the folders in
/// it that hold more than programs, a folder that others may write or own.
fn may_be_shown(prefix: &Path, request: &Request) -> bool {
    let Some(home) = home(request) else { return false };
    let personal = [".local", ".cargo", ".config", ".ssh", ".cache"].map(|name| home.join(name));
    let shared =
        ["/tmp", "/var/tmp", "/dev/shm", "/run", "/mnt", "/media", "/srv", "/var", "/home", "/opt", "/etc"];
    prefix.parent().is_some()
        && !home.starts_with(prefix)
        && !personal.iter().any(|folder| folder == prefix)
        && !shared.iter().any(|folder| Path::new(folder) == prefix)
        && is_ours(prefix)
}

/// Owned by the caller or by root, and writable by nobody else.
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let caller = rustix::process::geteuid().as_raw();
    look::behind(path).is_ok_and(|m| (m.uid() == caller || m.uid() == 0) && m.mode() & 0o002 == 0)
}

/// Shows what is not yet to be seen, read-only. Answers what was shown.
pub(super) fn show(layout: &mut Layout, toolchains: &[Toolchain]) -> Result<Vec<PathBuf>, Problem> {
    let mut shown = Vec::new();
    for toolchain in toolchains {
        let source = Source::at(&toolchain.root)?;
        let same = |found: crate::layout::Found| found.identity() == Some((source.device, source.inode));
        if layout.look_up(&toolchain.root)?.is_some_and(same) || layout.is_granted(&toolchain.root) {
            continue;
        }
        super::base::make_room(layout, &toolchain.root)?;
        let node = Node::Bind { source, access: Access::Read, elsewhere: false };
        layout.put(&toolchain.root, Rank::Toolchain, node);
        shown.push(toolchain.root.clone());
    }
    Ok(shown)
}
