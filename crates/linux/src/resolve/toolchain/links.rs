//! The symlinks on the way to a program.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use ringfence_policy::Problem;

use super::files;

/// As many as the kernel follows (path_resolution(7)).
const MOST: usize = 40;

/// A symlink of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::resolve) struct SymbolicLink {
    /// Its path; no link stands above it.
    pub(in crate::resolve) at: PathBuf,
    /// What it says.
    pub(in crate::resolve) target: PathBuf,
}

/// Every symlink that is followed on the way to what an absolute path names, in order.
pub(in crate::resolve) fn on_the_way(path: &Path) -> Result<Vec<SymbolicLink>, Problem> {
    let mut links = Vec::new();
    let mut here = PathBuf::from("/");
    let mut pending = reversed(path);
    while let Some(name) = pending.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let Some(target) = files::target(&next)? else {
            here = next;
            continue;
        };
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        pending.extend(reversed(&target));
        links.push(SymbolicLink { at: next, target });
        if links.len() == MOST {
            break;
        }
    }
    Ok(links)
}

/// The names of a path, last first.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

/// Is it a link of the system's own layout (`/bin`, `/home` on another disk, alternatives), which no repository
/// can have made?
pub(super) fn is_of_the_system(link: &Path) -> bool {
    let folders = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64"];
    folders.iter().any(|folder| link.starts_with(folder))
        || matches!(link.parent().and_then(Path::to_str), Some("/" | "/home" | "/var"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_of_folders_and_of_files_are_found_in_order() {
        let scene = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(scene.path()).unwrap();
        fs::create_dir_all(root.join("real/bin")).unwrap();
        fs::write(root.join("real/bin/prog"), "").unwrap();
        symlink("real", root.join("folder")).unwrap();
        symlink(root.join("folder/bin/prog"), root.join("prog")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let found: Vec<_> = on_the_way(&root.join("prog")).unwrap().into_iter().map(|link| link.at).collect();
        assert_eq!(found, [root.join("prog"), root.join("folder")]);
        assert!(on_the_way(&root.join("real/bin/prog")).unwrap().is_empty());
        assert_eq!(on_the_way(&root.join("loop")).unwrap().len(), MOST);
    }
}
