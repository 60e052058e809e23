//! Where cgroups can be made: a subtree of version 2 that is this caller's, else folders of version 1 that are. Root's
//! are all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Controller, Found, Lack, v1, v2};

/// A mounted cgroup hierarchy, and where this process is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount_point: PathBuf,
    /// This process' own folder there; `None` when it is not below what is mounted.
    pub(super) own: Option<PathBuf>,
    /// Controllers of version 1; `None` for version 2.
    pub(super) controllers: Option<Vec<String>>,
}

/// Looks for a place that can hold all that is wanted, else for the one that can hold most of it.
pub(crate) fn find(wanted: &BTreeSet<Controller>) -> Found {
    if wanted.is_empty() {
        return Found::default();
    }
    match mounted() {
        Ok(hierarchies) => best(&hierarchies, wanted),
        Err(lack) => Found { place: None, lacking: wanted.iter().map(|c| (*c, lack.clone())).collect() },
    }
}

/// What is mounted here.
fn mounted() -> Result<Vec<Hierarchy>, Lack> {
    let read = |path: &str| {
        let unread = |e| Lack::new(format!("{path} cannot be read"), "mount a proc on /proc").said(e);
        fs::read_to_string(path).map_err(unread)
    };
    let hierarchies = hierarchies(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    if hierarchies.is_empty() {
        let remedy = "mount one, or give the container /sys/fs/cgroup";
        return Err(Lack::new("no cgroup file system is mounted here", remedy));
    }
    Ok(hierarchies)
}

/// The place that lacks least.
fn best(hierarchies: &[Hierarchy], wanted: &BTreeSet<Controller>) -> Found {
    let second = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
    let second = second.map(|hierarchy| v2::find(hierarchy, wanted));
    let names = |hierarchy: &Hierarchy| hierarchy.controllers.clone().unwrap_or_default();
    let mounted: Vec<_> = hierarchies.iter().flat_map(names).collect();
    let hybrid = wanted.iter().any(|controller| mounted.iter().any(|name| name == controller.name()));
    let first = hybrid.then(|| v1::find(hierarchies, wanted));
    // Where both can, or neither, a hybrid host has its controllers in the first version.
    let fewest = |found: &Found| (found.lacking.len(), found.place.is_none());
    #[cfg(feature = "systemd")]
    let second = second.map(|found| match found.place {
        None if !rustix::process::geteuid().is_root() => by_manager(hierarchies, wanted, found),
        _ => found,
    });
    first.into_iter().chain(second).min_by_key(fewest).unwrap_or_else(|| v1::find(hierarchies, wanted))
}

/// What the user's service manager can do, where nothing is delegated. Without one the first reasons are told.
#[cfg(feature = "systemd")]
fn by_manager(hierarchies: &[Hierarchy], wanted: &BTreeSet<Controller>, delegated: Found) -> Found {
    let second = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
    let Some(mut found) = second.map(|hierarchy| super::systemd::find(hierarchy, wanted)) else {
        return delegated;
    };
    for (controller, lack) in &mut found.lacking {
        if let Some(first) = delegated.lacking.get(controller) {
            let said = first.errno.as_ref().map_or_else(String::new, |errno| format!(" ({errno})"));
            lack.why = format!("{}{said}, and {}", first.why, lack.why);
        }
    }
    found
}

/// Mounted hierarchies (mountinfo is proc_pid_mountinfo(5), the other is cgroups(7)).
pub(super) fn hierarchies(mounts: &str, own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
        let (Some(root), Some(point), Some(kind)) = (left.get(3), left.get(4), right.first()) else {
            continue;
        };
        let controllers = match *kind {
            "cgroup2" => None,
            "cgroup" => {
                let options = right.get(2).map_or_else(Vec::new, |options| options.split(',').collect());
                Some(options.into_iter().filter(|o| !o.contains('=')).map(str::to_owned).collect())
            }
            _ => continue,
        };
        let path = own_path(own, controllers.as_deref());
        let mount_point = PathBuf::from(unescape(point));
        let below = path.and_then(|path| below(&unescape(root), &path));
        let own = below.map(|below| mount_point.join(below));
        found.push(Hierarchy { mount_point, own, controllers });
    }
    found
}

/// A path of the hierarchy, relative to the part of it that is mounted.
fn below(root: &str, path: &str) -> Option<PathBuf> {
    // Outside of this cgroup namespace: `/..`.
    let path = Path::new(path);
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return None;
    }
    path.strip_prefix(root).ok().map(Path::to_owned)
}

/// Where this process is in the hierarchy of these controllers.
fn own_path(own: &str, controllers: Option<&[String]>) -> Option<String> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let same = match controllers {
            None => number == "0" && names.is_empty(),
            Some(controllers) => names.split(',').any(|name| controllers.iter().any(|c| c == name)),
        };
        same.then(|| path.to_owned())
    })
}

/// Spaces and the like stand in mountinfo as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        match after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn hierarchies_are_read_with_this_process_place() {
        let own = "9:name=systemd:/\n4:memory:/docker/ab/x\n2:cpu,cpuacct:/y\n0::/user.slice\n";
        let found = hierarchies(HYBRID, own);
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].own, Some("/sys/fs/cgroup/cpu,cpuacct/y".into()));
        assert!(found[0].controllers.as_ref().unwrap().contains(&"cpuacct".to_owned()));
        assert_eq!(found[1].own, Some("/sys/fs/cgroup/memory/x".into()));
        assert_eq!(found[3].own, Some("/sys/fs/cgroup/uni fied/user.slice".into()));
        assert_eq!(found[3].controllers, None);
    }

    #[test]
    fn a_place_outside_of_what_is_mounted_is_none() {
        for own in ["0::/../..\n4:memory:/elsewhere\n", ""] {
            let found = hierarchies(HYBRID, own);
            assert!(found[1].own.is_none() && found[3].own.is_none(), "{own}");
        }
    }

    #[test]
    fn nothing_wanted_needs_nothing() {
        assert!(find(&BTreeSet::new()).place.is_none());
    }
}
