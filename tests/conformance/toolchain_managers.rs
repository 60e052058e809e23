//! Every version manager's layout in a home of its own: the same program inside as outside, its credentials and
//! everybody else's not there, nothing writable. The programs are copies of readlink(1), which say their own path;
//! the shims are scripts that choose and execute as the manager's do.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Outcome, Scene, ringfence};

use crate::tools::{executable, finish, text};

/// Where people keep what nobody else may read, whatever manager they use.
const SECRETS: [&str; 16] = [
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".condarc",
    ".cargo/credentials.toml",
    ".cargo/config.toml",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".conda/environments.txt",
    ".config/pip/pip.conf",
    ".config/uv/credentials.toml",
    ".config/go/env",
    ".aws/credentials",
    ".ssh/id_ed25519",
    ".docker/config.json",
    ".bash_history",
];

/// A caller with a home full of secrets, a PATH, and variables.
pub(crate) struct Caller<'a> {
    pub(crate) scene: &'a Scene,
    path: Vec<PathBuf>,
    variables: Vec<(String, String)>,
    directory: PathBuf,
    secrets: Vec<PathBuf>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        let secrets = SECRETS.map(|name| scene.file(&format!("home/{name}"), "secret\n"));
        let directory = scene.folder("here");
        Self { scene, path: Vec::new(), variables: Vec::new(), directory, secrets: secrets.to_vec() }
    }

    /// A folder of PATH, below the scene.
    pub(crate) fn path(mut self, folder: &str) -> Self {
        self.path.push(self.scene.path(folder));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.variables.push((name.to_owned(), text(value.as_ref()).to_owned()));
        self
    }

    pub(crate) fn from(mut self, folder: &str) -> Self {
        self.directory = self.scene.folder(folder);
        self
    }

    /// One more file that must not be there.
    pub(crate) fn secret(mut self, name: &str) -> Self {
        self.secrets.push(self.scene.file(name, "secret\n"));
        self
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        let mut path: Vec<&str> = self.path.iter().map(|folder| text(folder)).collect();
        path.extend(["/usr/bin", "/bin"]);
        command.arg("-i").arg(format!("HOME={}", text(&self.scene.home())));
        command.arg(format!("PATH={}", path.join(":")));
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(line).current_dir(&self.directory);
        command
    }

    pub(crate) fn outside(&self, words: &[&str]) -> Outcome {
        finish(self.command(words))
    }

    pub(crate) fn inside(&self, flags: &[&str], words: &[&str]) -> Outcome {
        let program = ringfence();
        let line = [&[text(&program), "run"], flags, &["--"], words].concat();
        finish(self.command(&line))
    }

    /// The same words, the same answer. Answers it.
    #[track_caller]
    pub(crate) fn same(&self, words: &[&str]) -> String {
        let outside = self.outside(words);
        let inside = self.inside(&[], words);
        assert_eq!(outside.status, 0, "outside: {outside:#?}");
        assert_eq!((inside.status, &inside.stdout), (0, &outside.stdout), "{inside:#?}");
        outside.answer().to_owned()
    }

    /// Refused before anything was started, with these words.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str], said: &[&str]) {
        let outcome = self.inside(&[], words);
        assert!([125, 126, 127].contains(&outcome.status) && outcome.stdout.is_empty(), "{outcome:#?}");
        for word in said {
            assert!(outcome.stderr.contains(word), "no `{word}`: {outcome:#?}");
        }
        assert!(
            outcome.stderr.starts_with("ringfence: ") && !outcome.stderr.contains("secret\n"),
            "{outcome:#?}"
        );
    }

    /// Beside this program's toolchain no secret exists, and no file of it can be changed.
    #[track_caller]
    pub(crate) fn keeps_secrets(&self, program: &str, part: &Path) {
        let files: Vec<&str> = self.secrets.iter().map(|file| text(file)).collect();
        let look =
            [&["sh", "-c", "for f; do cat \"$f\" 2>&1 | sed 's/^cat: //'; done", "sh"][..], &files].concat();
        let outcome = self.inside(&["--toolchain", program], &look);
        let absent: Vec<_> = files.iter().map(|file| format!("{file}: No such file or directory")).collect();
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), absent, "{outcome:#?}");
        let control = self.outside(&look);
        assert_eq!(control.stdout, "secret\n".repeat(files.len()), "outside they are there: {control:#?}");
        let new = part.with_file_name("new");
        let write = format!("echo x >>{0}; echo x >{1}", text(part), text(&new));
        let outcome = self.inside(&["--toolchain", program], &["sh", "-c", &write]);
        let refused = outcome.stderr.lines().filter(|line| {
            ["Read-only file system", "Permission denied", "Text file busy"]
                .iter()
                .any(|why| line.contains(why))
        });
        // In the folder of a single file a new one may be made: it is the sandbox's own, and gone with it.
        assert!(refused.count() >= 1 && !new.exists(), "{outcome:#?}");
    }
}

/// A program that says where it is: `NAME /proc/self/exe`.
pub(crate) fn program(scene: &Scene, name: &str) -> PathBuf {
    scene.folder(&Path::new(name).parent().expect("a file is in a folder").to_string_lossy());
    scene.program(name, Path::new("/usr/bin/readlink"))
}

pub(crate) fn link(scene: &Scene, name: &str, target: impl AsRef<Path>) -> PathBuf {
    scene.folder(&Path::new(name).parent().expect("a link is in a folder").to_string_lossy());
    let path = scene.path(name);
    symlink(target, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

const WHERE: &str = "/proc/self/exe";

/// A shim of shell: it reads the nearest file of that name, else the global one, and executes.
fn shim(manager: &str, file: &str, versions: &str) -> String {
    format!(
        "#!/usr/bin/env bash\n# {manager}\nd=$PWD\nwhile [ -n \"$d\" ] && [ ! -f \"$d/{file}\" ]; do d=${{d%/*}}; done\n\
         read -r version <\"$d/{file}\" || read -r version <\"{versions}/../version\"\n\
         exec \"{versions}/$version/bin/${{0##*/}}\" \"$@\"\n"
    )
}

#[test]
fn pyenv_rbenv_nodenv_and_goenv() {
    for (manager, file, name) in [
        ("pyenv", ".python-version", "python3"),
        ("rbenv", ".ruby-version", "ruby"),
        ("nodenv", ".node-version", "node"),
        ("goenv", ".go-version", "go"),
    ] {
        let scene = Scene::new();
        let root = format!("home/.{manager}");
        let versions = scene.path(&format!("{root}/versions"));
        let first = program(&scene, &format!("{root}/versions/1.2.3/bin/{name}"));
        let second = program(&scene, &format!("{root}/versions/1.3.0/bin/{name}"));
        executable(&scene, &format!("{root}/shims/{name}"), &shim(manager, file, text(&versions)));
        scene.file(&format!("{root}/version"), "1.3.0\n");
        let caller =
            Caller::new(&scene).path(&format!("{root}/shims")).secret(&format!("{root}/plugins/token"));
        assert_eq!(caller.same(&[name, WHERE]), text(&second), "{manager}");
        caller.keeps_secrets(name, &second);
        // By a path in a first line it is the same.
        let script = executable(
            &scene,
            "here/script",
            &format!("#!{}\n", text(&scene.path(&format!("{root}/shims/{name}")))),
        );
        assert_eq!(caller.inside(&[], &[text(&script)]).status, 1, "readlink of a file");
        scene.file(&format!("here/{file}"), "1.2.3\n");
        assert_eq!(caller.same(&[name, WHERE]), text(&first), "{manager}");
        // A shorter version means the newest of its kind, and a word of the language may stand before it.
        scene.file(&format!("here/{file}"), "1\n");
        let short = caller.inside(&[], &[name, WHERE]);
        assert_eq!(short.answer(), text(&second), "{manager}: {short:#?}");
    }
}

#[test]
fn asdf_in_shell_and_in_go() {
    for last in ["exec asdf exec \"node\" \"$@\" # asdf_allow: ' asdf '", "exec /x/asdf exec \"node\" \"$@\""]
    {
        let scene = Scene::new();
        let old = program(&scene, "home/.asdf/installs/nodejs/18.19.0/bin/node");
        let new = program(&scene, "home/.asdf/installs/nodejs/20.11.0/bin/node");
        scene.file("home/.asdf/installs/nodejs/20.11.0/etc/npmrc", "secret\n");
        let pick = "v=$(sed -n 's/^nodejs //p' .tool-versions 2>/dev/null || :)\n\
                    [ -n \"$v\" ] || v=$(sed -n 's/^nodejs //p' ~/.tool-versions)\n\
                    exec ~/.asdf/installs/nodejs/\"$v\"/bin/node \"$@\"\n";
        let shim = format!(
            "#!/usr/bin/env bash\n# asdf-plugin: nodejs 18.19.0\n# asdf-plugin: nodejs 20.11.0\n{pick}{last}\n"
        );
        executable(&scene, "home/.asdf/shims/node", &shim);
        scene.file("home/.tool-versions", "# mine\npython 3.12.1\nnodejs 20.11.0\n");
        let caller = Caller::new(&scene)
            .path("home/.asdf/shims")
            .secret("home/.asdf/installs/nodejs/20.11.0/etc/npmrc")
            .secret("home/.asdf/plugins/nodejs/token");
        assert_eq!(caller.same(&["node", WHERE]), text(&new));
        caller.keeps_secrets("node", &new);
        scene.file("here/.tool-versions", "nodejs 18.19.0\n");
        assert_eq!(caller.same(&["node", WHERE]), text(&old));
        let variable =
            Caller::new(&scene).path("home/.asdf/shims").variable("ASDF_NODEJS_VERSION", "20.11.0");
        assert_eq!(variable.inside(&[], &["node", WHERE]).answer(), text(&new));
    }
}

#[test]
fn mise_by_shim_and_by_path() {
    let scene = Scene::new();
    let installs = "home/.local/share/mise/installs/node";
    let old = program(&scene, &format!("{installs}/18.19.0/bin/node"));
    let new = program(&scene, &format!("{installs}/20.11.0/bin/node"));
    link(&scene, &format!("{installs}/20"), "./20.11.0");
    let mise = executable(
        &scene,
        "home/.local/bin/mise",
        "#!/bin/sh\nv=$(sed -n 's/^node = \"\\(.*\\)\"/\\1/p' mise.toml 2>/dev/null)\n\
         exec ~/.local/share/mise/installs/node/\"${v:-20}\"/bin/\"${0##*/}\" \"$@\"\n",
    );
    link(&scene, "home/.local/share/mise/shims/node", &mise);
    scene.file("home/.config/mise/config.toml", "[tools]\nnode = \"20\"\npython = [\"3.12\", \"3.11\"]\n");
    let caller = Caller::new(&scene)
        .path("home/.local/share/mise/shims")
        .secret("home/.config/mise/config.local.toml")
        .secret("home/.local/share/mise/installs/node/20.11.0/etc/npmrc");
    assert_eq!(caller.same(&["node", WHERE]), text(&new));
    caller.keeps_secrets("node", &new);
    scene.file("here/mise.toml", "[tools]\nnode = \"18.19.0\"\n");
    assert_eq!(caller.same(&["node", WHERE]), text(&old));
    scene.file("here/mise.toml", "[tools]\nnode = { version = \"latest\" }\n");
    let latest = caller.inside(&[], &["node", WHERE]);
    assert_eq!(latest.answer(), text(&new), "{latest:#?}");
    // `mise activate` puts the folders of versions into PATH instead.
    let activated = Caller::new(&scene).path(&format!("{installs}/20/bin"));
    assert_eq!(activated.same(&["node", WHERE]), text(&new));
}

#[test]
fn nvm_fnm_and_volta() {
    let scene = Scene::new();
    let npm = |prefix: &str| {
        scene.file(&format!("{prefix}/lib/node_modules/npm/package.json"), "{}\n");
        scene.file(&format!("{prefix}/README.md"), "\n");
        program(&scene, &format!("{prefix}/bin/node"))
    };
    let nvm = npm("home/.nvm/versions/node/v20.11.0");
    let caller = Caller::new(&scene)
        .path("home/.nvm/versions/node/v20.11.0/bin")
        .variable("NVM_DIR", scene.path("home/.nvm"))
        .secret("home/.nvm/alias/default")
        .secret("home/.nvm/versions/node/v20.11.0/etc/npmrc");
    assert_eq!(caller.same(&["node", WHERE]), text(&nvm));
    caller.keeps_secrets("node", &nvm);

    let fnm = npm("home/.local/share/fnm/node-versions/v20.11.0/installation");
    link(&scene, "home/.local/state/fnm_multishells/1_2", fnm.parent().unwrap().parent().unwrap());
    let caller = Caller::new(&scene).path("home/.local/state/fnm_multishells/1_2/bin");
    assert_eq!(caller.same(&["node", WHERE]), text(&fnm));
    caller.keeps_secrets("node", &fnm);

    let volta = npm("home/.volta/tools/image/node/20.11.0");
    let other = npm("home/.volta/tools/image/node/18.19.0");
    let pick = "#!/bin/sh\nv=20.11.0\ngrep -qs 18.19 package.json && v=18.19.0\n\
                exec ~/.volta/tools/image/node/$v/bin/\"${0##*/}\" \"$@\"\n";
    executable(&scene, "home/.volta/bin/volta-shim", pick);
    link(&scene, "home/.volta/bin/node", "volta-shim");
    scene.file("home/.volta/tools/user/platform.json", r#"{"node": {"runtime": "20.11.0", "npm": null}}"#);
    let caller = Caller::new(&scene).path("home/.volta/bin").secret("home/.volta/hooks.json");
    assert_eq!(caller.same(&["node", WHERE]), text(&volta));
    caller.keeps_secrets("node", &volta);
    scene.file("here/package.json", r#"{"name": "x", "volta": {"node": "18.19.0"}}"#);
    assert_eq!(caller.same(&["node", WHERE]), text(&other));
    scene.file("home/.volta/bin/tsc.draft", "");
    link(&scene, "home/.volta/bin/tsc", "volta-shim");
    caller.refused(&["tsc"], &["volta", "tsc", "by its path"]);
}

#[test]
fn deno_bun_and_what_cargo_and_go_install_are_single_files() {
    let scene = Scene::new();
    for (folder, name, beside) in [
        ("home/.deno/bin", "deno", "home/.deno/.credentials"),
        ("home/.bun/bin", "bun", "home/.bun/bunfig.toml"),
        ("home/.cargo/bin", "rg", "home/.cargo/bin/other"),
        ("home/go/bin", "gopls", "home/go/src/mine.go"),
        ("home/.local/bin", "just", "home/.local/share/keyrings/login"),
    ] {
        let file = program(&scene, &format!("{folder}/{name}"));
        let caller = Caller::new(&scene).path(folder).secret(beside);
        assert_eq!(caller.same(&[name, WHERE]), text(&file));
        caller.keeps_secrets(name, &file);
        // The interpreter of a script, by name.
        let script =
            executable(&scene, &format!("here/{name}.script"), &format!("#!/usr/bin/env -S {name} -e\n"));
        assert_eq!(caller.same(&[text(&script)]), text(&script));
    }
    link(&scene, "home/.bun/bin/bunx", "bun");
    let caller = Caller::new(&scene).path("home/.bun/bin");
    assert_eq!(caller.same(&["bunx", WHERE]), text(&scene.path("home/.bun/bin/bun")));
}

#[test]
fn gos_downloads_and_goroot() {
    let scene = Scene::new();
    let go = program(&scene, "home/sdk/go1.22.1/bin/go");
    scene.file("home/sdk/go1.22.1/pkg/tool/linux/compile", "");
    scene.file("home/sdk/go1.22.1/src/fmt/print.go", "package fmt\n");
    scene.file("home/sdk/go1.22.1/VERSION", "go1.22.1\n");
    executable(&scene, "home/go/bin/go1.22.1", "#!/bin/sh\nexec ~/sdk/go1.22.1/bin/go \"$@\"\n");
    for (folder, name) in [("home/go/bin", "go1.22.1"), ("home/sdk/go1.22.1/bin", "go")] {
        let caller =
            Caller::new(&scene).path(folder).secret("home/go/pkg/mod/private.go").secret("home/sdk/key");
        assert_eq!(caller.same(&[name, WHERE]), text(&go));
        caller.keeps_secrets(name, &go);
        let library = "cat \"$GOROOT/src/fmt/print.go\"";
        let inside = caller.inside(&["--toolchain", name], &["sh", "-c", library]);
        assert_eq!(inside.answer(), "package fmt", "{inside:#?}");
    }
}

#[test]
fn sdkman_java_and_what_runs_on_it() {
    let scene = Scene::new();
    let candidates = "home/.sdkman/candidates";
    let java = program(&scene, &format!("{candidates}/java/17.0.9-tem/bin/java"));
    scene.file(&format!("{candidates}/java/17.0.9-tem/lib/modules"), "");
    scene.file(&format!("{candidates}/java/17.0.9-tem/conf/security/java.security"), "policy\n");
    link(&scene, &format!("{candidates}/java/current"), "17.0.9-tem");
    let mvn = "#!/bin/sh\necho \"mvn $(basename \"$(cd \"${0%/bin/*}\" && pwd -P)\")\"\n\
               cat \"${0%/bin/*}/lib/maven.jar\"\nexec \"${JAVA_HOME:-$HOME/.sdkman/candidates/java/current}\"/bin/java /proc/self/exe\n";
    executable(&scene, &format!("{candidates}/maven/3.9.6/bin/mvn"), mvn);
    scene.file(&format!("{candidates}/maven/3.9.6/lib/maven.jar"), "jar\n");
    link(&scene, &format!("{candidates}/maven/current"), "3.9.6");
    let caller = Caller::new(&scene)
        .path(&format!("{candidates}/java/current/bin"))
        .path(&format!("{candidates}/maven/current/bin"))
        .secret(&format!("{candidates}/java/17.0.9-tem/conf/management/jmxremote.password"))
        .secret(&format!("{candidates}/maven/3.9.6/conf/settings.xml"))
        .secret("home/.sdkman/etc/config");
    assert_eq!(caller.same(&["java", WHERE]), text(&java));
    assert_eq!(caller.same(&["mvn"]), format!("mvn 3.9.6\njar\n{}", text(&java)));
    caller.keeps_secrets("java", &java);
    caller.keeps_secrets("mvn", &scene.path(&format!("{candidates}/maven/3.9.6/bin/mvn")));
    let look = "cat \"$JAVA_HOME/conf/security/java.security\"";
    let settings = caller.inside(&["--toolchain", "java"], &["sh", "-c", look]);
    assert_eq!(settings.answer(), "policy", "{settings:#?}");
}

#[test]
fn rustup_by_default_by_argument_by_file_and_by_override() {
    let scene = Scene::new();
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let in_toolchain = |name: &str| {
        let folder = format!("home/.rustup/toolchains/{name}-{triple}");
        scene.file(&format!("{folder}/lib/rustlib/components"), "cargo\n");
        program(&scene, &format!("{folder}/bin/cargo"))
    };
    let (stable, nightly, dated) =
        (in_toolchain("stable"), in_toolchain("nightly"), in_toolchain("nightly-2024-01-01"));
    let pick = format!(
        "#!/bin/sh\nt=stable\ncase $1 in +*) t=${{1#+}}; shift;; esac\n\
         [ -f rust-toolchain.toml ] && t=$(sed -n 's/^channel = \"\\(.*\\)\"/\\1/p' rust-toolchain.toml)\n\
         exec ~/.rustup/toolchains/$t-{triple}/bin/\"${{0##*/}}\" \"$@\"\n"
    );
    executable(&scene, "home/.cargo/bin/rustup", &pick);
    link(&scene, "home/.cargo/bin/cargo", "rustup");
    link(&scene, "home/.cargo/bin/cargo-miri", "rustup");
    let extra = program(&scene, "home/.cargo/bin/cargo-extra");
    scene.file(
        "home/.rustup/settings.toml",
        &format!("default_toolchain = \"stable-{triple}\"\n[overrides]\n"),
    );
    let caller =
        Caller::new(&scene).path("home/.cargo/bin").secret("home/.rustup/token").secret("home/.cargo/env");
    assert_eq!(caller.same(&["cargo", WHERE]), text(&stable));
    caller.keeps_secrets("cargo", &stable);
    // The argument is for rustup: the program does not get it.
    assert_eq!(caller.same(&["cargo", "+nightly", WHERE]), text(&nightly));
    assert_eq!(caller.same(&["cargo", "+nightly-2024-01-01", WHERE]), text(&dated));
    caller.refused(&["cargo", "+beta", WHERE], &["+beta", "not installed", "nightly-2024-01-01"]);
    caller.refused(&["cargo-miri"], &["cargo-miri", "is not in", "stable"]);
    scene
        .file("here/rust-toolchain.toml", "[toolchain]\nchannel = \"nightly\"\ncomponents = [\"rustfmt\"]\n");
    assert_eq!(caller.same(&["cargo", WHERE]), text(&nightly));
    let overrides = format!(
        "default_toolchain = \"stable-{triple}\"\n[overrides]\n\"{}\" = \"stable-{triple}\"\n",
        text(&scene.path("here"))
    );
    scene.file("home/.rustup/settings.toml", &overrides);
    let outcome = caller.inside(&[], &["cargo", WHERE]);
    assert_eq!(outcome.answer(), text(&stable), "an override beats a file of the same folder: {outcome:#?}");
    // cargo finds what `cargo install` put beside the proxies, and a home that it may write.
    let line =
        "cat \"$RUSTUP_HOME/toolchains/$RUSTUP_TOOLCHAIN/lib/rustlib/components\" && touch \"$CARGO_HOME/x\"";
    let variables = caller.inside(&["--toolchain", "cargo"], &["sh", "-c", line]);
    assert_eq!((variables.status, variables.answer()), (0, "cargo"), "{variables:#?}");
    let seen = caller.inside(&[], &["cargo", "extra"]);
    assert_eq!(seen.status, 1, "readlink of nothing: {seen:#?}");
    let named = Caller::new(&scene).path("home/.cargo/bin");
    assert_eq!(named.same(&["cargo-extra", WHERE]), text(&extra));
}

#[test]
fn a_shim_of_an_unknown_manager_is_refused() {
    let scene = Scene::new();
    let manager = program(&scene, "home/.rye/rye");
    link(&scene, "home/.rye/shims/python3", "../rye");
    let caller = Caller::new(&scene).path("home/.rye/shims");
    caller.refused(&["python3"], &[text(&manager), "shims/python3", "by its path"]);
    // Control: the manager itself runs.
    assert_eq!(caller.same(&[text(&manager), WHERE]), text(&manager));
}

#[test]
fn a_program_that_the_command_calls_is_shown_when_it_is_named() {
    let scene = Scene::new();
    let node = program(&scene, "home/.nvm/versions/node/v20.11.0/bin/node");
    scene.file("home/.nvm/versions/node/v20.11.0/lib/node_modules/npm/package.json", "{}\n");
    let deno = program(&scene, "home/.deno/bin/deno");
    let caller = Caller::new(&scene).path("home/.nvm/versions/node/v20.11.0/bin").path("home/.deno/bin");
    let line = ["sh", "-c", "node /proc/self/exe; deno /proc/self/exe"];
    let both = caller.inside(&["--toolchain", "node,deno"], &line);
    assert_eq!(both.answer(), format!("{}\n{}", text(&node), text(&deno)), "{both:#?}");
    // Control: without the names they are not there.
    let control = caller.inside(&[], &line);
    assert_eq!((control.status, control.answer()), (127, ""), "{control:#?}");
    let missing = caller.inside(&["--toolchain", "no-such-program"], &line);
    missing.expect_nothing_started(&[
        "names the toolchain `no-such-program`",
        "not in PATH",
        "filesystem.toolchain",
    ]);
    // A profile's word is told as the flag's is: nobody is sent to a flag that was not given.
    let profile = scene.file("outside/p.toml", "[filesystem]\ntoolchain = 'no-such-program'\n");
    let missing = caller.inside(&["-p", text(&profile)], &line);
    missing.expect_nothing_started(&["names the toolchain `no-such-program`", "filesystem.toolchain"]);
    let empty = caller.inside(&["--base", "empty", "--toolchain", "node"], &line);
    empty.expect_nothing_started(&["`node`", "--base host"]);
}

/// A run that began nothing.
trait NothingStarted {
    fn expect_nothing_started(&self, words: &[&str]);
}

impl NothingStarted for Outcome {
    #[track_caller]
    fn expect_nothing_started(&self, words: &[&str]) {
        assert!([125, 127].contains(&self.status) && self.stdout.is_empty(), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}`: {self:#?}");
        }
    }
}
