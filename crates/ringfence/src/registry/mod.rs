//! Who runs: one small file for each live sandbox of this user, in a folder that nobody else can enter. No daemon
//! keeps it: a file is written when a sandbox starts and taken away when it ends, and what a crash leaves is known
//! by the start times of its processes and swept.

mod end;
mod entry;
mod figures;
mod folder;
mod process;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_policy::{Problem, Report};
use rustix::fs::{AtFlags, statat, unlinkat};

/// What fuzz/ reaches, in its own build only.
#[cfg(fuzzing)]
pub mod fuzzed {
    /// Reads a file; what is an entry reads the same when it is written.
    pub fn entry(text: &[u8]) {
        if let Some(entry) = super::Entry::read(text) {
            assert_eq!(super::Entry::read(&entry.lines()), Some(entry));
        }
    }
}

pub use end::{Ended, kill, kill_all};
pub use entry::{Entry, Who};
pub use figures::{Figures, Source, figures};

use crate::registry::process::own_facts;

/// The folder of this user's live sandboxes, open.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: OwnedFd,
    path: PathBuf,
    own: Facts,
}

/// What is the same in every entry of one supervisor.
#[derive(Clone, Debug)]
struct Facts {
    process: Who,
    boot_id: String,
    pid_namespace: u64,
}

impl Registry {
    /// Opens the first folder that can be used, and makes it where it is missing: `$XDG_RUNTIME_DIR/ringfence`, else
    /// `/run/user/UID/ringfence` (`/run/ringfence` for root), else `/tmp/ringfence-UID`; UID is the user outside its user
    /// namespace. `$RINGFENCE_RUNTIME_DIR/ringfence` stands for all of them where it is set.
    ///
    /// # Errors
    /// None is a folder that this user alone owns and can enter, or /proc does not say who this process is.
    pub fn open() -> Result<Self, Problem> {
        let own = own_facts()?;
        let mut first = None;
        for path in folder::places() {
            match folder::open(&path, true) {
                Ok(folder) => return Ok(Self { inner: Arc::new(Inner { folder, path, own }) }),
                Err(problem) => {
                    first.get_or_insert(problem);
                }
            }
        }
        Err(first.unwrap_or_else(|| Problem::request("registry", "no folder for the registry".to_owned())))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The live sandboxes of this user, in every folder that may hold them, the oldest first. Sweeps what crashes
    /// have left.
    #[must_use]
    pub fn list() -> Vec<Entry> {
        let Ok(own) = own_facts() else { return Vec::new() };
        let open = |path: PathBuf| folder::open(&path, false).ok();
        let mut entries: Vec<_> =
            folder::places().into_iter().filter_map(open).flat_map(|at| folder::read(&at, &own)).collect();
        entries.sort_by(|a, b| (&a.started_at, &a.id).cmp(&(&b.started_at, &b.id)));
        entries
    }

    /// Takes a name before anything is started, so that two sandboxes never share it.
    ///
    /// # Errors
    /// A live sandbox has this name.
    pub(crate) fn claim(&self, report: &Report) -> Result<Registration, Problem> {
        let entry = self.entry(report);
        let Some(name) = &report.name else {
            return Ok(Registration { entry, file: None, registry: self.clone(), owner: std::process::id() });
        };
        let file = folder::name_file(name);
        // What a crash left is swept once; then whoever is there is alive, or was faster.
        for last in [false, true] {
            match folder::write(&self.inner.folder, &file, &entry.lines()) {
                Ok(inode) => {
                    let file = Some((file, inode));
                    return Ok(Registration {
                        entry,
                        file,
                        registry: self.clone(),
                        owner: std::process::id(),
                    });
                }
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::EXIST.raw_os_error()) && !last => {
                    drop(folder::read(&self.inner.folder, &self.inner.own));
                }
                Err(e) => return Err(self.not_claimed(name, &e)),
            }
        }
        Err(self.not_claimed(name, &std::io::ErrorKind::AlreadyExists.into()))
    }

    fn not_claimed(&self, name: &str, error: &std::io::Error) -> Problem {
        let holder = Self::list().into_iter().find(|entry| entry.name.as_deref() == Some(name));
        if let Some(holder) = holder {
            let message = format!("a live sandbox is called `{name}`: {}", holder.id);
            return Problem::request("name", message)
                .remedy(format!("choose another --name, or end it: ringfence kill {name}"));
        }
        folder::failed("the name cannot be taken", &self.inner.path, error)
    }

    fn entry(&self, report: &Report) -> Entry {
        let own = &self.inner.own;
        Entry {
            id: report.id.clone(),
            name: report.name.clone(),
            supervisor: own.process,
            init: None,
            boot_id: own.boot_id.clone(),
            pid_namespace: own.pid_namespace,
            command: report.command.clone(),
            profile: report.profile.clone(),
            started_at: report.started_at.clone(),
        }
    }
}

/// One sandbox's place in the registry; gone when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    entry: Entry,
    file: Option<(String, u64)>,
    registry: Registry,
    owner: u32,
}

impl Registration {
    /// Writes down the sandbox's first process.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn started(&mut self, process: i32) -> Result<(), Problem> {
        let failed = |e: std::io::Error| {
            folder::failed("the sandbox cannot be registered", &self.registry.inner.path, &e)
        };
        // One that has ended already has no start time: its entry is one of the dead.
        let started = process::start_time(process).unwrap_or(0);
        self.entry.init = Some(Who { pid: process, started });
        let folder = &self.registry.inner.folder;
        if let Some((file, _)) = &self.file {
            return folder::append(folder, file, &self.entry.init_line()).map_err(failed);
        }
        let file = folder::id_file(&self.entry.id);
        let inode = folder::write(folder, &file, &self.entry.lines()).map_err(failed)?;
        self.file = Some((file, inode));
        Ok(())
    }

    /// Did `ringfence kill` end it? Asked once, at the end.
    pub(crate) fn was_killed(&self) -> bool {
        let mark = folder::mark_file(&self.entry.id);
        unlinkat(&self.registry.inner.folder, mark, AtFlags::empty()).is_ok()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some((file, inode)) = &self.file else { return };
        // A forked copy of the caller ends nothing.
        if self.owner != std::process::id() {
            return;
        }
        let folder = &self.registry.inner.folder;
        // A name that was swept may be somebody else's by now.
        let ours = self.entry.name.is_none()
            || statat(folder, file, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_ino == *inode);
        if ours {
            let _swept_already_is_fine = unlinkat(folder, file, AtFlags::empty());
        }
    }
}
