//! Everything that a sandbox promises, read from inside in one go: what two runs must have in common.

use std::fmt::Write as _;
use std::fs;

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    match *words {
        ["fingerprint"] => Some(fingerprint()),
        _ => None,
    }
}

fn fingerprint() -> String {
    let mut text = String::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        let wanted = ["Umask", "Uid", "Gid", "Groups", "NSpid", "Sig", "Cap", "NoNewPrivs", "Seccomp"];
        if wanted.iter().any(|name| line.starts_with(name)) && !line.starts_with("SigQ") {
            let _to_a_string = writeln!(text, "{line}");
        }
    }
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        // proc_pid_mountinfo(5): id, parent, device, root, mount point, options, propagation..., -, type.
        let fields: Vec<_> = line.split_whitespace().collect();
        let dash = fields.iter().position(|field| *field == "-").unwrap_or(6);
        let kind = fields.get(dash + 1).unwrap_or(&"");
        let propagation: Vec<_> = fields[6..dash].iter().map(|f| f.split(':').next().unwrap_or("")).collect();
        // Whether the file below a cover still has a name does not matter.
        let root = fields[3].trim_end_matches("//deleted");
        let _to_a_string = writeln!(text, "mount {} {} {kind} {root} {propagation:?}", fields[4], fields[5]);
    }
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
        let _to_a_string = writeln!(text, "namespace {}", own.display());
    }
    let mut files: Vec<_> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .collect();
    // The folder that is being read is open too.
    files.sort_unstable();
    files.pop();
    let _to_a_string = writeln!(text, "files {files:?}");
    for line in fs::read_to_string("/proc/self/limits").unwrap_or_default().lines() {
        let _to_a_string = writeln!(text, "limit {line}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    let _to_a_string = writeln!(text, "environment {variables:?}");
    // SAFETY: numbers only.
    let (session, group, own) = unsafe { (libc::getsid(0), libc::getpgrp(), libc::getpid()) };
    let _to_a_string = writeln!(text, "leads its session {} and group {}", session == own, group == own);
    // SAFETY: numbers only: the secure bits, and the serial number of the session keyring, which is not made
    // (KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING).
    let (bits, keyring) =
        unsafe { (libc::prctl(libc::PR_GET_SECUREBITS), libc::syscall(libc::SYS_keyctl, 0, -3, 0)) };
    let _to_a_string = writeln!(text, "secure bits {bits:#x}\nkeyring {keyring}");
    let domain = fs::read_to_string("/proc/sys/kernel/domainname").unwrap_or_default();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let _to_a_string = writeln!(text, "names {} {}", host.trim(), domain.trim());
    let namespaces = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let _to_a_string = writeln!(text, "further user namespaces {}", namespaces.trim());
    let init = fs::read_to_string("/proc/1/environ").map_err(|e| e.kind());
    let _to_a_string =
        writeln!(text, "init {init:?} {}", std::env::current_dir().unwrap_or_default().display());
    let loopback = fs::read_to_string("/proc/net/dev").map_or(0, |devices| devices.lines().count());
    let up = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| std::net::TcpStream::connect(l.local_addr()?))
        .is_ok();
    // Without Landlock the first succeeds, and the second lacks the capability only.
    // SAFETY: numbers, and a terminated path.
    let (signal, device) = unsafe {
        let signal = crate::called(libc::kill(1, 0).into());
        let node = libc::S_IFCHR | 0o600;
        (signal, crate::called(libc::mknod(c"/tmp/device".as_ptr(), node, libc::makedev(1, 3)).into()))
    };
    let _to_a_string = writeln!(text, "landlock: a signal to PID 1 {signal}, a device {device}");
    let _to_a_string = write!(text, "interfaces {} loopback {up}", loopback.saturating_sub(2));
    text
}
