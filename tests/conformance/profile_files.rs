//! Profiles in files: what they say holds, and no program that runs under one can change it, or another one.

use support::{Run, Scene, UNFILTERED};

use crate::tools::text;

/// The user's folders are those below the scene's home, whatever this test's own caller has set.
fn run(scene: &Scene) -> Run<'_> {
    Run::new(scene).env("XDG_CONFIG_HOME", "").env("XDG_STATE_HOME", "")
}

#[test]
fn what_a_file_says_holds_in_either_format() {
    let scene = Scene::new();
    scene.file("data/file", "read me");
    scene.file("data/secret", "hidden");
    let data = scene.path("data");
    let data = text(&data);
    let json = format!(
        r#"{{"extends": "minimal", "filesystem": {{"read": ["{data}"], "deny": ["{data}/secret"],
            "tmpfs": [{{"path": "/work", "size": "1M"}}], "workdir": "/work"}},
            "environment": {{"set": {{"GREETING": "hello"}}}}, "process": {{"hostname": "named"}}}}"#
    );
    let toml = format!(
        "extends = 'minimal'\n[filesystem]\nread = ['{data}']\ndeny = ['{data}/secret']\nworkdir = '/work'\n\
         tmpfs = [{{ path = '/work', size = '1M' }}]\n[environment.set]\nGREETING = 'hello'\n\
         [process]\nhostname = 'named'\n"
    );
    let line =
        format!("echo $GREETING; uname -n; pwd; cat {data}/file; cat {data}/secret 2>/dev/null; ulimit -n");
    for (name, content) in [("job.json", json), ("job.toml", toml)] {
        let file = scene.file(&format!("files/{name}"), &content);
        let outcome = run(&scene).flags(["-p", text(&file), UNFILTERED]).shell(&line);
        assert_eq!(outcome.stdout, "hello\nnamed\n/work\nread me64\n", "{outcome:#?}");
        assert_eq!(outcome.field("/profile"), text(&file), "a file does not choose what it is called");
    }
    // A flag's word comes after the file's.
    let file = scene.path("files/job.json");
    let outcome = run(&scene).flags(["-p", text(&file), UNFILTERED, "--hostname", "flag"]).shell("uname -n");
    assert_eq!(outcome.stdout, "flag\n");
}

#[test]
fn the_profile_of_a_run_cannot_be_changed_by_it() {
    let scene = Scene::new();
    let base = scene.file("here/base.json", r#"{"filesystem": {"write": ["."]}}"#);
    let file = scene.file("here/profiles/job.json", r#"{"extends": "../base.json"}"#);
    let other = scene.file("here/profiles/other.json", "{}");
    let attempt = |words: &[&str]| run(&scene).flags(["-p", "./profiles/job.json"]).probe(words);
    for held in [&file, &base] {
        attempt(&["write", text(held), "{}"]).expect(&["EROFS"]);
        attempt(&["remove", text(held)]).expect(&["EBUSY"]);
        attempt(&["rename", text(&other), text(held)]).expect(&["EBUSY", "EXDEV", "errno 18"]);
    }
    let (folder, away) = (scene.path("here/profiles"), scene.path("here/away"));
    attempt(&["rename", text(&folder), text(&away)]).expect(&["EBUSY", "EXDEV", "errno 18"]);
    // A flag that names the file itself does not lift it.
    let flags = ["-p", "./profiles/job.json", "--rw", text(&file)];
    run(&scene).flags(flags).probe(["write", text(&file), "{}"]).expect(&["EROFS"]);
    // Control: another file beside it can be written, and the same file under another profile.
    attempt(&["write", text(&other), "{}"]).expect(&["ok"]);
    run(&scene).flags(["-p", "build"]).probe(["append", text(&file), " "]).expect(&["ok"]);
}

#[test]
fn no_program_can_add_a_profile_for_its_user_or_trust_one() {
    let scene = Scene::new();
    let profile = scene.file("home/.config/ringfence/profiles/mine.json", "{}");
    let trusted = scene.file("home/.local/state/ringfence/trusted.json", "{}");
    let home = scene.home();
    let attempt =
        |words: &[&str]| run(&scene).flags(["-p", "minimal", UNFILTERED, "--rw", text(&home)]).probe(words);
    let new = profile.with_file_name("new.json");
    for held in [&profile, &new, &trusted] {
        attempt(&["write", text(held), "{}"]).expect(&["EROFS"]);
    }
    let (config, away) = (scene.path("home/.config"), scene.path("home/away"));
    attempt(&["rename", text(&config), text(&away)]).expect(&["EBUSY", "EXDEV", "errno 18"]);
    let beside = scene.file("home/.config/other", "");
    attempt(&["write", text(&beside), "x"]).expect(&["ok"]);
    // Where they are not there yet, the receipt says that they can be made.
    let bare = Scene::new();
    let home = bare.home();
    let outcome = run(&bare).flags(["-p", "minimal", UNFILTERED, "--rw", text(&home)]).probe(["exit", "0"]);
    let row = outcome.row("files");
    assert_eq!(row["status"], "partial", "{outcome:#?}");
    assert!(
        row["detail"].as_str().is_some_and(|detail| detail.contains(".config/ringfence")),
        "{outcome:#?}"
    );
}

#[test]
fn what_the_source_documents_schema_says_holds() {
    let scene = Scene::new();
    scene.file("here/secret", "hidden");
    scene.file("here/kept", "kept");
    let here = scene.path("here");
    let here = text(&here);
    let jail = format!(
        r#"{{"profile_name": "jail", "description": "d", "version": "1", "syscalls": {{"default_action": "allow",
            "errno_value": 13, "allowed": [], "blocked": ["uname"], "conditional": [{{"syscall": "openat", "rules":
            [{{"arg": 1, "op": "masked_eq", "mask": 3, "action_if_match": "check_path", "paths_blocked": ["{here}/secret"]}}]}},
            {{"syscall": "socket", "rules": [{{"arg": 0, "op": "masked_eq", "mask": 2, "value": 2, "action_if_match": "errno", "errno": 98}}]}}]}},
            "filesystem": {{"protected_paths": ["{here}/kept"], "writable_sandbox": "/sandbox"}},
            "limits": {{"max_open_files": 77, "max_execution_time_sec": 50}}}}"#
    );
    let file = scene.file("files/jail.json", &jail);
    let with = |flags: &[&str], line: &str| run(&scene).flags(["--rw", "."]).flags(flags).shell(line);
    let line = "cat secret 2>/dev/null || echo hidden; echo x 2>/dev/null >kept || echo read-only; echo x >new && cat new; \
                echo x >/sandbox/x && cat /sandbox/x; ulimit -n";
    let outcome = with(&["-p", text(&file)], line);
    assert_eq!(outcome.stdout, "hidden\nread-only\nx\nx\n77\n", "{outcome:#?}");
    let outcome = with(&["-p", text(&file)], "uname -n");
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("Permission denied"), "{outcome:#?}");
    assert_eq!(with(&[], "uname -n").stdout, "ringfence\n", "control");
    assert_eq!(std::fs::read_to_string(scene.path("here/kept")).unwrap(), "kept");
}

#[test]
fn a_filter_of_the_engines_replaces_the_rules_and_never_the_floor() {
    let scene = Scene::new();
    let filter = scene.file(
        "files/filter.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
            {"names": ["kill"], "action": "SCMP_ACT_KILL_THREAD"}]}"#,
    );
    let with = |flags: &[&str], line: &str| run(&scene).flags(flags).shell(line);
    let outcome = with(&["--seccomp", text(&filter)], "uname -n");
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("Permission denied"), "{outcome:#?}");
    assert_eq!(with(&[], "uname -n").stdout, "ringfence\n", "control");
    // KILL means the process, of whichever thread (SIGSYS is 31).
    assert_eq!(with(&["--seccomp", text(&filter)], "kill -0 $$; echo alive").status, 128 + 31);
    assert_eq!(with(&[], "kill -0 $$; echo alive").stdout, "alive\n", "control");
    // All is allowed, and the floor is not.
    let outcome = with(&["--seccomp", text(&filter)], "unshare -U true || echo refused");
    assert!(
        outcome.stdout.ends_with("refused\n") && outcome.stderr.contains("not permitted"),
        "{outcome:#?}"
    );
    // The file that it was read from stays as it is.
    let here = scene.file("here/filter.json", &std::fs::read_to_string(&filter).unwrap());
    let outcome = with(&["--seccomp", "filter.json", "--rw", "."], "echo >filter.json || echo held");
    assert!(outcome.stdout == "held\n" && std::fs::metadata(here).unwrap().len() > 9, "{outcome:#?}");
}
