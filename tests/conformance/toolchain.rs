//! The toolchain of a command: found behind shims, links and virtual environments, shown read-only, and never
//! the credentials beside it. (DESIGN.md section 6)

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use support::{Outcome, Run, Scene};

use crate::tools::{executable, finish, shell_outside, text};

fn said(outcome: &Outcome) -> (i32, &str) {
    (outcome.status, outcome.answer())
}

/// A pyenv with two versions, in the caller's home. The shim is the shape that pyenv writes.
fn pyenv(scene: &Scene) -> PathBuf {
    let shim = "#!/usr/bin/env bash\nset -e\nprogram=\"${0##*/}\"\n\
                exec \"$PYENV_ROOT/libexec/pyenv\" exec \"$program\" \"$@\"\n";
    executable(scene, "home/.pyenv/shims/snake", shim);
    for version in ["3.1.4", "2.7.1"] {
        let folder = format!("home/.pyenv/versions/{version}");
        let script = "#!/bin/sh\necho \"$(cat \"${0%/bin/*}/lib/name\") $*\"\n";
        executable(scene, &format!("{folder}/bin/snake"), script);
        scene.file(&format!("{folder}/lib/name"), &format!("version {version}"));
    }
    scene.file("home/.pyenv/version", "3.1.4\n");
    scene.file("home/.netrc", "secret");
    scene.path("home/.pyenv")
}

#[test]
fn a_pyenv_shim_runs_the_version_that_it_stands_for() {
    let scene = Scene::new();
    let root = pyenv(&scene);
    let path = format!("{}:/usr/bin:/bin", text(&root.join("shims")));
    let run = || Run::new(&scene).env("PATH", &path);
    assert_eq!(said(&run().run(["snake", "x"])), (0, "version 3.1.4 x"));
    assert_eq!(said(&run().env("PYENV_VERSION", "2.7.1").run(["snake"])), (0, "version 2.7.1"));
    // A file of the project, in the working directory or above it.
    scene.file("here/.python-version", "2.7.1\n");
    assert_eq!(said(&run().run(["snake"])), (0, "version 2.7.1"));
    let below = scene.folder("here/below");
    assert_eq!(said(&run().from(below).run(["snake"])), (0, "version 2.7.1"));
    // By its path and through a script's first line it is the same program.
    assert_eq!(said(&run().run([text(&root.join("shims/snake"))])), (0, "version 2.7.1"));
    let script = executable(&scene, "here/script", "#!/usr/bin/env snake\n");
    assert_eq!(said(&run().run([text(&script)])), (0, &*format!("version 2.7.1 {}", text(&script))));
}

#[test]
fn of_a_pyenv_the_version_alone_is_shown() {
    let scene = Scene::new();
    let root = pyenv(&scene);
    let path = format!("{}:/usr/bin:/bin", text(&root.join("shims")));
    let script = "#!/bin/sh\nls -A \"$HOME\" \"$HOME/.pyenv\" \"$HOME/.pyenv/versions\"\n\
                  echo x >\"${0%/bin/*}/lib/new\"\n";
    executable(&scene, "home/.pyenv/versions/3.1.4/bin/look", script);
    executable(&scene, "home/.pyenv/shims/look", "#!/usr/bin/env bash\n# pyenv\n");
    let outcome = Run::new(&scene).env("PATH", &path).run(["look"]);
    let home = scene.home();
    let expected =
        format!("{0}:\n.pyenv\n\n{0}/.pyenv:\nversions\n\n{0}/.pyenv/versions:\n3.1.4\n", text(&home));
    assert_eq!(outcome.stdout, expected, "{outcome:#?}");
    assert!(outcome.stderr.contains("Read-only"), "{outcome:#?}");
    assert!(!root.join("versions/3.1.4/lib/new").exists());
}

#[test]
fn a_virtual_environment_works_from_its_own_path_and_by_name() {
    let scene = Scene::new();
    let made =
        shell_outside(&format!("/usr/bin/python3 -m venv --without-pip {}", text(&scene.path("home/venv"))));
    assert_eq!(made.status, 0, "apt-get install python3 (the venv module): {made:#?}");
    let package =
        shell_outside(&format!("ls -d {}/lib/python3*/site-packages", text(&scene.path("home/venv"))));
    let package = format!("{}/ours.py", package.answer());
    std::fs::write(&package, "name = 'a package of the environment'\n").unwrap();
    scene.file("home/.netrc", "secret");
    let line = "import sys, os, ours; from os import environ as variables; \
                print(ours.name, sys.prefix, variables.get('VIRTUAL_ENV'), os.listdir(variables['HOME']))";
    let venv = scene.path("home/venv");
    let expected = format!("a package of the environment {0} {0} ['venv']", text(&venv));
    let by_path = Run::new(&scene).run([text(&venv.join("bin/python")), "-c", line]);
    assert_eq!(said(&by_path), (0, expected.as_str()), "{by_path:#?}");
    let path = format!("{}:/usr/bin:/bin", text(&venv.join("bin")));
    let by_name = Run::new(&scene).env("PATH", &path).run(["python3", "-c", line]);
    assert_eq!(said(&by_name), (0, expected.as_str()), "{by_name:#?}");
    // A console script of the environment.
    let script =
        executable(&scene, "home/venv/bin/tool", &format!("#!{}\n{line}\n", text(&venv.join("bin/python"))));
    let script = Run::new(&scene).run([text(&script)]);
    assert_eq!(said(&script), (0, expected.as_str()), "{script:#?}");
    // Control: the system's own Python has no such package.
    let control = Run::new(&scene).run(["/usr/bin/python3", "-c", "import ours"]);
    assert_eq!(control.status, 1, "{control:#?}");
}

#[test]
fn a_toolchain_in_a_hidden_home_works_and_what_lies_beside_it_is_not_shown() {
    let scene = Scene::new();
    let script = "#!/bin/sh\ncat \"${0%/bin/*}/lib/part\"\n\
                  ls -A \"$HOME\" \"$HOME/tools\" \"$HOME/tools/x\" | tr '\\n' ' '\n";
    let program = executable(&scene, "home/tools/x/bin/prog", script);
    scene.file("home/tools/x/lib/part", "its library\n");
    scene.file("home/tools/credentials", "secret");
    scene.file("home/tools/y/bin/other", "x");
    scene.file("home/.ssh/id", "secret");
    let shown = |outcome: &Outcome| outcome.stdout.clone();
    let home = scene.home();
    let expected = format!("its library\n{0}: tools  {0}/tools: x  {0}/tools/x: bin lib ", text(&home));
    let by_path = Run::new(&scene).run([text(&program)]);
    assert_eq!(shown(&by_path), expected, "{by_path:#?}");
    // By a link in another folder of PATH, as installers put them.
    scene.folder("home/.local/bin");
    scene.file("home/.local/share/secret", "secret");
    symlink(&program, scene.path("home/.local/bin/prog")).unwrap();
    let path = format!("{}:/usr/bin:/bin", text(&scene.path("home/.local/bin")));
    let by_link = Run::new(&scene).env("PATH", &path).shell("true");
    assert_eq!(by_link.status, 0);
    let by_link = Run::new(&scene).env("PATH", &path).run(["prog"]);
    assert!(
        by_link.stdout.starts_with("its library\n") && !by_link.stdout.contains("credentials"),
        "{by_link:#?}"
    );
    assert!(!by_link.stdout.contains(".local"), "the folder of the link is not shown: {by_link:#?}");
    // Control: outside, the credentials are beside it.
    let mut control = std::process::Command::new(&program);
    control.env("HOME", &home);
    assert!(finish(control).stdout.contains("credentials"));
}

#[test]
fn a_program_right_in_a_personal_folder_is_shown_without_that_folder() {
    let scene = Scene::new();
    // Prefixes that hold more than programs: the home itself, ~/.local, ~/.cargo.
    for folder in ["home/bin", "home/.local/bin", "home/.cargo/bin"] {
        let program = executable(
            &scene,
            &format!("{folder}/prog"),
            "#!/bin/sh\nls -A \"${0%/bin/*}\" \"${0%/*}\" | tr '\\n' ' '\n",
        );
        let parent = program.parent().unwrap().parent().unwrap().to_owned();
        std::fs::write(parent.join("credentials.toml"), "secret").unwrap();
        std::fs::write(program.with_file_name("beside"), "x").unwrap();
        let outcome = Run::new(&scene).run([text(&program)]);
        assert_eq!(outcome.stdout, format!("{0}: bin  {0}/bin: prog ", text(&parent)), "{outcome:#?}");
        std::fs::remove_file(parent.join("credentials.toml")).unwrap();
    }
}

#[test]
fn a_rustup_proxy_runs_the_toolchain_and_not_the_proxy() {
    let scene = Scene::new();
    let proxy = executable(&scene, "home/.cargo/bin/oxide", "#!/bin/sh\necho the proxy\n");
    scene.file("home/.cargo/credentials.toml", "secret");
    executable(
        &scene,
        "home/.rustup/toolchains/one/bin/oxide",
        "#!/bin/sh\necho one; ls -A \"$HOME\" | tr '\\n' ' '\n",
    );
    executable(&scene, "home/.rustup/toolchains/two/bin/oxide", "#!/bin/sh\necho two\n");
    scene.file(
        "home/.rustup/settings.toml",
        "default_toolchain = \"one\"\nprofile = \"minimal\"\nversion = \"12\"\n",
    );
    let path = format!("{}:/usr/bin:/bin", text(proxy.parent().unwrap()));
    let run = || {
        Run::new(&scene)
            // cargo, which runs the tests, sets it.
            .through(["/usr/bin/env", "-u", "RUSTUP_TOOLCHAIN"])
            .env("PATH", &path)
            .env("CARGO_HOME", scene.path("home/.cargo"))
            .env("RUSTUP_HOME", scene.path("home/.rustup"))
    };
    assert_eq!(said(&run().run(["oxide"])), (0, "one\n.rustup"));
    assert_eq!(said(&run().through(["/usr/bin/env", "RUSTUP_TOOLCHAIN=two"]).run(["oxide"])), (0, "two"));
}

#[test]
fn the_toolchains_folder_is_first_in_path() {
    let scene = Scene::new();
    executable(&scene, "home/tools/x/bin/prog", "#!/bin/sh\nhelper; echo $PATH\n");
    executable(&scene, "home/tools/x/bin/helper", "#!/bin/sh\necho helper\n");
    scene.file("home/tools/x/lib/part", "");
    let program = scene.path("home/tools/x/bin/prog");
    let outcome = Run::new(&scene).env("PATH", "/usr/bin:/bin").run([text(&program)]);
    let expected = format!("helper\n{}:/usr/bin:/bin", text(program.parent().unwrap()));
    assert_eq!(said(&outcome), (0, expected.as_str()), "{outcome:#?}");
}
