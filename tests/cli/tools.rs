//! Running the command line itself, without `run` and its flags in front.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Scene, ringfence};

/// What one call left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A path as a word of a command line.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// A call with these words, from the scene's folder `here` and with its home.
pub(crate) fn command<I: IntoIterator<Item: AsRef<OsStr>>>(scene: &Scene, words: I) -> Command {
    let mut command = Command::new(ringfence());
    command.args(words).current_dir(scene.path("here")).env("HOME", scene.home());
    command.env("RINGFENCE_RUNTIME_DIR", scene.runtime()).stdin(Stdio::null());
    command
}

/// Makes a file that can be executed. Written here and copied by another process: see `Scene::program`.
pub(crate) fn executable(scene: &Scene, name: &str, content: &str) -> PathBuf {
    let draft = scene.file(&format!("{name}.draft"), content);
    let path = scene.program(name, &draft);
    std::fs::remove_file(draft).expect("it was just made");
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("our own file");
    path
}

/// Calls it.
pub(crate) fn call<I: IntoIterator<Item: AsRef<OsStr>>>(scene: &Scene, words: I) -> Said {
    finish(command(scene, words))
}

/// Runs any command to its end.
pub(crate) fn finish(mut command: Command) -> Said {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Said {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The report that a call with `--report` wrote. It is taken away, so that the next one is new.
pub(crate) fn take_report(file: &Path) -> Option<Value> {
    let mut json = String::new();
    std::fs::File::open(file).ok()?.read_to_string(&mut json).ok()?;
    std::fs::remove_file(file).expect("our own file");
    Some(serde_json::from_str(&json).unwrap_or_else(|e| panic!("no JSON: {e}: {json}")))
}

/// One line for a person, from us, that cannot be mistaken for two.
#[track_caller]
pub(crate) fn one_line(said: &Said) -> &str {
    assert_eq!(said.stderr.lines().count(), 1, "{said:#?}");
    said.stderr.trim_end().strip_prefix("ringfence: ").unwrap_or_else(|| panic!("{said:#?}"))
}

/// Is a program in the system's folders? (sbin is not in everybody's PATH.)
pub(crate) fn installed(name: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/sbin"].iter().any(|folder| std::path::Path::new(folder).join(name).is_file())
}
