//! Folders that programs are installed in: what they are known by, what of them is shown, and what never is.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::links::SymbolicLink;
use super::{Request, Toolchain, Variables, rustup};

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
pub(super) fn kind(path: &Path) -> Option<Kind> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut start = [0_u8; 4];
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let length = file.read(&mut start).ok()?;
    match start.get(..length)? {
        b"\x7fELF" => Some(Kind::Elf),
        [b'#', b'!', ..] => Some(Kind::Script),
        _ => None,
    }
}

/// Is it where the base shows the host's programs?
pub(in crate::resolve) fn is_of_the_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib64"].iter().any(|folder| path.starts_with(folder))
}

/// What of an installation is shown, and the variables that say where it is.
pub(super) fn toolchain(prefix: &Path) -> Toolchain {
    let is_go = prefix.join("pkg/tool").is_dir();
    let is_known = |name: &str| is_part(name) || is_go && OF_GO.contains(&name);
    from_parts(prefix, &is_known)
}

/// The same of a version's folder that a manager made: whatever is no settings.
pub(super) fn of_manager(folder: &Path) -> Toolchain {
    let is_settings = |name: &str| {
        let ends =
            [".conf", ".cfg", ".toml", ".json", ".yml", ".yaml", ".xml", ".ini", ".env", ".properties", "rc"];
        SETTINGS.contains(&name) || name.starts_with('.') || ends.iter().any(|end| name.ends_with(end))
    };
    from_parts(folder, &|name| is_part(name) || !is_settings(name))
}

fn from_parts(prefix: &Path, is_known: &dyn Fn(&str) -> bool) -> Toolchain {
    let (roots, links) = parts(prefix, is_known);
    let variables = variables(prefix);
    Toolchain { roots, links, bin: Some(prefix.join("bin")), variables }
}

fn variables(prefix: &Path) -> Variables {
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &OsStr| {
        variables.insert(name.into(), value.to_owned());
    };
    if is_java(prefix) {
        set("JAVA_HOME", prefix.as_os_str());
    } else if prefix.join("pkg/tool").is_dir() {
        set("GOROOT", prefix.as_os_str());
    } else if is_conda(prefix) {
        set("CONDA_PREFIX", prefix.as_os_str());
        let of_many = prefix.parent().is_some_and(|folder| folder.ends_with("envs"));
        let name = prefix.file_name().filter(|_| of_many).unwrap_or(OsStr::new("base"));
        set("CONDA_DEFAULT_ENV", name);
    }
    variables
}

fn is_part(name: &str) -> bool {
    FOLDERS.contains(&name)
        || FILES.contains(&name)
        || DOCUMENTS.iter().any(|document| name.starts_with(document))
        || is_of_a_platform(name)
}

/// The whole folder when it holds nothing but parts of an installation, else these parts one by one.
fn parts(prefix: &Path, is_known: &dyn Fn(&str) -> bool) -> (Vec<PathBuf>, Vec<SymbolicLink>) {
    let Ok(entries) = fs::read_dir(prefix) else { return (Vec::new(), Vec::new()) };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    let known = |name: &OsStr| name.to_str().is_some_and(is_known);
    if names.iter().all(|name| known(name)) {
        return (vec![prefix.to_owned()], Vec::new());
    }
    let (mut roots, mut links) = (Vec::new(), Vec::new());
    let of_folder = names.iter().filter(|name| known(name)).map(|name| prefix.join(name));
    for part in of_folder.chain(WITHIN.iter().map(|part| prefix.join(part))) {
        let Ok(there) = fs::symlink_metadata(&part) else { continue };
        let is_within = || fs::canonicalize(&part).is_ok_and(|real| real.starts_with(prefix));
        match fs::read_link(&part).ok().filter(|_| there.is_symlink()) {
            Some(target) if is_within() => links.push(SymbolicLink { at: part, target }),
            None if is_within() && (there.is_dir() || there.is_file()) => roots.push(part),
            _ => {}
        }
    }
    roots.sort();
    (roots, links)
}

/// A cross compiler's own folder: `x86_64-conda-linux-gnu`, `arm-none-eabi`.
fn is_of_a_platform(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    parts.len() >= 3
        && ["gnu", "musl", "eabi", "elf", "eabihf", "gnueabihf", "gnueabi"].contains(&parts[parts.len() - 1])
}

/// The innermost installation that a program is in.
pub(super) fn enclosing(real: &Path, request: &Request) -> Option<PathBuf> {
    const DEEPEST: usize = 12;
    let inner = ["bin", "lib", "lib64", "libexec", "share", "jre", "pkg", "sbin"];
    let mut folders = real.ancestors().skip(1).take(DEEPEST);
    let is_it = |folder: &&Path| {
        let first = real.strip_prefix(folder).ok().and_then(|rest| rest.iter().next());
        first.is_some_and(|first| inner.iter().any(|name| first == *name)) && is_an_installation(folder)
    };
    folders.find(is_it).filter(|folder| may_be_shown(folder, request)).map(Path::to_owned)
}

/// Unmistakably the installation of a language: its library is there.
fn is_an_installation(prefix: &Path) -> bool {
    let fixed = ["lib/rustlib", "lib/node_modules/npm", "pkg/tool", "pyvenv.cfg", "lib/ruby/gems"];
    fixed.iter().any(|name| prefix.join(name).exists())
        || is_java(prefix)
        || is_conda(prefix)
        || is_python(prefix)
}

/// A Python with its library; an environment borrows one.
pub(super) fn is_python(prefix: &Path) -> bool {
    let entries = fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("os.py")).any(|file| file.is_file())
}

pub(super) fn is_conda(prefix: &Path) -> bool {
    prefix.join("conda-meta/history").is_file()
}

fn is_java(prefix: &Path) -> bool {
    ["lib/modules", "lib/rt.jar", "jre/lib/rt.jar"].iter().any(|name| prefix.join(name).is_file())
}

/// It has libraries or data of its own beside its `bin`, and is not the root of another system.
pub(super) fn has_its_parts_beside(prefix: &Path) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| prefix.join(name).is_dir());
    has(&["lib", "lib64", "libexec", "share"]) && !has(&["etc", "home", "root", "var"])
}

/// A folder right in the home: more than one program's.
pub(super) fn is_first_level(prefix: &Path, request: &Request) -> bool {
    prefix.parent() == Some(&home(request))
}

pub(super) fn home(request: &Request) -> PathBuf {
    fs::canonicalize(&request.home).unwrap_or_else(|_| request.home.clone())
}

/// May a folder be shown? Never what is a person's or everybody's: a home, what is above it, the folders in it
/// that hold more than programs, a folder that others may write or own.
pub(super) fn may_be_shown(prefix: &Path, request: &Request) -> bool {
    let home = home(request);
    let cargo = rustup::cargo_home(request);
    prefix.parent().is_some()
        && !home.starts_with(prefix)
        && !PERSONAL.iter().any(|name| home.join(name) == prefix)
        && cargo != prefix
        && !SHARED.iter().any(|folder| Path::new(folder) == prefix)
        && !is_secret(prefix, request)
        && is_ours(prefix)
}

/// Where people keep keys and tokens, and nothing else.
pub(super) fn is_secret(path: &Path, request: &Request) -> bool {
    let home = home(request);
    SECRET.iter().any(|name| path.starts_with(home.join(name)))
}

/// Owned by the caller or by root, and writable by nobody else.
fn is_ours(path: &Path) -> bool {
    let caller = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|m| (m.uid() == caller || m.uid() == 0) && m.mode() & 0o002 == 0)
}
