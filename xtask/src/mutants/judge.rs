//! Does anything fail with a mutant in PID 1's place?

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::{process, workspace};

/// No test that is named here takes as long.
const LONGEST: Duration = Duration::from_secs(150);

/// What tests said to a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// These failed.
    Killed(Vec<String>),
    /// This many passed.
    Passed(usize),
}

/// The tests as they are built, and what puts a mutant into them.
pub(super) struct Judge {
    executables: Vec<(String, PathBuf)>,
    library: PathBuf,
    ringfence: PathBuf,
}

impl Judge {
    /// Builds the tests.
    pub(super) fn new() -> Result<Self, Failure> {
        let mut executables = Vec::new();
        for message in built(&["test", "--package=ringfence-tests", "--no-run"])? {
            if let Some(path) = message["executable"].as_str() {
                let name = message["target"]["name"].as_str().unwrap_or_default();
                executables.push((name.to_owned(), PathBuf::from(path)));
            }
        }
        let library = built(&["build", "--package=ringfence-tests", "--example=mutant"])?
            .into_iter()
            .find_map(|message| {
                let of_ours = message["target"]["name"] == "mutant";
                let files = message["filenames"].as_array().filter(|_| of_ours).cloned().unwrap_or_default();
                files
                    .iter()
                    .filter_map(Value::as_str)
                    .map(PathBuf::from)
                    .find(|file| file.extension() == Some("so".as_ref()))
            });
        let missing = |what: &str| Failure::Work(format!("cargo built no {what}"));
        let ringfence = executables.iter().find(|(name, _)| name == "ringfence-under-test");
        let ringfence = ringfence.map(|(_, path)| path.clone()).ok_or_else(|| missing("command line"))?;
        Ok(Self { executables, library: library.ok_or_else(|| missing("library of mutants"))?, ringfence })
    }

    /// A command with a mutant in PID 1's place.
    fn command(&self, program: &Path, image: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", &self.library).env("RINGFENCE_MUTANT", image).stdin(Stdio::null());
        command
    }

    /// What the command line prints of a plan.
    pub(super) fn plan(&self) -> Result<String, Failure> {
        process::read(Command::new(&self.ringfence).current_dir("/usr").args(["plan", "--", "/bin/true"]))
    }

    /// Why nothing starts with it: words of ours. `None`: it starts.
    pub(super) fn refuses(&self, image: &Path) -> Result<Option<String>, Failure> {
        let mut command = self.command(&self.ringfence, image);
        command.current_dir("/usr").args(["run", "--timeout=20s", "--", "/bin/true"]);
        let output = command.output().map_err(|e| process::not_started(&command, &e))?;
        end_what_is_left(image);
        let said = String::from_utf8_lossy(&output.stderr);
        if !image.with_file_name("used").exists() {
            let why = format!("the mutant was not taken ({}): {said}", output.status);
            return Err(Failure::Work(why));
        }
        let first = said.lines().next().unwrap_or("it died").trim_start_matches("ringfence: ").to_owned();
        Ok((output.status.code() != Some(0)).then_some(first))
    }

    /// Runs tests: the executable's name, then parts of names.
    pub(super) fn run(&self, tests: &str, image: &Path) -> Result<Verdict, Failure> {
        let command = self.command(self.executable(tests)?, image);
        let verdict = verdict(tests, command, &image.with_file_name("output"));
        end_what_is_left(image);
        verdict
    }

    /// Runs tests with other profiles.
    pub(super) fn with_profiles(&self, tests: &str, profiles: &Path) -> Result<Verdict, Failure> {
        let mut command = Command::new(self.executable(tests)?);
        command.env("RINGFENCE_PROFILES", profiles).stdin(Stdio::null());
        verdict(tests, command, &self.library.with_extension("output"))
    }

    fn executable(&self, tests: &str) -> Result<&Path, Failure> {
        let name = tests.split(' ').next().unwrap_or_default();
        let path = self.executables.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_path());
        path.ok_or_else(|| Failure::Work(format!("no tests are called `{name}`")))
    }
}

/// Has cargo build, and tell what.
fn built(arguments: &[&str]) -> Result<Vec<Value>, Failure> {
    let mut cargo = process::cargo();
    cargo.args(arguments).arg("--message-format=json-render-diagnostics");
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| process::not_started(&cargo, &error))?;
    if !output.status.success() {
        return Err(Failure::Work(format!("`{}` failed: {}", process::shown(&cargo), output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Runs it, and reads what its harness said.
fn verdict(tests: &str, mut command: Command, log: &Path) -> Result<Verdict, Failure> {
    command.args(tests.split(' ').skip(1)).arg("--test-threads=2");
    command.current_dir(workspace::root().join("tests"));
    let output = bounded(command, log)?;
    let Some(text) = output else { return Ok(Verdict::Killed(vec!["(hangs)".to_owned()])) };
    let mut failed = Vec::new();
    let mut passed = 0;
    for line in text.lines() {
        // What a test prints itself may stand between its name and its result.
        let Some(rest) = line.strip_prefix("test ") else { continue };
        let name = rest.split(' ').next().unwrap_or_default();
        passed += usize::from(rest.ends_with("... ok"));
        if rest.ends_with("FAILED") {
            failed.push(name.to_owned());
        }
    }
    if let Some(line) = text.lines().find(|line| line.starts_with("test result: "))
        && let Some([all, bad, _]) = crate::test::tally::counts(line)
    {
        passed = usize::try_from(all).unwrap_or(passed);
        if failed.is_empty() && bad > 0 {
            failed.push("(one)".to_owned());
        }
    } else {
        failed.push("(no result)".to_owned());
    }
    match (failed.is_empty(), passed) {
        (false, _) => Ok(Verdict::Killed(failed)),
        (true, 0) => Err(Failure::Work(format!("no test is called so: {tests}"))),
        (true, passed) => Ok(Verdict::Passed(passed)),
    }
}

/// Its standard output; `None` when it had to be ended.
fn bounded(mut command: Command, log: &Path) -> Result<Option<String>, Failure> {
    let file = fs::File::create(log).map_err(|e| Failure::io("make", log, &e))?;
    command.stdout(file).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|e| process::not_started(&command, &e))?;
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait().map_err(|e| Failure::io("wait for", log, &e))? {
            Some(status) => break Some(status),
            None if begun.elapsed() > LONGEST => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if ended.is_none() {
        let group = format!("-{}", child.id());
        let _its_own_group = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _reaped = child.wait();
        return Ok(None);
    }
    if ended.is_some_and(|status| status.signal().is_some()) {
        return Ok(Some("died".to_owned()));
    }
    fs::read_to_string(log).map(Some).map_err(|e| Failure::io("read", log, &e))
}

/// A mutant may outlive its owner. It is known by its executable, byte for byte, and no other process has that.
fn end_what_is_left(image: &Path) {
    let Ok(ours) = fs::read(image) else { return };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        let its_own = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let mutant = its_own.trim() == "ringfence-init" || its_own.trim() == "memfd:ringfence";
        if mutant && fs::read(entry.path().join("exe")).is_ok_and(|bytes| bytes == ours) {
            let _it_may_have_ended = Command::new("kill").args(["-KILL", process]).status();
        }
    }
}
