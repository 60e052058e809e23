//! Real Python in the layouts of uv, pipx, conda and venv: environments that borrow an interpreter from a hidden
//! folder, through links. The interpreter is a copy of the system's, whose library is the system's too.

use std::path::{Path, PathBuf};

use support::Scene;

use crate::toolchain_managers::{Caller, link, program};
use crate::tools::{executable, shell_outside, text};

/// What tells one Python from another.
const WHO: &str = "import sys; print(sys.executable, sys.prefix, sys.base_prefix, sys.version)";

/// `3.11`, of the system's Python.
fn version() -> String {
    let said = shell_outside("/usr/bin/python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'");
    assert_eq!(said.status, 0, "apt-get install python3: {said:#?}");
    said.answer().to_owned()
}

/// An installed Python in a folder: `bin/python3.11`, its other names, and its library.
fn python(scene: &Scene, prefix: &str) -> PathBuf {
    let version = version();
    let binary = scene.path(&format!("{prefix}/bin/python{version}"));
    scene.folder(&format!("{prefix}/bin"));
    let system = std::fs::canonicalize("/usr/bin/python3").unwrap();
    scene.program(&format!("{prefix}/bin/python{version}"), &system);
    link(scene, &format!("{prefix}/bin/python3"), format!("python{version}"));
    link(scene, &format!("{prefix}/bin/python"), "python3");
    link(scene, &format!("{prefix}/lib/python{version}"), format!("/usr/lib/python{version}"));
    binary
}

/// An environment made by hand: its interpreter is a link, and `home` the folder of that.
fn environment(scene: &Scene, name: &str, interpreter: &Path) {
    let version = version();
    let home = text(interpreter.parent().unwrap());
    scene.file(
        &format!("{name}/pyvenv.cfg"),
        &format!("home = {home}\nimplementation = CPython\nuv = 0.5.0\n"),
    );
    scene.file(&format!("{name}/lib/python{version}/site-packages/ours.py"), "name = 'ours'\n");
    link(scene, &format!("{name}/bin/python"), interpreter);
    link(scene, &format!("{name}/bin/python3"), "python");
    link(scene, &format!("{name}/lib64"), "lib");
}

#[test]
fn an_environment_of_uv_through_the_link_of_a_minor_version() {
    let scene = Scene::new();
    let version = version();
    let store = "home/.local/share/uv/python";
    let exact = python(&scene, &format!("{store}/cpython-{version}.2-linux-x86_64-gnu"));
    let minor = format!("cpython-{version}-linux-x86_64-gnu");
    link(&scene, &format!("{store}/{minor}"), format!("cpython-{version}.2-linux-x86_64-gnu"));
    let through = scene.path(&format!("{store}/{minor}/bin/python{version}"));
    environment(&scene, "here/.venv", &through);
    executable(
        &scene,
        "here/.venv/bin/tool",
        &format!("#!{}\n{WHO}\n", text(&scene.path("here/.venv/bin/python"))),
    );
    let caller = Caller::new(&scene)
        .path("here/.venv/bin")
        .secret(&format!("{store}/.temp"))
        .secret("home/.local/share/uv/credentials/credentials.toml");
    for words in [["python", "-c", WHO], ["python3", "-c", WHO], [".venv/bin/python", "-c", WHO]] {
        let said = caller.same(&words);
        assert!(said.contains(text(&scene.path("here/.venv"))), "{words:?}: {said}");
    }
    caller.same(&["tool"]);
    assert_eq!(caller.same(&["python", "-c", "import ours; print(ours.name)"]), "ours");
    caller.keeps_secrets("python", &exact);
    // As a tool of the person's, elsewhere in the home: `uv tool install`.
    environment(&scene, "home/.local/share/uv/tools/ruffle", &through);
    let interpreter = scene.path("home/.local/share/uv/tools/ruffle/bin/python");
    let tool = executable(
        &scene,
        "home/.local/share/uv/tools/ruffle/bin/ruffle",
        &format!("#!{}\nimport ours; {WHO}\n", text(&interpreter)),
    );
    link(&scene, "home/.local/bin/ruffle", &tool);
    let caller = Caller::new(&scene).path("home/.local/bin");
    assert!(caller.same(&["ruffle"]).contains("tools/ruffle"));
    caller.keeps_secrets("ruffle", &tool);
    // And the interpreter by name.
    link(&scene, &format!("home/.local/bin/python{version}"), &exact);
    // A link in PATH is followed, not shown: the interpreter knows itself by its real path.
    caller.same(&[&format!("python{version}"), "-c", "import sys; print(sys.prefix, sys.version)"]);
    let script = executable(&scene, "here/script", &format!("#!/usr/bin/env python{version}\n{WHO}\n"));
    caller.same(&[text(&script)]);
}

#[test]
fn a_pipx_program_and_scripts_that_name_a_long_interpreter() {
    let scene = Scene::new();
    let base = python(&scene, "home/.pyenv/versions/3.1.4");
    environment(&scene, "home/.local/share/pipx/venvs/cow", &base);
    scene.file("home/.local/share/pipx/venvs/cow/pipx_metadata.json", "secret\n");
    let bin = scene.path("home/.local/share/pipx/venvs/cow/bin");
    let python = text(&bin.join("python")).to_owned();
    let plain = executable(
        &scene,
        "home/.local/share/pipx/venvs/cow/bin/cow",
        &format!("#!{python}\nimport ours; {WHO}\n"),
    );
    // What installers write when a path is too long for a first line, or holds a blank.
    let long = format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nimport ours; {WHO}\n");
    let long = executable(&scene, "home/.local/share/pipx/venvs/cow/bin/longcow", &long);
    link(&scene, "home/.local/bin/cow", &plain);
    link(&scene, "home/.local/bin/longcow", &long);
    let caller = Caller::new(&scene)
        .path("home/.local/bin")
        .secret("home/.local/share/pipx/venvs/cow/pipx_metadata.json")
        .secret("home/.local/share/pipx/venvs/cow/pip.conf")
        .secret("home/.local/share/pipx/venvs/other/pyvenv.cfg");
    for name in ["cow", "longcow"] {
        assert!(caller.same(&[name]).contains("venvs/cow"), "{name}");
        caller.keeps_secrets(name, &plain);
    }
}

#[test]
fn an_activated_environment_is_there_for_whatever_runs() {
    let scene = Scene::new();
    let base = python(&scene, "home/opt/python");
    environment(&scene, "home/work/env", &base);
    let caller = Caller::new(&scene)
        .path("home/work/env/bin")
        .variable("VIRTUAL_ENV", scene.path("home/work/env"))
        .secret("home/work/env/pip.conf")
        .secret("home/work/notes");
    let line =
        "import os, ours, sys; print(os.environ['VIRTUAL_ENV'], ours.name, sys.prefix, sys.base_prefix)";
    let said = caller.same(&["sh", "-c", &format!("python3 -c \"{line}\"")]);
    assert!(said.starts_with(text(&scene.path("home/work/env"))), "{said}");
    caller.keeps_secrets("python3", &base);
    // Not activated, it is not there: VIRTUAL_ENV alone changes no program outside either.
    let only = Caller::new(&scene).variable("VIRTUAL_ENV", scene.path("home/work/env"));
    let seen = only.inside(&[], &["ls", "-A", text(&scene.home())]);
    assert_eq!((seen.status, seen.stdout.as_str()), (0, ""), "{seen:#?}");
}

#[test]
fn an_environment_with_a_copied_interpreter_finds_its_library() {
    let scene = Scene::new();
    let base = python(&scene, "home/.local/share/uv/python/cpython-3");
    let made = shell_outside(&format!(
        "{} -m venv --copies --without-pip {}",
        text(&base),
        text(&scene.path("home/work/env"))
    ));
    assert_eq!(made.status, 0, "{made:#?}");
    let caller = Caller::new(&scene).path("home/work/env/bin");
    assert!(caller.same(&["python3", "-c", WHO]).contains("work/env"));
    caller.keeps_secrets("python3", &base);
}

#[test]
fn a_home_behind_a_link() {
    let scene = Scene::new();
    let version = version();
    // As on systems whose /home is a link to another disk.
    let named = link(&scene, "people/alice", scene.path("home"));
    python(&scene, "home/.pyenv/versions/3.1.4");
    executable(
        &scene,
        "home/.pyenv/shims/python3",
        "#!/bin/sh\n# pyenv\nexec ~/.pyenv/versions/3.1.4/bin/python3 \"$@\"\n",
    );
    scene.file("home/.pyenv/version", "3.1.4\n");
    environment(&scene, "home/env", &named.join(format!(".pyenv/versions/3.1.4/bin/python{version}")));
    executable(&scene, "home/env/bin/tool", &format!("#!{}\n{WHO}\n", text(&named.join("env/bin/python"))));
    let caller = Caller::new(&scene)
        .path("people/alice/env/bin")
        .path("people/alice/.pyenv/shims")
        .variable("HOME", &named);
    for words in [&["python", "-c", WHO][..], &[text(&named.join("env/bin/python3")), "-c", WHO], &["tool"]] {
        assert!(caller.same(words).contains(text(&named.join("env"))), "{words:?}");
    }
    let shim = Caller::new(&scene).path("people/alice/.pyenv/shims").variable("HOME", &named);
    // PATH inside holds its real folder.
    shim.same(&["python3", "-c", "import os, sys; print(os.path.realpath(sys.prefix), sys.version)"]);
    let home = shim.inside(&["--toolchain", "python3"], &["ls", "-A", text(&named)]);
    assert_eq!(home.answer(), ".pyenv", "{home:#?}");
}

#[test]
fn conda_environments_without_channels_tokens_and_variables() {
    let scene = Scene::new();
    for (prefix, name) in [
        ("home/miniconda3/envs/science", "science"),
        ("home/micromamba/envs/science", "science"),
        ("home/miniconda3", "base"),
    ] {
        let base = python(&scene, prefix);
        scene.file(&format!("{prefix}/conda-meta/history"), "secret\n");
        executable(&scene, &format!("{prefix}/bin/tool"), &format!("#!{}\n{WHO}\n", text(&base)));
        let caller = Caller::new(&scene)
            .path(&format!("{prefix}/bin"))
            .variable("CONDA_PREFIX", scene.path(prefix))
            .secret(&format!("{prefix}/conda-meta/history"))
            .secret(&format!("{prefix}/conda-meta/state"))
            .secret(&format!("{prefix}/.condarc"))
            .secret(&format!("{prefix}/etc/conda/activate.d/env_vars.sh"))
            .secret("home/miniconda3/envs/other/bin/python3")
            .secret("home/miniconda3/pkgs/urls.txt");
        assert!(caller.same(&["python3", "-c", WHO]).contains(text(&scene.path(prefix))), "{prefix}");
        caller.same(&["tool"]);
        caller.keeps_secrets("python3", &base);
        let line = "import os; print(os.environ['CONDA_PREFIX'], os.environ['CONDA_DEFAULT_ENV'])";
        let said = caller.inside(&[], &["sh", "-c", &format!("python3 -c \"{line}\"")]);
        assert_eq!(said.answer(), format!("{} {name}", text(&scene.path(prefix))), "{said:#?}");
    }
}

#[test]
fn packages_programs_in_the_working_directory_and_above() {
    let scene = Scene::new();
    let node = executable(
        &scene,
        "home/.nvm/versions/node/v20.11.0/bin/node",
        "#!/bin/sh\necho \"node: $(cat \"$1\")\"\n",
    );
    scene.file("home/.nvm/versions/node/v20.11.0/lib/node_modules/npm/package.json", "{}\n");
    executable(&scene, "home/work/node_modules/tool/cli.js", "#!/usr/bin/env node\nthe tool\n");
    link(&scene, "home/work/node_modules/.bin/tool", "../tool/cli.js");
    executable(
        &scene,
        "home/work/node_modules/.bin/by-shell",
        "#!/bin/sh\nexec node \"${0%/*}/../tool/cli.js\" \"$@\"\n",
    );
    let node_bin = node.parent().unwrap().strip_prefix(scene.path("")).unwrap();
    let caller =
        || Caller::new(&scene).path(text(node_bin)).secret("home/work/.env").secret("home/work/.npmrc");
    let answer = "node: #!/usr/bin/env node\nthe tool";
    // In the project's folder, by path; from a folder below it, by path and by name.
    for (directory, word) in [
        ("home/work", "node_modules/.bin/tool"),
        ("home/work/packages/a", "../../node_modules/.bin/tool"),
        ("home/work/packages/a", "tool"),
        ("home/work/packages/a", "../../node_modules/.bin/by-shell"),
        ("home/work/packages/a", "by-shell"),
    ] {
        let caller = caller().path("home/work/node_modules/.bin").from(directory);
        assert_eq!(caller.same(&[word]), answer, "{directory} {word}");
    }
    let below = caller().path("home/work/node_modules/.bin").from("home/work/packages/a");
    below.keeps_secrets("tool", &scene.path("home/work/node_modules/tool/cli.js"));
    // Packages of the person's own, from anywhere: bun's, npm's.
    executable(&scene, "home/.bun/install/global/node_modules/pkg/cli.js", "#!/usr/bin/env node\nglobal\n");
    link(&scene, "home/.bun/bin/pkg", "../install/global/node_modules/pkg/cli.js");
    executable(
        &scene,
        "home/.nvm/versions/node/v20.11.0/lib/node_modules/tsc/bin/tsc",
        "#!/usr/bin/env node\nnpm\n",
    );
    link(&scene, "home/.nvm/versions/node/v20.11.0/bin/tsc", "../lib/node_modules/tsc/bin/tsc");
    let caller = caller().path("home/.bun/bin");
    assert_eq!(caller.same(&["pkg"]), "node: #!/usr/bin/env node\nglobal");
    assert_eq!(caller.same(&["tsc"]), "node: #!/usr/bin/env node\nnpm");
    let unused = program(&scene, "home/.bun/bin/bun");
    assert!(caller.inside(&[], &["tsc"]).status == 0 && unused.exists());
}
