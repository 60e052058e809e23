//! Every kind of bad input: its own message (what, where, errno, what to do), its exit status, a report with
//! the error, nothing started and nothing left behind.

use std::fs;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Scene, not_reachable, ringfence};

use crate::tools::{Said, call, command, executable, finish, one_line, take_report, text};

/// What a refusal must say.
struct Expected<'a> {
    status: i32,
    reason: &'a str,
    errno: Option<&'a str>,
    /// In the message, beside the errno.
    words: &'a [&'a str],
}

/// A scene with things to name, and a proof that nothing runs: the command would make `made`.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.file("here/file", "x");
    scene.folder("here/folder/below");
    scene.folder("other");
    scene.folder("reports");
    scene
}

/// Calls `run` with these words and a report; checks the message, the status, the report, and that nothing
/// changed.
#[track_caller]
fn refused(scene: &Scene, words: &[&str], expected: &Expected<'_>) -> Value {
    let file = scene.path("reports/report.json");
    let before = scene.listing();
    let line = [&["run", "--report", text(&file)], words].concat();
    let said = call(scene, &line);
    let report = take_report(&file).unwrap_or_else(|| panic!("{words:?}: no report: {said:#?}"));
    judge(words, &said, &report, expected);
    assert_eq!(scene.listing(), before, "{words:?}: something was left behind");
    report
}

#[track_caller]
fn judge(words: &[&str], said: &Said, report: &Value, expected: &Expected<'_>) {
    assert_eq!((said.status, said.stdout.as_str()), (expected.status, ""), "{words:?}: {said:#?}");
    let message = one_line(said);
    for word in expected.words.iter().chain(expected.errno.iter()) {
        assert!(message.contains(word), "{words:?}: no `{word}`: {message}");
    }
    assert!(message.contains("; "), "{words:?}: nothing to do about it: {message}");
    assert_eq!(report["exit"]["reason"], expected.reason, "{words:?}: {report:#}");
    let error = &report["error"];
    assert_eq!(error["errno"].as_str(), expected.errno, "{words:?}: {error:#}");
    for field in ["code", "message", "remedy"] {
        assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{words:?}: {field}: {error:#}");
    }
    assert!(
        report["usage"].is_null() && report["receipt"] == Value::Array(Vec::new()),
        "{words:?}: {report:#}"
    );
    assert!(report["exit"]["code"].is_null() && report["exit"]["signal"].is_null(), "{words:?}: {report:#}");
}

const fn setup<'a>(errno: Option<&'a str>, words: &'a [&'a str]) -> Expected<'a> {
    Expected { status: 125, reason: "setup", errno, words }
}

#[test]
fn a_missing_source() {
    let scene = scene();
    let missing = scene.path("here/missing");
    let missing = text(&missing);
    for flags in [["--ro", "missing"], ["--rw", missing], ["--bind", "missing:/x"], ["--rootfs", "missing"]] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        let report = refused(&scene, &words, &setup(Some("ENOENT"), &[missing, "does not exist"]));
        assert_eq!(report["error"]["path"], missing);
    }
    for (flags, errno, path) in [
        (["--device", "/dev/missing"], "ENOENT", "/dev/missing"),
        (["--env-file", missing], "ENOENT", missing),
        (["--ro", "file/below"], "ENOTDIR", "file/below"),
    ] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        refused(&scene, &words, &setup(Some(errno), &[path]));
    }
}

#[test]
fn a_relative_place_and_a_place_with_dots() {
    let scene = scene();
    for (flags, word) in [
        (["--bind", "file:relative"], "relative"),
        (["--bind", "file:"], "empty"),
        (["--bind", ":/x"], "empty"),
        (["--bind", "file"], "SRC:DST"),
        (["--bind", "file:/a/../b"], ".."),
        (["--bind", "file:/x:rx"], "neither"),
        (["--tmpfs", "relative"], "relative"),
        (["--workdir", "relative"], "relative"),
        (["--bind", "file:/"], "root of a sandbox"),
        (["--tmpfs", "/"], "root of a sandbox"),
    ] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        refused(&scene, &words, &setup(None, &[word]));
    }
}

#[test]
fn a_newline_or_a_nul_in_a_value() {
    let scene = scene();
    for flags in [
        ["--ro", "new\nline"],
        ["--bind", "file:/new\nline"],
        ["--tmpfs", "/new\nline"],
        ["--deny", "new\nline"],
        ["--hostname", "new\nline"],
        ["--name", "new\nline"],
        ["--env", "NEW\nLINE=x"],
    ] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        refused(&scene, &words, &setup(None, &[flags[0], "\\n"]));
    }
    // A NUL cannot be in an argument; it can be in a file.
    let file = scene.file("here/variables", "A=a\0b\n");
    refused(
        &scene,
        &["--env-file", text(&file), "--", "touch", "made"],
        &setup(None, &["variables:1", "NUL"]),
    );
    // A value of a variable may hold a newline.
    let fine = call(&scene, ["run", "--env", "A=new\nline", "--", "sh", "-c", "echo \"$A\""]);
    assert_eq!(fine.stdout, "new\nline\n", "{fine:#?}");
}

#[test]
fn flags_that_contradict_each_other() {
    let scene = scene();
    for flags in [
        ["--ro", "file", "--rw", "file"],
        ["--ro", "file", "--rw", "./folder/../file"],
        ["--bind", "file:/x", "--bind", "folder:/x"],
        ["--tmpfs", "/x", "--bind", "folder:/x"],
        ["--tmpfs", "/x:1M", "--tmpfs", "/x:2M"],
        ["--env", "A=1", "--env", "A=2"],
    ] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        let report = refused(&scene, &words, &setup(None, &[]));
        assert_eq!(report["error"]["code"], "contradiction", "{flags:?}");
    }
    for flags in [
        ["--base", "host", "--rootfs", "folder"],
        ["--net", "none", "--net", "host"],
        ["--uid", "1", "--uid", "2"],
    ] {
        let words = [&flags[..], &["--", "touch", "made"]].concat();
        refused(&scene, &words, &setup(None, &[flags[0]]));
    }
}

#[test]
fn sizes_durations_and_numbers_without_meaning() {
    let scene = scene();
    for (flag, values) in [
        ("--file-size", &["", "0", "-1", "many", "5 bananas", "1.2.3M", "99999999999999999999", "1E"][..]),
        ("--stack", &["0", "8Q"]),
        ("--tmpfs", &["/x:0", "/x:much", "/x:1M:2M"]),
        ("--timeout", &["", "0", "-1", "soon", "5y", "1e9", "99999999999d"]),
        ("--grace", &["0", "never"]),
        ("--nofile", &["0", "-1", "many", "1.5"]),
        ("--uid", &["-1", "4294967295", "nobody", ""]),
        ("--gid", &["-1", "99999999999"]),
        ("--net", &["bridge", ""]),
        ("--base", &["alpine"]),
        ("--toolchain", &["", "a/b", "../x"]),
        ("--id-map", &["all"]),
        ("--allow-degraded", &["all", "everything", "fds"]),
        ("--keep-cap", &["EVERYTHING"]),
        ("--profile", &["none-such", "", "a b", "8080:80"]),
        ("--on-violation", &["warn", "errno:13"]),
        ("--hostname", &["", "a b", "ü"]),
    ] {
        for value in values {
            let joined = format!("{flag}={value}");
            refused(&scene, &[&joined, "--", "touch", "made"], &setup(None, &[flag]));
        }
    }
}

#[test]
fn commands_that_cannot_be_run() {
    let scene = scene();
    let tool = executable(&scene, "here/tool", "#!/bin/sh\ntouch made\n");
    let lacking = executable(&scene, "here/lacking", "#!/no/interpreter\n");
    let not_found = |words| Expected { status: 127, reason: "not-found", errno: Some("ENOENT"), words };
    let not_executable = |errno, words| Expected { status: 126, reason: "not-executable", errno, words };
    refused(&scene, &["--", "no-such-program"], &not_found(&["no-such-program", "PATH"]));
    refused(&scene, &["--", "/no/such"], &not_found(&["/no/such"]));
    refused(&scene, &["--", "./file"], &not_executable(Some("EACCES"), &["file", "not executable", "chmod"]));
    refused(&scene, &["--", "./folder"], &not_executable(Some("EACCES"), &["folder"]));
    refused(
        &scene,
        &["--", text(&lacking)],
        &not_executable(Some("ENOENT"), &["/no/interpreter", text(&lacking)]),
    );
    refused(&scene, &["--deny", text(&tool), "--", text(&tool)], &not_found(&[text(&tool), "--deny"]));
}

#[test]
fn a_program_that_would_be_another_inside() {
    let scene = scene();
    for name in ["first", "second"] {
        executable(&scene, &format!("{name}/interpreter"), "#!/bin/sh\n");
    }
    let script = executable(&scene, "here/script", "#!/usr/bin/env interpreter\n");
    let (first, second) = (scene.path("first"), scene.path("second"));
    let file = scene.path("reports/report.json");
    let words =
        ["run", "--report", text(&file), "--toolchain=none", "--ro", text(&second), "--", text(&script)];
    let mut line = command(&scene, words);
    line.env("PATH", format!("{}:{}:/usr/bin:/bin", text(&first), text(&second)));
    let said = finish(line);
    let report = take_report(&file).unwrap();
    let both = [text(&first), text(&second)];
    judge(&words, &said, &report, &setup(None, &both));
}

#[test]
fn a_missing_mount_point_inside_a_bind() {
    let scene = scene();
    let place = scene.path("here/folder/missing");
    let spec = format!("{}:{}", text(&scene.path("other")), text(&place));
    let report = refused(
        &scene,
        &["--bind", &spec, "--", "touch", "made"],
        &setup(None, &[text(&place), "does not exist there"]),
    );
    assert_eq!(
        (&report["error"]["code"], report["error"]["path"].as_str()),
        (&"mount-point".into(), Some(text(&place)))
    );
}

/// A pipe that holds as little as the kernel allows.
fn small_pipe() -> (fs::File, fs::File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours alone.
    let (read, write) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        assert!(libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 4096) > 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    (read.into(), write.into())
}

/// A run that is held still after its look at the files and before its mounts: it says more steps than its
/// standard error takes.
fn with_a_swap(scene: &Scene, words: &[&str], swap: impl Fn()) -> (Said, Option<Value>) {
    let file = scene.path("reports/report.json");
    let (mut read, write) = small_pipe();
    let mut line = command(scene, [&["run", "--verbose", "--report", text(&file)], words].concat());
    let mut child = line.stdout(Stdio::piped()).stderr(write).spawn().unwrap();
    drop(line);
    let mut start = [0; 11];
    read.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"ringfence: ", "the first step is said when everything was looked at");
    swap();
    let mut stderr = String::new();
    read.read_to_string(&mut stderr).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let status = child.wait().unwrap().code().unwrap_or(-1);
    (Said { status, stdout, stderr }, take_report(&file))
}

#[test]
fn a_source_that_changed_between_the_look_and_the_mount() {
    let scene = scene();
    let source = scene.folder("source");
    let words = ["--ro", text(&source), "--", "ls", text(&source)];
    let swaps: [(&dyn Fn(), &str); 3] = [
        (&|| fs::create_dir(&source).unwrap(), "another file than a moment ago"),
        (&|| std::os::unix::fs::symlink(scene.path("other"), &source).unwrap(), "ELOOP"),
        (&|| {}, "ENOENT"),
    ];
    for (number, (put, word)) in swaps.into_iter().enumerate() {
        let moved = scene.path(&format!("moved-{number}"));
        let (said, report) = with_a_swap(&scene, &words, || {
            fs::rename(&source, &moved).unwrap();
            put();
        });
        assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{said:#?}");
        let message = said
            .stderr
            .lines()
            .find(|line| line.contains(word))
            .unwrap_or_else(|| panic!("no {word}: {said:#?}"));
        assert!(message.contains(text(&source)) && message.contains("; "), "{message}");
        let report = report.expect("a report");
        assert_eq!(report["error"]["path"], text(&source), "{report:#}");
        assert!(report["error"]["step"].as_str().is_some_and(|step| step.contains("source")), "{report:#}");
        let _a_folder_or_a_link = fs::remove_dir(&source).or_else(|_| fs::remove_file(&source));
        fs::rename(&moved, &source).unwrap();
    }
    // Control: with nothing swapped, the same run ends well.
    let (said, _) = with_a_swap(&scene, &words, || {});
    assert_eq!(said.status, 0, "{said:#?}");
}

#[test]
fn a_program_that_changed_between_the_look_and_the_start() {
    let scene = scene();
    let content = "#!/bin/sh\necho ran\n";
    let tool = executable(&scene, "here/tool", content);
    let (said, report) = with_a_swap(&scene, &["--", "./tool"], || {
        let other = executable(&scene, "here/other", content);
        fs::rename(&other, &tool).unwrap();
    });
    assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{said:#?}");
    let error = &report.expect("a report")["error"];
    assert!(error["message"].as_str().is_some_and(|text| text.contains("tool")), "{error:#}");
    let (control, _) = with_a_swap(&scene, &["--", "./tool"], || {});
    assert_eq!((control.status, control.stdout.as_str()), (0, "ran\n"), "{control:#?}");
}

/// The command line in a namespace that was made like this, where this line ran first.
fn in_namespace(scene: &Scene, prepare: &str, words: &[&str]) -> (Said, Option<Value>) {
    let file = scene.path("reports/report.json");
    let mut line = Command::new("unshare");
    line.args(["-Urm", "/bin/sh", "-c", &format!("{prepare} && exec \"$@\""), "sh"]).arg(ringfence());
    line.args(["run", "--report", text(&file)]).args(words);
    line.current_dir(scene.path("here")).env("HOME", scene.home()).stdin(Stdio::null());
    line.env("RINGFENCE_RUNTIME_DIR", scene.runtime());
    (finish(line), take_report(&file))
}

#[test]
fn a_kernel_that_cannot_do_a_step() {
    let scene = scene();
    let before = scene.listing();
    for (prepare, status_words) in [
        // No user namespace may be made here.
        ("echo 0 >/proc/sys/user/max_user_namespaces", &["namespaces", "ENOSPC", "max_user_namespaces"][..]),
        // Nor any other of these kinds.
        ("echo 0 >/proc/sys/user/max_net_namespaces", &["namespaces", "ENOSPC"]),
        // A proc that is partly covered gives no new one.
        (
            "mount -t tmpfs none /proc/scsi 2>/dev/null || mount -t tmpfs none /proc/fs",
            &["proc", "EPERM", "covered"],
        ),
    ] {
        let (said, report) = in_namespace(&scene, prepare, &["--", "touch", "made"]);
        assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{prepare}: {said:#?}");
        let message = one_line(&said);
        assert!(status_words.iter().all(|word| message.contains(word)), "{prepare}: {message}");
        let report = report.unwrap_or_else(|| panic!("{prepare}: no report: {said:#?}"));
        for field in ["code", "step", "errno", "message", "remedy"] {
            assert!(report["error"][field].is_string(), "{prepare}: {field}: {report:#}");
        }
        assert_eq!(scene.listing(), before, "{prepare}: something was left behind");
    }
    let (control, _) = in_namespace(&scene, "true", &["--", "echo", "ran"]);
    assert_eq!((control.status, control.stdout.as_str()), (0, "ran\n"), "{control:#?}");
}

#[test]
fn a_caller_in_a_chroot_is_told_so() {
    let scene = scene();
    let root = scene.folder("root");
    // A whole system by bind mounts, entered by chroot: in one, no user namespace can be made.
    let prepare = format!(
        "mount --rbind / {0} && set -- /usr/sbin/chroot {0} /bin/sh -c 'cd {1} && exec \"$@\"' sh \"$@\"",
        text(&root),
        text(&scene.path("here"))
    );
    let (said, report) = in_namespace(&scene, &prepare, &["--", "touch", "made"]);
    if said.stderr.contains("mount") {
        return not_reachable("chroot", said.stderr.trim());
    }
    assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{said:#?}");
    let message = one_line(&said);
    assert!(message.contains("EPERM") && message.contains("chroot"), "{message}");
    assert_eq!(report.expect("a report")["error"]["errno"], "EPERM");
}
