//! Virtual environments (PEP 405) and conda's: the environment, the interpreter that it was made from, and the
//! links between them.

use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::{Request, Toolchain, files, on_the_way, prefix, version};

/// The virtual environment that a program's path is in, and its interpreter. `None` when it is in none.
pub(super) fn environment(path: &Path, request: &Request) -> Result<Option<Vec<Toolchain>>, Problem> {
    let bin = path.parent().filter(|bin| bin.ends_with("bin"));
    let Some((bin, root)) = bin.and_then(|bin| Some((bin, bin.parent()?))) else { return Ok(None) };
    let Some(configuration) = version::text_of(&root.join("pyvenv.cfg"))? else { return Ok(None) };
    let Some(real) = files::real(root)? else { return Ok(None) };
    if !prefix::may_be_shown(&real, request)? {
        return Ok(None);
    }
    let interpreter = bin.join("python");
    let mut environment = prefix::toolchain(&real)?;
    environment.links.extend(on_the_way(path)?);
    environment.links.extend(on_the_way(&interpreter)?);
    environment.bin = Some(bin.to_owned());
    environment.variables = [("VIRTUAL_ENV".into(), root.into())].into();
    let mut found = vec![environment];
    // Its programs are not in PATH outside either.
    let mut base = |root: &Path| -> Result<(), Problem> {
        let variables = super::Variables::new();
        found.push(Toolchain { bin: None, variables, ..prefix::toolchain(root)? });
        Ok(())
    };
    let interpreter = files::real(&interpreter)?.unwrap_or(interpreter);
    if !prefix::is_of_the_system(&interpreter) && !interpreter.starts_with(&real) {
        if let Some(root) = prefix::enclosing(&interpreter, request)? {
            base(&root)?;
        } else if prefix::kind(&interpreter)? == Some(prefix::Kind::Elf)
            && !prefix::is_secret(&interpreter, request)?
        {
            found.push(Toolchain { roots: vec![interpreter], ..Toolchain::default() });
        }
    } else if let Some(root) = home(&configuration, request)? {
        // A copied interpreter has its library where it came from.
        base(&root)?;
    }
    Ok(Some(found))
}

/// The installation that `home` names, when it really is one: the file may be a hostile repository's.
fn home(configuration: &str, request: &Request) -> Result<Option<PathBuf>, Problem> {
    let line = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| value.trim())
    });
    let Some(line) = line.filter(|line| Path::new(line).is_absolute() && !line.contains('\0')) else {
        return Ok(None);
    };
    let bin = files::real(Path::new(line))?.filter(|bin| bin.ends_with("bin"));
    let Some(root) = bin.as_deref().and_then(Path::parent) else { return Ok(None) };
    let fits =
        !prefix::is_of_the_system(root) && prefix::is_python(root)? && prefix::may_be_shown(root, request)?;
    Ok(fits.then(|| root.to_owned()))
}

/// The environment that the caller has activated: its folder is in PATH, so that any program would find it.
pub(in crate::resolve) fn activated(request: &Request) -> Result<Vec<Toolchain>, Problem> {
    let in_path = |name: &str| {
        let root = version::variable(name, request).map(PathBuf::from).filter(|root| root.is_absolute())?;
        let path = request.environment.get(std::ffi::OsStr::new("PATH"))?;
        let bin = root.join("bin");
        std::env::split_paths(path).any(|folder| folder == bin).then_some(root)
    };
    if let Some(root) = in_path("VIRTUAL_ENV")
        && let Some(found) = environment(&root.join("bin/python"), request)?
    {
        return Ok(found);
    }
    let Some(root) = in_path("CONDA_PREFIX") else { return Ok(Vec::new()) };
    let Some(root) = files::real(&root)? else { return Ok(Vec::new()) };
    let fits = prefix::is_conda(&root)? && prefix::may_be_shown(&root, request)?;
    if fits { Ok(vec![prefix::toolchain(&root)?]) } else { Ok(Vec::new()) }
}
