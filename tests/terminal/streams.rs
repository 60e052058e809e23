//! Which of the three streams are the terminal, and what is counted.

use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene, caller};

use crate::screen::on_a_screen;

/// Says of each stream whether it is a terminal, on the file that the first argument names.
const LOOK: &str =
    "exec 3>$1; for n in 0 1 2; do test -t $n && printf 'terminal ' >&3 || printf 'none ' >&3; done\n";

#[test]
fn streams_that_are_no_terminals_pass_as_they_are() {
    on_a_screen("mixed streams", |screen| {
        screen.scene.file("here/look", LOOK);
        screen.scene.file("here/input", "from a file\n");
        for (redirected, seen) in [
            ("", "terminal terminal terminal"),
            ("<input", "none terminal terminal"),
            ("2>err", "terminal terminal none"),
            ("<input 2>err", "none terminal none"),
            ("| cat", "terminal none terminal"),
            ("<input >out", "none none terminal"),
            (">out 2>err", "terminal none none"),
            ("<input >out 2>err", "none none none"),
        ] {
            screen.clear();
            assert_eq!(screen.run(&format!("$RF run --rw . -- sh look seen {redirected}")), 0);
            let path = screen.scene.path("here/seen");
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), seen, "{redirected}");
            std::fs::remove_file(path).unwrap();
        }
        screen.clear();
        assert_eq!(screen.run("$RF run --rw . -t never -- sh look seen"), 0);
        assert_eq!(std::fs::read_to_string(screen.scene.path("here/seen")).unwrap().trim(), "none none none");
        // Each carries what belongs there.
        screen.clear();
        screen.line("$RF run -- sh -c 'cat; echo to the e\"\"rr >&2; echo to the t\"\"ty >/dev/tty' <input 2>$OUT/err");
        screen.wait_for_line("from a file");
        screen.wait_for_line("to the tty");
        screen.wait_for_shell();
        assert_eq!(std::fs::read_to_string(screen.scene.outside_path("err")).unwrap(), "to the err\n");
    });
}

#[test]
fn what_a_terminal_carries_is_counted_and_limited() {
    on_a_screen("what is counted", |screen| {
        let report = || -> serde_json::Value {
            let text = std::fs::read(screen.scene.outside_path("report")).unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        // Each line's end is two characters on a terminal.
        assert_eq!(screen.run("$RF run --report $OUT/report -- seq 100"), 0);
        assert_eq!(
            (&report()["usage"]["stdout_bytes"], &report()["usage"]["stderr_bytes"]),
            (&392.into(), &serde_json::Value::Null)
        );
        screen.clear();
        assert_eq!(screen.run("$RF run --report $OUT/report --output-limit 1K:truncate -- seq 1000"), 0);
        assert_eq!(report()["usage"]["stdout_bytes"], 4893);
        assert_eq!(report()["exit"]["exceeded"][0]["limit"], "output-limit");
        assert!(!screen.text().contains("1000"), "{}", screen.text());
    });
}

#[test]
fn always_is_a_terminal_even_between_pipes() {
    let scene = Scene::new();
    let mut command = Run::new(&scene).flags(["--tty", "always"]).command([
        "/bin/sh",
        "-c",
        "tty; stty -echo size; cat; echo end >&2",
    ]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\nand no end of a line").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["/dev/pts/0\r\n24 80\r\n", "typed\r\n", "and no end of a line", "end\r\n"] {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{text}");
}

#[test]
fn the_library_collects_what_a_terminal_of_the_sandboxs_own_says() {
    let output = Command::new(caller()).arg("collect-a-terminal").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let [tty, size] = ["/dev/pts/0\\r\\n", "24 80\\r\\n"].map(|part| text.contains(part));
    assert!(text.starts_with("exited 0: ") && tty && size && text.trim_end().ends_with(" []"), "{output:?}");
    assert_eq!(text.matches("typed").count(), 2, "it is echoed, and said by the program: {text}");
}

#[test]
fn all_that_was_printed_arrives_and_a_terminal_that_nobody_reads_holds_nothing_up() {
    let scene = Scene::new();
    let mut master = on_a_terminal(Run::new(&scene).flags(["--timeout", "60s"]).command(["seq", "20000"]));
    let begun = Instant::now();
    let mut bytes = Vec::new();
    // EIO is the end: nobody has the other one open.
    let _ended = master.0.read_to_end(&mut bytes);
    assert!(master.1.wait().unwrap().success());
    let lines: Vec<_> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (20_000, Some("20000")));
    // Nobody reads: the deadline comes all the same, and what is left is given up.
    // (Its own last line would wait, as anybody's does: it goes elsewhere.)
    let line = "exec \"$0\" run --timeout 500ms --grace 100ms -- sh -c 'exec yes 2>&1' 2>/dev/null";
    let mut stuck = on_a_terminal(Run::new(&scene).through(["sh", "-c", line]).command(["-"]));
    let end = begun + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = stuck.1.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it hangs");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(124));
}

/// Starts a command whose streams are a fresh terminal, and controlling it. Answers its other end.
fn on_a_terminal(mut command: Command) -> (std::fs::File, std::process::Child) {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: plain system calls; what they open is ours alone.
    let (master, slave) = unsafe {
        let master = libc::posix_openpt(flags);
        assert!(master >= 0 && libc::unlockpt(master) == 0);
        let slave = libc::ioctl(master, libc::TIOCGPTPEER, flags);
        assert!(slave >= 0);
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    };
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let take = || {
        // SAFETY: plain system calls, which may be made between fork and exec.
        let taken = unsafe { libc::setsid() > 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 };
        if taken { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(take) };
    (master.into(), command.spawn().unwrap())
}
