//! Attempts to hurt the supervisor by printing: without end, without a newline, to readers that are slow or gone.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene};

/// A figure of a process' status, in KiB.
fn status_kib(child: &Child, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn row_78_a_gigabyte_without_a_newline_leaves_memory_flat() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--output-limit", "4G"]);
    let flood = ["/bin/sh", "-c", "head -c 1073741824 /dev/zero"];
    let mut child = run.command(flood).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut piece = vec![0; 1 << 20];
    let (mut total, mut first, mut peak) = (0_u64, None, 0);
    loop {
        let length = stdout.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        total += length as u64;
        first.get_or_insert_with(|| status_kib(&child, "VmHWM:"));
        peak = peak.max(status_kib(&child, "VmHWM:"));
    }
    assert_eq!((total, child.wait().unwrap().code()), (1 << 30, Some(0)));
    let first = first.unwrap();
    println!("row 78: the supervisor's peak memory: {first} KiB at the start, {peak} KiB at the end");
    assert!(first > 0 && peak < first + 2048, "{first} KiB at the start, {peak} KiB at the end");
}

#[test]
fn row_79_a_reader_that_is_absent_holds_the_program_back_and_wedges_nothing() {
    let scene = Scene::new();
    // Both streams into one pipe that nobody reads: each fills it for the other.
    let flags = ["--output-limit", "1G", "--timeout", "2s", "--grace", "200ms"];
    let run = Run::new(&scene).flags(flags);
    let mut child = run
        .command(["/bin/sh", "-c", r#"exec "$0" 2>&1"#, "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(20) => {
                child.kill().unwrap();
                panic!("it hangs on a reader that does not read");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert_eq!(ended.code(), Some(124), "the deadline fires");
    // What the pipe took is there; the rest was never made: the program was held back.
    let mut taken = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut taken).unwrap();
    assert!(taken.starts_with(b"y\n") && taken.len() <= 1 << 20, "{}", taken.len());
}

#[test]
fn row_79_a_signal_ends_the_wait_for_a_reader() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--output-limit", "1G", "--grace", "500ms"]);
    let mut child =
        run.command(["/bin/sh", "-c", "head -c 100000 /dev/zero"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "control: it waits for the reader");
    // SAFETY: numbers only; our own child, which we have not reaped.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    let begun = Instant::now();
    child.wait().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

#[test]
fn row_79_the_grace_ends_the_wait_for_a_reader() {
    let scene = Scene::new();
    let (ready, flags) = (scene.folder("ready"), ["--output-limit", "1G", "--grace", "500ms"]);
    let run = Run::new(&scene).flags(flags).flag("--rw").flag(&ready);
    // It is asked to end while it runs, and ends; what it has printed nobody takes.
    let line = "trap 'exit 3' TERM; head -c 100000 /dev/zero; touch \"$0/x\"; sleep 60 & wait";
    let mut command = run.command(["/bin/sh", "-c", line]);
    let mut child = command.arg(&ready).stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !ready.join("x").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: numbers only; our own child, which we have not reaped.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it hangs on a reader that does not read");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn row_79_a_reader_that_leaves_ends_the_writer() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--output-limit", "1G"]);
    let mut child = run.command(["/usr/bin/yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut start = [0_u8; 2];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGPIPE));
}

/// Makes whoever reads or writes at the other side of standard output send a signal to others.
const ASYNC: &str = "import fcntl, os, signal, sys, time\n\
    refused = 0\n\
    for owner in [int(word) for word in sys.argv[1:]]:\n\
    \x20   try:\n\
    \x20       fcntl.fcntl(1, fcntl.F_SETOWN, owner)\n\
    \x20       fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_ASYNC)\n\
    \x20       os.write(1, b'x' * 1000)\n\
    \x20       time.sleep(0.1)\n\
    \x20   except OSError: refused += 1\n\
    os.write(2, b'%d refused' % refused)\n";

#[test]
fn row_56_a_file_that_signals_its_owner_does_not_reach_the_supervisor() {
    let scene = Scene::new();
    // Control: outside, the signal that a read of the pipe sends ends the one that is named: SIGIO.
    let line = "python3 -c \"$0\" $$; sleep 5; echo alive >&2";
    let control =
        std::process::Command::new("/bin/sh").args(["-c", line, ASYNC]).stdin(Stdio::null()).output();
    let control = control.unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&control.status);
    assert_eq!(signal, Some(libc::SIGIO), "{control:?}");
    // Inside: the supervisor by its number on the host, PID 1, everybody, a group.
    for flags in [&[][..], &["--output-limit", "1M"]] {
        let words = ["/bin/sh", "-c", "exec python3 -c \"$0\" \"$@\"", ASYNC];
        let mut command = Run::new(&scene).flags(flags).command(words);
        command.args([std::process::id().to_string().as_str(), "1", "-1", "0"]);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {said}");
        assert!(output.stdout.len() >= 1000 && said.ends_with(" refused"), "{flags:?}: {said}");
    }
}
