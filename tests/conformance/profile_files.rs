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
