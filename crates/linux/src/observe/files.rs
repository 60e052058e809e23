//! Why a path leads nowhere inside: what the kernel will say, found by looking at the sandbox from outside.
//!
//! For describing only. The kernel itself decides, under the sandbox's mounts and Landlock.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};
use rustix::io::Errno;

use super::calls::Want;
use super::remedy;
use crate::layout::{Layout, Node};

/// The sandbox's files, from outside.
#[derive(Debug)]
pub(super) struct View {
    root: OwnedFd,
    layout: Layout,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What is wrong, after the path.
    pub(super) why: &'static str,
    /// The error, by name.
    pub(super) answer: &'static str,
    /// The path inside, without symlinks, where it is there.
    pub(super) resolved: Option<PathBuf>,
    /// The flag that would allow it.
    pub(super) allow_with: Option<String>,
    /// It is there, and only may not be changed, read or executed.
    pub(super) there: bool,
}

impl View {
    pub(super) const fn new(root: OwnedFd, layout: Layout) -> Self {
        Self { root, layout }
    }

    /// Why an absolute path does not give what is wanted; `None` where the policy is not the reason.
    pub(super) fn judge(&self, path: &Path, want: Want, link: bool) -> Option<Finding> {
        // What /proc shows depends on who looks, and nothing of the host is behind it.
        if path.starts_with("/proc") {
            return None;
        }
        match self.open(path, link) {
            Ok(file) => self.existing(&file, path, want),
            Err(Errno::NOENT | Errno::NOTDIR) => self.missing(path, want),
            Err(Errno::ACCESS) => self.is_covered(path).then(|| hidden(None)),
            Err(_) => None,
        }
    }

    /// Opens a path without any of its effects: no FIFO waits, no device acts.
    fn open(&self, path: &Path, link: bool) -> Result<OwnedFd, Errno> {
        let last = if link { OFlags::NOFOLLOW } else { OFlags::empty() };
        let flags = OFlags::PATH | OFlags::CLOEXEC | last;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(self.root.as_fd(), path, flags, Mode::empty(), resolve)?;
        crate::image::above_streams(file).map_err(|_| Errno::MFILE)
    }

    fn existing(&self, file: &OwnedFd, path: &Path, want: Want) -> Option<Finding> {
        let resolved = resolved(file)?;
        if self.is_covered(&resolved) {
            return (want != Want::Look).then(|| hidden(Some(resolved)));
        }
        let kind = FileType::from_raw_mode(fstat(file).ok()?.st_mode);
        let changes = matches!(kind, FileType::RegularFile | FileType::Directory);
        match want {
            Want::Write if changes && is_read_only(file) => Some(self.read_only(resolved.clone(), &resolved)),
            // Who would make it may make others beside it: a journal, a temporary file.
            Want::WriteOrMake if changes && is_read_only(file) => {
                let folder = self.folder_of(&resolved);
                Some(self.read_only(resolved, &folder))
            }
            Want::Remove => {
                let parent = self.open(path.parent()?, false).ok()?;
                is_read_only(&parent).then_some(())?;
                let folder = self::resolved(&parent)?;
                Some(self.read_only(resolved, &folder))
            }
            Want::Execute if mount_has(file, StatVfsMountFlags::NOEXEC) => Some(Finding {
                why: "nothing is executed from there",
                answer: "EACCES",
                resolved: Some(resolved),
                allow_with: None,
                there: true,
            }),
            _ => None,
        }
    }

    fn missing(&self, path: &Path, want: Want) -> Option<Finding> {
        let makes = matches!(want, Want::Make | Want::MakeFolder | Want::WriteOrMake);
        if !makes {
            let host = fs::symlink_metadata(path).ok()?;
            // A link that is shown, to something that is not.
            let real = self.open(path, true).ok().and_then(|_| fs::canonicalize(path).ok());
            let path = real.as_deref().unwrap_or(path);
            let allow_with = if want == Want::Remove || want == Want::Write {
                Some(remedy::grant("--rw", path))
            } else if host.file_type().is_socket() {
                None
            } else if path.starts_with("/dev") {
                Some(remedy::grant("--device", path))
            } else {
                Some(remedy::grant("--ro", path))
            };
            return Some(not_shown(allow_with));
        }
        let parent = path.parent()?;
        match self.open(parent, false) {
            Ok(folder) if is_read_only(&folder) => {
                let inside = resolved(&folder)?;
                let finding = self.read_only(path.to_owned(), &inside);
                let own = want == Want::MakeFolder && self.is_own(&inside);
                let tmpfs = own.then(|| remedy::grant("--tmpfs", path));
                Some(Finding { allow_with: tmpfs.or(finding.allow_with), resolved: None, ..finding })
            }
            Ok(_) => None,
            Err(_) => {
                let host = fs::metadata(parent).is_ok_and(|host| host.is_dir());
                let memory = ["/var", "/run"].iter().any(|system| parent.starts_with(system));
                let flag = if memory { "--tmpfs" } else { "--rw" };
                host.then(|| not_shown(Some(remedy::grant(flag, parent))))
            }
        }
    }

    /// A folder or file is read-only.
    fn read_only(&self, resolved: PathBuf, place: &Path) -> Finding {
        let allow_with = if self.is_own(place) {
            None
        } else {
            self.layout.host_path(place).map(|host| match host == place {
                true => remedy::grant("--rw", place),
                false => remedy::bind(&host, place),
            })
        };
        Finding { why: "read-only", answer: "EROFS", resolved: Some(resolved), allow_with, there: true }
    }

    /// The folder of a file, where that is of the same grant; else the file.
    fn folder_of(&self, file: &Path) -> PathBuf {
        let granted_alone = self.layout.at(file).is_some();
        file.parent().filter(|_| !granted_alone).unwrap_or(file).to_owned()
    }

    /// Nothing of the host's stands there.
    fn is_own(&self, place: &Path) -> bool {
        let node = match self.layout.at(place) {
            None | Some(Node::Pin { .. }) => self.layout.container(place).1,
            Some(node) => node,
        };
        !matches!(node, Node::Bind { .. })
    }

    fn is_covered(&self, path: &Path) -> bool {
        path.ancestors().any(|above| matches!(self.layout.at(above), Some(Node::Cover { .. })))
    }
}

fn not_shown(allow_with: Option<String>) -> Finding {
    Finding { why: "not shown", answer: "ENOENT", resolved: None, allow_with, there: false }
}

fn hidden(resolved: Option<PathBuf>) -> Finding {
    Finding { why: "hidden by the policy", answer: "EACCES", resolved, allow_with: None, there: true }
}

/// Where an open file is, in its own mount namespace.
fn resolved(file: &OwnedFd) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    // What covers a path has no name any more (proc_pid_fd(5)).
    let gone = path.as_os_str().as_bytes().strip_suffix(b" (deleted)");
    match gone.filter(|_| fstat(file).is_ok_and(|stat| stat.st_nlink == 0)) {
        Some(bytes) => Some(PathBuf::from(OsStr::from_bytes(bytes))),
        None => Some(path),
    }
}

fn is_read_only(file: &OwnedFd) -> bool {
    mount_has(file, StatVfsMountFlags::RDONLY)
}

fn mount_has(file: &OwnedFd, flag: StatVfsMountFlags) -> bool {
    fstatvfs(file).is_ok_and(|stat| stat.f_flag.contains(flag))
}
