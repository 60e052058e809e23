//! Which program runs. The same one inside as outside, or a refusal that names both.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ringfence_policy::{Base, Policy, Problem, Reason, Toolchain as Wanted};

use super::environment::DEFAULT_PATH;
use super::toolchain::{self, Named, Toolchain};
use super::{Request, SameFile};
use crate::layout::{Found, Layout};
use crate::{errno, look};

/// How many interpreters may stand behind each other (`#!` of a `#!`), as the kernel allows (execve(2)).
const DEEPEST: usize = 5;

/// One program of the chain, as it is outside.
#[derive(Debug)]
struct Link {
    /// Its name or path, as it was said.
    said: OsString,
    /// What PATH or the path itself names.
    outside: PathBuf,
    /// What runs when that is a shim.
    program: PathBuf,
    /// The same without symlinks.
    real: PathBuf,
    /// It is found through PATH inside too (`#!/usr/bin/env NAME`).
    by_name: bool,
}

/// A command as the host would run it: the program, then the interpreters of its `#!` lines.
#[derive(Debug, Default)]
pub(super) struct Followed {
    chain: Vec<Link>,
    /// What the chain needs to be shown.
    pub(super) toolchains: Vec<Toolchain>,
}

/// Finds the command outside and follows it. An empty answer means that it can only be found inside.
pub(super) fn follow(policy: &Policy, request: &Request, name: &OsStr) -> Result<Followed, Problem> {
    let mut followed = Followed::default();
    if policy.filesystem.base != Base::Host {
        return Ok(followed);
    }
    let outside = match find_outside(name, request) {
        Ok(outside) => outside,
        // A path may exist only inside; a name must be in the caller's PATH.
        Err(_) if is_path(name) => return Ok(followed),
        Err(problem) => return Err(problem),
    };
    let mut next = Some((name.to_owned(), outside, false));
    while let Some((said, outside, by_name)) = next.take() {
        if followed.chain.len() == DEEPEST {
            let why = format!("`{}` has interpreters behind interpreters without end", said.display());
            return Err(Problem::new(Reason::NotExecutable, "interpreter", why).at(&outside));
        }
        let program = toolchain::behind_shim(&outside, request).unwrap_or_else(|| outside.clone());
        let real = look::real(&program).map_err(|e| {
            errno::problem("command", format!("`{}` cannot be followed", program.display()), e).at(&program)
        })?;
        if policy.filesystem.toolchain == Wanted::Auto {
            let named = match (by_name || !is_path(&said), followed.chain.is_empty()) {
                (true, _) => Named::InPath,
                (false, true) => Named::ByPath,
                (false, false) => Named::ByFile,
            };
            followed.toolchains.extend(toolchain::of(&program, &real, request, named));
        }
        next = interpreter(&real, request)?;
        followed.chain.push(Link { said, outside, program, real, by_name });
    }
    Ok(followed)
}

fn is_path(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&b'/')
}

/// The file that a name means outside: a path as it is, a name through the caller's PATH.
fn find_outside(name: &OsStr, request: &Request) -> Result<PathBuf, Problem> {
    if is_path(name) {
        let path = request.directory.join(name);
        return is_executable(&path).map(|()| path);
    }
    let path = request.environment.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into());
    let mut found_but = None;
    for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(name);
        // The next folder's program is not what was meant when nobody knows what this one has.
        look::present(look::behind(&candidate)).map_err(|e| look::unknown(&candidate, e))?;
        match is_executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(problem) if problem.reason == Reason::NotExecutable => found_but = Some(problem),
            Err(_) => {}
        }
    }
    Err(found_but.unwrap_or_else(|| not_found(name, "is not in PATH")))
}

fn not_found(name: &OsStr, why: &str) -> Problem {
    Problem::new(Reason::NotFound, "not-found", format!("`{}` {why}", name.display()))
        .errno("ENOENT")
        .remedy("install it, or name its path")
}

fn is_executable(path: &Path) -> Result<(), Problem> {
    let metadata = look::behind(path).map_err(|e| {
        let reason =
            if e.kind() == std::io::ErrorKind::NotFound { Reason::NotFound } else { Reason::NotExecutable };
        let mut problem = errno::problem("not-found", format!("`{}` cannot be run", path.display()), e)
            .at(path)
            .remedy("install it, or correct the path");
        problem.reason = reason;
        problem
    })?;
    let why = if metadata.is_dir() {
        "is a folder"
    } else if metadata.permissions().mode() & 0o111 == 0 {
        "is not executable"
    } else {
        return Ok(());
    };
    let message = format!("`{}` {why}", path.display());
    Err(Problem::new(Reason::NotExecutable, "not-executable", message)
        .at(path)
        .errno("EACCES")
        .remedy("chmod +x it, or name its interpreter"))
}

/// The interpreter of a script: (what its line says, its file outside, found by name).
fn interpreter(script: &Path, request: &Request) -> Result<Option<(OsString, PathBuf, bool)>, Problem> {
    let Some(line) = shebang(script)? else { return Ok(None) };
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(None) };
    let path = PathBuf::from(first);
    if path.file_name() != Some(OsStr::new("env")) {
        let path = request.directory.join(&path);
        is_executable(&path).map_err(|e| behind(script, e))?;
        return Ok(Some((first.into(), path, false)));
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let Some(name) = name else { return Ok(None) };
    let found = find_outside(OsStr::new(name), request).map_err(|e| behind(script, e))?;
    Ok(Some((name.into(), found, true)))
}

fn behind(script: &Path, mut problem: Problem) -> Problem {
    problem.message = format!("`{}` needs an interpreter: {}", script.display(), problem.message);
    problem.reason = Reason::NotExecutable;
    problem
}

/// The first line of a script without its `#!`; the kernel reads 256 bytes of it.
fn shebang(path: &Path) -> Result<Option<String>, Problem> {
    // A program that may be run and not read is no script of this caller's.
    let start = look::present(look::start(path, 256)).map_err(|e| look::unknown(path, e))?;
    let start = start.unwrap_or_default();
    let line = start.strip_prefix(b"#!").and_then(|text| text.split(|byte| *byte == b'\n').next());
    Ok(line.map(|line| String::from_utf8_lossy(line).trim().to_owned()))
}

/// The program's path inside and the file that must be there; every interpreter must be the same as outside.
pub(super) fn settle(
    layout: &Layout,
    request: &Request,
    followed: &Followed,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<(PathBuf, SameFile), Problem> {
    let name = &request.command[0];
    let Some((first, interpreters)) = followed.chain.split_first() else {
        return find_inside(layout, name, request, environment);
    };
    for link in interpreters {
        let found = if link.by_name {
            search(layout, &link.said, environment)?
        } else {
            layout.look_up(&link.outside)?
        };
        compare(link, found)?;
    }
    // The path that was found keeps what a program reads from its own name; it may lead through a shim or a
    // link that is not shown, then the real one serves.
    let candidates = [&first.outside, &first.program, &first.real];
    let skip = usize::from(first.outside != first.program);
    for path in candidates.into_iter().skip(skip) {
        if let Some(found) = layout.look_up(path)?
            && (is_same(&found, &first.real)? || was_put_there(layout, path))
        {
            return settled(path.clone(), &found);
        }
    }
    Err(compare(first, layout.look_up(&first.real)?).err().unwrap_or_else(|| hidden(first)))
}

fn settled(path: PathBuf, found: &Found) -> Result<(PathBuf, SameFile), Problem> {
    match found.identity() {
        Some((device, inode)) if !found.folder => Ok((path, SameFile { device, inode })),
        _ => {
            let why = format!("`{}` is not a file inside", path.display());
            Err(Problem::new(Reason::NotExecutable, "not-executable", why).at(&path).errno("EACCES"))
        }
    }
}

fn is_same(found: &Found, real: &Path) -> Result<bool, Problem> {
    let outside = look::present(look::behind(real)).map_err(|e| look::unknown(real, e))?;
    let outside = outside.map(|metadata| (metadata.dev(), metadata.ino()));
    Ok(outside.is_some() && found.identity() == outside)
}

/// Did the caller put something else at this path on purpose?
fn was_put_there(layout: &Layout, path: &Path) -> bool {
    use crate::layout::Node;
    let on_purpose = |node: &Node| matches!(node, Node::Bind { elsewhere: true, .. });
    layout.at(path).is_some_and(on_purpose) || on_purpose(layout.container(path).1)
}

fn compare(link: &Link, found: Option<Found>) -> Result<(), Problem> {
    let Some(found) = found else { return Err(hidden(link)) };
    if is_same(&found, &link.real)? {
        return Ok(());
    }
    let inside = found.host.map_or(found.path, |(host, _)| host);
    let why = format!(
        "`{}` is `{}` outside, but would be `{}` inside",
        link.said.display(),
        link.real.display(),
        inside.display()
    );
    Err(Problem::request("other-program", why)
        .at(&link.outside)
        .remedy("show the one that is meant with --ro, or name it by its path"))
}

fn hidden(link: &Link) -> Problem {
    let why = format!("`{}` is `{}`, which cannot be seen inside", link.said.display(), link.real.display());
    let remedy = format!(
        "--ro {} shows it, unless a --deny hides it",
        link.real.parent().unwrap_or(&link.real).display()
    );
    Problem::new(Reason::NotFound, "hidden", why).at(&link.real).errno("ENOENT").remedy(remedy)
}

/// A program that is known only inside: by its path, or through the PATH inside.
fn find_inside(
    layout: &Layout,
    name: &OsStr,
    request: &Request,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<(PathBuf, SameFile), Problem> {
    let found = if is_path(name) {
        layout.look_up(&request.directory.join(name))?.map(|found| (request.directory.join(name), found))
    } else {
        search(layout, name, environment)?.map(|found| (found.path.clone(), found))
    };
    let (path, found) = found.ok_or_else(|| not_found(name, "is not found inside the sandbox"))?;
    if let Some((host, _)) = &found.host {
        is_executable(host)?;
        check_interpreter_inside(layout, &path, host)?;
    }
    settled(path, &found)
}

/// The interpreter that a script's first line names must be inside too; the kernel would only say ENOENT.
fn check_interpreter_inside(layout: &Layout, script: &Path, host: &Path) -> Result<(), Problem> {
    let line = shebang(host)?.unwrap_or_default();
    let Some(interpreter) = line.split_whitespace().next() else { return Ok(()) };
    if layout.look_up(Path::new(interpreter))?.is_some_and(|found| !found.folder) {
        return Ok(());
    }
    let why = format!("`{}` needs the interpreter `{interpreter}`, which is not inside", script.display());
    let problem = Problem::new(Reason::NotExecutable, "interpreter", why).at(interpreter).errno("ENOENT");
    Err(problem.remedy("show it with --ro"))
}

/// What PATH inside finds.
fn search(
    layout: &Layout,
    name: &OsStr,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Option<Found>, Problem> {
    let Some(path) = environment.get(OsStr::new("PATH")) else { return Ok(None) };
    for folder in std::env::split_paths(path) {
        let found = layout.look_up(&folder.join(name))?;
        let runs = |found: &Found| found.host.as_ref().is_some_and(|(host, _)| is_executable(host).is_ok());
        if let Some(found) = found.filter(runs) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
