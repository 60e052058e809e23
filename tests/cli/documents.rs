//! What it prints for others to read: completions, the manual, profiles, reports.

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Scene, not_reachable};

use crate::tools::{Said, call, finish, installed, one_line, text};

fn bash(line: &str) -> Said {
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", line]).stdin(Stdio::null());
    finish(command)
}

#[test]
fn bash_takes_the_completions_and_completes_with_them() {
    let scene = Scene::new();
    let script = call(&scene, ["completions", "bash"]);
    assert_eq!(script.status, 0);
    let file = scene.file("completions", &script.stdout);
    let checked = bash(&format!("bash -n {}", text(&file)));
    assert_eq!((checked.status, checked.stderr.as_str()), (0, ""), "{checked:#?}");
    // A person types `ringfence run --al` and the tabulator.
    let complete = |words: &str, current: usize| {
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={current}; \
             _ringfence ringfence \"${{COMP_WORDS[{current}]}}\" \"${{COMP_WORDS[{}]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            text(&file),
            current - 1
        );
        bash(&line).stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("ringfence run --allow-de", 2), ["--allow-degraded"]);
    assert_eq!(complete("ringfence pl", 1), ["plan"]);
    assert_eq!(complete("ringfence run --no-such", 2), [""], "control");
}

#[test]
fn the_manual_is_a_manual() {
    let scene = Scene::new();
    let page = call(&scene, ["man"]);
    assert_eq!((page.status, page.stderr.as_str()), (0, ""));
    let file = scene.file("ringfence.1", &page.stdout);
    if !installed("groff") {
        return not_reachable("manual", "groff is not installed");
    }
    // Every warning of the formatter is one too many.
    let checked = bash(&format!("LC_ALL=C.UTF-8 groff -man -Tutf8 -ww -z {}", text(&file)));
    assert_eq!((checked.status, checked.stderr.as_str()), (0, ""), "{checked:#?}");
    let shown = bash(&format!("LC_ALL=C.UTF-8 groff -man -Tascii -P-c -P-b -P-o -P-u {}", text(&file)));
    for part in ["NAME", "SYNOPSIS", "POLICY FLAGS", "EXIT STATUS", "--allow-degraded", "124", "125"] {
        assert!(shown.stdout.contains(part), "{part} is not in the manual");
    }
    if installed("man") {
        let shown = bash(&format!("MANPAGER=cat MANWIDTH=80 man -l {}", text(&file)));
        assert!(shown.status == 0 && shown.stdout.contains("--allow-degraded"), "{shown:#?}");
    }
    let control = scene.file("broken.1", ".TH X 1\n.SH\n.if \\n(.x\n.nosuchmacro\n");
    let control = bash(&format!("groff -man -Tutf8 -ww -z {}", text(&control)));
    assert_ne!(control.stderr, "", "control: the formatter does warn");
}

#[test]
fn the_manual_and_the_help_name_the_same_flags() {
    let scene = Scene::new();
    let page = call(&scene, ["man"]).stdout.replace("\\-", "-");
    let help = call(&scene, ["run", "--help"]).stdout;
    let flags: Vec<_> =
        help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 4).collect();
    assert!(flags.len() > 25, "{flags:?}");
    for flag in flags {
        let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let name: String = flag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        assert!(page.contains(&name), "{name} is not in the manual");
    }
}

#[test]
fn profiles_are_listed_and_each_can_be_shown_and_begun_with() {
    let scene = Scene::new();
    let list = call(&scene, ["profile", "list"]);
    let names: Vec<_> = list.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in ["default", "minimal", "python-safe", "node-safe", "shell-readonly", "build", "agent"] {
        assert!(names.contains(&name), "{name}: {list:#?}");
    }
    for name in names {
        let shown = call(&scene, ["profile", "show", name]);
        let profile: Value =
            serde_json::from_str(&shown.stdout).unwrap_or_else(|e| panic!("{name}: {e}: {shown:#?}"));
        assert_eq!(profile["name"], name);
        let description = profile["description"].as_str().unwrap_or_default();
        assert!(list.stdout.contains(description) && description.len() > 10, "{name}: {description}");
        let ran = call(&scene, ["run", "-p", name, "--", "/bin/echo", "ran"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, "ran\n"), "{name}: {ran:#?}");
    }
    let unknown = call(&scene, ["profile", "show", "none-such"]);
    assert!(
        one_line(&unknown).contains("none-such") && one_line(&unknown).contains("python-safe"),
        "{unknown:#?}"
    );
}

#[test]
fn a_report_is_shown_for_people() {
    let scene = Scene::new();
    let file = scene.folder("reports").join("report.json");
    let run = |words: &[&str]| call(&scene, [&["run", "--report", text(&file)], words].concat());
    run(&["--name", "nightly", "--", "sh", "-c", "exit 3"]);
    let shown = call(&scene, ["report", text(&file)]);
    assert_eq!((shown.status, shown.stderr.as_str()), (0, ""), "{shown:#?}");
    for part in ["nightly", "sh -c 'exit 3'", "exit 3", "default", "files", "enforced", "verified", "memory"]
    {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    run(&["--timeout=200ms", "--", "sleep", "30"]);
    let shown = call(&scene, ["report", text(&file)]);
    assert!(shown.stdout.contains("timeout") && shown.stdout.contains("exceeded"), "{}", shown.stdout);
    run(&["--ro", "/no/such", "--", "true"]);
    let shown = call(&scene, ["report", text(&file)]);
    assert!(
        shown.stdout.contains("/no/such")
            && shown.stdout.contains("ENOENT")
            && shown.stdout.contains("remedy"),
        "{}",
        shown.stdout
    );
    run(&["--", "/bin/echo", "\u{1b}[2Jforged\nringfence: fine"]);
    let shown = call(&scene, ["report", text(&file)]);
    assert!(
        !shown.stdout.contains('\u{1b}') && !shown.stdout.contains("\nringfence: fine"),
        "{}",
        shown.stdout
    );
}

#[test]
fn what_is_no_report_is_said_so() {
    let scene = Scene::new();
    let not = scene.file("not", "{}");
    let newer = scene.file("newer", r#"{"schema": 99, "version": "9.9"}"#);
    for (file, part) in [
        (text(&not), "no report"),
        (text(&newer), "schema 99"),
        ("/no/such/report", "ENOENT"),
        ("/dev/zero", "64 MiB"),
    ] {
        let said = call(&scene, ["report", file]);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{said:#?}");
        assert!(one_line(&said).contains(part) && one_line(&said).contains(file), "{said:#?}");
    }
}
