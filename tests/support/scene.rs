//! Folders of one test, outside of everything that a sandbox shows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Rung;

/// The name of the caller's runtime folder.
const RUNTIME: &str = "runtime";

/// A temporary folder with a home, a working directory, and room for what the test needs. Gone when dropped.
pub struct Scene {
    root: tempfile::TempDir,
}

impl Scene {
    /// A fresh one. World-readable, so that a sandbox of root, which runs under another id, is not kept out by
    /// accident: a test must show what the sandbox holds, not what permission bits do.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("ringfence-test-").tempdir().expect("a temporary folder");
        let scene = Self { root };
        open_to_all(scene.root.path());
        scene.folder("home");
        scene.folder("here");
        scene
    }

    /// The caller's home.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The caller's runtime folder: live sandboxes of other tests are in other ones.
    pub fn runtime(&self) -> PathBuf {
        self.folder(RUNTIME)
    }

    /// A path below the scene, links resolved.
    pub fn path(&self, name: &str) -> PathBuf {
        let root = fs::canonicalize(self.root.path()).expect("the scene exists");
        root.join(name)
    }

    /// A path that is in no folder that a test grants.
    pub fn outside_path(&self, name: &str) -> PathBuf {
        self.folder("outside").join(name)
    }

    /// A folder below the scene, made when it is not there.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        if !path.is_dir() {
            fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            open_to_all(&path);
        }
        path
    }

    /// A file below the scene.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = Path::new(name).parent() {
            self.folder(&parent.to_string_lossy());
        }
        fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// A copy of a program. Made by another process: a descriptor that is open for writing here would be copied
    /// into whatever another test's thread forks meanwhile, and executing the file would fail (ETXTBSY).
    pub fn program(&self, name: &str, original: &Path) -> PathBuf {
        let path = self.path(name);
        let copied = std::process::Command::new("cp").arg(original).arg(&path).status().expect("cp runs");
        assert!(copied.success(), "{}", path.display());
        path
    }

    /// Every path below the scene, but its runtime folder, with its content's length: to show that nothing was made or
    /// changed.
    pub fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path(""), &mut found);
        let runtime = self.path(RUNTIME).display().to_string();
        found.retain(|path| !path.starts_with(&runtime));
        found.sort();
        found
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

fn list(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("an entry has a type");
        let length = if kind.is_file() { entry.metadata().map_or(0, |m| m.len()) } else { 0 };
        found.push(format!("{} {length}", entry.path().display()));
        if kind.is_dir() {
            list(&entry.path(), found);
        }
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // Where nothing maps root's folders to a sandbox, only what anybody may write can be granted for writing.
    let mode = if Rung::under_test().is_some_and(|rung| !rung.maps_ids()) { 0o777 } else { 0o755 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own folder");
}

/// Does the test run as root?
pub fn is_root() -> bool {
    // SAFETY: no arguments; it cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Says why a control or a check is out of reach on this machine: never in silence.
pub fn not_reachable(row: &str, why: &str) {
    use std::io::Write as _;
    // The test harness keeps what is printed by a macro to itself.
    let line = format!("{row}: not reachable here: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("somebody hears what is left out");
}

/// A user id that no account has, for a control that root must run as somebody else.
pub const fn spare_user() -> u32 {
    64_999
}
