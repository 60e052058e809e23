//! Cgroups of the runs: each worker has its own, so that nobody else's come between, and what holds a program is read
//! from outside while the program stands at its exec.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::tracer::{Action, Call, Pid, Role, Watch};

const ROOT: &str = "/sys/fs/cgroup";
/// In version 1 a hierarchy each, or one of several under links with these names.
const CONTROLLERS: [&str; 7] = ["memory", "cpu", "cpuset", "cpuacct", "pids", "freezer", "blkio"];

/// Those that hold nothing: one stops everything when somebody ends it all, one counts.
const IDLE: [&str; 2] = ["freezer", "blkio"];

/// What says how much a cgroup holds, of either version. Some kernels lack some.
const FILES: [&str; 12] = [
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "cpu.max",
    "cpuset.cpus",
    "pids.max",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.oom_control",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpuset.mems",
];

/// A worker's own folders, gone when dropped.
#[derive(Debug)]
pub(crate) struct Nest {
    /// Where sandboxes' cgroups appear.
    folders: Vec<PathBuf>,
    /// Where the command line runs: the same, but for version 2.
    homes: Vec<PathBuf>,
}

impl Nest {
    /// # Errors
    /// Why this user can have none.
    pub(crate) fn make() -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("faults-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut nest = Self { folders: Vec::new(), homes: Vec::new() };
        let made = if support::cgroup_is_second() { nest.make_second(&name) } else { nest.make_first(&name) };
        made.map(|()| nest).map_err(|(path, e)| format!("{}: {e}", path.display()))
    }

    fn make_first(&mut self, name: &str) -> Result<(), (PathBuf, io::Error)> {
        for controller in CONTROLLERS {
            let parent = own(Some(controller));
            if IDLE.contains(&controller) && !parent.exists() {
                continue;
            }
            let folder = parent.join(name);
            if let (Ok(folder), true) = (fs::canonicalize(&folder), folder.is_dir()) {
                // Another name of a hierarchy that has several controllers.
                assert!(self.folders.iter().any(|known| fs::canonicalize(known).is_ok_and(|k| k == folder)));
                continue;
            }
            fs::create_dir(&folder).map_err(|e| (folder.clone(), e))?;
            self.folders.push(folder.clone());
            self.homes.push(folder.clone());
            // A new cpuset has nothing, and nothing can run in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read_to_string(parent.join(file)) {
                    fs::write(folder.join(file), value).map_err(|e| (folder.clone(), e))?;
                }
            }
        }
        Ok(())
    }

    fn make_second(&mut self, name: &str) -> Result<(), (PathBuf, io::Error)> {
        let own = own(None);
        // A cgroup with processes gives its children nothing, but for the first.
        let parent = if own == Path::new(ROOT) { &own } else { own.parent().unwrap_or(&own) };
        let folder = parent.join(name);
        for folder in [folder.clone(), folder.join("run")] {
            fs::create_dir(&folder).map_err(|e| (folder.clone(), e))?;
            self.homes = vec![folder.clone()];
            self.folders.insert(0, folder);
        }
        self.folders.remove(0);
        let control = folder.join("cgroup.subtree_control");
        fs::write(&control, "+memory +cpu +cpuset +pids").map_err(|e| (control, e))
    }

    /// Makes a command's process start there.
    pub(crate) fn enter(&self, command: &mut Command) {
        let path = |home: &PathBuf| CString::new(home.join("cgroup.procs").as_os_str().as_bytes());
        let files: Vec<_> = self.homes.iter().map(path).collect::<Result<_, _>>().expect("paths of ours");
        let enter = move || {
            for file in &files {
                // SAFETY: a terminated path, and one byte that is ours; the number is of the file just opened.
                unsafe {
                    let file = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                    if file < 0 || libc::write(file, c"0".as_ptr().cast(), 1) != 1 {
                        return Err(io::Error::last_os_error());
                    }
                    libc::close(file);
                }
            }
            Ok(())
        };
        // SAFETY: plain system calls on what was prepared, which may be made between fork and exec.
        unsafe { command.pre_exec(enter) };
    }

    /// The sandboxes' cgroups that are there.
    pub(crate) fn left(&self) -> Vec<String> {
        let folders = self.folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
        let names = folders.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("ringfence-"));
        names.map(|entry| entry.path().display().to_string()).collect()
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(5);
        let left = self.left().into_iter().map(PathBuf::from);
        for folder in left.chain(self.homes.clone()).chain(self.folders.clone()) {
            // The kernel lets go of the last process a little later.
            while fs::remove_dir(&folder).is_err() && folder.exists() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// This process' own folder, of a controller of version 1 or in version 2.
fn own(controller: Option<&str>) -> PathBuf {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    path_of(&lines, controller)
}

/// A folder by the lines of `/proc/PID/cgroup` (cgroups(7)).
fn path_of(lines: &str, controller: Option<&str>) -> PathBuf {
    let mount = controller.map_or_else(|| ROOT.into(), |name| Path::new(ROOT).join(name));
    let path = lines.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        let same = controller.map_or(names.is_empty(), |name| names.split(',').any(|other| other == name));
        same.then(|| mount.join(path.trim_start_matches('/')))
    });
    path.filter(|path| path.is_dir()).unwrap_or(mount)
}

/// What holds a process: in which cgroups it is, without the random part of their names, and their files.
fn held(process: Pid) -> Vec<String> {
    let lines = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    let holding = CONTROLLERS.into_iter().filter(|name| !IDLE.contains(name));
    for controller in holding.map(Some).chain([None]) {
        let folder = path_of(&lines, controller);
        let leaf = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let leaf = leaf.split('-').next().unwrap_or_default();
        // PID 1 and the program, and nobody else's process; where all live together, nobody counts.
        let count = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines().count();
        let count = if leaf == "ringfence" { count } else { 0 };
        found.push(format!("held by {}: {leaf}, {count} processes", controller.unwrap_or("version 2")));
        for file in FILES {
            let value = fs::read_to_string(folder.join(file)).unwrap_or_default();
            // Counts of what happened are none of the limits.
            let settings =
                value.lines().filter(|line| !line.starts_with("oom_kill ") && !line.starts_with("under_oom"));
            found.extend(settings.map(|value| format!("held by {file} {value}")));
        }
    }
    found
}

/// Reads what holds the program when it has just been executed, beside somebody who looks at calls.
pub(crate) struct Outside<'a> {
    inner: &'a mut dyn Watch,
    pub(crate) held: Vec<String>,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(inner: &'a mut dyn Watch) -> Self {
        Self { inner, held: Vec::new() }
    }
}

impl Watch for Outside<'_> {
    fn looks_at(&self, role: Role) -> bool {
        self.inner.looks_at(role)
    }

    fn call(&mut self, role: Role, call: Call) -> Action {
        self.inner.call(role, call)
    }

    fn became(&mut self, process: Pid, role: Role) {
        if role == Role::Program && self.held.is_empty() {
            self.held = held(process);
        }
        self.inner.became(process, role);
    }
}
