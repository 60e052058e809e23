//! What a run with a failure in it must look like: the program never ran, and somebody said why; or it ran in
//! exactly the sandbox that it has without the failure.

use std::time::Duration;

use serde_json::Value;

use crate::allowed::{self, Allowed};
use crate::calls;
use crate::inject::{Fault, Injection};
use crate::tracer::Role;

/// A run takes less, whatever fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// What was seen of a run.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) report: Option<Value>,
    pub(crate) time: Duration,
    /// What was alive when it had ended, or had to be.
    pub(crate) survivors: Vec<Role>,
    /// Files and mounts that it left.
    pub(crate) left: Vec<String>,
}

impl Seen {
    /// A field of the report's error.
    fn error(&self, name: &str) -> Option<&Value> {
        self.report.as_ref().map(|report| &report["error"][name])
    }
}

/// How a run may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The program did not run.
    Refused,
    /// It ran as it does without a failure.
    Ran,
    /// It ran so, and was ended because nobody could say how it went.
    Cut,
    /// Its owner was killed, and everything with it.
    Gone,
}

/// A run without a failure.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) fingerprint: Fingerprint,
    /// What the program sees outside: namespaces and the keyring of the host.
    pub(crate) host: Vec<String>,
}

/// Judges a run with a failure in it. `None` for the failure: it was not reached, so nothing may be different.
pub(crate) fn judge(
    reference: &Reference,
    injection: Option<&Injection>,
    seen: &Seen,
) -> Result<Ended, String> {
    if !seen.survivors.is_empty() {
        return Err(format!("alive at its end: {:?}", seen.survivors));
    }
    if seen.time >= LIMIT {
        return Err(format!("it took {:?}", seen.time));
    }
    let owner_killed = injection.is_some_and(|i| i.fault == Fault::Kill && i.role == Role::Supervisor);
    if owner_killed {
        return gone(reference, seen);
    }
    if !seen.left.is_empty() {
        return Err(format!("left behind: {:?}", seen.left));
    }
    match injection {
        // What comes late comes all the same.
        Some(injection) if matches!(injection.fault, Fault::Delay | Fault::Stop) => {
            match ran(reference, Some(injection), seen)? {
                Ended::Ran => Ok(Ended::Ran),
                other => Err(format!("a delay ended it: {other:?}")),
            }
        }
        Some(injection) if seen.stdout.is_empty() => refused(injection, seen).map(|()| Ended::Refused),
        _ => ran(reference, injection, seen),
    }
}

/// Judges a run with two failures in it: what it says need not name both, all else holds.
pub(crate) fn judge_both(reference: &Reference, both: [&Injection; 2], seen: &Seen) -> Result<Ended, String> {
    if !seen.survivors.is_empty() {
        return Err(format!("alive at its end: {:?}", seen.survivors));
    }
    // Each of two may cost its own second of patience.
    if seen.time >= 2 * LIMIT {
        return Err(format!("it took {:?}", seen.time));
    }
    let owner = |injection: &&Injection| injection.fault == Fault::Kill && injection.role == Role::Supervisor;
    if seen.status == 128 + libc::SIGKILL && both.iter().any(owner) {
        return gone(reference, seen);
    }
    let every = both.iter().any(|injection| injection.role == Role::Supervisor);
    if !every && !seen.left.is_empty() {
        return Err(format!("left behind: {:?}", seen.left));
    }
    if !seen.stdout.is_empty() {
        return both
            .iter()
            .map(|injection| ran(reference, Some(injection), seen))
            .find(Result::is_ok)
            .unwrap_or_else(|| ran(reference, Some(both[0]), seen));
    }
    match seen.status {
        125..=127 if seen.stderr.contains("ringfence: ") => Ok(Ended::Refused),
        status => Err(format!("status {status}, and it said: {}", seen.stderr)),
    }
}

/// The owner was killed: whatever ran was whole, and has ended. Its unfinished report stays, because nobody is
/// left who could take it away.
fn gone(reference: &Reference, seen: &Seen) -> Result<Ended, String> {
    if seen.status != 128 + libc::SIGKILL {
        return Err(format!("status {} of a killed owner", seen.status));
    }
    if seen.left.iter().any(|left| !left.contains("/.report.json.")) {
        return Err(format!("left behind: {:?}", seen.left));
    }
    same(reference, None, seen).map(|()| Ended::Gone)
}

fn refused(injection: &Injection, seen: &Seen) -> Result<(), String> {
    let error = |name: &str| seen.error(name).and_then(Value::as_str);
    let allowed = allowed::after(injection).map(|(allowed, _)| allowed);
    let made_to = injection.role == Role::Target && injection.call.number == libc::SYS_execve;
    // The exec itself failed because a lie kept something from the sandbox that it needs.
    let lied = !matches!(injection.fault, Fault::Errno(_));
    let lacks = error("code") == Some("exec") && lied;
    if seen.status != 125 && !((made_to || lacks) && [126, 127].contains(&seen.status)) {
        return Err(format!("status {}", seen.status));
    }
    if !seen.stderr.lines().any(|line| line.starts_with("ringfence: ")) {
        return Err("no message".to_owned());
    }
    if seen.report.is_none() && allowed == Some(Allowed::NoReport) {
        return Ok(());
    }
    if error("message").is_none_or(str::is_empty) {
        return Err("no error in the report".to_owned());
    }
    match injection.fault {
        Fault::Errno(number) if !lacks && allowed != Some(Allowed::Consequence) => {
            names(injection, seen, calls::errno_name(number))
        }
        _ => Ok(()),
    }
}

/// Message and report name the error that was injected, and the step that it failed.
fn names(injection: &Injection, seen: &Seen, errno: &str) -> Result<(), String> {
    let error = |name: &str| seen.error(name).and_then(Value::as_str);
    // A read-back that found what the failure led to says what it found.
    if error("code") == Some("verify") {
        let step = error("step").filter(|step| !step.is_empty());
        return step.map(drop).ok_or_else(|| "the report does not name the step".to_owned());
    }
    if !seen.stderr.contains(errno) {
        return Err(format!("the message does not name {errno}"));
    }
    if error("errno") != Some(errno) {
        return Err(format!("the report does not name {errno}"));
    }
    if injection.role != Role::Supervisor && error("step").is_none_or(str::is_empty) {
        return Err("the report does not name the step".to_owned());
    }
    Ok(())
}

fn ran(reference: &Reference, injection: Option<&Injection>, seen: &Seen) -> Result<Ended, String> {
    let failed = seen.report.as_ref().is_some_and(|report| !report["error"].is_null());
    let ended = match (seen.status, failed) {
        (0, false) => Ended::Ran,
        (125, true) => Ended::Cut,
        (status, _) => return Err(format!("it ran, with status {status}")),
    };
    same(reference, injection, seen)?;
    let receipt = seen.report.as_ref().and_then(|report| report["receipt"].as_array());
    if ended == Ended::Ran && receipt.is_none_or(Vec::is_empty) {
        return Err("it ran, and nobody knows in what: there is no receipt".to_owned());
    }
    Ok(ended)
}

/// Did the program see what it sees without a failure? Of a program that was cut off, as far as it came.
fn same(reference: &Reference, injection: Option<&Injection>, seen: &Seen) -> Result<(), String> {
    // A kill may come in the middle of a line.
    let whole = seen.stdout.rfind('\n').map_or("", |end| &seen.stdout[..end]);
    let found = Fingerprint::of(whole, &reference.host);
    let allowed = injection.and_then(allowed::after).map(|(allowed, _)| allowed);
    let (mut missing, mut other) =
        (reference.fingerprint.without(&found), found.without(&reference.fingerprint));
    missing.retain(|line| !allowed.is_some_and(|allowed| allowed.may_differ(line)));
    other.retain(|line| !allowed.is_some_and(|allowed| allowed.may_differ(line)));
    if other.is_empty() && (missing.is_empty() || seen.status != 0) {
        Ok(())
    } else {
        Err(format!("it ran with another fingerprint: lacks {missing:?}, has {other:?}"))
    }
}

/// What the program said of itself, without what differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<String>);

impl Fingerprint {
    /// From the program's output; `host` are the lines that it says outside.
    pub(crate) fn of(text: &str, host: &[String]) -> Self {
        let mut lines: Vec<_> = text.lines().map(|line| plain(line, host)).collect();
        // The kernel lists mounts in its own order.
        lines.sort();
        Self(lines)
    }

    /// The lines that another does not have, each as often as it lacks it.
    fn without(&self, other: &Self) -> Vec<String> {
        let mut rest = other.0.clone();
        let mut missing = Vec::new();
        for line in &self.0 {
            match rest.iter().position(|known| known == line) {
                Some(at) => drop(rest.swap_remove(at)),
                None => missing.push(line.clone()),
            }
        }
        missing
    }
}

/// Numbers of namespaces and keyrings are new each time: what counts is that they are not the host's.
fn plain(line: &str, host: &[String]) -> String {
    let numbered = ["namespace ", "keyring "].iter().any(|name| line.starts_with(name));
    let end = line.find([':', ' ']).unwrap_or(0);
    match numbered {
        true if host.iter().any(|known| known == line) => format!("{line}: the host's"),
        true if line.starts_with("namespace") => line.split('[').next().unwrap_or(line).to_owned(),
        true if line.ends_with("-1") => line.to_owned(),
        true => line[..end].to_owned(),
        false => line.to_owned(),
    }
}
