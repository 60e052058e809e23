//! What stays hidden or unchanged inside what is shown: denied paths and globs, protected names of writable
//! folders, sockets and FIFOs that lead to processes outside.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use ringfence_policy::{Access, Policy, Problem};

use super::Request;
use super::source::{expand, lexical};
use crate::errno;
use crate::layout::{Layout, Node, Rank};
use crate::look::{self, Kind};

/// How many entries of a granted folder are looked at, nearest first, for sockets and FIFOs. It bounds the cost
/// of a start; what is left unlooked-at is named in the receipt.
const MOST_LOOKED_AT: usize = 4096;

/// What could not be held by a mount.
#[derive(Debug, Default)]
pub(super) struct Protection {
    pub(super) unprotected: Vec<PathBuf>,
    pub(super) unsearched: Vec<PathBuf>,
    pub(super) denied_nothing: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Covers and pins.
pub(super) fn protect(
    layout: &mut Layout,
    policy: &Policy,
    request: &Request,
) -> Result<Protection, Problem> {
    let mut protection = Protection::default();
    pin_protected_names(layout, policy, &mut protection)?;
    pin_protected_paths(layout, policy, request, &mut protection)?;
    cover_channels(layout, &mut protection);
    cover_kernel_views(layout)?;
    for pattern in &policy.filesystem.deny {
        if !deny(layout, pattern, request)? {
            protection.denied_nothing.push(pattern.clone());
        }
    }
    for hidden in &request.hidden {
        let holds = |(_, host, _): &(PathBuf, PathBuf, bool)| hidden.starts_with(host);
        if granted_folders(layout).iter().any(holds) {
            hide_everywhere(layout, hidden)?;
        }
    }
    pin_ancestors(layout);
    Ok(protection)
}

/// The host folders that a policy shows: (path inside, host path, writable).
fn granted_folders(layout: &Layout) -> Vec<(PathBuf, PathBuf, bool)> {
    folders(layout, |rank, _| matches!(rank, Rank::Profile | Rank::Caller))
}

/// The host folders that are searched for ways out: all but the host's own programs and configuration.
fn searched_folders(layout: &Layout) -> Vec<(PathBuf, PathBuf, bool)> {
    let system = |path: &Path| ["/usr", "/etc"].iter().any(|folder| path.starts_with(folder));
    folders(layout, |rank, source| rank > Rank::Base || !system(source))
}

fn folders(layout: &Layout, wanted: impl Fn(Rank, &Path) -> bool) -> Vec<(PathBuf, PathBuf, bool)> {
    layout
        .nodes()
        .filter_map(|(path, rank, node)| match node {
            Node::Bind { source, access, .. } if wanted(rank, &source.path) && source.is_folder() => {
                Some((path.to_owned(), source.path.clone(), *access == Access::Write))
            }
            _ => None,
        })
        .collect()
}

/// Names at the root of a writable folder that steer tools outside: read-only, unless the caller granted them.
fn pin_protected_names(
    layout: &mut Layout,
    policy: &Policy,
    protection: &mut Protection,
) -> Result<(), Problem> {
    for (folder, host, writable) in granted_folders(layout) {
        for name in policy.filesystem.protected.iter().filter(|name| writable && !is_of_host(name)) {
            let path = folder.join(name);
            if layout.at(&path).is_some() {
                continue;
            }
            // A link is pinned by what it leads to.
            match layout.look_up(&path)?.filter(|found| found.host.is_some()) {
                Some(found) => {
                    let node = Node::Pin { access: Access::Read, folder: found.folder };
                    layout.put(found.path, Rank::Profile, node);
                }
                None => protection.unprotected.push(host.join(name)),
            }
        }
    }
    Ok(())
}

/// A protected path of the host, rather than a name in a writable folder?
fn is_of_host(protected: &str) -> bool {
    protected.starts_with(['/', '~'])
}

/// What of the caller's home steers other runs: the profiles, and the list of those that are trusted.
fn own_folders(request: &Request) -> Vec<PathBuf> {
    let below = |variable: &str, usual: &str| {
        let set = request.environment.get(std::ffi::OsStr::new(variable)).map(PathBuf::from);
        let folder = set.filter(|folder| folder.is_absolute()).unwrap_or_else(|| request.home.join(usual));
        folder.join("ringfence")
    };
    vec![below("XDG_CONFIG_HOME", ".config"), below("XDG_STATE_HOME", ".local/state")]
}

/// Paths of the host that stay read-only wherever something writable shows them: the profile of this run, the
/// folders that profiles are trusted in.
fn pin_protected_paths(
    layout: &mut Layout,
    policy: &Policy,
    request: &Request,
    protection: &mut Protection,
) -> Result<(), Problem> {
    let writable: Vec<_> = layout
        .nodes()
        .filter_map(|(path, rank, node)| match node {
            Node::Bind { source, access: Access::Write, elsewhere } => {
                Some((path.to_owned(), rank, source.clone(), *elsewhere))
            }
            _ => None,
        })
        .collect();
    if writable.is_empty() {
        return Ok(());
    }
    let mut protected = own_folders(request);
    for name in policy.filesystem.protected.iter().filter(|name| is_of_host(name)) {
        protected.push(expand(Path::new(name), request)?);
    }
    protected.extend(policy.files.iter().cloned());
    for written in protected {
        let real = look::present(look::real(&written)).map_err(|e| look::unknown(&written, e))?;
        let host = real.unwrap_or_else(|| lexical(&written));
        for (path, rank, source, elsewhere) in &writable {
            if source.path.starts_with(&host) {
                let (source, elsewhere) = (source.clone(), *elsewhere);
                layout.put(path, *rank, Node::Bind { source, access: Access::Read, elsewhere });
                let note = format!("`{}` is read-only: `{}` is protected", path.display(), host.display());
                protection.notes.push(note);
            } else if let Ok(rest) = host.strip_prefix(&source.path) {
                let inside = path.join(rest);
                // Something else may be shown at that place.
                if layout.host_path(&inside).as_ref() != Some(&host) {
                    continue;
                }
                match look::present(look::at(&host)).map_err(|e| look::unknown(&host, e))? {
                    Some(there) => {
                        let node = Node::Pin { access: Access::Read, folder: there.is_dir() };
                        layout.put(inside, Rank::Profile, node);
                    }
                    None => protection.unprotected.push(host.clone()),
                }
            }
        }
    }
    Ok(())
}

/// Sockets, and FIFOs of read-only folders: a read-only mount does not stop a connect or a write.
fn cover_channels(layout: &mut Layout, protection: &mut Protection) {
    for (folder, host, writable) in searched_folders(layout) {
        let mut left = MOST_LOOKED_AT;
        let mut complete = true;
        let mut queue = VecDeque::from([host.clone()]);
        while let Some(next) = queue.pop_front() {
            let Ok(entries) = look::entries(&next) else {
                complete = false;
                continue;
            };
            for entry in entries {
                left = left.saturating_sub(1);
                let below = next.join(&entry.name);
                let Ok(inside) = below.strip_prefix(&host).map(|rest| folder.join(rest)) else { continue };
                // Something else may be shown at that place.
                let shown = || layout.host_path(&inside).as_ref() == Some(&below);
                let leads_out = entry.kind == Kind::Socket || entry.kind == Kind::Fifo && !writable;
                if entry.kind == Kind::Folder {
                    queue.push_back(below);
                } else if leads_out && shown() {
                    layout.put(inside, Rank::Deny, Node::Cover { folder: false });
                }
            }
            if left == 0 && !queue.is_empty() {
                complete = false;
                break;
            }
        }
        if !complete {
            protection.unsearched.push(folder);
        }
    }
}

/// File systems that are views of the kernel: below a granted folder they would show the host's processes, or act
/// on the host.
const KERNEL_VIEWS: [&str; 12] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "bpf",
    "pstore",
    "efivarfs",
    "binfmt_misc",
];

/// Covers what the host has mounted inside a granted folder and is no file system of files.
fn cover_kernel_views(layout: &mut Layout) -> Result<(), Problem> {
    let grants = searched_folders(layout);
    if grants.is_empty() {
        return Ok(());
    }
    for (point, kind) in host_mounts()? {
        if !KERNEL_VIEWS.contains(&kind.as_str()) {
            continue;
        }
        for (folder, host, _) in &grants {
            if let Ok(rest) = point.strip_prefix(host)
                && !rest.as_os_str().is_empty()
            {
                let there = look::present(look::at(&point)).map_err(|e| look::unknown(&point, e))?;
                let is_folder = there.is_none_or(|there| there.is_dir());
                layout.put(folder.join(rest), Rank::Deny, Node::Cover { folder: is_folder });
            }
        }
    }
    Ok(())
}

/// Mount points of the host and what is mounted there (proc_pid_mountinfo(5)).
fn host_mounts() -> Result<Vec<(PathBuf, String)>, Problem> {
    let path = "/proc/thread-self/mountinfo";
    let text = look::content(Path::new(path))
        .map_err(|e| errno::problem("proc", format!("{path} cannot be read"), e).at(path))?;
    if text.is_empty() {
        return Err(Problem::request("proc", format!("{path} says nothing")).at(path));
    }
    let mounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let kind = words.iter().position(|word| *word == b"-").and_then(|at| words.get(at + 1))?;
        let point = unescape(words.get(4)?);
        Some((PathBuf::from(OsString::from_vec(point)), String::from_utf8_lossy(kind).into_owned()))
    });
    Ok(mounts.collect())
}

/// Odd bytes of a path in mountinfo are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [a, b, c, after @ ..]) => {
                bytes.push((a & 7) << 6 | (b & 7) << 3 | (c & 7));
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}

/// Hides a path, or what a glob matches now, wherever it would be seen: by its path inside and by its path on
/// the host. Answers whether anything was there to be hidden.
fn deny(layout: &mut Layout, pattern: &str, request: &Request) -> Result<bool, Problem> {
    // What was written is the glob; the folder that it is relative to is taken literally.
    let is_glob = |part: &str| part.replace("${", "").contains(['*', '?', '[', '{']);
    let first_glob = pattern.split('/').position(is_glob);
    let Some(first_glob) = first_glob else {
        return hide_everywhere(layout, &expand(Path::new(pattern), request)?);
    };
    let parts: Vec<&str> = pattern.split('/').collect();
    let (literal, rest) = parts.split_at(first_glob);
    let literal = match literal.join("/") {
        folder if folder.is_empty() && pattern.starts_with('/') => PathBuf::from("/"),
        folder if folder.is_empty() => request.directory.clone(),
        folder => expand(Path::new(&folder), request)?,
    };
    if rest.contains(&"..") {
        let why = format!("`{pattern}` holds `..` after a wildcard, which means nothing that is known");
        return Err(Problem::request("deny", why).at(pattern).remedy("write the path that it means"));
    }
    let rest: Vec<&str> = rest.iter().copied().filter(|part| !part.is_empty() && *part != ".").collect();
    let glob = GlobBuilder::new(&rest.join("/")).literal_separator(true).backslash_escape(true).build();
    let glob = glob
        .map_err(|e| {
            Problem::request("deny", format!("`{pattern}` is not a glob: {}", e.kind())).at(pattern)
        })?
        .compile_matcher();
    let mut found = Vec::new();
    for folder in names_of(layout, &literal)? {
        found.extend(matches(layout, &glob, &folder)?);
    }
    found.iter().try_for_each(|path| hide(layout, path))?;
    Ok(!found.is_empty())
}

/// Every path that a written path may mean: as it stands, without `..`, and without links, outside and inside.
fn names_of(layout: &Layout, written: &Path) -> Result<Vec<PathBuf>, Problem> {
    let plain = layout.behind_links(&lexical(written));
    let mut names = vec![];
    for path in [written, &plain] {
        names.extend(look::present(look::real(path)).map_err(|e| cannot_tell(path, &e))?);
    }
    names.extend(layout.look_up(&plain)?.map(|found| found.path));
    names.push(plain);
    names.sort();
    names.dedup();
    Ok(names)
}

/// Paths inside that a glob, relative to a folder, matches by either name; outermost only.
fn matches(layout: &Layout, glob: &GlobMatcher, base: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut found = Vec::new();
    let is_match = |path: &Path| path.strip_prefix(base).is_ok_and(|rest| glob.is_match(rest));
    for (at, _, node) in layout.nodes() {
        let Node::Bind { source, .. } = node else { continue };
        // What is shown may be below what is denied.
        if at.ancestors().chain(source.path.ancestors()).any(is_match) {
            found.push(at.to_path_buf());
            continue;
        }
        let related = |path: &Path| path.starts_with(base) || base.starts_with(path);
        if !related(at) && !related(&source.path) {
            continue;
        }
        if source.is_folder() {
            walk(at, &source.path, &is_match, &mut found)?;
        }
    }
    Ok(found)
}

/// Adds what matches below a bind of the folder `host` at `at`.
fn walk(
    at: &Path,
    host: &Path,
    is_match: &impl Fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> Result<(), Problem> {
    let mut folders = vec![(at.to_path_buf(), host.to_path_buf())];
    while let Some((inside, folder)) = folders.pop() {
        let entries = match look::entries(&folder) {
            Ok(entries) => entries,
            // The granted folder itself can be looked at: it was, a moment ago.
            Err(e) if folder != host && is_closed(&e) && !can_enter(&folder) => continue,
            Err(e) => return Err(cannot_tell(&folder, &e)),
        };
        for entry in entries {
            let (inside, below) = (inside.join(&entry.name), folder.join(&entry.name));
            if is_match(&below) || is_match(&inside) {
                found.push(inside);
            } else if entry.kind == Kind::Folder {
                folders.push((inside, below));
            }
        }
    }
    Ok(())
}

/// What vanished meanwhile is not there, and what the caller may not enter its program may not either. Root may
/// enter everything: it is not told so without a reason.
fn is_closed(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    let root = rustix::process::geteuid().is_root();
    matches!(number, Some(libc::ENOENT | libc::ENOTDIR)) || number == Some(libc::EACCES) && !root
}

/// A folder may be closed to being listed and open to being entered: what is denied in it could still be named.
fn can_enter(folder: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, folder, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// A denial that cannot be carried out is no denial.
fn cannot_tell(path: &Path, error: &io::Error) -> Problem {
    let what = format!("whether something in `{}` is denied cannot be told", path.display());
    let errno = error.raw_os_error().map_or_else(|| error.to_string(), errno::name);
    Problem::request("deny", what).at(path).errno(errno).remedy("mend the file system that it is on")
}

/// Hides a path as it is named inside, and as it is named on the host, through every bind that shows it.
fn hide_everywhere(layout: &mut Layout, written: &Path) -> Result<bool, Problem> {
    refuse_own(&lexical(written))?;
    let mut places = Vec::new();
    let mut exists = false;
    for path in names_of(layout, written)? {
        let there = look::present(look::at(&path)).map_err(|e| cannot_tell(&path, &e))?;
        exists |= there.is_some() || layout.look_up(&path)?.is_some();
        for (at, _, node) in layout.nodes() {
            let Node::Bind { source, .. } = node else { continue };
            if let Ok(rest) = path.strip_prefix(&source.path) {
                places.push(if rest.as_os_str().is_empty() { at.to_path_buf() } else { at.join(rest) });
            } else if source.path.starts_with(&path) {
                // A folder below the denied one is shown somewhere else.
                places.push(at.to_path_buf());
            }
        }
        places.push(path);
    }
    places.iter().try_for_each(|path| hide(layout, path))?;
    Ok(exists)
}

/// What every sandbox has cannot be denied: programs do not start without it.
fn refuse_own(path: &Path) -> Result<(), Problem> {
    let own = ["/", "/proc", "/dev", "/tmp"].map(Path::new);
    if own.contains(&path) || path.starts_with("/proc") {
        let why = format!("`{}` is the sandbox's own and cannot be denied", path.display());
        return Err(Problem::request("deny", why).at(path));
    }
    Ok(())
}

fn hide(layout: &mut Layout, path: &Path) -> Result<(), Problem> {
    refuse_own(path)?;
    if matches!(layout.at(path), Some(Node::Cover { .. })) {
        return Ok(());
    }
    // A link is not mounted on; what it leads to is hidden instead.
    let found = layout.look_up(path)?;
    let there = layout.host_path(path).map(|host| look::at(&host));
    if let (None, Some(Err(e))) = (&found, &there)
        && !is_closed(e)
    {
        return Err(cannot_tell(path, e));
    }
    let real = found.as_ref().map_or_else(|| path.to_owned(), |found| found.path.clone());
    layout.remove_below(&real, |_, _| true);
    layout.remove(&real);
    // A look-up that failed on something that is there hides it all the same.
    let parent = path.parent().unwrap_or(path);
    let behind_no_link = layout.look_up(parent)?.is_some_and(|found| found.path == parent);
    let there = there.filter(|_| behind_no_link);
    let seen = there.and_then(Result::ok).filter(|there| !there.is_symlink()).map(|there| there.is_dir());
    // Inside what is the sandbox's own there is nothing left to hide.
    if let Some(folder) =
        found.map(|found| found.folder).or(seen).filter(|_| layout.host_path(&real).is_some())
    {
        layout.put(real, Rank::Deny, Node::Cover { folder });
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
