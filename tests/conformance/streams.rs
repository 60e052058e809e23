//! What goes through the three streams: all of it, in order, and nobody waits for nobody.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Outcome, Run, Scene, ringfence};

use crate::tools::{alive, finish, finish_with_input, wait_for};

#[test]
fn input_arrives_whole_and_its_end_is_seen() {
    let scene = Scene::new();
    let input: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let outcome = finish_with_input(Run::new(&scene).command(["/usr/bin/cksum"]), &input);
    let control = finish_with_input(Command::new("/usr/bin/cksum"), &input);
    assert_eq!((outcome.status, &outcome.stdout), (0, &control.stdout), "{outcome:#?}");
    let empty = finish(Run::new(&scene).command(["/bin/cat"]));
    assert_eq!((empty.status, empty.stdout.as_str(), empty.stderr.as_str()), (0, "", ""));
}

#[test]
fn ten_megabytes_come_out_of_both_streams() {
    let scene = Scene::new();
    let line = "head -c 10000000 /dev/zero & head -c 10000000 /dev/zero >&2; wait";
    let outcome = finish(Run::new(&scene).command(["/bin/sh", "-c", line]));
    assert_eq!((outcome.status, outcome.stdout.len(), outcome.stderr.len()), (0, 10_000_000, 10_000_000));
}

#[test]
fn streams_that_are_files_are_the_programs_own() {
    let scene = Scene::new();
    let (input, output) = (scene.file("input", "from a file\n"), scene.path("output"));
    let mut command = Run::new(&scene).command(["/bin/sh", "-c", "cat; readlink /proc/self/fd/0 >&2"]);
    command.stdin(File::open(&input).unwrap()).stdout(File::create(&output).unwrap());
    let done = command.stderr(Stdio::piped()).output().unwrap();
    assert!(done.status.success());
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "from a file\n");
    // Appending stays appending.
    let append = File::options().append(true).open(&output).unwrap();
    let mut command = Run::new(&scene).command(["/bin/echo", "more"]);
    assert!(command.stdout(append).status().unwrap().success());
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "from a file\nmore\n");
}

#[test]
fn a_reader_that_leaves_ends_the_writer_and_nothing_hangs() {
    let scene = Scene::new();
    let mut child = Run::new(&scene).command(["/usr/bin/yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut start = [0_u8; 4096];
    stdout.read_exact(&mut start).unwrap();
    drop(stdout);
    let begun = Instant::now();
    let status = child.wait().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    // SIGPIPE, as outside; a shell calls it 141.
    assert_eq!(status.code(), Some(128 + libc::SIGPIPE));
}

#[test]
fn a_reader_that_is_slow_loses_nothing() {
    let scene = Scene::new();
    let mut child =
        Run::new(&scene).command(["/usr/bin/seq", "100000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!((text.lines().count(), text.lines().last()), (100_000, Some("100000")));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_program_that_ignores_its_input_ends_though_the_writer_does_not() {
    let scene = Scene::new();
    let mut child = Run::new(&scene).command(["/bin/true"]).stdin(Stdio::piped()).spawn().unwrap();
    let kept = child.stdin.take();
    let begun = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(kept);
}

#[test]
fn a_background_process_that_holds_a_stream_does_not_keep_the_run_alive() {
    let scene = Scene::new();
    let marker = format!("7{}.5", std::process::id());
    let outcome =
        finish(Run::new(&scene).command(["/bin/sh", "-c", &format!("sleep {marker} & echo started")]));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "started\n"), "{outcome:#?}");
    assert!(outcome.time < Duration::from_secs(5), "{outcome:#?}");
    wait_for("nothing is left", Duration::from_secs(2), || alive(&marker).is_empty());
}

/// Runs a line on a terminal of its own (`script` makes one), with this typed into it.
fn on_a_terminal(scene: &Scene, line: &str, typed: &[u8]) -> Outcome {
    let mut command = Command::new("script");
    command.args(["-qec", line, "/dev/null"]).current_dir(scene.path("here")).env("HOME", scene.home());
    command.env("RINGFENCE", ringfence()).env("TERM", "xterm");
    finish_with_input(command, typed)
}

#[test]
fn a_terminal_is_relayed_and_never_passed_in() {
    let scene = Scene::new();
    let inside = "for n in 0 1 2; do test -t $n && stat -Lc %d /proc/self/fd/$n || echo none; done; echo err >&2\n\
                  sh -c 'echo x >/dev/tty' 2>/dev/null || echo no-tty\nexit 7\n";
    scene.file("here/look", inside);
    let outcome = on_a_terminal(&scene, "$RINGFENCE run -- /bin/sh look", b"");
    // script(1) may show the end of its own input.
    let shown = |line| str::trim_start_matches(str::trim(line), "^@");
    let own: Vec<_> = outcome.stdout.lines().take(3).map(|line| shown(line).to_owned()).collect();
    assert_eq!(outcome.status, 7, "the status is the program's: {outcome:#?}");
    let outcome = on_a_terminal(&scene, "$RINGFENCE run --tty never -- /bin/sh look", b"");
    let lines: Vec<_> = outcome.stdout.lines().map(str::trim).collect();
    assert_eq!(lines[..3], ["none"; 3], "{outcome:#?}");
    assert!(lines.contains(&"err") && lines.contains(&"no-tty"), "{outcome:#?}");
    assert_eq!(outcome.status, 7, "the status is the program's: {outcome:#?}");
    // Control: the same line unsandboxed has the terminal.
    let control = on_a_terminal(&scene, "/bin/sh look", b"");
    let lines: Vec<_> = control.stdout.lines().map(shown).collect();
    // Each of them is one of the same file system, and inside of another.
    assert!(lines[0].parse::<u64>().is_ok() && own[0].parse::<u64>().is_ok(), "{own:?} {control:#?}");
    assert_eq!((&lines[..3], &own[..]), (&[lines[0]; 3][..], &[(); 3].map(|()| own[0].clone())[..]));
    assert_ne!(lines[0], own[0]);
}

#[test]
fn what_is_typed_arrives_and_its_end_too() {
    let scene = Scene::new();
    // A line, then control-D on a line of its own: the end of the input.
    let outcome = on_a_terminal(
        &scene,
        "$RINGFENCE run -- /bin/sh -c 'read line; echo got: $line; cat; echo end'",
        b"hello\nmore\n\x04",
    );
    assert!(outcome.stdout.contains("got: hello") && outcome.stdout.contains("more"), "{outcome:#?}");
    assert!(outcome.stdout.contains("end") && outcome.status == 0, "{outcome:#?}");
}

#[test]
fn the_interrupt_key_of_a_terminal_reaches_the_program() {
    let scene = Scene::new();
    scene.file("here/wait", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.02; done\n");
    let mut command = Command::new("script");
    command
        .args(["-qec", "exec $RINGFENCE run -- /bin/sh wait", "/dev/null"])
        .current_dir(scene.path("here"));
    command
        .env("HOME", scene.home())
        .env("RINGFENCE", ringfence())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref().map(str::trim), Some("ready"));
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let rest: Vec<_> = lines.collect();
    assert!(rest.iter().any(|line| line.contains("caught")), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(9), "{rest:?}");
}

#[test]
fn much_output_comes_through_a_terminal_whole() {
    let scene = Scene::new();
    let outcome = on_a_terminal(&scene, "$RINGFENCE run -- /usr/bin/seq 50000", b"");
    let lines: Vec<_> = outcome.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!((lines.len(), lines.last()), (50_000, Some(&"50000")), "status {}", outcome.status);
}

#[test]
fn a_failure_on_a_terminal_says_what_was_kept_away_and_elsewhere_nothing() {
    let scene = Scene::new();
    let outcome = on_a_terminal(&scene, "$RINGFENCE run -- /bin/sh -c 'exit 3'", b"");
    let said = "ringfence: exit 3; folder read-only (--rw .), network off (--net host); --explain says which";
    assert!(outcome.stdout.lines().any(|line| line.trim() == said), "{outcome:#?}");
    let quiet = on_a_terminal(&scene, "$RINGFENCE run -- /bin/sh -c 'exit 0'", b"");
    assert_eq!(quiet.stdout.trim(), "", "{quiet:#?}");
    let piped = Run::new(&scene).shell("exit 3");
    assert_eq!((piped.status, piped.stderr.as_str()), (3, ""), "{piped:#?}");
}

#[test]
fn run_writes_nothing_to_standard_output() {
    let scene = Scene::new();
    for flags in [&[][..], &["--verbose"], &["-p", "build", "--verbose"]] {
        let outcome = Run::new(&scene).flags(flags).run(["/bin/true"]);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (0, ""), "{flags:?}");
        assert!(
            outcome.stderr.lines().all(|line| line.starts_with("ringfence: ")),
            "{flags:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stderr.is_empty(), flags.is_empty(), "{flags:?}");
    }
}

#[test]
fn a_full_pipe_on_standard_error_delays_the_run_and_loses_nothing() {
    let scene = Scene::new();
    let (mut read, write) = small_pipe();
    let mut command =
        Run::new(&scene).flags(["--verbose"]).command(["/bin/sh", "-c", "echo from the program >&2"]);
    let mut child = command.stderr(write).stdout(Stdio::null()).spawn().unwrap();
    drop(command);
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "control: what it says is more than the pipe holds");
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no `{part}` in {text}"));
    assert!(at("start PID 1") < at("from the program") && at("from the program") < at("enforced"), "{text}");
}

/// A pipe that holds as little as the kernel allows.
fn small_pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours alone.
    let (read, write) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        assert!(libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 4096) > 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    (read.into(), write.into())
}

#[test]
fn a_closed_standard_error_is_no_reason_to_fail() {
    let scene = Scene::new();
    let (read, mut write) = small_pipe();
    drop(read);
    assert!(write.write(b"x").is_err(), "control: nobody reads");
    let done =
        Run::new(&scene).flags(["--verbose"]).command(["/bin/echo", "out"]).stderr(write).output().unwrap();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stdout).as_ref()), (Some(0), "out\n"));
}
