//! An emulated machine: booted, listened to, switched off, and what it said of the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process;
use crate::test::tally::{self, Counts, Tally};

/// A machine that says nothing for so long has stalled.
const SILENCE: Duration = Duration::from_secs(300);
/// A run takes a few minutes on an idle machine.
const LONGEST: Duration = Duration::from_secs(2400);
/// Emulated machines stall now and then, and that says nothing about us.
const ATTEMPTS: u32 = 2;

/// Boots until the machine has said its last word, and answers all that it said. `prefix` is who asks.
pub(crate) fn boot_until_done(prefix: &str, machine: impl Fn() -> Command) -> Result<Vec<String>, Failure> {
    for attempt in 1..=ATTEMPTS {
        println!("{prefix}: boot {attempt} of at most {ATTEMPTS}");
        let console = boot(prefix, machine())?;
        if console.iter().any(|line| line == "guest: done") {
            return Ok(console);
        }
        println!("{prefix}: the machine did not come to its end");
    }
    Err(Failure::Work(format!(
        "the machine did not come to its end in {ATTEMPTS} boots; its last words are above"
    )))
}

fn boot(prefix: &str, mut command: Command) -> Result<Vec<String>, Failure> {
    let begun = Instant::now();
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut machine = started.map_err(|error| process::not_started(&command, &error))?;
    let lines = machine.stdout.take().map(lines_of);
    let (console, stalled) = lines.map_or_else(Default::default, |lines| listen(&lines, begun + LONGEST));
    if stalled {
        println!("{prefix}: it stalled, and is switched off");
        machine.kill().map_err(|error| process::not_started(&command, &error))?;
    }
    let status = machine.wait().map_err(|error| process::not_started(&command, &error))?;
    println!("{prefix}: the machine ran for {} s ({status})", begun.elapsed().as_secs());
    Ok(console)
}

/// Reads in a thread, so that we can wait no longer than we want.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Collects and shows what is said until the end; the second answer is whether there was none.
fn listen(lines: &Receiver<String>, end: Instant) -> (Vec<String>, bool) {
    let mut console = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left.min(SILENCE)) {
            Ok(line) => {
                let _shown_if_possible = writeln!(std::io::stdout(), "{line}");
                console.push(line);
            }
            Err(why) => return (console, why == mpsc::RecvTimeoutError::Timeout),
        }
    }
}

/// What the machine said of itself and of the tests.
#[derive(Default)]
pub(crate) struct Summary {
    kernel: String,
    users: Vec<User>,
}

#[derive(Default)]
struct User {
    name: String,
    tally: Tally,
    /// The results of the executable that runs.
    results: Vec<Counts>,
    /// What could not be tried, and why.
    notes: Vec<String>,
}

impl Summary {
    pub(crate) fn read(console: &[String]) -> Self {
        let mut summary = Self::default();
        for line in console {
            if let Some(kernel) = line.strip_prefix("guest: kernel ") {
                kernel.clone_into(&mut summary.kernel);
            } else if let Some(name) = line.strip_prefix("guest: user ") {
                summary.users.push(User { name: name.to_owned(), ..User::default() });
            } else if let Some(user) = summary.users.last_mut() {
                user.read(line);
            }
        }
        summary
    }

    pub(crate) fn conclude(&self, prefix: &str) -> Result<(), Failure> {
        println!("\n{prefix}: Linux {}", self.kernel);
        let mut bad = Vec::new();
        for User { name, tally, notes, .. } in &self.users {
            notes.iter().for_each(|note| println!("{prefix}: as {name}: {note}"));
            println!("{prefix}: as {name}: {tally}");
            bad.extend(tally.bad.iter().map(|what| format!("{what} as {name}")));
        }
        match bad.len() {
            0 => Ok(()),
            _ => Err(Failure::Work(format!("failed: {}", bad.join(", ")))),
        }
    }
}

impl User {
    fn read(&mut self, line: &str) {
        self.results.extend(tally::counts(line));
        if let Some((number, label)) =
            line.strip_prefix("guest: status ").and_then(|rest| rest.split_once(' '))
        {
            // As wait(2) has it: the exit status is the second byte.
            let status = ExitStatus::from_raw(number.parse().map_or(1, |number: i32| number << 8));
            self.tally.add(label, &std::mem::take(&mut self.results), status);
        } else if line.contains(": not reachable here: ") {
            self.notes.push(line.to_owned());
        } else if let Some(why) = line.strip_prefix("guest: skipped: ") {
            self.notes.push(format!("skipped: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_summed_for_each_user() {
        let console = "guest: kernel 6.12 aarch64\nguest: user root\n\
            test result: ok. 27 passed; 0 failed; 0 ignored\nguest: status 0 the command line\n\
            row 9: not reachable here: why\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n\
            guest: status 101 escape\nguest: user user\nguest: skipped: no disk\nguest: done";
        let console: Vec<_> = console.lines().map(str::to_owned).collect();
        let summary = Summary::read(&console);
        assert_eq!(summary.kernel, "6.12 aarch64");
        let [root, user] = summary.users.as_slice() else { panic!("two users") };
        assert_eq!(root.tally.to_string(), "29 passed, 1 failed, 0 ignored in 2 executables");
        assert_eq!(root.tally.bad.len(), 1);
        assert_eq!(
            (root.notes.len(), user.notes.as_slice()),
            (1, ["skipped: no disk".to_owned()].as_slice())
        );
        assert!(summary.conclude("test").is_err());
    }
}
