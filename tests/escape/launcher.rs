//! Attempts on the launcher: its executable, its memory, what it passes on, what it is told.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

use support::{Run, Scene, UNFILTERED, outside, probe, ringfence};

/// Refused whatever layer speaks first.
const CLOSED: [&str; 2] = ["EACCES", "EPERM"];

#[test]
fn row_5_the_launcher_cannot_be_overwritten() {
    let scene = Scene::new();
    let before = std::fs::read(ringfence()).unwrap();
    Run::new(&scene).probe(["open-write", "/proc/1/exe"]).expect(&["EACCES", "ETXTBSY"]);
    Run::new(&scene).probe(["open-write", "/proc/self/exe"]).expect(&["EACCES", "ETXTBSY", "EROFS"]);
    assert_eq!(std::fs::read(ringfence()).unwrap(), before);
    // Control: the path to a running executable leads to it; only its being busy protects it outside.
    let copy = scene.program("copy", &probe());
    let control = Command::new(&copy).args(["open-write", "/proc/self/exe"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&control.stdout).trim(), "ETXTBSY");
}

#[test]
fn row_6_init_cannot_be_traced_and_the_deadline_fires() {
    let scene = Scene::new();
    Run::new(&scene).probe(["trace", "1"]).expect(&CLOSED);
    Run::new(&scene).probe(["trace-own-child"]).expect(&["EPERM"]);
    // The same without the filter, where a process of its own may be traced.
    Run::new(&scene).flag(UNFILTERED).probe(["trace", "1"]).expect(&CLOSED);
    Run::new(&scene).flag(UNFILTERED).probe(["trace-own-child"]).expect(&["ok"]);
    let stuck =
        Run::new(&scene).flags(["--timeout", "300ms", "--grace", "300ms"]).probe(["trace-init-then-wait"]);
    assert_eq!(stuck.status, 124, "{stuck:#?}");
    assert_eq!(stuck.field("/exit/reason"), "timeout");
}

#[test]
fn row_7_inits_memory_and_files_are_closed() {
    let scene = Scene::new();
    Run::new(&scene).probe(["open-write", "/proc/1/mem"]).expect(&CLOSED);
    for flags in [&[][..], &[UNFILTERED]] {
        Run::new(&scene).flags(flags).probe(["take-file", "1"]).expect(&CLOSED);
        Run::new(&scene).flags(flags).probe(["read-memory", "1"]).expect(&CLOSED);
    }
    // The numbers may be listed where root's id inside is the program's own; what they lead to may not be known.
    Run::new(&scene).probe(["read-link", "/proc/1/fd/3"]).expect(&["EACCES", "ENOENT"]);
    Run::new(&scene).probe(["read-link", "/proc/1/exe"]).expect(&CLOSED);
    Run::new(&scene).probe(["list", "/proc/1/root"]).expect(&CLOSED);
    // Controls: the same works on a process of one's own.
    Run::new(&scene).probe(["open-write", "/proc/self/mem"]).expect(&["ok"]);
    Run::new(&scene).probe(["read-link", "/proc/self/exe"]).expect(&[probe().to_str().unwrap()]);
    Run::new(&scene).probe(["list", "/proc/self/root/run"]).expect(&[""]);
    for attempt in ["take-file-of-own-child", "read-memory-of-own-child"] {
        Run::new(&scene).flag(UNFILTERED).probe([attempt]).expect(&["ok"]);
        Run::new(&scene).probe([attempt]).expect(&["EPERM"]);
    }
}

#[test]
fn row_8_no_secret_of_the_host_in_inits_environment() {
    let scene = Scene::new();
    let secret = "secret-of-the-host-8";
    let inside = Run::new(&scene).env("SECRET", secret).probe(["read", "/proc/1/environ"]);
    assert!(!inside.stdout.contains(secret) && !inside.stdout.contains("HOME"), "{inside:#?}");
    let control =
        Command::new(probe()).args(["read", "/proc/self/environ"]).env("SECRET", secret).output().unwrap();
    assert!(String::from_utf8_lossy(&control.stdout).contains(secret));
}

#[test]
fn row_9_no_host_path_in_inits_command_line() {
    let scene = Scene::new();
    let granted = scene.folder("granted-9");
    let inside = Run::new(&scene).flag("--ro").flag(&granted).probe(["read", "/proc/1/cmdline"]);
    assert!(inside.stdout.starts_with("ringfence-init") && !inside.stdout.contains('/'), "{inside:#?}");
    let control = outside(["read", "/proc/self/cmdline"]);
    assert!(control.stdout.contains('/'), "a command line can be read: {control:#?}");
}

#[test]
fn row_10_an_inherited_folder_is_closed() {
    let scene = Scene::new();
    let folder = File::open("/usr").unwrap();
    let number = keep_open(&folder);
    Run::new(&scene).probe(["through-fd", &number]).expect(&["EBADF"]);
    outside(["through-fd", &number]).expect(&["ok"]);
}

/// Makes a descriptor that children inherit.
fn keep_open(file: &File) -> String {
    // SAFETY: our own descriptor; clears close-on-exec of a copy that is leaked on purpose until the test ends.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 100) };
    assert!(copy >= 100);
    copy.to_string()
}

#[test]
fn row_11_an_unreachable_working_directory_is_refused() {
    let scene = Scene::new();
    let gone = scene.folder("gone");
    // The folder is removed by the very shell that starts the sandbox in it.
    let script = r#"rmdir "$PWD" && exec "$@""#;
    let outcome = Run::new(&scene).from(&gone).through(["/bin/sh", "-c", script, "sh"]).probe(["directory"]);
    outcome.expect_refusal(&["working directory"]);
    let hidden = Run::new(&scene).flags(["--workdir", "/nowhere"]).probe(["directory"]);
    hidden.expect_refusal(&["/nowhere", "--ro"]);
    let here = scene.path("here");
    Run::new(&scene).probe(["directory"]).expect(&[here.to_str().unwrap()]);
}

#[test]
fn row_12_the_working_directory_never_becomes_everything() {
    let scene = Scene::new();
    let home = scene.home();
    scene.file("home/private", "x");
    let implied = Run::new(&scene).from(&home).flags(["-p", "build"]).probe(["list", home.to_str().unwrap()]);
    implied.expect(&[""]);
    assert!(implied.stderr.contains("not shown"), "{implied:#?}");
    let above = Run::new(&scene).from(scene.path("")).probe(["list", home.to_str().unwrap()]);
    above.expect(&[""]);
    for flag in ["--rw", "--ro"] {
        Run::new(&scene).from(&home).flags([flag, "."]).probe(["list", "."]).expect_refusal(&["home"]);
        Run::new(&scene)
            .from("/")
            .flags([flag, "."])
            .probe(["list", "."])
            .expect_refusal(&["the home, a folder above it"]);
        Run::new(&scene).flags([flag, "/"]).probe(["list", "."]).expect_refusal(&["root of the sandbox"]);
    }
    // Control: written out, the same folder is shown.
    Run::new(&scene).flag("--ro").flag(&home).probe(["list", home.to_str().unwrap()]).expect(&["private"]);
}

#[test]
fn row_13_closed_streams_become_dev_null() {
    let scene = Scene::new();
    let report = scene.outside_path("streams");
    let mut run = Run::new(&scene).flag("--rw").flag(scene.folder("outbox"));
    run = run.through(["/bin/sh", "-c", r#"exec "$@" <&- >&- 2>&-"#, "sh"]);
    let line = format!(
        "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 > {}/streams",
        scene.path("outbox").display()
    );
    let outcome = run.run(["/bin/sh", "-c", &format!("{line}; {line}2 2>/dev/null; true")]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let seen = std::fs::read_to_string(scene.path("outbox/streams")).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    // Standard output is the file itself while readlink runs.
    assert_eq!((lines[0], lines[2]), ("/dev/null", "/dev/null"), "{seen}");
    drop(report);
    // Control: a plain child with closed streams has nothing there.
    let control = Command::new("/bin/sh").args(["-c", "test -e /proc/self/fd/0 <&-"]).status().unwrap();
    assert!(!control.success());
}

#[test]
fn row_81_an_option_cannot_be_smuggled_in_as_the_command() {
    let scene = Scene::new();
    for word in ["--profile=build", "--rw=/", "-p"] {
        let outcome = Run::new(&scene).run([word]);
        assert_eq!(outcome.status, 127, "{outcome:#?}");
        assert!(outcome.stderr.contains(word), "{outcome:#?}");
    }
    // Control: before `--` it is an option.
    let outcome = Run::new(&scene).flag("--profile=nonsense").run(["/bin/true"]);
    outcome.expect_refusal(&["nonsense"]);
}

#[test]
fn row_82_values_that_the_kernel_cannot_take_are_refused() {
    let scene = Scene::new();
    let long = "x".repeat(65);
    Run::new(&scene).flags(["--hostname", &long]).run(["/bin/true"]).expect_refusal(&["64 bytes"]);
    Run::new(&scene).flags(["--hostname", "a\nb"]).run(["/bin/true"]).expect_refusal(&["host name"]);
    Run::new(&scene).run(["/bin/echo", &"x".repeat(131_071)]).field("/exit/code").as_i64().unwrap();
    let policy = ringfence::Policy::builtin("default").unwrap();
    let failure = ringfence::Sandbox::new(policy).command("/bin/echo").arg("a\0b").output().unwrap_err();
    assert!(failure.problem.message.contains("NUL"), "{failure}");
    let failure = ringfence::Sandbox::new(ringfence::Policy::builtin("default").unwrap())
        .command("/bin/echo")
        .arg("x".repeat(131_072))
        .output()
        .unwrap_err();
    assert!(failure.problem.message.contains("longer than the kernel takes"), "{failure}");
    // Control: the longest that is allowed.
    Run::new(&scene).flags(["--hostname", &"x".repeat(64)]).probe(["exit", "0"]).expect(&[""]);
}

#[test]
fn row_83_dangerous_variables_are_absent() {
    let scene = Scene::new();
    let dangerous =
        ["LD_PRELOAD", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"];
    let mut run = Run::new(&scene);
    for name in dangerous {
        run = run.env(name, "/nonexistent-83");
    }
    let inside = run.probe(["environment"]);
    assert!(dangerous.iter().all(|name| !inside.stdout.contains(name)), "{inside:#?}");
    let passed =
        Run::new(&scene).env("GITHUB_TOKEN", "t-83").flags(["--env", "GITHUB_TOKEN"]).probe(["environment"]);
    assert!(passed.stdout.contains("GITHUB_TOKEN=t-83"), "{passed:#?}");
    assert!(!passed.report.unwrap().to_string().contains("t-83"), "a value in the report");
}

#[test]
fn row_84_secrets_of_the_caller_are_not_there() {
    let scene = Scene::new();
    for name in [".ssh/id_ed25519", ".aws/credentials", ".config/gcloud/credentials.db", ".netrc"] {
        let path = scene.file(&format!("home/{name}"), "secret");
        let path = path.to_str().unwrap();
        Run::new(&scene).probe(["open", path]).expect(&["ENOENT"]);
        outside(["open", path]).expect(&["ok"]);
    }
    Run::new(&scene).probe(["open", "/etc/shadow"]).expect(&["ENOENT"]);
    outside(["open", "/etc/shadow"]).expect(&["ok", "EACCES"]);
}

#[test]
fn row_100_a_folder_as_a_stream_is_refused() {
    let scene = Scene::new();
    let run = Run::new(&scene).flag("--ro").flag(probe());
    let folder = File::open(scene.path("here")).unwrap();
    let refused = run
        .command([probe().as_os_str(), "exit".as_ref(), "0".as_ref()])
        .stdin(Stdio::from(folder))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(125), "{message}");
    assert!(message.contains("standard input is a folder"), "{message}");
    let file = File::open(scene.file("input", "x")).unwrap();
    let fine = run
        .command([probe().as_os_str(), "exit".as_ref(), "0".as_ref()])
        .stdin(Stdio::from(file))
        .output()
        .unwrap();
    assert!(fine.status.success());
}

#[test]
fn row_102_the_report_is_never_where_the_program_can_write() {
    let scene = Scene::new();
    let open = scene.folder("open");
    let target = scene.file("target", "untouched");
    let report = open.join("report.json");
    let output = Run::new(&scene)
        .flag("--rw")
        .flag(&open)
        .flag("--report")
        .flag(&report)
        .command(["/bin/true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("which the program can write"));
    assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0, "something was left behind");
    // Elsewhere a symlink in the report's place is refused, never followed and never replaced.
    let closed = scene.folder("closed");
    let report = closed.join("report.json");
    std::os::unix::fs::symlink(&target, &report).unwrap();
    let run = || Run::new(&scene).flag("--report").flag(&report).command(["/bin/true"]).output().unwrap();
    assert_eq!(run().status.code(), Some(125));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
    // Control: a plain file there is replaced.
    std::fs::remove_file(&report).unwrap();
    std::fs::write(&report, "older").unwrap();
    assert!(run().status.success());
    assert!(std::fs::read_to_string(&report).unwrap().starts_with('{'));
}
