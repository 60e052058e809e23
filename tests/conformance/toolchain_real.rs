//! Toolchains that are really installed: this machine's own, and what a package registry gives.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Outcome, Run, Scene, not_reachable, ringfence};

use crate::tools::{finish, shell_outside, text};

/// The home of whoever runs the tests.
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir())
}

/// A command of the real home, from a folder of the scene, with a PATH.
fn real(scene: &Scene, path: &Path, line: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("-i").arg(format!("HOME={}", home().expect("it was looked for").display()));
    command.arg(format!("PATH={}:/usr/bin:/bin", path.display()));
    command.args(line).current_dir(scene.path("here"));
    command
}

/// The same words outside and inside; answers both.
fn both(scene: &Scene, path: &Path, flags: &[&str], words: &[&str]) -> (Outcome, Outcome) {
    let program = ringfence();
    let line = [&[text(&program), "run"], flags, &["--"], words].concat();
    (finish(real(scene, path, words)), finish(real(scene, path, &line)))
}

#[test]
fn pyenvs_pythons_are_the_same_inside() {
    let shims = home().map(|home| home.join(".pyenv/shims"));
    let Some(shims) = shims.filter(|shims| shims.join("python3").exists()) else {
        return not_reachable("pyenv", "the home holds no .pyenv/shims/python3");
    };
    let scene = Scene::new();
    let versions = std::fs::read_dir(shims.with_file_name("versions")).unwrap().flatten();
    let mut names: Vec<String> = versions.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let line = "import sys, os; sys.stdout.write('%s %s %s' % (sys.version, sys.prefix, sys.executable))";
    let (outside, inside) = both(&scene, &shims, &[], &["python3", "-c", line]);
    assert_eq!((outside.status, outside.stdout), (0, inside.stdout), "{}", inside.stderr);
    let mut compared = 0;
    for name in names {
        scene.file("here/.python-version", &format!("{name}\n"));
        let (outside, inside) = both(&scene, &shims, &[], &["python", "-c", line]);
        if outside.status == 0 {
            assert_eq!(inside.stdout, outside.stdout, "{name}: {}", inside.stderr);
            compared += 1;
        }
    }
    assert!(compared > 0, "no version of pyenv runs outside");
    scene.file("here/.python-version", "0.0.1\n");
    let (_, inside) = both(&scene, &shims, &[], &["python3", "-V"]);
    inside.expect_refusal(&["0.0.1", "not installed", ".python-version"]);
}

#[test]
fn rustups_cargo_builds_a_crate_without_network() {
    let proxies = home().map(|home| home.join(".cargo/bin"));
    let Some(proxies) = proxies.filter(|proxies| proxies.join("rustup").exists()) else {
        return not_reachable("rustup", "the home holds no .cargo/bin/rustup");
    };
    let scene = Scene::new();
    scene.file(
        "here/Cargo.toml",
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    scene.file("here/src/main.rs", "fn main() { println!(\"built\"); }\n");
    scene.file("here/Makefile", "all:\n\t@cargo run --quiet --offline\n");
    let (outside, inside) = both(&scene, &proxies, &[], &["rustc", "-vV"]);
    assert_eq!((outside.status, outside.stdout), (0, inside.stdout), "{}", inside.stderr);
    let program = ringfence();
    let run = |flags: &[&str], words: &[&str]| {
        let line = [&[text(&program), "run", "-p", "build"], flags, &["--"], words].concat();
        finish(real(&scene, &proxies, &line))
    };
    let built = run(&[], &["cargo", "build", "--offline"]);
    assert_eq!(built.status, 0, "{built:#?}");
    let ran = finish(Command::new(scene.path("here/target/debug/small")));
    assert_eq!(ran.answer(), "built", "{ran:#?}");
    // Called by a program of the system.
    let made = run(&["--toolchain", "cargo"], &["make", "--silent"]);
    assert_eq!((made.status, made.answer()), (0, "built"), "{made:#?}");
    let seen = run(&["--toolchain", "cargo"], &["sh", "-c", "ls -A ~ ~/.rustup ~/.cargo"]);
    let home = home().unwrap();
    let lines = seen.stdout.replace(text(&home), "HOME");
    assert_eq!(
        lines, "HOME:\n.cargo\n.rustup\n\nHOME/.cargo:\nbin\n\nHOME/.rustup:\ntoolchains\n",
        "{seen:#?}"
    );
}

#[test]
fn an_npm_project_runs_from_its_node_modules() {
    if !Path::new("/usr/bin/node").exists() {
        return not_reachable("npm", "apt-get install nodejs");
    }
    // As npm lays it out, made here: the registry is asked in the ignored test below.
    let scene = Scene::new();
    scene.file("here/node_modules/small/package.json", "{\"name\": \"small\", \"bin\": \"cli.js\"}\n");
    scene.file("here/node_modules/dependency/index.js", "module.exports = (a, b) => a + b;\n");
    crate::tools::executable(
        &scene,
        "here/node_modules/small/cli.js",
        "#!/usr/bin/env node\nconsole.log(require('dependency')(20, 22), process.argv[1]);\n",
    );
    scene.folder("here/node_modules/.bin");
    std::os::unix::fs::symlink("../small/cli.js", scene.path("here/node_modules/.bin/small")).unwrap();
    scene.folder("here/packages/a");
    for (from, word) in
        [("here", "node_modules/.bin/small"), ("here/packages/a", "../../node_modules/.bin/small")]
    {
        let inside = Run::new(&scene).env("PATH", "/usr/bin:/bin").from(scene.path(from)).run([word]);
        let mut outside = Command::new(scene.path(from).join(word));
        outside.current_dir(scene.path(from)).env("PATH", "/usr/bin:/bin");
        let outside = finish(outside);
        assert_eq!((inside.status, &inside.stdout), (0, &outside.stdout), "{from}: {inside:#?}");
        assert!(inside.answer().starts_with("42 "), "{inside:#?}");
    }
}

#[test]
#[ignore = "fetches from PyPI and npm: half a minute, and a network"]
fn uv_and_npm_from_their_registries() {
    let scene = Scene::new();
    let root = scene.path("home");
    let made = shell_outside(&format!(
        "cd {0} && export HOME={0} && /usr/bin/python3 -m venv tools && tools/bin/pip install -q uv && \
         tools/bin/uv venv -q --python /usr/bin/python3 work/.venv && \
         npm install --silent --prefix work semver@7",
        text(&root)
    ));
    assert_eq!(made.status, 0, "no registry answers here? {made:#?}");
    let line = "import sys; print(sys.prefix, sys.base_prefix, sys.executable)";
    for words in [
        &["home/work/.venv/bin/python", "-c", line][..],
        &["home/work/node_modules/.bin/semver", "1.2.3", "-i", "minor"],
        &["home/tools/bin/uv", "--version"],
    ] {
        let program = scene.path(words[0]);
        let run = Run::new(&scene).env("PATH", "/usr/bin:/bin");
        let inside = run.run([&[text(&program)], &words[1..]].concat());
        let mut outside = Command::new(&program);
        outside.args(&words[1..]).env("PATH", "/usr/bin:/bin");
        let outside = finish(outside);
        assert_eq!((inside.status, &inside.stdout), (0, &outside.stdout), "{inside:#?}");
        assert!(!inside.stdout.is_empty(), "{inside:#?}");
    }
}
