//! Of the programs of the system, only those that a policy names. Its program folders become folders of the
//! sandbox's own, with one file for each name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Policy, Problem};

use super::base::FURNITURE;
use super::command::find_outside;
use super::interpreter;
use super::source::Source;
use super::{Request, loader};
use crate::layout::{Layout, Node, Rank};

/// Where a system keeps its programs (hier(7)).
const FOLDERS: [&str; 8] = [
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/games",
    "/usr/local/games",
];

/// Takes every program of the base away that the policy does not name.
///
/// # Errors
/// Nobody knows what stands at a path.
pub(super) fn restrict(layout: &mut Layout, policy: &Policy, request: &Request) -> Result<(), Problem> {
    let path = request.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    // `/usr/local/cargo/bin` and the like. Another folder may hold libraries.
    let is_of_programs =
        |folder: &PathBuf| ["bin", "sbin", "games"].iter().any(|name| folder.ends_with(name));
    let of_path =
        std::env::split_paths(&path).filter(|folder| folder.is_absolute() && is_of_programs(folder));
    let folders = FOLDERS.iter().map(PathBuf::from).chain(of_path);
    replace(layout, policy, folders)
}

/// The same of a system's folder that a profile shows again: of two words of profiles the stricter holds. What the
/// caller shows is the caller's own word.
///
/// # Errors
/// Nobody knows what stands at a path.
pub(super) fn restrict_grants(layout: &mut Layout, policy: &Policy) -> Result<(), Problem> {
    replace(layout, policy, FOLDERS.iter().map(PathBuf::from))
}

fn replace(
    layout: &mut Layout,
    policy: &Policy,
    folders: impl Iterator<Item = PathBuf>,
) -> Result<(), Problem> {
    if policy.filesystem.commands.is_empty() {
        return Ok(());
    }
    let mut inside = BTreeSet::new();
    for folder in folders {
        if let Some(found) = layout.look_up(&folder)?
            && found.folder
            && found.host.is_some()
            && rank(layout, &found.path) < Rank::Caller
        {
            inside.insert(found.path);
        }
    }
    // All is looked up before anything is taken away: links lead from one such folder to another.
    let mut entries = BTreeMap::new();
    for folder in &inside {
        for name in &policy.filesystem.commands {
            let path = folder.join(name);
            if let Some(node) = program(layout, &path, &inside)? {
                entries.insert(path, node);
            }
        }
    }
    for folder in &inside {
        layout.remove_below(folder, |rank, _| rank == Rank::Base);
        layout.remove(folder);
        layout.put(folder, Rank::Base, Node::Memory { size: FURNITURE, mode: 0o755, sealed: true });
    }
    for (path, node) in entries {
        layout.put(path, Rank::Base, node);
    }
    Ok(())
}

/// Whose word shows a path.
fn rank(layout: &Layout, path: &Path) -> Rank {
    let above = layout.nodes().filter(|(at, ..)| path.starts_with(at));
    above.last().map_or(Rank::Base, |(_, rank, _)| rank)
}

/// What stands at a name: the file behind it. One that stays where it is, in no folder of programs, is led to
/// instead, for it may look for its libraries beside itself.
fn program(layout: &Layout, path: &Path, folders: &BTreeSet<PathBuf>) -> Result<Option<Node>, Problem> {
    let Some(found) = layout.look_up(path)? else { return Ok(None) };
    let Some((host, metadata)) = found.host else { return Ok(None) };
    if !metadata.is_file() {
        return Ok(None);
    }
    if !folders.iter().any(|folder| found.path.starts_with(folder)) {
        return Ok(Some(Node::Link { target: found.path }));
    }
    Ok(Some(Node::Bind { source: Source::at(&host)?, access: Access::Read, elsewhere: false }))
}

/// Every name must be a program: of the system, or of a folder of the caller's PATH that is shown. A denial may hide
/// it afterwards.
///
/// # Errors
/// One is none.
pub(super) fn check_names(layout: &Layout, policy: &Policy, request: &Request) -> Result<(), Problem> {
    let path = request.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let folders: Vec<_> = FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path)).collect();
    'names: for name in &policy.filesystem.commands {
        for folder in &folders {
            if layout.look_up(&folder.join(name))?.is_some_and(|found| !found.folder) {
                continue 'names;
            }
        }
        let why = format!(
            "profile `{}` names the command `{name}` (filesystem.commands), and no program folder has it",
            policy.profile
        );
        let remedy = match find_outside(OsStr::new(name), request) {
            Ok(path) => format!("--toolchain {name} or --ro {} shows it", path.display()),
            Err(_) => "install it, or take it out of the profile".to_owned(),
        };
        return Err(Problem::request("commands", why).remedy(remedy));
    }
    Ok(())
}

/// What the system or a toolchain shows must stay executable, so no part of it may be writable at another path.
///
/// # Errors
/// One is.
pub(super) fn check_written(layout: &Layout, policy: &Policy) -> Result<(), Problem> {
    if policy.filesystem.commands.is_empty() {
        return Ok(());
    }
    for (path, rank, node) in layout.nodes() {
        let Node::Bind { source, .. } = node else { continue };
        if rank < Rank::Profile && layout.is_changed_elsewhere(path, &source.path) {
            let why = format!(
                "a part of `{}` is also writable at another path: what is written there could be executed here, and \
                 profile `{}` names its commands (filesystem.commands)",
                path.display(),
                policy.profile
            );
            return Err(Problem::request("commands", why)
                .at(path)
                .remedy("show it read-only, or use another profile"));
        }
    }
    Ok(())
}

/// Refuses a program that is found outside and that the policy does not name.
///
/// # Errors
/// It is one of the system's, and not there inside.
pub(super) fn check(
    layout: &Layout,
    policy: &Policy,
    paths: [&Path; 3],
    is_command: bool,
) -> Result<(), Problem> {
    if policy.filesystem.commands.is_empty() {
        return Ok(());
    }
    for path in paths {
        if layout.look_up(path)?.is_some() {
            return Ok(());
        }
    }
    let [outside, ..] = paths;
    let what = if is_command { "" } else { "the interpreter " };
    Err(not_named(policy, what, outside))
}

/// The interpreters that the kernel itself will look for, env(1) too.
///
/// # Errors
/// One of them is not there inside.
pub(super) fn check_interpreters(layout: &Layout, policy: &Policy, program: &Path) -> Result<(), Problem> {
    if policy.filesystem.commands.is_empty() {
        return Ok(());
    }
    let mut next = program.to_owned();
    for _ in 0..loader::DEEPEST {
        let Some((host, _)) = layout.look_up(&next)?.and_then(|found| found.host) else {
            return Err(not_named(policy, &format!("`{}` needs the interpreter ", program.display()), &next));
        };
        let line = interpreter::line(&host)?.unwrap_or_default();
        let Some(interpreter) = line.split_whitespace().next() else { return Ok(()) };
        next = PathBuf::from(interpreter);
    }
    Ok(())
}

/// For a person: a program that is taken away.
pub(super) fn not_named(policy: &Policy, what: &str, path: &Path) -> Problem {
    let why = format!(
        "{what}`{}` is none of the commands that profile `{}` names (filesystem.commands: {})",
        path.display(),
        policy.profile,
        policy.filesystem.commands.join(", ")
    );
    let name = path.file_name().unwrap_or(path.as_os_str()).display().to_string();
    Problem::request("commands", why)
        .at(path)
        .errno("ENOENT")
        .remedy(format!("add \"{name}\" to filesystem.commands, or use another profile"))
}
