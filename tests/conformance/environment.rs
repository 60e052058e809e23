//! The environment of a program, exactly: a short list is passed, a short list is set, and what the caller
//! names.

use std::collections::BTreeMap;

use support::{Run, Scene, is_root, probe};

use crate::tools::{finish, shell_outside, text};

/// The environment of a probe whose caller has HOME, these variables, and no others.
fn seen(scene: &Scene, flags: &[&str], callers: &[(&str, &str)]) -> BTreeMap<String, String> {
    let run = Run::new(scene).flags(flags).flag("--ro").flag(probe());
    let mut command = run.command([text(&probe()), "environment"]);
    command.env_clear().env("HOME", scene.home()).envs(callers.iter().copied());
    let outcome = finish(command);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    // The probe separates variables by spaces: values here hold none.
    outcome.stdout.split_whitespace().filter_map(pair).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is set for every program, whatever its caller has.
fn always_set<'a>(home: &'a str, user: &'a str) -> Vec<(&'a str, &'a str)> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    vec![
        ("HOME", home),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", user),
        ("PATH", path),
        ("SHELL", "/bin/sh"),
        ("TMPDIR", "/tmp"),
        ("USER", user),
    ]
}

fn user() -> String {
    shell_outside("id -un").answer().to_owned()
}

#[test]
fn a_caller_without_variables_gives_exactly_the_set_list() {
    let scene = Scene::new();
    let (home, user) = (scene.home(), user());
    assert_eq!(seen(&scene, &[], &[]), map(&always_set(text(&home), &user)));
}

#[test]
fn exactly_the_listed_variables_are_passed() {
    let scene = Scene::new();
    let passed = [
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("NO_COLOR", "1"),
        ("FORCE_COLOR", "0"),
        ("CI", "true"),
        ("TZ", "Europe/Zurich"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("LC_MESSAGES", "C"),
    ];
    let others = [
        ("EDITOR", "vi"),
        ("SSH_AUTH_SOCK", "/x"),
        ("LD_PRELOAD", "/x"),
        ("LD_LIBRARY_PATH", "/x"),
        ("PYTHONPATH", "/x"),
        ("XDG_RUNTIME_DIR", "/x"),
        ("HTTP_PROXY", "x"),
        ("TMPDIR", "/elsewhere"),
        ("USER", "somebody"),
        ("PWD", "/x"),
        ("LANGUAGE", "de"),
        ("LCX", "x"),
        ("TERMINFO", "/x"),
        ("CI_TOKEN", "secret"),
    ];
    let (home, user) = (scene.home(), user());
    let mut expected = map(&always_set(text(&home), &user));
    expected.extend(map(&passed));
    assert_eq!(seen(&scene, &[], &[passed.as_slice(), &others].concat()), expected);
    // Control: named, any of them is passed.
    let named = seen(&scene, &["--env", "EDITOR"], &others);
    assert_eq!(named.get("EDITOR").map(String::as_str), Some("vi"));
}

#[test]
fn path_keeps_its_order_and_holds_only_folders_that_are_visible() {
    let scene = Scene::new();
    let shown = scene.folder("shown");
    let hidden = scene.folder("hidden");
    let path = format!("{}:/bin:{}:relative::/usr/bin:/nowhere:/bin", hidden.display(), shown.display());
    let callers = [("PATH", path.as_str())];
    assert_eq!(
        seen(&scene, &["--ro", text(&shown)], &callers)["PATH"],
        format!("/bin:{}:/usr/bin", shown.display())
    );
    // Control: shown, the other folder is in it too, in its place.
    let both = seen(&scene, &["--ro", text(&shown), "--ro", text(&hidden)], &callers);
    assert_eq!(both["PATH"], format!("{}:/bin:{}:/usr/bin", hidden.display(), shown.display()));
}

#[test]
fn the_shell_is_the_callers_where_it_is_visible() {
    let scene = Scene::new();
    assert_eq!(seen(&scene, &[], &[("SHELL", "/usr/bin/env")])["SHELL"], "/usr/bin/env");
    let hidden = crate::tools::executable(&scene, "hidden/shell", "#!/bin/sh\n");
    assert_eq!(seen(&scene, &[], &[("SHELL", text(&hidden))])["SHELL"], "/bin/sh");
}

#[test]
fn env_sets_and_passes_and_beats_what_is_set_for_everybody() {
    let scene = Scene::new();
    let flags = ["--env", "A=1=2", "--env=B", "--env", "EMPTY=", "--env", "ABSENT"];
    let flags = [flags.as_slice(), &["--env", "LANG=de_CH.UTF-8", "--env", "HOME=/tmp"]].concat();
    let seen = seen(&scene, &flags, &[("B", "b"), ("C", "c")]);
    let pick = |name: &str| seen.get(name).map(String::as_str);
    assert_eq!(
        (pick("A"), pick("B"), pick("EMPTY"), pick("ABSENT")),
        (Some("1=2"), Some("b"), Some(""), None)
    );
    assert_eq!((pick("LANG"), pick("HOME"), pick("C")), (Some("de_CH.UTF-8"), Some("/tmp"), None));
}

#[test]
fn env_file_is_taken_literally_and_env_beats_it() {
    let scene = Scene::new();
    let file = scene.file("variables", "# a comment\n\nA=\"quoted\"\nB=file\nC=x=y\nD=\n");
    let seen = seen(&scene, &["--env-file", text(&file), "--env", "B=flag"], &[]);
    let pick = |name: &str| seen.get(name).map(String::as_str);
    assert_eq!(
        (pick("A"), pick("B"), pick("C"), pick("D")),
        (Some("\"quoted\""), Some("flag"), Some("x=y"), Some(""))
    );
}

#[test]
fn an_env_file_that_is_wrong_starts_nothing_and_its_values_stay_unsaid() {
    let scene = Scene::new();
    for (content, words) in [
        ("A=secret-value\nB\n", &["variables:2", "no `=`"][..]),
        ("=secret-value\n", &["variables:1", "no name"]),
        ("A=secret-value\0\n", &["variables:1", "NUL"]),
    ] {
        let file = scene.file("variables", content);
        let outcome = Run::new(&scene).flag("--env-file").flag(&file).run(["/bin/true"]);
        outcome.expect_refusal(words);
        assert!(!outcome.stderr.contains("secret-value"), "{outcome:#?}");
        let report = outcome.report.expect("a refusal has its report").to_string();
        assert!(!report.contains("secret-value"), "{report}");
    }
    let missing = Run::new(&scene).flag("--env-file").flag(scene.path("nowhere")).run(["/bin/true"]);
    missing.expect_refusal(&["nowhere", "ENOENT"]);
}

#[test]
fn no_value_is_in_the_report_and_every_name_is() {
    let scene = Scene::new();
    let secret = "value-not-to-be-told";
    let file = scene.file("variables", &format!("OF_FILE={secret}\n"));
    let run = Run::new(&scene).env("OF_CALLER", secret).flags(["--env", "OF_CALLER", "--env"]);
    let run = run.flag(format!("OF_FLAG={secret}")).flag("--env-file").flag(&file);
    let outcome =
        run.shell(r#"test "$OF_FILE$OF_CALLER$OF_FLAG" = "$OF_FILE$OF_FILE$OF_FILE" && test -n "$OF_FILE""#);
    assert_eq!(outcome.status, 0, "all three arrived inside: {outcome:#?}");
    let report = outcome.report.expect("there is a report").to_string();
    assert!(!report.contains(secret), "{report}");
    for name in ["OF_FILE", "OF_CALLER", "OF_FLAG"] {
        assert!(report.contains(name), "{name}: {report}");
    }
}

/// Where PATH is not set, a shell looks in the system's folders; so do we, outside and inside.
#[test]
fn without_a_path_programs_are_found_where_the_system_has_them() {
    let scene = Scene::new();
    let run = |path: Option<&str>| {
        let mut command = Run::new(&scene).command(["true"]);
        command.env_clear().env("HOME", scene.home()).envs(path.map(|path| ("PATH", path)));
        finish(command)
    };
    assert_eq!(run(None).status, 0);
    assert_eq!(run(Some("/nowhere")).status, 127, "control: a PATH that is set is the only one");
}

#[test]
fn the_name_of_the_user_is_the_accounts_own() {
    let scene = Scene::new();
    let seen = seen(&scene, &[], &[("USER", "liar"), ("LOGNAME", "liar")]);
    assert_eq!((seen["USER"].as_str(), seen["LOGNAME"].as_str()), (user().as_str(), user().as_str()));
    assert_eq!(user() == "root", is_root());
}
