//! What a line means: the implied `run`, where flags end, whose habits are met, and what nothing at all says.

use support::Scene;

use crate::tools::{call, one_line};

#[test]
fn run_is_implied_before_a_flag_or_two_dashes() {
    let scene = Scene::new();
    for words in [
        &["--", "echo", "ran"][..],
        &["--profile=minimal", "--", "/bin/echo", "ran"],
        &["--profile=minimal", "/bin/echo", "ran"],
        &["-p", "minimal", "--", "/bin/echo", "ran"],
        &["--rw", ".", "echo", "ran"],
        &["run", "echo", "ran"],
        &["run", "--", "echo", "ran"],
    ] {
        let said = call(&scene, words);
        assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, "ran\n", ""), "{words:?}");
    }
}

#[test]
fn a_bare_program_is_an_error_that_suggests_run() {
    let scene = Scene::new();
    let said = call(&scene, ["python3", "a b.py"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{said:#?}");
    assert!(one_line(&said).contains("ringfence run -- python3 'a b.py'"), "{said:#?}");
    // The program that the suggestion names does run.
    assert_eq!(call(&scene, ["run", "--", "python3", "-c", "print(1)"]).stdout, "1\n");
}

#[test]
fn flags_end_at_the_first_word_that_is_none() {
    let scene = Scene::new();
    for (words, expected) in [
        (&["run", "echo", "--rw", "/x", "--help"][..], "--rw /x --help\n"),
        (&["run", "--", "echo", "--"], "--\n"),
        (&["--", "echo", "-p", "nonsense"], "-p nonsense\n"),
        (&["run", "-p", "minimal", "/bin/echo", "-p"], "-p\n"),
    ] {
        let said = call(&scene, words);
        assert_eq!((said.status, said.stdout.as_str()), (0, expected), "{words:?}: {said:#?}");
    }
    // What looks like a flag after `--` is a program's name.
    let said = call(&scene, ["run", "--", "--profile=build"]);
    assert_eq!(said.status, 127, "{said:#?}");
}

#[test]
fn a_flags_value_follows_or_is_joined() {
    let scene = Scene::new();
    for words in [["--hostname", "box"].as_slice(), &["--hostname=box"]] {
        let line = [&["run"], words, &["--", "cat", "/proc/sys/kernel/hostname"]].concat();
        assert_eq!(call(&scene, &line).stdout, "box\n", "{words:?}");
    }
}

#[test]
fn habits_of_other_tools_are_answered_with_a_line_that_works() {
    let scene = Scene::new();
    scene.file("there/file", "x");
    let there = scene.path("there");
    let there = there.to_str().unwrap();
    let spec = format!("{there}:/inside");
    for (words, ours) in [
        (vec!["-v", &spec], format!("--bind {spec}")),
        (vec!["--ro-bind", there, "/inside"], format!("--bind {spec}:ro")),
        (vec!["--bind", there, "/inside"], format!("--bind {spec}")),
        (vec!["-e", "A"], "--env A".to_owned()),
        (vec!["-w", "/tmp"], "--workdir /tmp".to_owned()),
        (vec!["--share-net"], "--net host".to_owned()),
    ] {
        let line = [vec!["run"], words.clone(), vec!["true"]].concat();
        let said = call(&scene, &line);
        assert_eq!(said.status, 125, "{words:?}: {said:#?}");
        assert!(one_line(&said).ends_with(&format!("write {ours}")), "{words:?}: {said:#?}");
        let line: Vec<_> = ["run"].into_iter().chain(ours.split(' ')).chain(["true"]).collect();
        assert_eq!(call(&scene, &line).status, 0, "the suggestion does not work: {ours}");
    }
    for words in [["-m", "512M"].as_slice(), &["--rm"], &["-it"], &["--unshare-all"], &["--die-with-parent"]]
    {
        let line = [&["run"], words, &["true"]].concat();
        assert_eq!(call(&scene, &line).status, 125, "{words:?}");
    }
}

#[test]
fn nothing_asked_is_answered_in_eight_lines_and_help_on_standard_output() {
    let scene = Scene::new();
    let said = call(&scene, [""; 0]);
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.lines().count()), (2, "", 8), "{said:#?}");
    for words in [&["--help"][..], &["-h"], &["run", "--help"], &["plan", "--help"], &["--version"]] {
        let said = call(&scene, words);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
        assert!(!said.stdout.is_empty());
    }
}

#[test]
fn a_flag_that_is_not_built_yet_is_absent() {
    let scene = Scene::new();
    let help = call(&scene, ["run", "--help"]).stdout;
    for flag in ["--overlay", "--allow-host", "--publish", "--host-port", "--socket"] {
        let said = call(&scene, ["run", flag, "1", "--", "true"]);
        assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{flag}: {said:#?}");
        assert!(one_line(&said).contains(flag) && !help.contains(&format!("{flag} ")), "{flag}: {said:#?}");
    }
}

#[test]
fn other_commands_end_with_2_when_they_are_called_wrongly() {
    let scene = Scene::new();
    for words in [
        &["plan"][..],
        &["plan", "--bogus", "true"],
        &["plan", "--ro", "a", "--rw", "a", "true"],
        &["report"],
        &["report", "a", "b"],
        &["profile"],
        &["profile", "show"],
        &["profile", "show", ""],
        &["profile", "schema", "x"],
        &["completions"],
        &["completions", "none-such"],
        &["man", "x"],
        &["none-such"],
    ] {
        let said = call(&scene, words);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{words:?}: {said:#?}");
        one_line(&said);
    }
}
