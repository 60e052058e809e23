//! Programs of a `node_modules` folder, and the programs that scripts of theirs call by name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::{Request, Toolchain, files, links, on_the_way, prefix};

/// The outermost folder of packages around a program, when the path that led there is in the same one, or the
/// caller's own.
pub(super) fn modules(
    path: &Path,
    real: &Path,
    request: &Request,
    trusted: bool,
) -> Result<Option<Toolchain>, Problem> {
    let Some(root) = around(real) else { return Ok(None) };
    if !(trusted || is_straight(path, &root)?) || !prefix::may_be_shown(&root, request)? {
        return Ok(None);
    }
    Ok(Some(Toolchain { roots: vec![root], ..Toolchain::default() }))
}

/// Does the path lead to this folder of packages? One that is itself a link may be another project's.
fn is_straight(path: &Path, root: &Path) -> Result<bool, Problem> {
    let Some(folder) = around(path) else { return Ok(false) };
    let straight = on_the_way(&folder)?.iter().all(|link| links::is_of_the_system(&link.at));
    Ok(straight && files::real(&folder)?.is_some_and(|folder| folder == root))
}

fn around(path: &Path) -> Option<PathBuf> {
    let folders = path.ancestors().filter(|folder| folder.file_name() == Some(OsStr::new("node_modules")));
    folders.last().map(Path::to_owned)
}

/// The program that a shell script of a package calls by name: `node` in those that pnpm and npm write, `java` in
/// those of sdkman.
pub(in crate::resolve) fn companion(real: &Path) -> Result<Option<&'static str>, Problem> {
    let names: Vec<&OsStr> = real.iter().collect();
    let candidate = names.windows(2).find(|pair| pair[0] == "candidates").map(|pair| pair[1]);
    let companion = if names.contains(&OsStr::new("node_modules")) {
        "node"
    } else if candidate.is_some_and(|candidate| candidate != "java") {
        "java"
    } else {
        return Ok(None);
    };
    Ok((prefix::kind(real)? == Some(prefix::Kind::Script)).then_some(companion))
}
