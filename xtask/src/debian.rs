//! Packages of Debian, taken by name and unpacked somewhere: nothing of them is installed here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A system of a suite: from the cache, or from Debian into the cache. What is there stays as it is, as long as it was
/// made of the same packages: remove the folder for newer.
pub(crate) fn cached(
    prefix: &str,
    cache: &Path,
    suite: &str,
    packages: &[&str],
    download: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let (folder, made_of) = (cache.join(suite), packages.join(" "));
    let list = |folder: &Path| folder.join("made-of");
    if fs::read_to_string(list(&folder)).is_ok_and(|known| known == made_of) {
        println!("{prefix}: the system of {suite} is in {}", folder.display());
        return Ok(folder);
    }
    let partial = cache.join(format!("{suite}-{}", std::process::id()));
    let fill = || {
        make_folder(&partial)?;
        download(&partial)?;
        let list = list(&partial);
        fs::write(&list, made_of).map_err(|e| Failure::io("write", &list, &e))?;
        if folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(|e| Failure::io("remove", &folder, &e))?;
        }
        fs::rename(&partial, &folder).map_err(|e| Failure::io("make", &folder, &e))
    };
    let filled = fill();
    let _only_wastes_space = fs::remove_dir_all(&partial);
    filled.map_err(|why| Failure::Work(format!("no system from {suite}: {why}")))?;
    println!("{prefix}: the system of {suite} is now in {}", folder.display());
    Ok(folder)
}

/// Debian's package tool with a state, a cache and an architecture of its own, and this machine's mirror.
pub(crate) struct Apt {
    folder: PathBuf,
    architecture: &'static str,
}

impl Apt {
    pub(crate) fn new(folder: &Path, suite: &str, architecture: &'static str) -> Result<Self, Failure> {
        let apt = Self { folder: folder.to_owned(), architecture };
        for name in ["lists/partial", "archives/partial"] {
            make_folder(&folder.join(name))?;
        }
        let mirror = mirror()?;
        let keyring =
            if Path::new(KEYRING).is_file() { format!(" signed-by={KEYRING}") } else { String::new() };
        let base = suite.trim_end_matches("-backports");
        let mut sources = String::new();
        for suite in if base == suite { vec![base] } else { vec![base, suite] } {
            sources.push_str(&format!("deb [arch={architecture}{keyring}] {mirror} {suite} main\n"));
        }
        for (name, text) in [("sources.list", sources.as_str()), ("status", "")] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        }
        process::read(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let at = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        for (option, value) in [
            ("APT::Architecture", self.architecture.to_owned()),
            ("APT::Architectures", self.architecture.to_owned()),
            // Its unprivileged user cannot reach a folder of ours.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Dir::Cache::archives", at("archives")),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            // Nothing is installed there, so whatever is needed is fetched.
            ("Dir::State::status", at("status")),
        ] {
            command.args(["-o", &format!("{option}={value}")]);
        }
        command.current_dir(self.folder.join("archives"));
        command
    }

    /// The packages with the kernel and its modules, which the one with the constant name leads to: one package, or since
    /// 7.x two that the one depends on.
    pub(crate) fn kernel(&self, suite: &str, name: &str) -> Result<Vec<String>, Failure> {
        let image = self.needed(suite, name, "linux-image-")?.pop();
        let image = image.ok_or_else(|| Failure::Work(format!("{name} depends on no kernel")))?;
        let parts = self.needed(suite, &image, "linux-")?;
        let parts: Vec<_> = parts.into_iter().filter(|part| is_part(part)).collect();
        Ok(if parts.is_empty() { vec![image] } else { parts })
    }

    /// What a package depends on, of the names that begin so.
    fn needed(&self, suite: &str, name: &str, beginning: &str) -> Result<Vec<String>, Failure> {
        let shown =
            process::read(self.command("apt-cache").args(["--target-release", suite, "depends", name]))?;
        let needed = shown.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(needed.filter(|needed| needed.starts_with(beginning)).map(str::to_owned).collect())
    }

    /// Fetches packages and, with `install`, all that they need. Answers the files and forgets them.
    pub(crate) fn fetch(&self, how: &str, packages: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let archives = self.folder.join("archives");
        let before = list(&archives)?;
        let words = ["-qq", "--yes", "--download-only", "--no-install-recommends", how];
        process::read(self.command("apt-get").args(words).args(packages))?;
        let mut files = list(&archives)?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "deb") && !before.contains(file));
        Ok(files)
    }
}

fn is_part(package: &str) -> bool {
    package.starts_with("linux-binary-") || package.starts_with("linux-modules-")
}

/// The Debian mirror that this machine uses, as its own apt knows it.
pub(crate) fn mirror() -> Result<String, Failure> {
    let words =
        ["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian", "Label: Debian"];
    let mut asked = process::read(Command::new("apt-get").args(words))?;
    if asked.is_empty() {
        // A fresh container knows its mirrors only after the first update, which is root's.
        process::read(Command::new("apt-get").args(["-qq", "update"]))?;
        asked = process::read(Command::new("apt-get").args(words))?;
    }
    asked.lines().next().map(str::to_owned).ok_or_else(|| {
        Failure::Work("apt has no Debian mirror among its sources: run this on Debian".to_owned())
    })
}

/// The one file of a folder whose name begins so.
pub(crate) fn only(folder: &Path, beginning: &str) -> Result<PathBuf, Failure> {
    let mut files = list(folder)?;
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)));
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => Err(Failure::Work(format!(
            "{} has {} files {beginning}*, not one",
            folder.display(),
            files.len()
        ))),
    }
}

pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failure = |error| Failure::io("list", folder, &error);
    let entries = fs::read_dir(folder).map_err(failure)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(failure)?;
    paths.sort_unstable();
    Ok(paths)
}

pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make", path, &error))
}

pub(crate) fn unpack(packages: &[PathBuf], folder: &Path) -> Result<(), Failure> {
    make_folder(folder)?;
    packages
        .iter()
        .try_for_each(|package| process::run(Command::new("dpkg-deb").arg("-x").args([package, folder])))
}
