//! What tests need to know of cgroups: whether this caller's sandboxes have one, and which are there.

use std::path::{Path, PathBuf};

use crate::{Run, Scene, not_reachable};

/// Can this caller's sandboxes have a cgroup here? Where not, the refusal is checked instead, and that is said.
pub fn has_cgroups(test: &str) -> bool {
    let scene = Scene::new();
    let flags = ["--memory", "64M", "--pids", "64", "--cpus", "1", "--cpu-time", "10s"];
    let outcome = Run::new(&scene).flags(flags).run(["/bin/true"]);
    if outcome.status == 0 {
        return true;
    }
    outcome.expect_refusal(&["this host cannot guarantee", "--allow-degraded="]);
    assert_eq!(outcome.field("/exit/reason"), "refused", "{outcome:#?}");
    not_reachable(test, outcome.stderr.trim());
    false
}

/// Has this host nothing but cgroups of version 2?
pub fn cgroup_is_second() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The cgroups that a supervisor made, by its process id, or that anyone did.
pub fn cgroups_of(supervisor: Option<u32>) -> Vec<PathBuf> {
    let prefix = supervisor.map_or_else(|| "ringfence-".to_owned(), |id| format!("ringfence-{id}-"));
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), &prefix, &mut found);
    found.sort();
    found
}

fn look(folder: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
        look(&entry.path(), prefix, found);
    }
}
