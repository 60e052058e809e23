//! A hostile repository and its version files, links, scripts and environments: what they name is refused with a
//! message that says what, or shows nothing of the person's.

use std::path::Path;

use support::Scene;

use crate::toolchain_managers::{Caller, link, program};
use crate::tools::{executable, set_mode, shell_outside, text};

/// A home with something worth stealing that can be executed, and a project with a marker for what ran.
fn private(scene: &Scene) {
    executable(scene, "home/private/bin/deploy", "#!/bin/sh\n# password: secret\necho deployed\n");
    scene.file("home/private/lib/key", "secret\n");
    scene.file("home/.ssh/id_rsa", "secret\n");
    set_mode(&scene.path("home/.ssh/id_rsa"), 0o755);
}

#[test]
fn version_files_name_installed_versions_or_the_run_is_refused() {
    let scene = Scene::new();
    private(&scene);
    for version in ["1.0.0", "2.0.0"] {
        program(&scene, &format!("home/.pyenv/versions/{version}/bin/python3"));
        program(&scene, &format!("home/.asdf/installs/nodejs/{version}/bin/node"));
        program(&scene, &format!("home/.local/share/mise/installs/ruby/{version}/bin/ruby"));
        program(&scene, &format!("home/.rustup/toolchains/{version}/bin/cargo"));
        program(&scene, &format!("home/.volta/tools/image/yarn/{version}/bin/yarn"));
    }
    executable(&scene, "home/.pyenv/shims/python3", "#!/bin/sh\n# pyenv\n");
    scene.file("home/.pyenv/version", "1.0.0\n");
    executable(&scene, "home/.asdf/shims/node", "#!/bin/sh\n# asdf-plugin: nodejs 1.0.0\n");
    let mise = executable(&scene, "home/.local/bin/mise", "#!/bin/sh\n");
    link(&scene, "home/.local/share/mise/shims/ruby", mise);
    executable(&scene, "home/.cargo/bin/rustup", "#!/bin/sh\n");
    link(&scene, "home/.cargo/bin/cargo", "rustup");
    executable(&scene, "home/.volta/bin/volta-shim", "#!/bin/sh\n");
    link(&scene, "home/.volta/bin/yarn", "volta-shim");
    let caller = Caller::new(&scene)
        .path("home/.pyenv/shims")
        .path("home/.asdf/shims")
        .path("home/.local/share/mise/shims")
        .path("home/.cargo/bin")
        .path("home/.volta/bin");
    let away = text(&scene.path("home/private")).to_owned();
    let up = "../../private";
    for (file, content, name) in [
        (".python-version", "VERSION\n", "python3"),
        (".python-version", "# x\nVERSION\n", "python3"),
        (".tool-versions", "nodejs VERSION\n", "node"),
        (".tool-versions", "nodejs path:VERSION\n", "node"),
        (".tool-versions", "nodejs ref:VERSION\n", "node"),
        ("mise.toml", "[tools]\nruby = \"VERSION\"\n", "ruby"),
        ("mise.toml", "[tools]\nruby = [\"path:VERSION\"]\n", "ruby"),
        ("rust-toolchain", "VERSION\n", "cargo"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"VERSION\"\n", "cargo"),
        ("rust-toolchain.toml", "[toolchain]\npath = \"VERSION\"\n", "cargo"),
        ("package.json", "{\"volta\": {\"yarn\": \"VERSION\"}}", "yarn"),
    ] {
        let words = [up, &away, "..", ".", "9.9.9", "1.0.0/../../..", "-x", "$HOME", "1.0.0\\u001b[2J"];
        for word in words {
            // Only the JSON and the TOML decode an escape; elsewhere it is text, and as odd.
            scene.file(&format!("here/{file}"), &content.replace("VERSION", word));
            let shown = if word.contains("u001b") { "" } else { word };
            caller.refused(&[name, "/proc/self/exe"], &[file, shown]);
        }
        // Control: an installed version of the same file is taken.
        let plain =
            content.replace("path:", "").replace("ref:VERSION", "VERSION").replace("path =", "channel =");
        scene.file(&format!("here/{file}"), &plain.replace("VERSION", "2.0.0"));
        let taken = caller.inside(&[], &[name, "/proc/self/exe"]);
        assert!(taken.status == 0 && taken.answer().contains("2.0.0"), "{file}: {taken:#?}");
        std::fs::remove_file(scene.path(&format!("here/{file}"))).unwrap();
    }
    // A newline ends a word: what follows is another version, and refused as one.
    scene.file("here/.python-version", "3.0.0\n../../private\n");
    caller.refused(&["python3"], &[".python-version", "../../private"]);
}

#[test]
fn what_is_no_file_in_a_version_files_place_is_not_waited_for() {
    let scene = Scene::new();
    let chosen = program(&scene, "home/.pyenv/versions/1.0.0/bin/python3");
    executable(&scene, "home/.pyenv/shims/python3", "#!/bin/sh\n# pyenv\n");
    scene.file("home/.pyenv/version", "1.0.0\n");
    let caller = Caller::new(&scene).path("home/.pyenv/shims");
    let file = scene.path("here/.python-version");
    for make in ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /dev/tty", "ln -s ."] {
        assert_eq!(shell_outside(&format!("{make} {}", text(&file))).status, 0);
        let outcome = caller.inside(&[], &["python3", "/proc/self/exe"]);
        assert_eq!((outcome.status, outcome.answer()), (0, text(&chosen)), "{make}: {outcome:#?}");
        assert_eq!(shell_outside(&format!("rm -r {}", text(&file))).status, 0);
    }
    // Nor is a FIFO that is named as the command.
    let fifo = scene.path("here/fifo");
    assert_eq!(shell_outside(&format!("mkfifo -m 755 {}", text(&fifo))).status, 0);
    let outcome = caller.inside(&[], &["./fifo"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (127, ""), "a way to a process: {outcome:#?}");
}

#[test]
fn a_link_of_the_repository_shows_no_file_of_the_person() {
    let scene = Scene::new();
    private(&scene);
    executable(&scene, "home/other/node_modules/pkg/cli.sh", "#!/bin/sh\n# secret\necho other\n");
    scene.file("home/other/node_modules/.bin/x", "");
    let caller = Caller::new(&scene).path("here/node_modules/.bin");
    for (name, target) in [
        ("key", "home/.ssh/id_rsa"),
        ("script", "home/private/bin/deploy"),
        ("package", "home/other/node_modules/pkg/cli.sh"),
        ("folder", "home/private"),
    ] {
        let target = scene.path(target);
        for place in ["here/node_modules/.bin", "here/bin", "here/venv/bin"] {
            link(&scene, &format!("{place}/{name}"), &target);
            let path = scene.path(&format!("{place}/{name}"));
            caller.refused(&[text(&path)], &[name]);
        }
        // By name, through a folder of PATH that is the repository's.
        caller.refused(&[name], &[name]);
    }
    // A folder of links, and a manager of the repository's own.
    link(&scene, "here/linked", scene.path("home/private/bin"));
    caller.refused(&["linked/deploy"], &[text(&scene.path("home/private/bin/deploy"))]);
    executable(&scene, "here/.pyenv/shims/deploy", "#!/bin/sh\n# pyenv\n");
    link(&scene, "here/.pyenv/versions/1", scene.path("home/private"));
    scene.file("here/.pyenv/version", "1\n");
    caller.refused(&[".pyenv/shims/deploy"], &[text(&scene.path("home/private/bin/deploy"))]);
    link(&scene, "here/.pyenv/shims/linked", scene.path("home/private/bin/deploy"));
    caller.refused(&[".pyenv/shims/linked"], &[text(&scene.path("home/private/bin/deploy"))]);
    // A script whose interpreter is a person's script, by a path and by env(1).
    let deploy = text(&scene.path("home/private/bin/deploy")).to_owned();
    for (name, line) in [("one", format!("#!{deploy}")), ("two", format!("#!/usr/bin/env -S {deploy} x"))] {
        let script = executable(&scene, &format!("here/{name}"), &format!("{line}\n"));
        caller.refused(&[text(&script)], &[&deploy]);
    }
    // Control: the person's own word is enough, and shows that file alone.
    let meant = caller.inside(&[], &[&deploy]);
    assert_eq!((meant.status, meant.answer()), (0, "deployed"), "{meant:#?}");
}

#[test]
fn a_repository_above_the_working_directory_is_no_more_trusted() {
    let scene = Scene::new();
    private(&scene);
    let deploy = scene.path("home/private/bin/deploy");
    scene.folder("home/work/.git");
    // What `npm run` puts into PATH: the folders of packages above.
    link(&scene, "home/work/node_modules/.bin/deploy", &deploy);
    link(&scene, "home/work/bin/deploy", &deploy);
    for folder in ["home/work/node_modules/.bin", "home/work/bin"] {
        let caller = Caller::new(&scene).path(folder).from("home/work/packages/a");
        caller.refused(&["deploy"], &[text(&deploy)]);
    }
    // Another project's packages, through a folder that is a link.
    executable(&scene, "home/other/node_modules/pkg/cli.sh", "#!/bin/sh\necho other\n");
    link(&scene, "home/other/node_modules/.bin/pkg", "../pkg/cli.sh");
    link(&scene, "home/work/packages/a/node_modules", scene.path("home/other/node_modules"));
    let caller = Caller::new(&scene).path("home/other/node_modules/.bin").from("home/work/packages/a");
    caller.refused(&["node_modules/.bin/pkg"], &[text(&scene.path("home/other/node_modules/pkg/cli.sh"))]);
    // Control: named by the person it runs, also from the home, which is nobody's repository.
    assert_eq!(caller.same(&["pkg"]), "other");
    link(&scene, "home/.local/bin/ship", &deploy);
    let caller = Caller::new(&scene).path("home/.local/bin").from("home");
    assert_eq!(caller.same(&["ship"]), "deployed");
}

#[test]
fn an_executable_of_the_person_is_shown_without_what_lies_beside_it() {
    let scene = Scene::new();
    private(&scene);
    let own = program(&scene, "home/private/bin/own");
    link(&scene, "here/run", &own);
    let look = format!("#!{}\n", text(&link(&scene, "here/interpreter", Path::new("/bin/sh"))));
    let script = executable(&scene, "here/look", &(look + "cat \"$1\" \"$2\" 2>&1\n"));
    let caller = Caller::new(&scene);
    let ran = caller.inside(&[], &["./run", "/proc/self/exe"]);
    assert_eq!((ran.status, ran.answer()), (0, text(&own)), "{ran:#?}");
    let (key, deploy) = (scene.path("home/private/lib/key"), scene.path("home/private/bin/deploy"));
    let seen = caller.inside(&[], &[text(&script), text(&key), text(&deploy)]);
    assert_eq!(seen.stdout.matches("No such file").count(), 2, "{seen:#?}");
}

#[test]
fn an_environment_of_the_repository_shows_nothing_of_the_person() {
    let scene = Scene::new();
    private(&scene);
    scene.folder("here/env/bin");
    link(&scene, "here/env/bin/python", "/usr/bin/python3");
    let (ssh, away) = (scene.path("home/.ssh"), scene.path("home/private/bin"));
    for home in [text(&ssh), text(&away), "/", "..", "/proc/self/root", text(&scene.home())] {
        scene.file("here/env/pyvenv.cfg", &format!("home = {home}\n"));
        let caller = Caller::new(&scene);
        let line = "import os; print(os.listdir(os.environ['HOME']))";
        let outcome = caller.inside(&[], &["env/bin/python", "-c", line]);
        // Python may not find its library there; what it never finds is the home.
        assert!(["[]", ""].contains(&outcome.answer()), "{home}: {outcome:#?}");
        let control = caller.inside(&[], &["/usr/bin/python3", "-c", line]);
        assert_eq!(control.answer(), "[]", "{control:#?}");
    }
    // An interpreter that is no interpreter.
    for (name, target) in [("key", "home/.ssh/id_rsa"), ("deploy", "home/private/bin/deploy")] {
        scene.file(&format!("here/{name}/pyvenv.cfg"), "home = /usr/bin\n");
        link(&scene, &format!("here/{name}/bin/python"), scene.path(target));
        let path = scene.path(&format!("here/{name}/bin/python"));
        Caller::new(&scene).refused(&[text(&path)], &[text(&scene.path(target))]);
        // Another program of that environment does not show it either.
        executable(&scene, &format!("here/{name}/bin/look"), "#!/bin/sh\ncat \"${0%/*}/python\" 2>&1\n");
        let seen = Caller::new(&scene).inside(&[], &[text(&path.with_file_name("look"))]);
        assert!(seen.stdout.contains("No such file"), "{seen:#?}");
    }
}
