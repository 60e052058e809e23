//! Running the command line and the probe.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Rung, Scene};

/// The filter off, every other layer on: what the filter refuses first is there to be tried on the others, and the
/// control of what only the filter refuses.
pub const UNFILTERED: &str = "--allow-degraded=kernel-surface";

/// A run that takes longer hangs, unless its test says otherwise.
const LONGEST: Duration = Duration::from_secs(60);

/// A binary of this package, beside the test that runs.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests are built in target/PROFILE/deps");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built: run `cargo test -p ringfence-tests`", path.display());
    path
}

/// The command line under test.
pub fn ringfence() -> PathBuf {
    binary("ringfence-under-test")
}

/// The program that attempts things.
pub fn probe() -> PathBuf {
    binary("probe")
}

/// The program that uses the library as a caller would.
pub fn caller() -> PathBuf {
    binary("caller")
}

/// The program that makes a host worse for a command.
pub fn worse() -> PathBuf {
    binary("worse")
}

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; 128 + N for a signal, as a shell says it.
    pub status: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// The report, when the run has one.
    pub report: Option<Value>,
    /// How long it took.
    pub time: Duration,
}

impl Outcome {
    /// The one line that the probe answered.
    pub fn answer(&self) -> &str {
        self.stdout.trim()
    }

    /// A field of the report, by JSON pointer.
    pub fn field(&self, pointer: &str) -> &Value {
        let report = self.report.as_ref().unwrap_or_else(|| panic!("no report: {self:#?}"));
        report.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The receipt's row of a guarantee.
    pub fn row(&self, guarantee: &str) -> &Value {
        let rows = self.field("/receipt").as_array().unwrap_or_else(|| panic!("no receipt: {self:#?}"));
        rows.iter().find(|row| row["guarantee"] == guarantee).unwrap_or(&Value::Null)
    }

    /// Fails unless the probe answered one of these.
    #[track_caller]
    pub fn expect(&self, answers: &[&str]) {
        assert!(answers.contains(&self.answer()), "expected one of {answers:?}: {self:#?}");
    }

    /// Fails unless nothing was started: exit status, report, and words on standard error.
    #[track_caller]
    pub fn expect_refusal(&self, words: &[&str]) {
        assert_eq!(self.status, 125, "{self:#?}");
        assert!(self.stdout.is_empty(), "`run` wrote to standard output: {self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in the message: {self:#?}");
        }
        assert!(self.stderr.starts_with("ringfence: "), "{self:#?}");
    }
}

/// A run of the command line, in a scene.
pub struct Run<'a> {
    scene: &'a Scene,
    flags: Vec<OsString>,
    directory: PathBuf,
    wrapper: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    longest: Duration,
}

impl<'a> Run<'a> {
    /// A run in a scene, from its empty folder `here`.
    pub fn new(scene: &'a Scene) -> Self {
        let directory = scene.folder("here");
        Self {
            scene,
            flags: Vec::new(),
            directory,
            wrapper: Vec::new(),
            environment: Vec::new(),
            longest: LONGEST,
        }
    }

    /// Adds a flag.
    pub fn flag(mut self, flag: impl AsRef<OsStr>) -> Self {
        self.flags.push(flag.as_ref().to_owned());
        self
    }

    /// Adds flags.
    pub fn flags<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, flags: I) -> Self {
        self.flags.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Starts from another folder.
    pub fn from(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Starts through another program, whose last argument becomes the command line.
    pub fn through<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, wrapper: I) -> Self {
        self.wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Sets a variable of the caller.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Takes this long at most, instead of 60 s: what takes longer hangs.
    pub fn longest(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// The whole command, ready to start: `ringfence run FLAGS -- COMMAND`.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, words: I) -> Command {
        let rung = Rung::under_test();
        let mut line: Vec<OsString> = rung.as_ref().map(Rung::host).unwrap_or_default();
        line.extend(self.wrapper.clone());
        line.push(ringfence().into());
        line.push("run".into());
        line.extend(rung.iter().flat_map(Rung::waivers));
        line.extend(self.flags.clone());
        line.push("--".into());
        line.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(&self.directory);
        command.envs(self.environment.iter().cloned()).env("HOME", self.scene.home());
        command.env("RINGFENCE_RUNTIME_DIR", self.scene.runtime()).stdin(Stdio::null());
        command
    }

    /// What `ringfence doctor` says here, as JSON.
    pub fn doctor(&self) -> (i32, Value) {
        let mut line = self.wrapper.clone();
        line.extend([ringfence().into(), "doctor".into(), "--json".into()]);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(&self.directory).env("HOME", self.scene.home());
        command.env("RINGFENCE_RUNTIME_DIR", self.scene.runtime()).stdin(Stdio::null());
        let outcome = finish(command, LONGEST);
        let said = serde_json::from_str(&outcome.stdout);
        (outcome.status, said.unwrap_or_else(|e| panic!("{e}: {outcome:#?}")))
    }

    /// Runs a command inside.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, words: I) -> Outcome {
        let report = self.scene.outside_path("report.json");
        self.flags.push("--report".into());
        self.flags.push(report.clone().into());
        let mut outcome = finish(self.command(words), self.longest);
        outcome.report = std::fs::read(&report).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let _kept_by_nobody = std::fs::remove_file(&report);
        if let (Some(rung), Some(report)) = (Rung::under_test(), &outcome.report) {
            rung.check(report);
        }
        outcome
    }

    /// Runs the probe inside.
    pub fn probe<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, words: I) -> Outcome {
        self.flags.push("--ro".into());
        self.flags.push(probe().into());
        let mut line: Vec<OsString> = vec![probe().into()];
        line.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self.run(line)
    }

    /// Runs a line of shell inside.
    pub fn shell(self, line: &str) -> Outcome {
        self.run(["/bin/sh", "-c", line])
    }
}

/// Runs the probe outside: the positive control.
pub fn outside<I: IntoIterator<Item: AsRef<OsStr>>>(words: I) -> Outcome {
    let mut command = Command::new(probe());
    command.args(words).stdin(Stdio::null());
    finish(command, LONGEST)
}

/// Runs words as root of a user and mount namespace of their own: the control for what needs privilege.
pub fn privileged<I: IntoIterator<Item: AsRef<OsStr>>>(words: I) -> Outcome {
    let mut command = Command::new("unshare");
    command.arg("-Urm").args(words).stdin(Stdio::null());
    finish(command, LONGEST)
}

/// Runs any command to its end, at most this long.
pub fn finish(mut command: Command, longest: Duration) -> Outcome {
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let id = child.id();
    let (done, finished) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let timed_out = finished.recv_timeout(longest) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if timed_out {
            // SAFETY: no pointers; the process is our child and not yet reaped.
            unsafe { libc::kill(id.cast_signed(), libc::SIGKILL) };
        }
        timed_out
    });
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    drop(done);
    assert!(!guard.join().unwrap_or(false), "hung for {longest:?}: {command:?}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    Outcome {
        status: output.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        report: None,
        time: begun.elapsed(),
    }
}
