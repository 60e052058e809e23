//! Virtual environments (PEP 405) and conda's: the environment, the interpreter that it was made from, and the
//! links between them.

use std::fs;
use std::path::{Path, PathBuf};

use super::prefix;
use super::version;
use super::{Request, Toolchain, on_the_way};

/// The virtual environment that a program's path is in, and its interpreter. `None` when it is in none.
pub(super) fn environment(path: &Path, request: &Request) -> Option<Vec<Toolchain>> {
    let bin = path.parent().filter(|bin| bin.ends_with("bin"))?;
    let root = bin.parent()?;
    let configuration = version::text_of(&root.join("pyvenv.cfg"))?;
    let real = fs::canonicalize(root).ok().filter(|real| prefix::may_be_shown(real, request))?;
    let interpreter = bin.join("python");
    let mut environment = prefix::toolchain(&real);
    environment.links.extend(on_the_way(path));
    environment.links.extend(on_the_way(&interpreter));
    environment.bin = Some(bin.to_owned());
    environment.variables = [("VIRTUAL_ENV".into(), root.into())].into();
    let mut found = vec![environment];
    // Its programs are not in PATH outside either.
    let mut base = |root: PathBuf| {
        found.push(Toolchain { bin: None, variables: super::Variables::new(), ..prefix::toolchain(&root) });
    };
    let interpreter = fs::canonicalize(&interpreter).unwrap_or(interpreter);
    if !prefix::is_of_the_system(&interpreter) && !interpreter.starts_with(&real) {
        match prefix::enclosing(&interpreter, request) {
            Some(root) => base(root),
            None if prefix::kind(&interpreter) == Some(prefix::Kind::Elf)
                && !prefix::is_secret(&interpreter, request) =>
            {
                found.push(Toolchain { roots: vec![interpreter], ..Toolchain::default() });
            }
            None => {}
        }
    } else if let Some(root) = home(&configuration, request) {
        // A copied interpreter has its library where it came from.
        base(root);
    }
    Some(found)
}

/// The installation that `home` names, when it really is one: the file may be a hostile repository's.
fn home(configuration: &str, request: &Request) -> Option<PathBuf> {
    let line = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| value.trim())
    })?;
    let bin = fs::canonicalize(line).ok().filter(|bin| bin.is_absolute() && bin.ends_with("bin"))?;
    let root = bin.parent()?;
    let fits =
        !prefix::is_of_the_system(root) && prefix::is_python(root) && prefix::may_be_shown(root, request);
    fits.then(|| root.to_owned())
}

/// The environment that the caller has activated: its folder is in PATH, so that any program would find it.
pub(in crate::resolve) fn activated(request: &Request) -> Vec<Toolchain> {
    let in_path = |name: &str| {
        let root = version::variable(name, request).map(PathBuf::from).filter(|root| root.is_absolute())?;
        let path = request.environment.get(std::ffi::OsStr::new("PATH"))?;
        let bin = root.join("bin");
        std::env::split_paths(path).any(|folder| folder == bin).then_some(root)
    };
    let virtual_one = in_path("VIRTUAL_ENV").and_then(|root| environment(&root.join("bin/python"), request));
    if let Some(found) = virtual_one {
        return found;
    }
    let conda = in_path("CONDA_PREFIX").and_then(|root| fs::canonicalize(root).ok());
    let conda = conda.filter(|root| prefix::is_conda(root) && prefix::may_be_shown(root, request));
    conda.map(|root| prefix::toolchain(&root)).into_iter().collect()
}
