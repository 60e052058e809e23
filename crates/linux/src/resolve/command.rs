//! Which program runs. The same one inside as outside, or a refusal that names both.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ringfence_policy::{Base, Policy, Problem, Reason, Toolchain as Wanted};

use super::environment::DEFAULT_PATH;
use super::toolchain::{self, Named, Shim, SymbolicLink, Toolchain};
use super::{Request, SameFile};
use super::{commands, interpreter};
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

/// A command as the host would run it, and what it calls by name.
#[derive(Debug, Default)]
pub(super) struct Followed {
    command: Option<Link>,
    /// The interpreters of `#!` lines, and programs that were asked for by name.
    others: Vec<Link>,
    /// What they need to be shown.
    pub(super) toolchains: Vec<Toolchain>,
    /// The command's first argument was for its version manager.
    pub(super) took_an_argument: bool,
}

/// Finds the command outside and follows it. Where it has no program it can only be found inside.
pub(super) fn follow(policy: &Policy, request: &Request, name: &OsStr) -> Result<Followed, Problem> {
    let mut followed = Followed::default();
    if policy.filesystem.base != Base::Host {
        return match policy.filesystem.toolchain.programs() {
            [] => Ok(followed),
            [name, ..] => Err(no_host(name)),
        };
    }
    match find_outside(name, request) {
        Ok(outside) => walk(&mut followed, policy, request, Next::command(name, outside))?,
        // A path may exist only inside; a name must be in the caller's PATH.
        Err(problem) if is_path(name) && says_nothing_runs(&problem) => {}
        Err(problem) => return Err(problem),
    }
    if policy.filesystem.toolchain == Wanted::None {
        return Ok(followed);
    }
    for name in policy.filesystem.toolchain.programs() {
        let outside = find_outside(OsStr::new(name), request).map_err(|mut problem| {
            // A flag named it, or a profile: here nobody knows which.
            problem.message = format!("the policy names the toolchain `{name}`: {}", problem.message);
            problem
                .remedy("install it, or take it out of --toolchain, or filesystem.toolchain of the profile")
        })?;
        walk(&mut followed, policy, request, Next::by_name(name, outside))?;
    }
    if let Some(link) = &followed.command
        && let Some(name) = toolchain::companion(&link.real)?
    {
        match find_outside(OsStr::new(name), request) {
            Ok(outside) => walk(&mut followed, policy, request, Next::by_name(name, outside))?,
            // The script fails inside as it does outside.
            Err(problem) if says_nothing_runs(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    followed.toolchains.extend(toolchain::activated(request)?);
    Ok(followed)
}

fn no_host(name: &str) -> Problem {
    let why = format!("the toolchain of `{name}` needs the host's libraries, which this base does not show");
    Problem::request("toolchain", why).remedy("--base host shows them; --toolchain none does without")
}

/// A program that is to be followed.
struct Next {
    said: OsString,
    outside: PathBuf,
    by_name: bool,
    is_command: bool,
}

impl Next {
    fn command(said: &OsStr, outside: PathBuf) -> Self {
        Self { said: said.to_owned(), outside, by_name: false, is_command: true }
    }

    fn by_name(name: &str, outside: PathBuf) -> Self {
        Self { said: name.into(), outside, by_name: true, is_command: false }
    }

    fn named(&self) -> Named {
        match (self.by_name || !is_path(&self.said), self.is_command) {
            (true, _) => Named::InPath,
            (false, true) => Named::ByPath,
            (false, false) => Named::ByFile,
        }
    }
}

/// Follows a program through shim and symlink, then its interpreter, and so on.
fn walk(followed: &mut Followed, policy: &Policy, request: &Request, first: Next) -> Result<(), Problem> {
    let looks = policy.filesystem.toolchain != Wanted::None;
    let mut next = Some(first);
    let mut depth = 0;
    while let Some(this) = next.take() {
        depth += 1;
        if depth > DEEPEST {
            let why = format!("`{}` has interpreters behind interpreters without end", this.said.display());
            return Err(Problem::new(Reason::NotExecutable, "interpreter", why).at(&this.outside));
        }
        let (program, real, shims) = behind_shims(&this.outside, request)?;
        if looks {
            let mut found = toolchain::of(&program, &real, request, this.named())?;
            if !this.is_command {
                // By these links the caller's PATH finds it inside as it does outside.
                if shims.is_empty() {
                    found.iter_mut().for_each(|toolchain| toolchain.bin = None);
                }
                found.push(way_to(&this.outside, &program)?);
            }
            for shim in shims {
                found.extend(toolchain::managed(&shim, &real, request)?);
                followed.took_an_argument |= shim.took_an_argument && this.is_command;
                let roots = shim.beside;
                found.push(Toolchain { roots, variables: shim.variables, ..Toolchain::default() });
            }
            followed.toolchains.extend(found);
        }
        next = interpreter::of(&real, request)?.map(|found| Next {
            said: found.said,
            outside: found.outside,
            by_name: found.by_name,
            is_command: false,
        });
        let link = Link { said: this.said, outside: this.outside, program, real, by_name: this.by_name };
        if this.is_command {
            followed.command = Some(link);
        } else {
            followed.others.push(link);
        }
    }
    Ok(())
}

/// What runs behind version managers' shims, by its path and without symlinks, and the shims.
fn behind_shims(outside: &Path, request: &Request) -> Result<(PathBuf, PathBuf, Vec<Shim>), Problem> {
    let mut program = outside.to_owned();
    let mut shims = Vec::new();
    loop {
        let real = look::real(&program).map_err(|e| {
            errno::problem("command", format!("`{}` cannot be followed", program.display()), e).at(&program)
        })?;
        let shim = toolchain::behind_shim(&program, &real, request)?;
        let Some(shim) = shim.filter(|shim| shim.program != program && shims.len() < DEEPEST) else {
            return Ok((program, real, shims));
        };
        program.clone_from(&shim.program);
        shims.push(shim);
    }
}

/// The links by which an interpreter is found inside as it is outside; one stands for a shim.
fn way_to(outside: &Path, program: &Path) -> Result<Toolchain, Problem> {
    let links = if toolchain::is_of_the_system(outside) {
        Vec::new()
    } else if outside == program {
        toolchain::on_the_way(outside)?
    } else {
        let shim = SymbolicLink { at: outside.to_owned(), target: program.to_owned() };
        [vec![shim], toolchain::on_the_way(program)?].concat()
    };
    Ok(Toolchain { links, ..Toolchain::default() })
}

fn is_path(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&b'/')
}

/// The file that a name means outside: a path as it is, a name through the caller's PATH.
pub(super) fn find_outside(name: &OsStr, request: &Request) -> Result<PathBuf, Problem> {
    if is_path(name) {
        let path = request.directory.join(name);
        return is_executable(&path).map(|()| path);
    }
    let path = request.environment.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into());
    let mut found_but = None;
    for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(name);
        match is_executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(problem) if problem.reason == Reason::NotExecutable => found_but = Some(problem),
            Err(problem) if problem.reason == Reason::NotFound => {}
            // The next folder's program is not what was meant when nobody knows what this one has.
            Err(problem) => return Err(problem),
        }
    }
    Err(found_but.unwrap_or_else(|| not_found(name, "is not in PATH")))
}

fn not_found(name: &OsStr, why: &str) -> Problem {
    Problem::new(Reason::NotFound, "not-found", format!("`{}` {why}", name.display()))
        .errno("ENOENT")
        .remedy("install it, or name its path")
}

/// There is no program, rather than: nobody knows.
pub(super) fn says_nothing_runs(problem: &Problem) -> bool {
    matches!(problem.reason, Reason::NotFound | Reason::NotExecutable)
}

pub(super) fn is_executable(path: &Path) -> Result<(), Problem> {
    let metadata = look::behind(path).map_err(|e| {
        if !look::is_absent(&e) {
            return look::unknown(path, e);
        }
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
    } else if !metadata.is_file() {
        "is no regular file"
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

/// The program's path inside and the file that must be there; every interpreter must be the same as outside.
pub(super) fn settle(
    layout: &Layout,
    policy: &Policy,
    request: &Request,
    followed: &Followed,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<(PathBuf, SameFile), Problem> {
    let (path, file) = same_as_outside(layout, policy, request, followed, environment)?;
    commands::check_interpreters(layout, policy, &path)?;
    Ok((path, file))
}

fn same_as_outside(
    layout: &Layout,
    policy: &Policy,
    request: &Request,
    followed: &Followed,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<(PathBuf, SameFile), Problem> {
    let name = &request.command[0];
    for (link, is_command) in followed
        .command
        .iter()
        .map(|link| (link, true))
        .chain(followed.others.iter().map(|link| (link, false)))
    {
        commands::check(layout, policy, [&link.outside, &link.program, &link.real], is_command)?;
    }
    for link in &followed.others {
        let found = if link.by_name {
            search(layout, &link.said, environment)?
        } else {
            layout.look_up(&link.outside)?
        };
        compare(link, found)?;
    }
    let Some(first) = &followed.command else {
        return find_inside(layout, name, request, environment).map_err(|problem| {
            let is_taken_away = problem.reason == Reason::NotFound && !policy.filesystem.commands.is_empty();
            if is_taken_away { commands::not_named(policy, "", Path::new(name)) } else { problem }
        });
    };
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
    let remedy = format!("--ro {} shows it, unless a --deny hides it", link.real.display());
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
    let line = interpreter::line(host)?.unwrap_or_default();
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
        let Some((host, _)) = found.as_ref().and_then(|found| found.host.as_ref()) else { continue };
        match is_executable(host) {
            Ok(()) => return Ok(found),
            Err(problem) if says_nothing_runs(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(None)
}
