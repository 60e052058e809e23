//! Folders that programs are installed in: what they are known by, what of them is shown, and what never is.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::links::SymbolicLink;
use super::{Request, Toolchain, Variables, files, rustup};

/// What an installation is made of. Whatever else lies beside these is not shown: settings, tokens, other
/// environments, package caches.
const FOLDERS: [&str; 22] = [
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "include",
    "share",
    "man",
    "pkg",
    "jmods",
    "jre",
    "legal",
    "modules",
    "plugins",
    "ssl",
    "openssl",
    "readline",
    "boot",
    "sysroot",
    "compiler_compat",
    "condabin",
];

/// The sources and tests of Go's own library. Elsewhere such folders are a person's.
const OF_GO: [&str; 5] = ["src", "test", "api", "doc", "misc"];

/// Files of an installation that say what it is.
const FILES: [&str; 11] = [
    "pyvenv.cfg",
    "VERSION",
    "version",
    "release",
    "go.env",
    "BUILD",
    "codereview.cfg",
    "CACHEDIR.TAG",
    ".gitignore",
    ".lock",
    "manifest",
];

/// What people are told.
const DOCUMENTS: [&str; 8] =
    ["LICENSE", "LICENCE", "README", "CHANGELOG", "NOTICE", "COPYRIGHT", "COPYING", "THIRD_PARTY"];

/// Parts of folders that hold settings too: Java's, conda's.
const WITHIN: [&str; 7] = [
    "conf/security",
    "conf/net.properties",
    "conf/logging.properties",
    "conf/logging",
    "conf/sound.properties",
    "etc/fonts",
    "etc/jupyter",
];

/// Folders of settings, state, and other environments.
const SETTINGS: [&str; 9] = ["etc", "conf", "config", "var", "conda-meta", "envs", "pkgs", "cache", "tmp"];

/// Below the home: nothing in these is ever a toolchain.
const SECRET: [&str; 12] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".password-store",
    ".mozilla",
    ".config/gcloud",
    ".config/gh",
    ".thunderbird",
];

/// Right in the home: folders that hold more than programs.
const PERSONAL: [&str; 12] = [
    ".local",
    ".cargo",
    ".config",
    ".cache",
    ".npm",
    ".m2",
    ".gradle",
    ".conda",
    ".rustup",
    ".local/share",
    ".local/state",
    ".local/lib",
];

/// Everybody's, or the system's.
const SHARED: [&str; 11] =
    ["/tmp", "/var/tmp", "/dev/shm", "/run", "/mnt", "/media", "/srv", "/var", "/home", "/opt", "/etc"];

/// What kind of program a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The kernel runs it.
    Elf,
    /// Its first line names an interpreter.
    Script,
}

/// The kind of a file; `None` when it is no program.
pub(super) fn kind(path: &Path) -> Result<Option<Kind>, Problem> {
    Ok(match files::start(path, 4)?.as_deref() {
        Some(b"\x7fELF") => Some(Kind::Elf),
        Some([b'#', b'!', ..]) => Some(Kind::Script),
        _ => None,
    })
}

/// Is it where the base shows the host's programs?
pub(in crate::resolve) fn is_of_the_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib64"].iter().any(|folder| path.starts_with(folder))
}

/// What of an installation is shown, and the variables that say where it is.
pub(super) fn toolchain(prefix: &Path) -> Result<Toolchain, Problem> {
    let is_go = is_go(prefix)?;
    let is_known = |name: &str| is_part(name) || is_go && OF_GO.contains(&name);
    from_parts(prefix, &is_known)
}

/// The same of a version's folder that a manager made: whatever is no settings.
pub(super) fn of_manager(folder: &Path) -> Result<Toolchain, Problem> {
    let is_settings = |name: &str| {
        let ends =
            [".conf", ".cfg", ".toml", ".json", ".yml", ".yaml", ".xml", ".ini", ".env", ".properties", "rc"];
        SETTINGS.contains(&name) || name.starts_with('.') || ends.iter().any(|end| name.ends_with(end))
    };
    from_parts(folder, &|name| is_part(name) || !is_settings(name))
}

fn from_parts(prefix: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<Toolchain, Problem> {
    let (roots, links) = parts(prefix, is_known)?;
    let variables = variables(prefix)?;
    Ok(Toolchain { roots, links, bin: Some(prefix.join("bin")), variables })
}

fn variables(prefix: &Path) -> Result<Variables, Problem> {
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &OsStr| {
        variables.insert(name.into(), value.to_owned());
    };
    if is_java(prefix)? {
        set("JAVA_HOME", prefix.as_os_str());
    } else if is_go(prefix)? {
        set("GOROOT", prefix.as_os_str());
    } else if is_conda(prefix)? {
        set("CONDA_PREFIX", prefix.as_os_str());
        let of_many = prefix.parent().is_some_and(|folder| folder.ends_with("envs"));
        let name = prefix.file_name().filter(|_| of_many).unwrap_or(OsStr::new("base"));
        set("CONDA_DEFAULT_ENV", name);
    }
    Ok(variables)
}

fn is_part(name: &str) -> bool {
    FOLDERS.contains(&name)
        || FILES.contains(&name)
        || DOCUMENTS.iter().any(|document| name.starts_with(document))
        || is_of_a_platform(name)
}

/// The whole folder when it holds nothing but parts of an installation, else these parts one by one.
fn parts(
    prefix: &Path,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<(Vec<PathBuf>, Vec<SymbolicLink>), Problem> {
    let Some(names) = files::names(prefix)? else { return Ok((Vec::new(), Vec::new())) };
    let known = |name: &OsStr| name.to_str().is_some_and(is_known);
    if names.iter().all(|name| known(name)) {
        return Ok((vec![prefix.to_owned()], Vec::new()));
    }
    let (mut roots, mut links) = (Vec::new(), Vec::new());
    let of_folder = names.iter().filter(|name| known(name)).map(|name| prefix.join(name));
    for part in of_folder.chain(WITHIN.iter().map(|part| prefix.join(part))) {
        let Some(there) = files::at(&part)? else { continue };
        if !files::real(&part)?.is_some_and(|real| real.starts_with(prefix)) {
            continue;
        }
        match files::target(&part)? {
            Some(target) => links.push(SymbolicLink { at: part, target }),
            None if there.is_dir() || there.is_file() => roots.push(part),
            None => {}
        }
    }
    roots.sort();
    Ok((roots, links))
}

/// A cross compiler's own folder: `x86_64-conda-linux-gnu`, `arm-none-eabi`.
fn is_of_a_platform(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    parts.len() >= 3
        && ["gnu", "musl", "eabi", "elf", "eabihf", "gnueabihf", "gnueabi"].contains(&parts[parts.len() - 1])
}

/// The innermost installation that a program is in.
pub(super) fn enclosing(real: &Path, request: &Request) -> Result<Option<PathBuf>, Problem> {
    const DEEPEST: usize = 12;
    let inner = ["bin", "lib", "lib64", "libexec", "share", "jre", "pkg", "sbin"];
    let is_inner = |folder: &&Path| {
        let first = real.strip_prefix(folder).ok().and_then(|rest| rest.iter().next());
        first.is_some_and(|first| inner.iter().any(|name| first == *name))
    };
    let folders = real.ancestors().skip(1).take(DEEPEST).filter(is_inner);
    match files::first(folders, |folder| is_an_installation(folder))? {
        Some(folder) if may_be_shown(folder, request)? => Ok(Some(folder.to_owned())),
        _ => Ok(None),
    }
}

/// Unmistakably the installation of a language: its library is there.
fn is_an_installation(prefix: &Path) -> Result<bool, Problem> {
    let fixed = ["lib/rustlib", "lib/node_modules/npm", "pkg/tool", "pyvenv.cfg", "lib/ruby/gems"];
    Ok(has(prefix, &fixed, files::is_there)? || is_java(prefix)? || is_conda(prefix)? || is_python(prefix)?)
}

/// Is one of these names there, as what is asked for?
fn has(prefix: &Path, names: &[&str], is_so: fn(&Path) -> Result<bool, Problem>) -> Result<bool, Problem> {
    Ok(files::first(names.iter(), |name| is_so(&prefix.join(name)))?.is_some())
}

/// A Python with its library; an environment borrows one.
pub(super) fn is_python(prefix: &Path) -> Result<bool, Problem> {
    let lib = prefix.join("lib");
    let names = files::names(&lib)?.unwrap_or_default();
    Ok(files::first(names.iter(), |name| files::is_file(&lib.join(name).join("os.py")))?.is_some())
}

pub(super) fn is_conda(prefix: &Path) -> Result<bool, Problem> {
    files::is_file(&prefix.join("conda-meta/history"))
}

fn is_go(prefix: &Path) -> Result<bool, Problem> {
    files::is_folder(&prefix.join("pkg/tool"))
}

fn is_java(prefix: &Path) -> Result<bool, Problem> {
    has(prefix, &["lib/modules", "lib/rt.jar", "jre/lib/rt.jar"], files::is_file)
}

/// It has libraries or data of its own beside its `bin`, and is not the root of another system.
pub(super) fn has_its_parts_beside(prefix: &Path) -> Result<bool, Problem> {
    let has = |names: &[&str]| has(prefix, names, files::is_folder);
    Ok(has(&["lib", "lib64", "libexec", "share"])? && !has(&["etc", "home", "root", "var"])?)
}

/// A folder right in the home: more than one program's.
pub(super) fn is_first_level(prefix: &Path, request: &Request) -> Result<bool, Problem> {
    Ok(prefix.parent() == Some(&home(request)?))
}

/// The home without symlinks.
pub(super) fn home(request: &Request) -> Result<PathBuf, Problem> {
    Ok(files::real(&request.home)?.unwrap_or_else(|| request.home.clone()))
}

/// May a folder be shown? Never what is a person's or everybody's: a home, what is above it, the folders in it
/// that hold more than programs, a folder that others may write or own.
pub(super) fn may_be_shown(prefix: &Path, request: &Request) -> Result<bool, Problem> {
    let home = home(request)?;
    let cargo = rustup::cargo_home(request);
    Ok(prefix.parent().is_some()
        && !home.starts_with(prefix)
        && !PERSONAL.iter().any(|name| home.join(name) == prefix)
        && cargo != prefix
        && !SHARED.iter().any(|folder| Path::new(folder) == prefix)
        && !is_secret(prefix, request)?
        && is_ours(prefix)?)
}

/// Where people keep keys and tokens, and nothing else.
pub(super) fn is_secret(path: &Path, request: &Request) -> Result<bool, Problem> {
    let home = home(request)?;
    Ok(SECRET.iter().any(|name| path.starts_with(home.join(name))))
}

/// Owned by the caller or by root, and writable by nobody else.
fn is_ours(path: &Path) -> Result<bool, Problem> {
    let caller = rustix::process::geteuid().as_raw();
    let is_ours = |m: std::fs::Metadata| (m.uid() == caller || m.uid() == 0) && m.mode() & 0o002 == 0;
    Ok(files::behind(path)?.is_some_and(is_ours))
}
