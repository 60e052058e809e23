//! The program itself, where nothing is run: exit statuses, what goes to which stream, and the report of a wrong
//! request.

use std::process::{Command, Output, Stdio};

fn ringfence(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it speaks UTF-8")
}

#[test]
fn a_wrong_request_to_run_is_125_and_to_others_2() {
    for (words, status) in [
        (&["run"][..], 125),
        (&["run", "--bogus", "ls"], 125),
        (&["run", "--timeout", "soon", "ls"], 125),
        (&["run", "--ro", "x", "--rw", "x", "ls"], 125),
        (&["run", "-v", "/a:/b", "ls"], 125),
        (&["run", "--env-file", "/no/such", "ls"], 125),
        (&["run", "--report", "/no/such/folder/r", "ls"], 125),
        (&["--"], 125),
        (&["--rw"], 125),
        (&["--bogus", "--", "ls"], 125),
        (&["--bind", "/a", "/b", "ls"], 125),
        (&["plan"], 2),
        (&["plan", "--bogus", "ls"], 2),
        (&["plan", "--ro", "x", "--rw", "x", "ls"], 2),
        (&["plan", "--rm", "ls"], 2),
        (&["report"], 2),
        (&["report", "/no/such"], 1),
        (&["profile"], 2),
        (&["profile", "show", "none-such"], 1),
        (&["completions", "tcsh"], 2),
        (&["man", "x"], 2),
        (&["python3", "x.py"], 2),
        (&["doctor", "--bogus"], 2),
        (&["inspect", "--bogus"], 2),
        (&[], 2),
    ] {
        let output = ringfence(words);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(!stderr.is_empty(), "{words:?}");
        assert!(stderr.lines().all(|line| line.starts_with("ringfence: ")), "{words:?}: {stderr}");
        if !words.is_empty() {
            assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
        }
    }
}

#[test]
fn nothing_asked_is_answered_in_eight_lines() {
    assert_eq!(text(&ringfence(&[]).stderr).lines().count(), 8);
}

#[test]
fn a_bare_program_is_answered_with_run() {
    let output = ringfence(&["python3", "a b.py"]);
    assert!(text(&output.stderr).contains("ringfence run -- python3 'a b.py'"), "{}", text(&output.stderr));
}

#[test]
fn a_habit_is_answered_with_ours() {
    for words in
        [&["run", "-v", "/a:/b", "ls"][..], &["--bind", "/a", "/b", "ls"], &["plan", "-v", "/a:/b", "ls"]]
    {
        let output = ringfence(words);
        assert!(text(&output.stderr).contains("write --bind /a:/b"), "{words:?}: {}", text(&output.stderr));
    }
}

/// The first free number is what our own next file gets: it must not be taken for the caller's.
#[test]
fn a_descriptor_that_is_not_open_is_not_found_among_our_own() {
    for number in 3..6 {
        // Closed by the shell, whatever the one who runs the tests left open.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" 3>&- 4>&- 5>&-", env!("CARGO_BIN_EXE_ringfence")]);
        let output = shell
            .args(["run", "--report", &format!("fd:{number}"), "--net", "bridge", "ls"])
            .output()
            .unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125));
        assert!(stderr.contains(&format!("fd {number}: Bad file descriptor (EBADF)")), "{stderr}");
    }
}

#[test]
fn help_and_the_like_go_to_stdout() {
    for (words, part) in [
        (&["--help"][..], "Usage: ringfence"),
        (&["-h"], "Usage: ringfence"),
        (&["--version"], "ringfence 0."),
        (&["run", "--help"], "--allow-degraded"),
        (&["--rw", ".", "--help"], "--allow-degraded"),
        (&["plan", "--help"], "--json"),
        (&["profile", "list"], "python-safe"),
        (&["profile", "show", "default"], "\"name\": \"default\""),
        (&["completions", "bash"], "--allow-degraded"),
        (&["completions", "zsh"], "#compdef ringfence"),
        (&["completions", "fish"], "complete -c ringfence"),
        (&["man"], ".TH RINGFENCE 1"),
    ] {
        let output = ringfence(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(part), "{words:?}: {}", text(&output.stdout));
        assert!(output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_line_cannot_be_forged_by_an_argument() {
    let output = ringfence(&["run", "--name", "a\nringfence: all is well\u{1b}[2J", "ls"]);
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
    let output = ringfence(&["a\nb\u{1b}[2J"]);
    assert!(text(&output.stderr).lines().count() == 1 && !text(&output.stderr).contains('\u{1b}'));
}

#[test]
fn a_wrong_request_has_its_report_and_a_secret_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let path = file.to_str().unwrap();
    for words in [
        &["run", "--report", path, "--net", "bridge", "ls"][..],
        &["--report", path, "-e", "TOKEN=secret", "ls"],
        &["--report", path, "--evn", "TOKEN=secret", "ls"],
        &["--report", path, "--evn=TOKEN=secret", "ls"],
        &["--report", path, "--env", "TOKEN=secret", "--env", "TOKEN=secret2", "ls"],
        &["--report", path, "--env", "=secret", "ls"],
    ] {
        assert_eq!(ringfence(words).status.code(), Some(125), "{words:?}");
        let json = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["schema"], 1);
        assert_eq!(report["exit"]["reason"], "setup", "{words:?}");
        assert!(report["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{words:?}");
        assert!(!json.contains("secret"), "{words:?}: {json}");
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left beside it");
}

#[test]
fn a_reader_that_had_enough_is_no_failure_and_a_full_disk_is() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    let mut child = child.arg("man").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    for words in [&["man"][..], &["run", "--help"], &["profile", "list"]] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(
            text(&output.stderr).contains("cannot write to stdout"),
            "{words:?}: {}",
            text(&output.stderr)
        );
    }
}
