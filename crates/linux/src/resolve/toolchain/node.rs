//! Programs of a `node_modules` folder, and the programs that scripts of theirs call by name.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Request, Toolchain, links, on_the_way, prefix};

/// The outermost folder of packages around a program, when the path that led there is in the same one, or the
/// caller's own.
pub(super) fn modules(path: &Path, real: &Path, request: &Request, trusted: bool) -> Option<Toolchain> {
    let root = around(real)?;
    // A folder of packages that is itself a link may be another project's.
    let same = around(path).is_some_and(|folder| {
        let straight = on_the_way(&folder).iter().all(|link| links::is_of_the_system(&link.at));
        straight && fs::canonicalize(&folder).is_ok_and(|folder| folder == root)
    });
    if !(same || trusted) || !prefix::may_be_shown(&root, request) {
        return None;
    }
    Some(Toolchain { roots: vec![root], ..Toolchain::default() })
}

fn around(path: &Path) -> Option<PathBuf> {
    let folders = path.ancestors().filter(|folder| folder.file_name() == Some(OsStr::new("node_modules")));
    folders.last().map(Path::to_owned)
}

/// The program that a shell script of a package calls by name: `node` in those that pnpm and npm write, `java` in
/// those of sdkman.
pub(in crate::resolve) fn companion(real: &Path) -> Option<&'static str> {
    if prefix::kind(real) != Some(prefix::Kind::Script) {
        return None;
    }
    let names: Vec<&OsStr> = real.iter().collect();
    if names.contains(&OsStr::new("node_modules")) {
        return Some("node");
    }
    let candidate = names.windows(2).find(|pair| pair[0] == "candidates").map(|pair| pair[1]);
    candidate.filter(|candidate| *candidate != "java").map(|_| "java")
}
