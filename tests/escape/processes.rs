//! Attempts on processes and on what they share outside.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use support::{Run, Scene, UNFILTERED, not_reachable, outside};

#[test]
fn row_59_no_process_outside_can_be_reached() {
    let scene = Scene::new();
    let own = std::process::id().to_string();
    for attempt in ["kill", "trace", "read-memory", "take-file"] {
        Run::new(&scene).flag(UNFILTERED).probe([attempt, &own]).expect(&["ESRCH"]);
        Run::new(&scene).probe([attempt, &own]).expect(&["ESRCH", "EPERM"]);
    }
    // A sibling sandbox is as far away: its processes have other numbers in another namespace.
    let sibling = Run::new(&scene)
        .flag("--ro")
        .flag(support::probe())
        .command([support::probe().to_str().unwrap(), "wait", "5"])
        .spawn();
    let mut sibling = sibling.unwrap();
    Run::new(&scene).probe(["processes"]).expect(&["1 2"]);
    sibling.kill().unwrap();
    sibling.wait().unwrap();
    // Controls: outside the same process is there, and its like can be traced.
    outside(["kill", &own]).expect(&["ok"]);
    outside(["trace-own-child"]).expect(&["ok"]);
}

#[test]
fn row_62_abstract_sockets_of_the_host_are_out_of_reach() {
    let scene = Scene::new();
    let name = format!("ringfence-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    Run::new(&scene).probe(["connect-abstract", &name]).expect(&["ECONNREFUSED"]);
    // Control: with the host's network and without Landlock they are there.
    let control = Run::new(&scene).through(support::without_landlock()).flags(["--net", "host"]);
    control.probe(["connect-abstract", &name]).expect(&["ok"]);
}

#[test]
fn row_64_shared_memory_and_queues_of_the_host_are_out_of_reach() {
    let scene = Scene::new();
    let key = 0x0072_0000 + (std::process::id() & 0xffff).cast_signed();
    let queue = format!("/ringfence-test-{}", std::process::id());
    let queue_name = std::ffi::CString::new(queue.clone()).unwrap();
    // SAFETY: numbers and a terminated name; both are removed below.
    let (memory, made) = unsafe {
        let memory = libc::shmget(key, 4096, libc::IPC_CREAT | 0o666);
        let attributes: *const libc::mq_attr = std::ptr::null();
        (memory, libc::mq_open(queue_name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, attributes))
    };
    assert!(memory >= 0 && made >= 0, "the host has both");
    let key = key.to_string();
    Run::new(&scene).probe(["shared-memory", &key]).expect(&["ENOENT"]);
    Run::new(&scene).probe(["queue", &queue]).expect(&["ENOENT"]);
    outside(["shared-memory", &key]).expect(&["ok"]);
    outside(["queue", &queue]).expect(&["ok"]);
    // SAFETY: removes exactly what was made above.
    unsafe {
        libc::shmctl(memory, libc::IPC_RMID, std::ptr::null_mut());
        libc::mq_unlink(queue_name.as_ptr());
        libc::close(made);
    }
}

#[test]
fn the_sandboxes_keyring_is_its_own() {
    // A session of this thread's own, which everything that it starts would share.
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING of a new one without a name.
    if unsafe { libc::syscall(libc::SYS_keyctl, 1, std::ptr::null::<u8>()) } == -1 {
        return not_reachable("keyrings", &format!("no session: {}", std::io::Error::last_os_error()));
    }
    let scene = Scene::new();
    let inside = Run::new(&scene).flag(UNFILTERED).probe(["keyring"]);
    // The filter, which would refuse the question, is off.
    let control = outside(["keyring"]);
    if control.answer().parse::<i64>().is_err() {
        return not_reachable("keyrings", &format!("the kernel answers {} outside", control.answer()));
    }
    assert!(inside.answer().parse::<i64>().is_ok(), "{inside:#?}");
    assert_ne!(inside.answer(), control.answer(), "the program has its caller's keys");
}

#[test]
fn row_76_a_daemon_does_not_survive() {
    let scene = Scene::new();
    let marker = format!("{}.76", 60_000 + std::process::id() % 1000);
    Run::new(&scene).probe(["daemon", &marker]).expect(&["left"]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    while find(&marker).is_some() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(find(&marker), None, "it survived");
    // Control: outside it survives.
    let marker = format!("{}.77", 60_000 + std::process::id() % 1000);
    outside(["daemon", &marker]).expect(&["left"]);
    let survivor = find(&marker).expect("control: a daemon survives outside");
    // SAFETY: the process that was just found by its unique argument.
    unsafe { libc::kill(survivor, libc::SIGKILL) };
}

/// The process that has this argument.
fn find(marker: &str) -> Option<i32> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        (words.next()? == b"/bin/sleep" && words.next()? == marker.as_bytes()).then_some(id)
    })
}

#[test]
fn orphans_are_reaped() {
    let scene = Scene::new();
    Run::new(&scene).probe(["orphans", "20"]).expect(&["1 2"]);
}
