//! Each built-in profile, as it stands: what it promises is what is found.

use std::collections::BTreeMap;

use support::Scene;

use crate::tools::{Found, inspect};

/// What was found, without what differs from machine to machine: programs, limits, the folders of /etc and /usr.
fn shape(scene: &Scene, found: &Found) -> String {
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (home, here) = (scene.home().display().to_string(), scene.path("here").display().to_string());
    let mut add = |class: &'static str, word: String| lines.entry(class).or_default().push(word);
    for item in found.items() {
        let [class, name, reach] = ["class", "name", "reach"].map(|key| item[key].as_str().expect("a word"));
        let named = name.replace(&home, "~").replace(&here, ".");
        match class {
            "folder" if !name.starts_with("/etc/") && !name.starts_with("/usr/") => {
                add("folders", format!("{named}={reach}"));
            }
            "secret" | "file" if !name.starts_with("/etc/") && !name.starts_with("/usr/") => {
                add("files", format!("{named}={reach}"));
            }
            // An ordinary user keeps them; the receipt says so.
            "privilege" if name == "supplementary groups" => {}
            "privilege" | "socket" | "service" | "network" | "open" | "terminal" => {
                add("more", format!("{class} {named}"));
            }
            "setuid" if reach != "without-effect" => add("more", format!("{class} {named}")),
            "device" => add("devices", named),
            "ipc" | "kernel" => add("kernel", named),
            // Every user may watch pressure, where the kernel counts it.
            "interface" if reach == "write" && !name.starts_with("/proc/pressure/") => add("more", named),
            "family" => add("sockets", named),
            "variable" if !passed(name) => add("variables", named),
            _ => {}
        }
    }
    let executes = if found.0["executables"] == 0 { "nothing" } else { "yes" };
    let mut text = format!("executes: {executes}\n");
    for (class, words) in lines {
        text += &format!("{class}: {}\n", words.join(" "));
    }
    text
}

/// The caller's own variables that every program gets.
fn passed(name: &str) -> bool {
    ["TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CI", "TZ", "LANG"].contains(&name)
        || name.starts_with("LC_")
}

/// What every profile shows.
const DEVICES: &str = "/dev/full /dev/null /dev/pts/ptmx /dev/random /dev/urandom /dev/zero";
const SOCKETS: &str =
    "inet6:dgram inet6:stream inet:dgram inet:stream unix:dgram unix:raw unix:seqpacket unix:stream";
const SHARED: &str = "posix-mq sysv-msg sysv-sem sysv-shm";

/// A profile's name; whether it executes; what it does with the working directory; what it may share among its own
/// processes; whether it may execute what is on no mount; whether it may make sockets.
const PROMISED: [(&str, bool, &str, bool, bool, bool); 9] = [
    ("default", true, "read", true, true, true),
    ("minimal", false, "", false, false, false),
    ("python-safe", true, "read", false, true, true),
    ("node-safe", true, "read", false, true, true),
    ("shell-readonly", true, "read", false, false, false),
    ("build", true, "write", true, true, true),
    ("agent", true, "write", true, true, true),
    ("mcp", true, "read", false, true, true),
    ("service", true, "read", true, true, true),
];

#[test]
fn each_builtin_profile_reaches_what_it_promises_and_no_more() {
    let mut wrong = Vec::new();
    for (name, executes, here, shares, memory, sockets) in PROMISED {
        let scene = Scene::new();
        let found = shape(&scene, &inspect(&scene, &["-p", name]));
        let here = if here.is_empty() { String::new() } else { format!(" .={here}") };
        let kernel = [(shares, SHARED), (memory, "executable-memory-file")];
        let kernel: Vec<_> = kernel.into_iter().filter(|(has, _)| *has).map(|(_, words)| words).collect();
        let line = |class: &str, words: &str| {
            if words.is_empty() { String::new() } else { format!("{class}: {words}\n") }
        };
        let expected = [
            line("executes", if executes { "yes" } else { "nothing" }),
            line("devices", DEVICES),
            line("folders", &format!("/dev/shm=own-write /tmp=own-write{here} /usr=read /var/tmp=own-write")),
            line("kernel", &kernel.join(" ")),
            line("sockets", if sockets { SOCKETS } else { "" }),
            line("variables", "HOME LOGNAME PATH SHELL TMPDIR USER"),
        ];
        if found != expected.concat() {
            wrong.push(format!("{name}:\n{found}expected:\n{}", expected.concat()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
