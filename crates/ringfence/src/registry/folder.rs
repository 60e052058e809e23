//! The registry's folder and the files in it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_linux::errno_name;
use ringfence_policy::Problem;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, linkat, openat, openat2, unlinkat,
};
use rustix::process::geteuid;

use super::process::{is_alive, outer_user};
use super::{Entry, Facts};

/// No entry is larger.
const LARGEST: u64 = 4 << 20;

/// Where the folder may be, the best place first. Who names one has a registry apart from all others.
pub(super) fn places() -> Vec<PathBuf> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(own) = named("RINGFENCE_RUNTIME_DIR") {
        return vec![own.join("ringfence")];
    }
    let (user, runtime) = (outer_user(geteuid().as_raw()), named("XDG_RUNTIME_DIR"));
    let system = if user == 0 { "/run".into() } else { PathBuf::from(format!("/run/user/{user}")) };
    let mut places: Vec<_> =
        runtime.into_iter().chain([system]).map(|place| place.join("ringfence")).collect();
    places.push(format!("/tmp/ringfence-{user}").into());
    places.dedup();
    places
}

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> Problem {
    let errno = error.raw_os_error().map_or_else(|| error.to_string(), errno_name);
    let message = format!("{what}: `{}`", path.display());
    Problem::request("registry", message)
        .at(path)
        .errno(errno)
        .remedy("set RINGFENCE_RUNTIME_DIR to a folder that is yours")
}

/// Opens the folder; follows no symlink, and takes none that others can enter.
pub(super) fn open(path: &Path, make: bool) -> Result<OwnedFd, Problem> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let open = || openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let mut folder = open();
    if make && folder.as_ref().err() == Some(&rustix::io::Errno::NOENT) {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            // Another run may have been faster.
            Ok(()) | Err(rustix::io::Errno::EXIST) => folder = open(),
            Err(e) => return Err(failed("the registry's folder cannot be made", path, &e.into())),
        }
    }
    let folder = folder.map_err(|e| failed("the registry's folder cannot be opened", path, &e.into()))?;
    let stat = fstat(&folder).map_err(|e| failed("the registry's folder is unknown", path, &e.into()))?;
    if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
        let message = format!("the registry's folder `{}` is not this user's alone", path.display());
        return Err(Problem::request("registry", message).at(path).remedy("remove it, or chmod 700 it"));
    }
    Ok(folder)
}

pub(super) fn name_file(name: &str) -> String {
    format!("n-{name}")
}

pub(super) fn id_file(id: &str) -> String {
    format!("i-{id}")
}

pub(super) fn mark_file(id: &str) -> String {
    format!("k-{id}")
}

/// Writes a file that appears whole or not at all; one that exists stays. Answers its inode.
pub(super) fn write(folder: &OwnedFd, name: &str, content: &[u8]) -> io::Result<u64> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, ".", flags, Mode::from_raw_mode(0o600))?);
    file.write_all(content)?;
    let inode = fstat(&file)?.st_ino;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, unnamed, folder, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(inode)
}

/// Adds a line to a file of ours.
pub(super) fn append(folder: &OwnedFd, name: &str, line: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(openat(folder, name, flags, Mode::empty())?).write_all(line)
}

/// The live sandboxes of a folder. What is left of dead ones is taken away; what belongs to another PID namespace
/// is not ours to judge.
pub(super) fn read(folder: &OwnedFd, own: &Facts) -> Vec<Entry> {
    let mut live = Vec::new();
    let (mut marks, mut ids) = (Vec::new(), Vec::new());
    for file in Dir::read_from(folder).into_iter().flatten().flatten() {
        let Ok(name) = file.file_name().to_str().map(str::to_owned) else { continue };
        if let Some(id) = name.strip_prefix("k-") {
            marks.push(id.to_owned());
        }
        if !name.starts_with("i-") && !name.starts_with("n-") {
            continue;
        }
        let Some(entry) = read_file(folder, &name) else { continue };
        if entry.boot_id == own.boot_id && entry.pid_namespace != own.pid_namespace {
            ids.push(entry.id);
            continue;
        }
        let of_this_boot = entry.boot_id == own.boot_id;
        let owner = of_this_boot && is_alive(entry.supervisor);
        let init = of_this_boot && entry.init.is_some_and(is_alive);
        if !owner && !init {
            let _gone_already_is_fine = unlinkat(folder, &name, AtFlags::empty());
            continue;
        }
        ids.push(entry.id.clone());
        if init || entry.init.is_none() {
            live.push(entry);
        }
    }
    // A mark is looked at by the supervisor of its sandbox, as long as there is one.
    for mark in marks.iter().filter(|mark| !ids.contains(mark)) {
        let _gone_already_is_fine = unlinkat(folder, mark_file(mark), AtFlags::empty());
    }
    live
}

fn read_file(folder: &OwnedFd, name: &str) -> Option<Entry> {
    // What is no plain file is not ours: it is not waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut text = Vec::new();
    File::from(file).take(LARGEST).read_to_end(&mut text).ok()?;
    Entry::read(&text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::registry::Who;
    use crate::registry::process::own_facts;

    fn entry(id: &str, own: &Facts, supervisor: Who, init: Option<Who>) -> Entry {
        Entry {
            id: id.to_owned(),
            name: None,
            supervisor,
            init,
            boot_id: own.boot_id.clone(),
            pid_namespace: own.pid_namespace,
            command: vec!["true".to_owned()],
            profile: "default".to_owned(),
            started_at: "now".to_owned(),
        }
    }

    #[test]
    fn only_a_folder_of_this_user_alone_is_taken() {
        let scene = tempfile::tempdir().unwrap();
        let place = scene.path().canonicalize().unwrap().join("ringfence");
        assert!(open(&place, false).is_err(), "it is not made by who only reads");
        open(&place, true).unwrap();
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
        let link = scene.path().join("link");
        symlink(&place, &link).unwrap();
        assert!(open(&link, true).unwrap_err().to_string().contains("ELOOP"));
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open(&place, true).unwrap_err().to_string().contains("not this user's alone"));
    }

    #[test]
    fn the_dead_are_swept_and_the_living_and_the_unknown_stay() {
        let scene = tempfile::tempdir().unwrap();
        std::fs::set_permissions(scene.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let folder = open(&scene.path().canonicalize().unwrap(), false).unwrap();
        let own = own_facts().unwrap();
        let reused = Who { started: own.process.started + 1, ..own.process };
        let live = entry("live", &own, own.process, Some(own.process));
        let starting = entry("starting", &own, own.process, None);
        let dead = entry("dead", &own, reused, Some(reused));
        let ended = entry("ended", &own, own.process, Some(reused));
        let rebooted = Entry { boot_id: "another".to_owned(), ..entry("rebooted", &own, own.process, None) };
        let elsewhere = Entry { pid_namespace: 1, ..entry("elsewhere", &own, reused, Some(reused)) };
        for entry in [&live, &starting, &dead, &ended, &rebooted, &elsewhere] {
            write(&folder, &id_file(&entry.id), &entry.lines()).unwrap();
        }
        write(&folder, "i-garbage", b"{").unwrap();
        for mark in ["live", "dead"] {
            write(&folder, &mark_file(mark), b"").unwrap();
        }
        rustix::fs::mkfifoat(&folder, "i-fifo", Mode::RWXU).unwrap();
        let mut ids: Vec<_> = read(&folder, &own).into_iter().map(|entry| entry.id).collect();
        ids.sort();
        assert_eq!(ids, ["live", "starting"]);
        let mut left: Vec<_> = std::fs::read_dir(scene.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["i-elsewhere", "i-ended", "i-fifo", "i-garbage", "i-live", "i-starting", "k-live"]);
        assert!(write(&folder, "i-live", b"").is_err(), "what is there stays");
    }
}
