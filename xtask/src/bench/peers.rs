//! The peers, each with as much of the same isolation as it has: every namespace, a system to read, no network, no
//! capability. None of them has a filter of system calls and Landlock besides.

use std::fs;

use serde_json::json;

use super::contenders::Starter;
use super::program::{Folder, Program};
use super::word;
use crate::failure::Failure;
use crate::process;

/// Every namespace, a system to read, nothing else: what our default gives, without its filters.
const BUBBLEWRAP: &str = "--unshare-all --die-with-parent --new-session --ro-bind /usr /usr --symlink usr/bin /bin \
                          --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp \
                          --cap-drop ALL --clearenv";

/// No root of its own: what namespaces cost, whoever makes them.
const UNSHARE: &str =
    "--user --map-root-user --pid --fork --kill-child --mount-proc --net --ipc --uts --cgroup";

/// It is setuid root, and hides by a list what others do not show.
const FIREJAIL: &str = "--quiet --noprofile --net=none --private-dev --caps.drop=all --nonewprivs --seccomp";

/// The command lines for one program.
pub(super) fn installed(
    program: &Program,
    folder: &Folder,
    notes: &mut Vec<String>,
) -> Result<Vec<(Starter, Vec<String>)>, Failure> {
    let mut all = Vec::new();
    let mut missing = Vec::new();
    let names = [
        (Starter::Bubblewrap, "bwrap"),
        (Starter::Unshare, "unshare"),
        (Starter::Crun, "crun"),
        (Starter::Runc, "runc"),
        (Starter::Firejail, "firejail"),
    ];
    for (starter, name) in names {
        let Some(path) = process::find(name) else {
            missing.push(name);
            continue;
        };
        let mut words = vec![word(&path)];
        words.extend(arguments(starter, program, folder)?);
        all.push((starter, words));
    }
    let missing = missing.join(", ");
    let note = format!("not installed, so not compared: {missing}");
    if !missing.is_empty() && !notes.contains(&note) {
        notes.push(note);
    }
    Ok(all)
}

fn arguments(starter: Starter, program: &Program, folder: &Folder) -> Result<Vec<String>, Failure> {
    let split = |words: &str| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let path = word(&program.path);
    let mut words = match starter {
        Starter::Bubblewrap => split(BUBBLEWRAP),
        Starter::Unshare => split(UNSHARE),
        Starter::Firejail => split(FIREJAIL),
        Starter::Crun | Starter::Runc => {
            let bundle = bundle(program, folder)?;
            let id = format!("ringfence-bench-{}", std::process::id());
            return Ok(["run", "--bundle", &bundle, &id].map(str::to_owned).to_vec());
        }
        Starter::Bare | Starter::Ringfence | Starter::Resident => Vec::new(),
    };
    if program.granted && starter == Starter::Bubblewrap {
        words.extend(["--ro-bind".to_owned(), path.clone(), path.clone()]);
    }
    words.push(path);
    words.extend(program.arguments.iter().cloned());
    Ok(words)
}

/// What an OCI runtime starts: a root of links, the system, the program.
fn bundle(program: &Program, folder: &Folder) -> Result<String, Failure> {
    let bundle = folder.path().join(format!("bundle-{}", program.label.replace(['/', ' '], "-")));
    if bundle.exists() {
        return Ok(word(&bundle));
    }
    let root = bundle.join("rootfs");
    let made = ["usr", "proc", "dev", "tmp", "program"]
        .into_iter()
        .try_for_each(|name| fs::create_dir_all(root.join(name)))
        .and_then(|()| {
            ["bin", "lib", "lib64"]
                .into_iter()
                .try_for_each(|name| std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)))
        });
    made.map_err(|error| Failure::io("make the bundle", &bundle, &error))?;
    let inside = if program.granted {
        let name = program.path.file_name().unwrap_or_default();
        format!("/program/{}", name.to_string_lossy())
    } else {
        word(&program.path)
    };
    let words: Vec<_> = std::iter::once(inside).chain(program.arguments.iter().cloned()).collect();
    let nothing: [&str; 0] = [];
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 1 }]);
    let namespaces: Vec<_> = ["pid", "mount", "network", "ipc", "uts", "user", "cgroup"]
        .into_iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    let shown = |from: &str, to: &str| json!({ "destination": to, "type": "none", "source": from, "options": ["bind", "ro", "nosuid", "nodev"] });
    let memory = |at: &str| json!({ "destination": at, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] });
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": words, "env": ["PATH=/usr/bin"], "cwd": "/",
            "capabilities": { "bounding": nothing, "effective": nothing, "permitted": nothing },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "box",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" }, memory("/dev"), memory("/tmp"),
            shown("/usr", "/usr"), shown(&word(folder.path()), "/program"),
        ],
        "linux": { "uidMappings": map.clone(), "gidMappings": map, "namespaces": namespaces },
    });
    let file = bundle.join("config.json");
    fs::write(&file, config.to_string()).map_err(|error| Failure::io("write", &file, &error))?;
    Ok(word(&bundle))
}
