//! Everything that is no file: what grants it is told apart from what does not.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use support::{Scene, UNFILTERED, landlock_abi, not_reachable, without_landlock};

use crate::tools::{EMPTY, inspect, inspect_below, inspect_empty};

#[test]
fn capabilities_that_are_kept() {
    let scene = Scene::new();
    let kept = |words: &[&str]| {
        let found = inspect_empty(&scene, words);
        let names = found.names("privilege").into_iter().filter(|name| name.starts_with("CAP_"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(kept(&[]), [""; 0]);
    assert_eq!(kept(&["--keep-cap", "net_raw"]), ["CAP_NET_RAW"]);
    let found = inspect_empty(&scene, &["--keep-cap", "net_raw"]);
    assert_eq!(found.reach("privilege", "CAP_NET_RAW"), "effective");
}

#[test]
fn a_filter_that_is_off_and_what_it_alone_held() {
    let scene = Scene::new();
    let (off, on) = (inspect_empty(&scene, &[UNFILTERED]), inspect_empty(&scene, &[]));
    assert_eq!(off.reach("privilege", "no filter of system calls"), "yes");
    for (class, name, word) in [
        ("family", "netlink:route", "make"),
        ("syscall", "ptrace", "always"),
        ("kernel", "ptrace", "yes"),
        ("kernel", "personality-no-randomize", "yes"),
    ] {
        assert_eq!((off.reach(class, name), on.reach(class, name)), (word, "no"), "{class} {name}");
    }
    // Held by others, too.
    assert_eq!((off.reach("kernel", "user-namespace"), off.reach("kernel", "mount")), ("no", "no"));
}

#[test]
fn system_calls_that_a_profile_allows_or_denies() {
    let scene = Scene::new();
    let profile = |name: &str, syscalls: &str| {
        let text =
            format!(r#"{{"extends": "default", "filesystem": {{"base": "empty"}}, "syscalls": {syscalls}}}"#);
        scene.file(name, &text).display().to_string()
    };
    let more = profile("more.json", r#"{"allow": ["fanotify_mark"]}"#);
    let less = profile("less.json", r#"{"deny": ["flock"]}"#);
    let [plain, more, less] =
        [inspect_empty(&scene, &[]), inspect(&scene, &["-p", &more]), inspect(&scene, &["-p", &less])];
    let reach = |name: &str| [&plain, &more, &less].map(|found| found.reach("syscall", name).to_owned());
    assert_eq!(reach("fanotify_mark"), ["no", "always", "no"]);
    assert_eq!(reach("flock"), ["always", "always", "no"]);
    assert_eq!(reach("socket"), ["sometimes"; 3]);
    let detail = more.item("syscall", "fanotify_mark").expect("it passes")["detail"].to_string();
    assert!(detail.contains("tried") && !detail.contains("not tried"), "{detail}");
    // What cannot be tried is not guessed, and says so.
    assert_eq!(plain.item("syscall", "exit_group").expect("it passes")["detail"], "by the rules; not tried");
    assert!(plain.not_tried().iter().any(|what| what.contains("exit_group")), "{:?}", plain.not_tried());
}

#[test]
fn shared_memory_and_queues() {
    let scene = Scene::new();
    let (full, least) = (inspect_empty(&scene, &[]), inspect_empty(&scene, &["-p", "minimal"]));
    for name in ["sysv-shm", "sysv-sem", "sysv-msg", "posix-mq"] {
        assert_eq!((full.reach("ipc", name), least.reach("ipc", name)), ("yes", "no"), "{name}");
    }
    // A segment of the host's is not among them, wherever it is.
    let segment = Segment::new();
    let listed = std::fs::read_to_string("/proc/sysvipc/shm").expect("it is there");
    let number = segment.0.to_string();
    assert!(
        listed.lines().any(|line| line.split_whitespace().nth(1) == Some(&number)),
        "the control: {listed}"
    );
    assert_eq!(inspect_empty(&scene, &[]).reach("ipc", "sysv-shm of others"), "no");
}

/// A segment of shared memory, gone when dropped.
struct Segment(i32);

impl Segment {
    fn new() -> Self {
        // SAFETY: numbers only.
        let number = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600) };
        assert!(number >= 0, "{}", std::io::Error::last_os_error());
        Self(number)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no structure.
        let _gone = unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

#[test]
fn services_on_the_hosts_loopback() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of our own");
    let name = listener.local_addr().expect("it is bound").to_string();
    let host = inspect_empty(&scene, &["--net", "host"]);
    assert_eq!(host.reach("service", &name), "connect");
    assert!(host.stays().contains(&"whatever its owner keeps"));
    let none = inspect_empty(&scene, &[]);
    assert_eq!((none.names("service").len(), none.names("network").len()), (0, 0));
}

#[test]
fn abstract_sockets() {
    let scene = Scene::new();
    let name = format!("ringfence-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let _listener = UnixListener::bind_addr(&address).expect("a name of our own");
    let name = format!("@{name}");
    let words = [&EMPTY[..], &["--net", "host"]].concat();
    assert_eq!(inspect_below(&without_landlock(), &scene, &words).reach("socket", &name), "connect");
    assert_eq!(inspect_empty(&scene, &[]).reach("socket", &name), "no");
    match landlock_abi() {
        Some(abi) if abi >= 6 => assert_eq!(inspect(&scene, &words).reach("socket", &name), "no"),
        _ => not_reachable("abstract sockets behind Landlock", "this kernel's has no scopes"),
    }
}

#[test]
fn other_processes() {
    let scene = Scene::new();
    let first = |found: &crate::tools::Found| {
        let names = found.names("process");
        let [name] = names[..] else { panic!("one process: {names:?}") };
        assert!(name.starts_with("1 "), "{name}");
        found.reach("process", name).to_owned()
    };
    // Without Landlock's scope a null signal reaches PID 1, which ignores all others.
    let free = inspect_below(&without_landlock(), &scene, &EMPTY);
    assert_eq!(first(&free), "signal");
    match landlock_abi() {
        Some(abi) if abi >= 6 => assert_eq!(first(&inspect_empty(&scene, &[])), "see"),
        _ => not_reachable("signals behind Landlock", "this kernel's has no scopes"),
    }
}

#[test]
fn limits_variables_and_terminals() {
    let scene = Scene::new();
    let words = ["--nofile", "64", "--env", "RINGFENCE_TEST=s3cr3t", "-t", "always"];
    let found = inspect_empty(&scene, &words);
    let limit = found.item("limit", "open-files").expect("a limit");
    assert_eq!((&limit["level"], &limit["reach"]), (&64.into(), &"64".into()));
    assert_eq!(found.reach("variable", "RINGFENCE_TEST"), "set");
    assert!(!found.0.to_string().contains("s3cr3t"), "names, never values");
    assert_eq!(found.reach("terminal", "/dev/tty"), "own");
    let plain = inspect_empty(&scene, &[]);
    assert_ne!(plain.item("limit", "open-files").expect("a limit")["level"], 64);
    assert_eq!(
        (plain.reach("variable", "RINGFENCE_TEST"), plain.reach("terminal", "/dev/tty")),
        ("no", "no")
    );
    // The prober's own two files are none of the program's.
    assert_eq!(plain.names("open"), [""; 0]);
}

#[test]
fn files_of_the_kernel() {
    let scene = Scene::new();
    let found = inspect_empty(&scene, &[]);
    assert_eq!(found.reach("interface", "/proc/sys/kernel/random/boot_id"), "read");
    for closed in ["/proc/kcore", "/proc/1/mem", "/proc/1/environ", "/proc/sysrq-trigger"] {
        assert_eq!(found.reach("interface", closed), "no", "{closed}");
    }
    assert_eq!(found.reach("interface", "/sys/fs/cgroup"), "no");
}

#[test]
fn a_command_brings_its_toolchain_and_is_not_run() {
    let scene = Scene::new();
    let tool = scene.folder("tools/bin");
    let path = tool.join("tool");
    let mut script = std::fs::File::create(scene.path("draft")).expect("our own folder");
    script.write_all(b"#!/bin/sh\ntouch made\n").expect("our own file");
    drop(script);
    let program = scene.program("tools/bin/tool", &scene.path("draft"));
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("our own file");
    let path = path.to_str().expect("UTF-8");
    let with = inspect(&scene, &["--rw", ".", "--", path]);
    let without = inspect(&scene, &["--rw", "."]);
    let count = |found: &crate::tools::Found| found.0["executables"].as_u64();
    assert_eq!(count(&with), count(&without).map(|count| count + 1));
    assert!(!scene.path("here/made").exists());
}
