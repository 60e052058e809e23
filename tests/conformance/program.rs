//! Which program runs: the same one inside as outside, or an error that names it. (DESIGN.md section 6)

use std::os::unix::fs::symlink;
use std::path::Path;

use support::{Outcome, Run, Scene};

use crate::tools::{executable, set_mode, text};

/// A run that ended before anything was started, with this exit status and these words.
#[track_caller]
fn refused(outcome: &Outcome, status: i32, words: &[&str]) {
    assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{outcome:#?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "no `{word}`: {outcome:#?}");
    }
    assert!(!outcome.field("/error").is_null() && outcome.field("/usage").is_null(), "{outcome:#?}");
    let reason = match status {
        126 => "not-executable",
        127 => "not-found",
        _ => "setup",
    };
    assert_eq!(outcome.field("/exit/reason"), reason, "{outcome:#?}");
}

fn said(outcome: &Outcome) -> (i32, &str) {
    (outcome.status, outcome.answer())
}

#[test]
fn a_command_is_found_by_name_by_path_and_through_links() {
    let scene = Scene::new();
    let script = executable(&scene, "here/bin/tool", "#!/bin/sh\necho \"tool $*\"\n");
    symlink("tool", scene.path("here/bin/link")).unwrap();
    symlink(&script, scene.path("here/far")).unwrap();
    let path = format!("/nowhere:{}:/usr/bin:/bin", text(&scene.path("here/bin")));
    let run = || Run::new(&scene).env("PATH", &path);
    for command in ["tool", "link", "bin/tool", "./bin/link", "./far", "../here/bin/tool", text(&script)] {
        assert_eq!(said(&run().run([command, "a b"])), (0, "tool a b"), "{command}");
    }
    // A name is not looked for in the working directory.
    refused(&run().run(["far"]), 127, &["`far`", "PATH"]);
}

#[test]
fn a_program_sees_the_name_by_which_it_was_called() {
    let scene = Scene::new();
    executable(&scene, "here/bin/tool", "#!/bin/sh\necho \"$0\"\n");
    symlink("tool", scene.path("here/bin/other-name")).unwrap();
    let path = format!("{}:/usr/bin:/bin", text(&scene.path("here/bin")));
    let by_name = Run::new(&scene).env("PATH", &path).run(["other-name"]);
    assert_eq!(said(&by_name), (0, text(&scene.path("here/bin/other-name"))));
    // What tells programs apart that are one file: the first argument.
    let applet = Run::new(&scene).run(["/usr/bin/busybox", "sh", "-c", "echo $0"]);
    assert_eq!(said(&applet), (0, "sh"), "{applet:#?}");
}

#[test]
fn scripts_run_by_the_interpreter_that_their_first_line_names() {
    let scene = Scene::new();
    for (name, content) in [
        ("sh", "#!/bin/sh\necho ran \"$1\"\n"),
        ("spaces", "#!  /bin/sh  -e \necho ran \"$1\"\n"),
        ("env", "#!/usr/bin/env sh\necho ran \"$1\"\n"),
        ("env-s", "#!/usr/bin/env -S sh -e\necho ran \"$1\"\n"),
        ("env-variable", "#!/usr/bin/env -S A=1 sh\necho ran \"$1\"\n"),
        ("python", "#!/usr/bin/env python3\nimport sys\nprint('ran', sys.argv[1])\n"),
        ("perl", "#!/usr/bin/perl -w\nprint \"ran $ARGV[0]\\n\";\n"),
        ("awk", "#!/usr/bin/awk -f\nBEGIN { print \"ran\", ARGV[1] }\n"),
    ] {
        let script = executable(&scene, &format!("here/{name}"), content);
        assert_eq!(said(&Run::new(&scene).run([text(&script), "x y"])), (0, "ran x y"), "{name}");
    }
    // An interpreter that is a script itself, as the kernel allows.
    let first = executable(&scene, "here/interpreter", "#!/bin/sh\necho \"ran $2\"\n");
    let second = executable(&scene, "here/script", &format!("#!{}\n", text(&first)));
    assert_eq!(said(&Run::new(&scene).run([text(&second), "x y"])), (0, "ran x y"));
}

#[test]
fn a_missing_interpreter_is_126_and_named() {
    let scene = Scene::new();
    let script = executable(&scene, "here/script", "#!/no/such/interpreter\n");
    refused(&Run::new(&scene).run([text(&script)]), 126, &["script", "/no/such/interpreter", "ENOENT"]);
    let by_name = executable(&scene, "here/by-name", "#!/usr/bin/env no-such-interpreter\n");
    refused(&Run::new(&scene).run([text(&by_name)]), 126, &["by-name", "no-such-interpreter"]);
    let plain = scene.file("here/plain", "x");
    let not_executable = executable(&scene, "here/other", &format!("#!{}\n", text(&plain)));
    refused(&Run::new(&scene).run([text(&not_executable)]), 126, &["other", text(&plain), "not executable"]);
    let itself = executable(&scene, "here/itself", &format!("#!{}\n", text(&scene.path("here/itself"))));
    refused(&Run::new(&scene).run([text(&itself)]), 126, &["itself"]);
}

#[test]
fn what_is_not_executable_is_126_and_what_is_not_there_127() {
    let scene = Scene::new();
    let plain = scene.file("here/plain", "echo x\n");
    let folder = scene.folder("here/folder");
    refused(&Run::new(&scene).run([text(&plain)]), 126, &["plain", "not executable", "EACCES", "chmod +x"]);
    refused(&Run::new(&scene).run(["./plain"]), 126, &["plain", "not executable"]);
    refused(&Run::new(&scene).run([text(&folder)]), 126, &["folder"]);
    refused(&Run::new(&scene).run(["/no/such/program"]), 127, &["/no/such/program", "ENOENT"]);
    refused(&Run::new(&scene).run(["./missing"]), 127, &["missing", "ENOENT"]);
    refused(
        &Run::new(&scene).run(["no-such-program-anywhere"]),
        127,
        &["no-such-program-anywhere", "PATH", "ENOENT"],
    );
    // In PATH, one that cannot be executed is passed over, and named when there is no other.
    let other = executable(&scene, "other/plain", "#!/bin/sh\necho other\n");
    let path = |folders: &[&Path]| {
        folders.iter().map(|folder| text(folder)).collect::<Vec<_>>().join(":") + ":/usr/bin:/bin"
    };
    let (here, other) = (scene.path("here"), other.parent().unwrap().to_owned());
    refused(&Run::new(&scene).env("PATH", path(&[&here])).run(["plain"]), 126, &["plain", "not executable"]);
    let run = Run::new(&scene).env("PATH", path(&[&here, &other]));
    assert_eq!(said(&run.run(["plain"])), (0, "other"));
    // Control: made executable, it runs.
    set_mode(&plain, 0o755);
    executable(&scene, "here/plain", "#!/bin/sh\necho plain\n");
    assert_eq!(said(&Run::new(&scene).run([text(&plain)])), (0, "plain"));
}

#[test]
fn a_file_that_is_no_program_at_all_is_126() {
    let scene = Scene::new();
    for (name, content) in [("empty", ""), ("noise", "\u{1}\u{2}\u{3}no program\n"), ("text", "echo x\n")] {
        let file = executable(&scene, &format!("here/{name}"), content);
        let outcome = Run::new(&scene).run([text(&file)]);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (126, ""), "{name}: {outcome:#?}");
        assert!(outcome.stderr.contains("ENOEXEC") && outcome.stderr.contains(name), "{name}: {outcome:#?}");
        assert_eq!(outcome.field("/exit/reason"), "not-executable", "{outcome:#?}");
    }
}

#[test]
fn a_program_hidden_by_a_denial_is_named() {
    let scene = Scene::new();
    let tool = executable(&scene, "here/tool", "#!/bin/sh\necho tool\n");
    let run = || Run::new(&scene);
    let hidden = run().flags(["--deny", text(&tool)]).run([text(&tool)]);
    refused(&hidden, 127, &[text(&tool), "--deny"]);
    let hidden = run().flags(["--deny", "*"]).run(["./tool"]);
    refused(&hidden, 127, &[text(&tool), "--deny"]);
    let hidden = run().flags(["--deny", "/usr/bin/env"]).run(["env"]);
    refused(&hidden, 127, &["/usr/bin/env", "--deny"]);
    // Its interpreter hidden is as bad.
    let python = executable(&scene, "here/script.py", "#!/usr/bin/perl\nprint 1;\n");
    let hidden = run().flags(["--deny", "/usr/bin/perl"]).run([text(&python)]);
    assert_eq!(hidden.status, 127, "{hidden:#?}");
    assert!(hidden.stderr.contains("/usr/bin/perl"), "{hidden:#?}");
    assert_eq!(said(&run().run([text(&tool)])), (0, "tool"));
}

#[test]
fn another_program_inside_than_outside_is_refused_and_both_are_named() {
    let scene = Scene::new();
    executable(&scene, "first/interpreter", "#!/bin/sh\necho first\n");
    executable(&scene, "second/interpreter", "#!/bin/sh\necho second\n");
    let script = executable(&scene, "here/script", "#!/usr/bin/env interpreter\n");
    let (first, second) = (scene.path("first"), scene.path("second"));
    let path = format!("{}:{}:/usr/bin:/bin", text(&first), text(&second));
    // Outside, PATH finds the first; inside only the second is to be seen.
    let run =
        || Run::new(&scene).env("PATH", &path).flags(["--toolchain", "none"]).flag("--ro").flag(&second);
    let outcome = run().run([text(&script)]);
    refused(&outcome, 125, &[text(&first.join("interpreter")), text(&second.join("interpreter")), "inside"]);
    assert_eq!(outcome.field("/error/code"), "other-program");
    // Control: with the one that is meant in sight, it runs.
    assert_eq!(said(&run().flag("--ro").flag(&first).run([text(&script)])), (0, "first"));
    // Put in its place on purpose, another program is what was asked for.
    let spec = format!("{}:{}:ro", text(&second), text(&first));
    let meant = Run::new(&scene).flags(["--bind", &spec]).run([text(&first.join("interpreter"))]);
    assert_eq!(said(&meant), (0, "second"), "{meant:#?}");
}

#[test]
fn a_program_that_exists_only_inside_can_be_named() {
    let scene = Scene::new();
    executable(&scene, "tools/tool", "#!/bin/sh\necho inside\n");
    let spec = format!("{}:/opt/inside:ro", text(&scene.path("tools")));
    let run = || Run::new(&scene).flags(["--bind", &spec]);
    assert_eq!(said(&run().run(["/opt/inside/tool"])), (0, "inside"));
    refused(&Run::new(&scene).run(["/opt/inside/tool"]), 127, &["/opt/inside/tool"]);
    // Its interpreter is looked for inside as well.
    executable(&scene, "tools/lacking", "#!/opt/nowhere/interpreter\n");
    let lacking = run().run(["/opt/inside/lacking"]);
    assert_eq!((lacking.status, lacking.stdout.as_str()), (126, ""), "{lacking:#?}");
    assert!(lacking.stderr.contains("/opt/nowhere/interpreter"), "{lacking:#?}");
}

#[test]
fn the_program_outside_a_shown_folder_is_shown_alone() {
    let scene = Scene::new();
    let tool = executable(&scene, "elsewhere/tool", "#!/bin/sh\nls -A \"${0%/*}\"\n");
    scene.file("elsewhere/credentials", "secret");
    // By its full path, without a flag that shows its folder: the program and nothing beside it.
    let outcome = Run::new(&scene).run([text(&tool)]);
    assert_eq!(said(&outcome), (0, "tool"), "{outcome:#?}");
    let none = Run::new(&scene).flags(["--toolchain", "none"]).run([text(&tool)]);
    refused(&none, 127, &[text(&tool), "--ro"]);
}

#[test]
fn no_command_and_an_empty_command_start_nothing() {
    let scene = Scene::new();
    for words in [&[][..], &[""]] {
        let outcome = Run::new(&scene).run(words);
        assert!([125, 127].contains(&outcome.status) && outcome.stdout.is_empty(), "{words:?}: {outcome:#?}");
        assert!(outcome.stderr.starts_with("ringfence: "), "{words:?}: {outcome:#?}");
    }
}
