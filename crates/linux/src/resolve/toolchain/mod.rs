//! Where a program really lives: through version managers' shims, symlinks and virtual environments, to the
//! folders that it needs to run, without the folders around them that hold credentials.

mod asdf;
mod files;
mod go;
mod links;
mod mise;
mod node;
mod prefix;
mod pyenv;
mod python;
mod rustup;
mod version;
mod volta;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Problem};

use super::{Request, Source};
use crate::layout::{Layout, Node, Rank};

pub(super) use links::{SymbolicLink, on_the_way};
pub(super) use node::companion;
pub(super) use prefix::is_of_the_system;
pub(super) use python::activated;

/// Names of variables and what they are set to.
type Variables = BTreeMap<OsString, OsString>;

/// What a program needs beside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// Shown read-only at their own places: folders, or single files.
    pub(super) roots: Vec<PathBuf>,
    /// Symlinks that lead to them, shown where nothing else stands.
    pub(super) links: Vec<SymbolicLink>,
    /// Its programs. It goes first in PATH, unless the caller's PATH has a place for it.
    pub(super) bin: Option<PathBuf>,
    /// Variables that say where it is.
    pub(super) variables: Variables,
}

/// The program that a version manager's shim stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shim {
    /// Its path.
    pub(super) program: PathBuf,
    /// What the manager would set.
    pub(super) variables: Variables,
    /// The first argument was for the manager (`cargo +nightly`).
    pub(super) took_an_argument: bool,
    /// Single programs of the manager that it may call.
    pub(super) beside: Vec<PathBuf>,
    /// The folder of one version, in the manager's own.
    pub(super) version: Option<PathBuf>,
}

impl Shim {
    fn of(program: PathBuf) -> Self {
        Self {
            program,
            variables: Variables::new(),
            took_an_argument: false,
            beside: Vec::new(),
            version: None,
        }
    }

    /// A program of one version.
    fn of_version(program: PathBuf, version: PathBuf) -> Self {
        Self { version: Some(version), ..Self::of(program) }
    }
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

/// One step from what PATH names to what runs: a version manager's shim to its program. `None` when the path is
/// no shim.
///
/// # Errors
/// The manager has no such version, or a version file asks for something that is no version's name.
pub(super) fn behind_shim(path: &Path, real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    for manager in [pyenv::shim, asdf::shim, mise::shim, rustup::shim, volta::shim, go::shim] {
        if let Some(shim) = manager(path, real, request)? {
            return Ok(Some(shim));
        }
    }
    // One program under many names in such a folder chooses by rules that are not known here.
    let in_shims = path.parent().is_some_and(|folder| folder.ends_with("shims"));
    if in_shims && path.file_name() != real.file_name() && prefix::kind(real)? == Some(prefix::Kind::Elf) {
        let (path, real) = (path.display(), real.display());
        let why = format!("which program `{path}` stands for is known to `{real}` alone");
        return Err(Problem::request("toolchain", why)
            .at(real.to_string())
            .remedy("name the program by its path"));
    }
    Ok(None)
}

/// The toolchains of a program at its path (as found, perhaps a symlink) and its real path.
///
/// What a hostile file names is shown only where it is unmistakably a language's installation; else the one file
/// is, when it is a program and not a script: scripts are where people write down secrets.
pub(super) fn of(
    path: &Path,
    real: &Path,
    request: &Request,
    named: Named,
) -> Result<Vec<Toolchain>, Problem> {
    if prefix::is_of_the_system(path) && prefix::is_of_the_system(real) {
        return Ok(Vec::new());
    }
    let mut found = python::environment(path, request)?.unwrap_or_default();
    if found.is_empty() {
        found = python::environment(real, request)?.unwrap_or_default();
    }
    if prefix::is_of_the_system(real) {
        return Ok(found);
    }
    let trusted = is_the_callers_word(path, real, request, named)?;
    let one = if let Some(prefix) = prefix::enclosing(real, request)? {
        Some(prefix::toolchain(&prefix)?)
    } else if let Some(modules) = node::modules(path, real, request, trusted)? {
        Some(modules)
    } else if let Some(prefix) = loose(path, real, request, named)?.filter(|_| trusted) {
        Some(prefix::toolchain(&prefix)?)
    } else {
        single(real, request, trusted)?
    };
    // What an environment borrows is in nobody's PATH.
    let borrowed = |one: Toolchain| Toolchain { bin: None, variables: Variables::new(), ..one };
    found.extend(if found.is_empty() { one } else { one.map(borrowed) });
    Ok(found)
}

/// The version that a shim chose: all of it but settings, for its manager made the folder. Not where a link leads
/// out of the manager's own folder.
pub(super) fn managed(shim: &Shim, real: &Path, request: &Request) -> Result<Option<Toolchain>, Problem> {
    let folders = shim.version.as_deref().and_then(|version| Some((version, version.parent()?)));
    let Some((version, versions)) = folders else { return Ok(None) };
    let Some((folder, versions)) = files::real(version)?.zip(files::real(versions)?) else { return Ok(None) };
    let fits = folder.starts_with(&versions)
        && folder != versions
        && real.starts_with(&folder)
        && prefix::may_be_shown(&folder, request)?;
    if !fits {
        return Ok(None);
    }
    let bin = real.parent().map(Path::to_owned);
    Ok(Some(Toolchain { bin, ..prefix::of_manager(&folder)? }))
}

/// Did the caller mean the program that a path leads to, or did a link of somebody else's choose it?
fn is_the_callers_word(path: &Path, real: &Path, request: &Request, named: Named) -> Result<bool, Problem> {
    if path == real {
        return Ok(named != Named::ByFile);
    }
    let project = project(request)?;
    let of_repository = |link: &SymbolicLink| {
        let inside = project.as_deref().is_some_and(|project| link.at.starts_with(project));
        inside || link.at.iter().any(|name| name == "node_modules")
    };
    let links = on_the_way(path)?;
    Ok(match named {
        // What lies in a folder of PATH is the caller's, but for a repository's own folders.
        Named::InPath => !links.iter().any(of_repository),
        Named::ByPath => links.iter().all(|link| links::is_of_the_system(&link.at)),
        Named::ByFile => false,
    })
}

/// The repository that the working directory is in, else that folder itself; `None` in the home or above it.
fn project(request: &Request) -> Result<Option<PathBuf>, Problem> {
    let here = files::real(&request.directory)?.unwrap_or_else(|| request.directory.clone());
    let home = prefix::home(request)?;
    let folders = || here.ancestors().take_while(|folder| !home.starts_with(folder));
    let repository = files::first(folders(), |folder| files::is_there(&folder.join(".git")))?;
    Ok(repository.or_else(|| folders().next()).map(Path::to_owned))
}

/// The folder around a program's `bin` that has its parts, as unpacked archives have.
fn loose(path: &Path, real: &Path, request: &Request, named: Named) -> Result<Option<PathBuf>, Problem> {
    let bin = real.parent().filter(|bin| bin.file_name() == Some(OsStr::new("bin")));
    let Some(folder) = bin.and_then(Path::parent) else { return Ok(None) };
    let by_caller = match named {
        Named::InPath => true,
        Named::ByPath => path.starts_with(folder),
        Named::ByFile => false,
    };
    let fits = by_caller
        && prefix::has_its_parts_beside(folder)?
        && !prefix::is_first_level(folder, request)?
        && prefix::may_be_shown(folder, request)?;
    Ok(fits.then(|| folder.to_owned()))
}

/// The one file.
fn single(real: &Path, request: &Request, trusted: bool) -> Result<Option<Toolchain>, Problem> {
    let shown = !prefix::is_secret(real, request)?
        && match prefix::kind(real)? {
            Some(prefix::Kind::Elf) => true,
            Some(prefix::Kind::Script) => trusted,
            None => false,
        };
    Ok(shown.then(|| Toolchain { roots: vec![real.to_owned()], ..Toolchain::default() }))
}

/// Shows what is not yet to be seen, read-only. Answers what was shown.
pub(super) fn show(
    layout: &mut Layout,
    toolchains: &[Toolchain],
    request: &Request,
) -> Result<Vec<PathBuf>, Problem> {
    let mut shown = Vec::new();
    let mut links: Vec<SymbolicLink> =
        toolchains.iter().flat_map(|toolchain| toolchain.links.clone()).collect();
    for root in toolchains.iter().flat_map(|toolchain| &toolchain.roots) {
        links.push(SymbolicLink { at: root.clone(), target: root.clone() });
        let source = Source::at(root)?;
        let same = |found: crate::layout::Found| found.identity() == Some((source.device, source.inode));
        if layout.look_up(root)?.is_some_and(same) || layout.is_granted(root) {
            continue;
        }
        super::base::make_room(layout, root)?;
        let node = Node::Bind { source, access: Access::Read, elsewhere: false };
        layout.put(root, Rank::Toolchain, node);
        shown.push(root.clone());
    }
    links.extend(by_the_homes_name(&links, request)?);
    // A link of a folder comes before what would be in it.
    links.sort_by(|a, b| a.at.cmp(&b.at));
    for link in links.iter().filter(|link| link.at != link.target) {
        let (_, around) = layout.container(&link.at);
        let own = matches!(around, Node::Root | Node::Folder { .. } | Node::Memory { sealed: false, .. });
        let free = !layout.nodes().any(|(at, _, _)| at.starts_with(&link.at));
        if own && free {
            layout.put(&link.at, Rank::Toolchain, Node::Link { target: link.target.clone() });
        }
    }
    Ok(shown)
}

/// Where the home is a link, or behind one, the one inside is a folder of that name: what was found in the real one
/// is also found there.
fn by_the_homes_name(found: &[SymbolicLink], request: &Request) -> Result<Vec<SymbolicLink>, Problem> {
    let (name, real) = (request.home_inside(), prefix::home(request)?);
    let renamed = |link: &SymbolicLink| {
        let at = name.join(link.at.strip_prefix(&real).ok()?);
        Some(SymbolicLink { at, target: link.target.clone() })
    };
    Ok(if name == real { Vec::new() } else { found.iter().filter_map(renamed).collect() })
}
