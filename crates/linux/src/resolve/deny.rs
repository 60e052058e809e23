//! What stays hidden or unchanged inside what is shown: denied paths and globs, protected names of writable
//! folders, sockets and FIFOs that lead to processes outside.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use ringfence_policy::{Access, Policy, Problem};

use super::Request;
use super::source::{self, expand, lexical};
use crate::layout::{Layout, Node, Rank};

/// How many entries of a granted folder are looked at, nearest first, for sockets and FIFOs. It bounds the cost
/// of a start; what is left unlooked-at is named in the receipt.
const MOST_LOOKED_AT: usize = 4096;

/// What could not be held by a mount.
#[derive(Debug, Default)]
pub(super) struct Protection {
    pub(super) unprotected: Vec<PathBuf>,
    pub(super) unsearched: Vec<PathBuf>,
}

/// Covers and pins.
pub(super) fn protect(
    layout: &mut Layout,
    policy: &Policy,
    request: &Request,
) -> Result<Protection, Problem> {
    let mut protection = Protection::default();
    pin_protected_names(layout, policy, &mut protection);
    cover_channels(layout, &mut protection);
    for pattern in &policy.filesystem.deny {
        deny(layout, pattern, request)?;
    }
    pin_ancestors(layout);
    Ok(protection)
}

/// The host folders that a policy (or its toolchain) shows: (path inside, host path, writable).
fn granted_folders(layout: &Layout) -> Vec<(PathBuf, PathBuf, bool)> {
    let granted = |rank| matches!(rank, Rank::Profile | Rank::Caller);
    layout
        .nodes()
        .filter_map(|(path, rank, node)| match node {
            Node::Bind { source, access, .. } if granted(rank) && source.is_folder() => {
                Some((path.to_owned(), source.path.clone(), *access == Access::Write))
            }
            _ => None,
        })
        .collect()
}

/// Names at the root of a writable folder that steer tools outside: read-only, unless the caller granted them.
fn pin_protected_names(layout: &mut Layout, policy: &Policy, protection: &mut Protection) {
    for (folder, host, writable) in granted_folders(layout) {
        for name in policy.filesystem.protected.iter().filter(|_| writable) {
            let path = folder.join(name);
            if layout.at(&path).is_some() {
                continue;
            }
            match fs::symlink_metadata(host.join(name)) {
                Ok(there) if !there.is_symlink() => {
                    let node = Node::Pin { access: Access::Read, folder: there.is_dir() };
                    layout.put(path, Rank::Profile, node);
                }
                _ => protection.unprotected.push(host.join(name)),
            }
        }
    }
}

/// Sockets, and FIFOs of read-only folders: a read-only mount does not stop a connect or a write.
fn cover_channels(layout: &mut Layout, protection: &mut Protection) {
    for (folder, host, writable) in granted_folders(layout) {
        let mut left = MOST_LOOKED_AT;
        let mut queue = VecDeque::from([host.clone()]);
        while let Some(next) = queue.pop_front() {
            let Ok(entries) = fs::read_dir(&next) else { continue };
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                left = left.saturating_sub(1);
                let below = entry.path();
                let inside = below.strip_prefix(&host).map(|rest| folder.join(rest));
                let Ok(inside) = inside else { continue };
                if kind.is_dir() {
                    queue.push_back(below);
                } else if source::is_channel(kind) && !(writable && source::is_fifo(kind)) {
                    layout.put(inside, Rank::Deny, Node::Cover { folder: false });
                }
            }
            if left == 0 && !queue.is_empty() {
                protection.unsearched.push(folder.clone());
                break;
            }
        }
    }
}

/// Hides a path, or what a glob matches now, wherever it would be seen: by its path inside and by its path on
/// the host.
fn deny(layout: &mut Layout, pattern: &str, request: &Request) -> Result<(), Problem> {
    let absolute = expand(Path::new(pattern), request)?;
    let text = absolute.to_str().unwrap_or_default().to_owned();
    if !text.contains(['*', '?', '[', '{']) {
        let plain = layout.behind_links(&lexical(&absolute));
        let real = fs::canonicalize(&plain).unwrap_or_else(|_| plain.clone());
        for path in [plain, real] {
            hide_everywhere(layout, &path)?;
        }
        return Ok(());
    }
    let glob =
        GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build().map_err(|e| {
            Problem::request("deny", format!("`{pattern}` is not a glob: {}", e.kind())).at(pattern)
        })?;
    for path in matches(layout, &glob.compile_matcher(), &literal_prefix(&text)) {
        hide(layout, &path)?;
    }
    Ok(())
}

/// The folder that every match of a glob is in.
fn literal_prefix(glob: &str) -> PathBuf {
    let literal = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = glob.split('/').take_while(literal).collect();
    lexical(Path::new(&parts.join("/")))
}

/// Paths inside that a glob matches, by either name, outermost only.
fn matches(layout: &Layout, glob: &GlobMatcher, prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (at, _, node) in layout.nodes() {
        let Node::Bind { source, .. } = node else { continue };
        let related = |path: &Path| path.starts_with(prefix) || prefix.starts_with(path);
        if !related(at) && !related(&source.path) {
            continue;
        }
        let mut walk = walkdir::WalkDir::new(&source.path).follow_links(false).into_iter();
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            let rest = entry.path().strip_prefix(&source.path).unwrap_or(Path::new(""));
            let inside = if rest.as_os_str().is_empty() { at.to_path_buf() } else { at.join(rest) };
            if glob.is_match(entry.path()) || glob.is_match(&inside) {
                found.push(inside);
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
            }
        }
    }
    found
}

/// Hides a path as it is named inside, and as it is named on the host, through every bind that shows it.
fn hide_everywhere(layout: &mut Layout, path: &Path) -> Result<(), Problem> {
    let through_binds: Vec<PathBuf> = layout
        .nodes()
        .filter_map(|(at, _, node)| match node {
            Node::Bind { source, .. } if at != source.path => {
                path.strip_prefix(&source.path).ok().map(|rest| at.join(rest))
            }
            _ => None,
        })
        .collect();
    hide(layout, path)?;
    through_binds.iter().try_for_each(|path| hide(layout, path))
}

fn hide(layout: &mut Layout, path: &Path) -> Result<(), Problem> {
    let own = ["/", "/proc", "/dev", "/tmp"].map(Path::new);
    if own.contains(&path) || path.starts_with("/proc") {
        let why = format!("`{}` is the sandbox's own and cannot be denied", path.display());
        return Err(Problem::request("deny", why).at(path));
    }
    let shown_here = layout.at(path).is_some();
    layout.remove_below(path, |_, _| true);
    if shown_here {
        layout.remove(path);
    }
    // A link is not mounted on; what it leads to is hidden instead.
    let target = match layout.host_path(path).and_then(|host| fs::symlink_metadata(host).ok()) {
        Some(there) if there.is_symlink() => layout.look_up(path).map(|found| (found.path, found.folder)),
        Some(there) => Some((path.to_owned(), there.is_dir())),
        None => None,
    };
    if let Some((path, folder)) = target {
        layout.put(path, Rank::Deny, Node::Cover { folder });
    }
    Ok(())
}

/// Inside a writable folder, whatever leads to something held is mounted on itself: a folder that is no mount
/// point could be renamed away, and another one put in its place, which the host would see.
fn pin_ancestors(layout: &mut Layout) {
    let held: Vec<PathBuf> = layout
        .nodes()
        .filter(|(_, _, node)| {
            matches!(
                node,
                Node::Cover { .. }
                    | Node::Pin { .. }
                    | Node::Bind { .. }
                    | Node::Memory { .. }
                    | Node::Device { .. }
            )
        })
        .map(|(path, _, _)| path.to_owned())
        .collect();
    for path in held {
        let (at, node) = layout.container(&path);
        let at = at.to_owned();
        if !matches!(node, Node::Bind { access: Access::Write, .. }) {
            continue;
        }
        for between in path.ancestors().skip(1).take_while(|above| *above != at) {
            if layout.at(between).is_none() {
                layout.put(between, Rank::Profile, Node::Pin { access: Access::Write, folder: true });
            }
        }
    }
}
