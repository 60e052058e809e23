//! Positive controls: in plain programs, where the effect can be seen, an injected failure really happens.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::campaign::tracing_works;
use crate::inject::{Fault, Injection};
use crate::place::Place;
use crate::tracer::{self, Action, Call, Role, Traced, Watch};

/// Does one thing to the first call of one kind, and keeps the lengths of all of them.
struct Once {
    number: i64,
    /// Its first argument, where that matters.
    argument: Option<u64>,
    action: Option<Action>,
    lengths: Vec<u64>,
}

impl Watch for Once {
    fn looks_at(&self, _: Role) -> bool {
        true
    }

    fn call(&mut self, _: Role, call: Call) -> Action {
        if call.number != self.number || self.argument.is_some_and(|wanted| call.arguments[0] != wanted) {
            return Action::Make;
        }
        self.lengths.push(call.arguments[2]);
        self.action.take().unwrap_or(Action::Make)
    }
}

/// Runs a line of shell, and does something to its first call of a number, with an argument.
fn shell(line: &str, (number, argument): (i64, Option<u64>), action: Action) -> (Traced, String, Vec<u64>) {
    let mut output = tempfile::tempfile().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null()).stderr(Stdio::null()).stdout(output.try_clone().unwrap());
    let mut once = Once { number, argument, action: Some(action), lengths: Vec::new() };
    let traced = tracer::run(&mut command, &mut once, Duration::from_secs(10)).unwrap();
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    (traced, text.trim().to_owned(), once.lengths)
}

#[test]
fn a_call_that_lies_is_not_made() {
    if !tracing_works() {
        return;
    }
    let (line, call) = ("umask 0033; umask", (libc::SYS_umask, Some(0o33)));
    assert_eq!(shell(line, call, Action::Make).1, "0033", "control: without a lie it works");
    let (traced, text, _) = shell(line, call, Action::Answer(0));
    assert_eq!(traced.status, 0, "the shell believes it");
    assert_ne!(text, "0033", "and yet nothing was set");
}

#[test]
fn an_error_reaches_the_program() {
    if !tracing_works() {
        return;
    }
    let call = (libc::SYS_chdir, None);
    assert_eq!(shell("cd /", call, Action::Make).0.status, 0, "control: without an error it works");
    assert_ne!(shell("cd /", call, Action::Answer(-i64::from(libc::EACCES))).0.status, 0);
}

#[test]
fn a_short_count_is_short() {
    if !tracing_works() {
        return;
    }
    let (_, text, lengths) = shell("echo abcd", (libc::SYS_write, None), Action::Shorten(1));
    assert_eq!(text, "abcd", "the shell writes the rest");
    assert_eq!(lengths, [5, 4], "after one byte four are left");
}

#[test]
fn a_kill_kills_and_nothing_is_left() {
    if !tracing_works() {
        return;
    }
    let (traced, text, _) = shell("sleep 60 & umask 0; echo x", (libc::SYS_umask, None), Action::Kill);
    assert_eq!((traced.status, text.as_str()), (128 + libc::SIGKILL, ""));
    // The control for the verdict's own look at what is alive: what a shell leaves behind is seen.
    assert_eq!(traced.survivors, [Role::Program]);
}

/// In the sandbox itself: the lie is told, and it is the read-back that finds it.
#[test]
fn a_lie_about_no_new_privs_is_found_by_reading_back() {
    if !tracing_works() {
        return;
    }
    let place = Place::plain();
    let (_, recorder) = place.record();
    let shown = format!("prctl({}, 1)", libc::PR_SET_NO_NEW_PRIVS);
    let calls = &recorder.calls[&Role::Init];
    let index = calls.iter().position(|call| call.shown == shown).unwrap();
    let call = calls[index].clone();
    let injection = Injection { role: Role::Init, index, call, every: false, fault: Fault::FalseSuccess };
    let (seen, hit) = place.inject(0, &injection).unwrap();
    assert!(hit);
    assert_eq!((seen.status, seen.stdout.as_str()), (125, ""), "{seen:#?}");
    assert!(seen.stderr.contains("no_new_privs is not set"), "{seen:#?}");
}
