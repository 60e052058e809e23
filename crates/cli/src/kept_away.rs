//! What a policy kept away from a program, with the flag that would give it: the likeliest reasons why it failed.

use std::path::{Component, Path, PathBuf};

use ringfence::policy::{Access, Base, Layer, Network, Policy, Toolchain};

/// Where a policy's relative paths begin.
pub(crate) struct Place {
    pub(crate) here: PathBuf,
    pub(crate) home: Option<PathBuf>,
}

impl Place {
    /// The caller's working directory and home.
    pub(crate) fn of_caller() -> Option<Self> {
        let here = std::env::current_dir().ok()?;
        Some(Self { here, home: std::env::home_dir() })
    }

    /// `/` and the home are not shown for a profile's `.`: it means the project, and they hold everything else.
    fn is_too_wide(&self) -> bool {
        self.here.parent().is_none() || self.home.as_ref().is_some_and(|home| home.starts_with(&self.here))
    }

    /// A host path as written, made absolute without looking at the host.
    fn absolute(&self, written: &Path) -> PathBuf {
        let path = match (written.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => self.here.join(written),
        };
        let mut absolute = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    absolute.pop();
                }
                other => absolute.push(other),
            }
        }
        absolute
    }
}

/// The denials, each with its flag; empty where the policy kept nothing of these away.
pub(crate) fn kept_away(policy: &Policy, place: &Place) -> Vec<String> {
    let mut list = Vec::new();
    let (path, word) = match &policy.filesystem.workdir {
        Some(path) => (path.clone(), path.display().to_string()),
        None => (place.here.clone(), ".".to_owned()),
    };
    // Where the caller stands is a path of the host; a --workdir is one of the inside, which has its own /tmp.
    let of_host = policy.filesystem.workdir.is_none();
    let too_wide = of_host && place.is_too_wide();
    if denied(policy, place, &path) {
        list.push("folder hidden (--deny)".to_owned());
    } else {
        match access(policy, place, &path, too_wide) {
            Some(Access::Write) => {}
            Some(Access::Read) => list.push(format!("folder read-only (--rw {word})")),
            None if too_wide => list.push("folder not shown (--ro PATH)".to_owned()),
            None => list.push(format!("folder not shown (--ro {word})")),
        }
    }
    if policy.network == Network::None {
        list.push("network off (--net host)".to_owned());
    }
    if policy.filesystem.toolchain == Toolchain::None {
        list.push("toolchain not looked for (--toolchain auto)".to_owned());
    }
    list
}

/// What the policy allows at a path inside: the longest grant decides, and on the same path the caller's.
fn access(policy: &Policy, place: &Place, path: &Path, too_wide: bool) -> Option<Access> {
    let files = &policy.filesystem;
    let depth = |path: &Path| path.components().count();
    let mut found: Vec<(usize, Layer, Access)> = Vec::new();
    for grant in files.grants.iter().filter(|grant| !(too_wide && grant.layer == Layer::Profile)) {
        let inside = match &grant.destination {
            Some(destination) => vec![destination.clone()],
            None => {
                // Both names of a symlink appear inside, and the working directory is known by the real one.
                let written = place.absolute(&grant.source);
                let real = std::fs::canonicalize(&written).ok();
                std::iter::once(written).chain(real).collect()
            }
        };
        let covering =
            inside.iter().filter(|inside| path.starts_with(inside)).map(|inside| depth(inside)).max();
        found.extend(covering.map(|depth| (depth, grant.layer, grant.access)));
    }
    let tmpfs = files.tmpfs.iter().filter(|tmpfs| path.starts_with(&tmpfs.path));
    found.extend(tmpfs.map(|tmpfs| (depth(&tmpfs.path), Layer::Caller, Access::Write)));
    found.extend(base(policy, path).map(|access| (0, Layer::Profile, access)));
    found.into_iter().max_by_key(|(depth, layer, _)| (*depth, *layer)).map(|(_, _, access)| access)
}

/// What is there before anything is granted.
fn base(policy: &Policy, path: &Path) -> Option<Access> {
    let system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
    match &policy.filesystem.base {
        _ if policy.filesystem.workdir.is_some() && path.starts_with("/tmp") => Some(Access::Write),
        Base::Host if system.iter().any(|folder| path.starts_with(folder)) => Some(Access::Read),
        Base::Rootfs(_) if policy.filesystem.workdir.is_some() => Some(Access::Read),
        _ => None,
    }
}

/// Is the path or a folder above it denied by name? (Globs are matched when a sandbox starts, not here.)
fn denied(policy: &Policy, place: &Place, path: &Path) -> bool {
    policy.filesystem.deny.iter().any(|deny| path.starts_with(place.absolute(Path::new(deny))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::PolicyFlags;

    fn said(here: &str, words: &[&str]) -> String {
        let policy = crate::policy::from_flags(PolicyFlags::read(words).unwrap(), &mut Vec::new()).unwrap();
        let place = Place { here: here.into(), home: Some("/home/u".into()) };
        kept_away(&policy, &place).join(", ")
    }

    #[test]
    fn only_what_was_kept_away_is_named() {
        let project = "/home/u/project";
        for (words, text) in [
            (&[][..], "folder read-only (--rw .), network off (--net host)"),
            (&["--rw", "."], "network off (--net host)"),
            (&["--rw", "~/project"], "network off (--net host)"),
            (&["--rw", "/home/u"], "folder read-only (--rw .), network off (--net host)"),
            (&["--rw", "../project"], "network off (--net host)"),
            (&["--rw", "sub"], "folder read-only (--rw .), network off (--net host)"),
            (&["-p", "build"], "network off (--net host)"),
            (&["-p", "build", "--ro", "."], "folder read-only (--rw .), network off (--net host)"),
            (&["-p", "build", "--net", "host"], ""),
            (&["--net", "host"], "folder read-only (--rw .)"),
            (&["--bind", "/x:/home/u/project", "--net=host"], ""),
            (&["--tmpfs", "/home/u/project", "--net=host"], ""),
            (&["--deny", ".", "--net=host"], "folder hidden (--deny)"),
            (&["--deny", "/home/u", "--net=host"], "folder hidden (--deny)"),
            (&["--workdir", "/tmp", "--net=host"], ""),
            (&["--workdir", "/usr/lib", "--net=host"], "folder read-only (--rw /usr/lib)"),
            (&["--workdir", "/srv", "--net=host"], "folder not shown (--ro /srv)"),
            (
                &["-p", "minimal", "--net=host"],
                "folder not shown (--ro .), toolchain not looked for (--toolchain auto)",
            ),
        ] {
            assert_eq!(said(project, words), text, "{words:?}");
        }
    }

    #[test]
    fn a_profile_does_not_show_the_whole_home() {
        assert_eq!(said("/home/u", &["--net=host"]), "folder not shown (--ro PATH)");
        assert_eq!(said("/home", &["-p", "build", "--net=host"]), "folder not shown (--ro PATH)");
        assert_eq!(
            said("/tmp/x", &["-p=minimal", "--toolchain=auto", "--net=host"]),
            "folder not shown (--ro .)"
        );
        assert_eq!(said("/", &["--net=host"]), "folder not shown (--ro PATH)");
    }
}
