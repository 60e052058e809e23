//! What the mounts do not hold and Landlock does. The control is the same run on a host without it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Run, Scene, UNFILTERED, landlock_abi, not_reachable, probe, without_landlock};

/// Is Landlock there, with what this ABI brought? Says so where not.
fn is_there(row: &str, abi: u32) -> bool {
    let there = landlock_abi().is_some_and(|own| own >= abi);
    if !there {
        not_reachable(
            row,
            &format!("this kernel's Landlock is not of ABI {abi} or later: {:?}", landlock_abi()),
        );
    }
    there
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file that everybody may read and write: what follows is not what its permissions hold.
fn open_file(scene: &Scene, name: &str) -> std::path::PathBuf {
    let path = scene.file(name, "content");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    path
}

/// No other file of this process has it, however many tests run in it.
const NUMBER: &str = "907";

#[test]
fn row_14_a_folder_that_comes_over_a_socket_leads_nowhere() {
    if !is_there("row 14", 2) {
        return;
    }
    let scene = Scene::new();
    open_file(&scene, "elsewhere/secret");
    let words = ["receive-folder", NUMBER, "secret"];
    assert_eq!(with_folder(&scene, Vec::new(), &words), "EACCES");
    assert_eq!(with_folder(&scene, without_landlock(), &words), "ok", "control: the mounts do not hold it");
}

/// What the probe says of the scene's folder `elsewhere`, which comes to it over a socket.
fn with_folder(scene: &Scene, wrapper: Vec<std::ffi::OsString>, words: &[&str]) -> String {
    let folder = File::open(scene.path("elsewhere")).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    send_file(&ours, folder.as_raw_fd());
    // Past the filter, which refuses some of what is tried: that is another layer.
    let run = Run::new(scene).through(wrapper).flags(["--pass-fd", NUMBER, UNFILTERED, "--ro"]).flag(probe());
    let mut command = run.command([probe().as_os_str()]);
    command.args(words);
    let (socket, number) = (theirs.as_raw_fd(), NUMBER.parse().unwrap());
    // SAFETY: a plain system call, which may be made between fork and exec.
    unsafe {
        command.pre_exec(move || if libc::dup2(socket, number) == number { Ok(()) } else { Err(error()) })
    };
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn row_14_every_right_of_a_folder_that_comes_over_a_socket_is_held() {
    if !is_there("row 14", 3) {
        return;
    }
    let prepared = || {
        let scene = Scene::new();
        for name in ["secret", "gone", "cut"] {
            open_file(&scene, &format!("elsewhere/{name}"));
        }
        scene.folder("elsewhere/folder");
        let program = scene.program("elsewhere/program", Path::new("/bin/true"));
        for (path, mode) in [(scene.path("elsewhere"), 0o777), (program, 0o755)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        scene
    };
    let words = ["receive-rights", NUMBER];
    let held = with_folder(&prepared(), Vec::new(), &words);
    assert_eq!(held.lines().count(), 14, "{held}");
    for line in held.lines() {
        assert!(line.ends_with(" EACCES"), "{held}");
    }
    let free = with_folder(&prepared(), without_landlock(), &words);
    for line in free.lines() {
        // A device needs a capability besides.
        let expected = if line.starts_with("make-block") { " EPERM" } else { " ok" };
        assert!(line.ends_with(expected), "control: {free}");
    }
}

fn error() -> std::io::Error {
    std::io::Error::last_os_error()
}

/// Sends an open file over a socket (unix(7), `SCM_RIGHTS`).
fn send_file(socket: &UnixStream, file: RawFd) {
    let mut part = IoSlice::new(b"x");
    let mut control = [0_u64; 3];
    // SAFETY: a message of one part and one control message with room for one number, all alive in this frame.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = (&raw mut part).cast();
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(first).cast::<i32>().write_unaligned(file);
        assert_eq!(libc::sendmsg(socket.as_raw_fd(), &raw const message, 0), 1, "{}", error());
    }
}

/// Starts a command, does something when it has said that it is inside, and answers what it said after that.
fn when_inside(mut command: Command, work: impl FnOnce()) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    work();
    line.clear();
    lines.read_to_string(&mut line).unwrap();
    child.wait().unwrap();
    line.trim().to_owned()
}

#[test]
fn row_57_a_folder_that_is_moved_away_outside_stays_read_only() {
    let scene = Scene::new();
    let (project, elsewhere) = (scene.folder("project"), scene.folder("elsewhere"));
    let line = "echo in; until test -e moved; do sleep 0.02; done; (echo x >made) 2>/dev/null && echo made; \
                ls ../.. >/dev/null 2>&1 && echo up; exit 0";
    let answer = |access: &str| {
        let inner = scene.folder("project/a/b");
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o777)).unwrap();
        let run = Run::new(&scene).flag(access).flag(&project).flags(["--workdir", text(&inner)]);
        let moved = elsewhere.join(access.trim_start_matches('-'));
        let said = when_inside(run.command(["/bin/sh", "-c", line]), || {
            std::fs::rename(&inner, &moved).unwrap();
            std::fs::write(moved.join("moved"), "").unwrap();
        });
        (said, moved.join("made").exists())
    };
    assert_eq!(answer("--ro"), (String::new(), false));
    // Control: in a writable folder the file is made, where the folder is by then.
    assert_eq!(answer("--rw"), ("made".to_owned(), true));
}

#[test]
fn row_62_abstract_sockets_of_the_host_are_out_of_reach_with_its_network_too() {
    if !is_there("row 62, with the host's network", 6) {
        return;
    }
    let scene = Scene::new();
    let name = format!("ringfence-landlock-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let run = || Run::new(&scene).flags(["--net", "host"]);
    let outcome = run().probe(["connect-abstract", &name]);
    outcome.expect(&["EPERM"]);
    assert_eq!(outcome.row("ipc")["status"], "enforced", "{outcome:#?}");
    // Control: without Landlock they are part of what was asked for, and the receipt says so.
    let control = run().through(without_landlock()).probe(["connect-abstract", &name]);
    control.expect(&["ok"]);
    assert_eq!(control.row("ipc")["status"], "partial", "{control:#?}");
}

#[test]
fn row_63_a_socket_that_is_made_after_the_start_is_out_of_reach() {
    if !is_there("row 63, a socket made later", 9) {
        return;
    }
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let socket = folder.join("late");
    let answer = |wrapper: Vec<std::ffi::OsString>| {
        let run = Run::new(&scene).through(wrapper).flag("--rw").flag(&folder).flag("--ro").flag(probe());
        let line = format!(
            "echo in; until test -S {0}; do sleep 0.02; done; {1} connect {0}",
            text(&socket),
            text(&probe())
        );
        let mut listener = None;
        let said = when_inside(run.command(["/bin/sh", "-c", &line]), || {
            listener = UnixListener::bind(&socket).ok();
            std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
        });
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
        said
    };
    assert_eq!(answer(Vec::new()), "EACCES");
    assert_eq!(answer(without_landlock()), "ok", "control: the mounts do not hold it");
}

#[test]
fn row_99_a_stream_is_not_opened_again_otherwise_than_it_is_open() {
    if !is_there("row 99", 2) {
        return;
    }
    let scene = Scene::new();
    let file = open_file(&scene, "file");
    // A file that is open for reading as standard input is relayed, so it is tried as standard error.
    for (redirection, number, allowed, refused) in
        [("2<", "2", "read", "write"), ("2<", "2", "read", "both"), ("2>>", "2", "write", "read")]
    {
        let shell = format!("exec \"$@\" {redirection}{}", text(&file));
        let run = |way: &str, landlock: bool| {
            let mut wrapper: Vec<std::ffi::OsString> = ["/bin/sh", "-c", &shell, "sh"].map(Into::into).into();
            wrapper.extend(if landlock { Vec::new() } else { without_landlock() });
            Run::new(&scene).through(wrapper).probe(["reopen", number, way])
        };
        run(allowed, true).expect(&["ok"]);
        run(refused, true).expect(&["EACCES"]);
        // Control: its permissions allow it.
        run(refused, false).expect(&["ok"]);
    }
    // The same of a file that is passed.
    let shell = format!("exec \"$@\" 5>>{}", text(&file));
    let run = |way: &str, wrapper: Vec<std::ffi::OsString>| {
        let shell = ["/bin/sh", "-c", &shell, "sh"].map(std::ffi::OsString::from);
        let wrapper: Vec<_> = shell.into_iter().chain(wrapper).collect();
        Run::new(&scene).through(wrapper).flags(["--pass-fd", "5"]).probe(["reopen", "5", way])
    };
    run("write", Vec::new()).expect(&["ok"]);
    run("read", Vec::new()).expect(&["EACCES"]);
    run("read", without_landlock()).expect(&["ok"]);
}

#[test]
fn row_36_no_device_is_made_even_where_the_capability_would_be_missed_later() {
    if !is_there("row 36, the second layer", 2) {
        return;
    }
    let scene = Scene::new();
    Run::new(&scene).probe(["make-device", "/tmp/device"]).expect(&["EACCES"]);
    Run::new(&scene).through(without_landlock()).probe(["make-device", "/tmp/device"]).expect(&["EPERM"]);
}

#[test]
fn row_59_init_is_not_signalled() {
    if !is_there("row 59, PID 1", 6) {
        return;
    }
    let scene = Scene::new();
    Run::new(&scene).probe(["kill", "1"]).expect(&["EPERM"]);
    Run::new(&scene).through(without_landlock()).probe(["kill", "1"]).expect(&["ok"]);
}
