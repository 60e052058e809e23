//! The fresh folder of one run: its `files` go in before, its `collect` come out after. The program may have made of
//! it what it wanted: nothing in it is opened but beneath it, and no symlink is followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ringfence::errno_name;
use ringfence::policy::Problem;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, chmod, flock, fstat, mkdirat,
    openat, openat2, renameat, statat, unlinkat,
};
use rustix::process::geteuid;

const PREFIX: &str = "ringfence-batch-";
/// How deep folders are entered before what is deeper is moved up.
const DEEPEST: usize = 32;

/// Where the fresh folders of this batch are made, once one is needed.
#[derive(Default)]
pub(super) struct Folders {
    root: Mutex<Option<Root>>,
}

struct Root {
    /// Locked as long as this batch lives.
    file: OwnedFd,
    path: PathBuf,
    made: u64,
}

/// What a file held after the end, as far as it was read, and its whole size.
pub(super) type Collected = (Vec<u8>, u64);

/// One fresh folder; gone when dropped.
pub(super) struct Folder {
    root: OwnedFd,
    file: OwnedFd,
    name: String,
    pub(super) path: PathBuf,
    /// The folder that holds the fresh folders of all runs.
    pub(super) above: PathBuf,
}

fn failed(what: &str, e: impl Into<io::Error>) -> Problem {
    let e = e.into();
    let errno = e.raw_os_error().map_or_else(|| e.to_string(), errno_name);
    Problem::request("folder", what.to_owned()).errno(errno)
}

impl Folders {
    /// Makes one.
    pub(super) fn make(&self) -> Result<Folder, Problem> {
        let what = "no folder can be made for the run";
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if root.is_none() {
            sweep();
            *root =
                Some(make_root().map_err(|e| failed(what, e).remedy("point TMPDIR to a folder with room"))?);
        }
        let Some(root) = root.as_mut() else { return Err(Problem::request("folder", what.to_owned())) };
        root.made += 1;
        let name = root.made.to_string();
        mkdirat(&root.file, &name, Mode::RWXU).map_err(|e| failed(what, e))?;
        let file = open_folder(&root.file, &name).map_err(|e| failed(what, e))?;
        let own = rustix::io::fcntl_dupfd_cloexec(&root.file, 3).map_err(|e| failed(what, e))?;
        Ok(Folder { root: own, file, path: root.path.join(&name), name, above: root.path.clone() })
    }

    /// Takes all of them away.
    pub(super) fn remove(&self) {
        if let Some(root) = self.root.lock().unwrap_or_else(PoisonError::into_inner).take() {
            remove_root(&root.file, &root.path);
        }
    }
}

fn make_root() -> io::Result<Root> {
    let base = std::fs::canonicalize(std::env::temp_dir())?;
    for number in 0..1000_u32 {
        let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Err(rustix::io::Errno::EXIST) => continue,
            other => other?,
        }
        // Another batch may sweep it away before it is locked; then it is another's, or not there any more.
        let Ok(file) = open_folder(CWD, &path) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && stands_at(&file, &path) {
            return Ok(Root { file, path, made: 0 });
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Takes away what batches of this user that were killed have left: nobody holds its lock.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(file) = open_folder(CWD, entry.path()) else { continue };
        let own = fstat(&file).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
        if own
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && stands_at(&file, &entry.path())
        {
            remove_root(&file, &entry.path());
        }
    }
}

/// Is this folder what stands at the path?
fn stands_at(folder: &OwnedFd, path: &Path) -> bool {
    let there = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let same = |there: rustix::fs::Stat| {
        fstat(folder).is_ok_and(|own| (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino))
    };
    there.is_ok_and(same)
}

fn remove_root(file: &OwnedFd, path: &Path) {
    for name in names(file) {
        remove(file, &name);
    }
    let _left_for_the_next_sweep = std::fs::remove_dir(path);
}

/// What a folder holds. Itself and its parent are not of it.
fn names(folder: &OwnedFd) -> Vec<OsString> {
    let entries = Dir::read_from(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| OsString::from_vec(entry.file_name().to_bytes().to_vec()));
    names.filter(|name| name != "." && name != "..").collect()
}

fn open_folder(at: impl AsFd, path: impl AsRef<Path>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path.as_ref(), flags, Mode::empty())
}

/// Only names: a path that goes up, or begins at the root, is another's.
pub(super) fn check(path: &str) -> Result<(), Problem> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.contains('\0') || path.ends_with('/') {
        let message = format!("`{}` is not a relative path of names", path.escape_default());
        return Err(Problem::request("path", message)
            .at(path)
            .remedy("write it relative to the run's folder"));
    }
    Ok(())
}

impl Folder {
    /// Opens a file beneath the folder.
    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat2(
            &self.file,
            path,
            flags,
            Mode::from_raw_mode(if flags.contains(OFlags::CREATE) { 0o600 } else { 0 }),
            within,
        )
    }

    /// A plain file beneath the folder.
    fn open_plain(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let file = self.open(path, flags)?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error()));
        }
        Ok(file.into())
    }

    /// Puts a file in, and the folders above it.
    pub(super) fn put(&self, path: &str, content: &[u8]) -> Result<(), Problem> {
        check(path)?;
        let failed = |e: io::Error| failed(&format!("the file `{path}` cannot be put in"), e).at(path);
        let above: Vec<_> =
            Path::new(path).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        for folder in above.into_iter().rev() {
            match mkdirat(&self.file, folder, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(failed(e.into())),
            }
        }
        let mut file = self.create(path).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o755)).map_err(|e| failed(e.into()))
    }

    /// Makes a file that output goes into.
    pub(super) fn create(&self, path: &str) -> io::Result<File> {
        self.open_plain(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file that input comes from.
    pub(super) fn input(&self, path: &str) -> io::Result<File> {
        self.open_plain(path, OFlags::RDONLY)
    }

    /// Reads a file after the end, at most so many bytes of it. `None` where no plain file is.
    pub(super) fn collect(&self, path: &str, most: u64) -> Option<Collected> {
        // The program may have closed its folder to everybody, and so to us.
        let _only_then_it_matters = rustix::fs::fchmod(&self.file, Mode::RWXU);
        let file = self.open_plain(path, OFlags::RDONLY).ok()?;
        let size = file.metadata().ok()?.len();
        let mut content = Vec::new();
        file.take(most).read_to_end(&mut content).ok()?;
        Some((content, size))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.root, OsStr::new(&self.name));
    }
}

/// Removes a tree, however deep it is and whatever its permissions are. Nobody is left who could change it meanwhile.
fn remove(root: &OwnedFd, name: &OsStr) {
    let mut moved = 0_u64;
    let mut queue = vec![name.to_owned()];
    while let Some(top) = queue.pop() {
        let mut deeper = Vec::new();
        remove_one(root, Path::new(&top), DEEPEST, &mut |at, below| {
            moved += 1;
            let name = OsString::from(format!("deep-{}-{moved}", name.to_string_lossy()));
            if renameat(at, below, root, &name).is_ok() {
                deeper.push(name);
            }
        });
        // What was too deep stands beside it now, and it is empty.
        if !deeper.is_empty() {
            queue.push(top);
            queue.extend(deeper);
        }
    }
}

fn remove_one(at: &OwnedFd, name: &Path, depth: usize, too_deep: &mut dyn FnMut(&OwnedFd, &Path)) {
    let is_folder = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    if !is_folder {
        let _kept_by_the_file_system = unlinkat(at, name, AtFlags::empty());
        return;
    }
    let place = openat(
        at,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    if let Ok(place) = place {
        // By its own descriptor: a name could be a link.
        let _opening_it_says_so = chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), Mode::RWXU);
    }
    if depth == 0 {
        return too_deep(at, name);
    }
    if let Ok(folder) = open_folder(at, name) {
        for below in names(&folder) {
            remove_one(&folder, Path::new(&below), depth - 1, too_deep);
        }
    }
    let _not_empty_yet = unlinkat(at, name, AtFlags::REMOVEDIR);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_go_in_and_come_out_and_no_link_is_followed() {
        let neighbour = tempfile::tempdir().unwrap();
        std::fs::write(neighbour.path().join("file"), "x").unwrap();
        let folders = Folders::default();
        let folder = folders.make().unwrap();
        folder.put("a/b/file", b"content").unwrap();
        assert!(folder.put("a/b/file", b"again").is_err());
        assert_eq!(folder.collect("a/b/file", 100), Some((b"content".to_vec(), 7)));
        assert_eq!(folder.collect("a/b/file", 3), Some((b"con".to_vec(), 7)));
        symlink("/etc/passwd", folder.path.join("link")).unwrap();
        symlink("/etc", folder.path.join("way")).unwrap();
        rustix::fs::mkfifoat(CWD, folder.path.join("fifo"), Mode::RWXU).unwrap();
        for bad in ["link", "way/passwd", "fifo", "a", "none", "a/../link"] {
            assert_eq!(folder.collect(bad, 100), None, "{bad}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//../b", "a/", "x\0y", "./x/.."] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(folder.put("way/made", b"").is_err());
        let (path, above) = (folder.path.clone(), folder.above.clone());
        let root = open_folder(CWD, &above).unwrap();
        drop(folder);
        assert!(!path.exists() && stands_at(&root, &above));
        folders.remove();
        // Another test of this process may have one of the same name by now.
        assert!(!stands_at(&root, &above));
        assert!(neighbour.path().join("file").exists(), "it went up");
    }

    #[test]
    fn the_deepest_and_the_closed_are_removed() {
        let folders = Folders::default();
        let folder = folders.make().unwrap();
        let mut at = open_folder(CWD, &folder.path).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "deep", Mode::RWXU).unwrap();
            at = open_folder(&at, "deep").unwrap();
        }
        drop(at);
        let closed = folder.path.join("closed");
        std::fs::create_dir_all(closed.join("inner")).unwrap();
        std::fs::write(closed.join("file"), "x").unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        let root = folder.above.clone();
        drop(folder);
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
        folders.remove();
        assert!(!root.exists());
    }
}
