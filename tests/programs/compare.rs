//! One program run twice, outside and inside, from the same folder with the same files and variables.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Outcome, Run, Scene};

/// Where the system's programs are; the only PATH of both runs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A line of shell in a folder with files, the profile that it is to work under, and the programs that it needs.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) profile: &'a str,
    /// The folder and what is in it.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// (program, Debian's package).
    pub(crate) needs: &'a [(&'a str, &'a str)],
    /// Run in that folder beforehand, outside, before both runs.
    pub(crate) before: &'a str,
    pub(crate) line: &'a str,
}

impl Case<'_> {
    /// Runs it outside and inside, and fails on any difference. Answers what was printed, so that a test can look
    /// whether the program did its work at all.
    #[track_caller]
    pub(crate) fn same(&self) -> String {
        if let Some(missing) = self.missing() {
            eprintln!("{}: not run: {missing}", self.name);
            return String::new();
        }
        let scene = Scene::new();
        self.set_up(&scene);
        let outside = finish(self.name, outside(&scene, self.line));
        assert_eq!(outside.status, 0, "{}: does not work outside: {outside:#?}", self.name);
        // The same folder again, as it was before the first run.
        std::fs::remove_dir_all(scene.path("here")).expect("it was made here");
        self.set_up(&scene);
        let inside = inside(&scene, self.profile).run(["/bin/sh", "-c", self.line]);
        assert_eq!(
            (inside.status, &inside.stdout, &inside.stderr),
            (outside.status, &outside.stdout, &outside.stderr),
            "{} under {}, inside and outside",
            self.name,
            self.profile
        );
        inside.stdout
    }

    /// The same, and one line of what was printed is this.
    #[track_caller]
    pub(crate) fn prints(&self, line: &str) {
        let printed = self.same();
        if self.missing().is_none() {
            assert!(
                printed.lines().any(|printed| printed == line),
                "{}: no `{line}` in {printed}",
                self.name
            );
        }
    }

    fn missing(&self) -> Option<String> {
        let missing = |(program, package): &&(&str, &str)| find(program).is_none() && !package.is_empty();
        let (program, package) = self.needs.iter().find(missing)?;
        Some(format!("{program} is not in {PATH}: install Debian's {package}"))
    }

    fn set_up(&self, scene: &Scene) {
        scene.folder("here");
        for (name, content) in self.files {
            scene.file(&format!("here/{name}"), content);
        }
        if !self.before.is_empty() {
            let outcome = finish(self.name, outside(scene, self.before));
            assert_eq!(outcome.status, 0, "{}: preparation failed: {outcome:#?}", self.name);
        }
    }
}

/// Where a program of the system is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(PATH).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The variables that both runs have beside those that the sandbox sets.
pub(crate) fn variables(scene: &Scene) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", PATH.into()),
        ("HOME", scene.home().into()),
        ("LANG", "C.UTF-8".into()),
        ("TERM", "dumb".into()),
        ("SHELL", "/bin/sh".into()),
    ]
}

/// A run inside with those variables and no others.
pub(crate) fn inside<'a>(scene: &'a Scene, profile: &str) -> Run<'a> {
    let mut run = Run::new(scene).flags(["-p", profile]);
    for (name, value) in variables(scene) {
        run = run.env(name, value);
    }
    run
}

/// A line of shell outside, in the same folder with the same variables.
pub(crate) fn outside(scene: &Scene, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(scene.path("here")).env_clear();
    command.envs(variables(scene)).env("TMPDIR", scene.folder("tmp"));
    command
}

/// Runs a command to its end. Its own time limit is the harness': a control that hangs is seen by its name.
pub(crate) fn finish(name: &str, mut command: Command) -> Outcome {
    let begun = std::time::Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{name}: {command:?}: {e}"));
    Outcome {
        status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        report: None,
        time: begun.elapsed(),
    }
}
