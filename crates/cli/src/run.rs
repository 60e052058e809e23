//! `ringfence run`: one command in a fresh sandbox. stdout is the program's; what we say goes to stderr.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

use ringfence::policy::{Happened, Policy, Problem, Reason, Report};
use ringfence::{Command, Registry, Sandbox};

use crate::arguments::RunArguments;
use crate::events::Events;
use crate::kept_away::{Place, kept_away};
use crate::refusal::{self, Asked};
use crate::{endings, explain, human, messages, plan, policy, receipt};

/// Runs it, and gives the exit status of `CONTRACT.md`.
pub(crate) fn run(arguments: RunArguments) -> u8 {
    let RunArguments {
        policy: flags,
        name,
        report,
        events,
        explain,
        pass_fd,
        end_with_stdin,
        verbose,
        command: words,
    } = arguments;
    // Before anything of ours is open: it could stand under a number that is not.
    let passed = ringfence::take_inherited(&pass_fd);
    let asked = || Asked { report: None, name: name.as_deref(), command: &words, policy: None };
    // First, so that every refusal has its report.
    let destination = match report.map(|target| target.open()).transpose() {
        Ok(destination) => destination,
        Err(problem) => return refusal::of_run(&problem, asked()),
    };
    let mut notes = Vec::new();
    let policy = match policy::from_flags(flags, &mut notes) {
        Ok(policy) => policy,
        Err(problem) => return refusal::of_run(&problem, Asked { report: destination, ..asked() }),
    };
    let asked = || Asked { policy: Some(&policy), ..asked() };
    let mut command = command(&policy, &words, name.as_deref());
    let opened = events.map(|target| Events::open(&target)).transpose();
    let (passed, events) = match passed.and_then(|passed| Ok((passed, opened?))) {
        Ok(opened) => opened,
        Err(problem) => return refusal::of_run(&problem, Asked { report: destination, ..asked() }),
    };
    for (number, file) in passed {
        command.pass_fd(number, file);
    }
    command.end_with_stdin(end_with_stdin).explain(explain);
    // Whoever is told the steps is told those of the rung that they are taken on.
    let planned = |command: &Command| if verbose { command.plan_here() } else { command.plan() };
    let plan = match register(&mut command, name.is_some()).and_then(|()| planned(&command)) {
        Ok(plan) => plan,
        Err(problem) => return refusal::of_run(&problem, Asked { report: destination, ..asked() }),
    };
    // Nothing is written into a folder that the program was to have.
    if let Some(Err(problem)) = destination.as_ref().map(|destination| destination.check(&plan)) {
        return refusal::of_run(&problem, asked());
    }
    if let Some(Err(problem)) = events.as_ref().map(|events| events.check(&plan)) {
        return refusal::of_run(&problem, Asked { report: destination, ..asked() });
    }
    watch(&mut command, events);
    if verbose {
        notes.iter().for_each(|note| messages::say(note));
        plan::steps(&plan).iter().for_each(|step| messages::say(step));
    }
    plan.notes().iter().for_each(|note| messages::say(note));
    let report = command.run_in_foreground(plan);
    let written = destination.map_or(Ok(()), |destination| destination.write(&report));
    say_ending(&report, &policy, verbose, explain);
    let status = finish(&report, written);
    // The process ends with this: its memory goes at once, not piece by piece.
    std::mem::forget((report, policy, command, notes));
    status
}

/// What is told while it runs: lines of `--events`, and to a person that a slow start is one.
fn watch(command: &mut Command, mut events: Option<Events>) {
    let person = std::io::stderr().is_terminal();
    if events.is_none() && !person {
        return;
    }
    command.on_event(move |event| {
        if let Some(events) = &mut events {
            events.write(event);
        }
        if person && event.what == Happened::StillStarting {
            messages::say("the sandbox is still being set up after a second; --verbose says the steps");
        }
    });
}

/// Enters the run into the registry, which the program must not reach. A run without a name goes on without one:
/// it cannot be listed, and that is said.
fn register(command: &mut Command, named: bool) -> Result<(), Problem> {
    match Registry::open() {
        Ok(registry) => {
            command.register(&registry);
            Ok(())
        }
        Err(problem) if named => Err(problem),
        Err(problem) => {
            messages::say(&format!("`ringfence ps` and `kill` will not know this run: {problem}"));
            Ok(())
        }
    }
}

/// The parser lets no line without a program through; an empty word is what the library calls not found.
fn command(policy: &Policy, words: &[OsString], name: Option<&str>) -> Command {
    let (program, rest) =
        words.split_first().map_or((OsStr::new(""), &[][..]), |(first, rest)| (first, rest));
    let mut command = Sandbox::new(policy.clone()).command(program);
    command.args(rest);
    if let Some(name) = name {
        command.name(name);
    }
    command
}

fn say_ending(report: &Report, policy: &Policy, verbose: bool, explained: bool) {
    if let Some(problem) = &report.error {
        messages::problem(problem);
    }
    if verbose {
        receipt::table(&report.receipt).iter().for_each(|line| messages::say(line));
        if let Some(used) = &report.usage {
            let [setup, wall, cpu] = [used.setup_us, used.wall_us, used.cpu_us].map(human::microseconds);
            messages::say(&format!("set up in {setup}, ran for {wall}, used {cpu} of processor time"));
        }
    }
    let place = std::io::stderr().is_terminal().then(Place::of_caller).flatten();
    if explained {
        explain::lines(report, policy).iter().for_each(|line| messages::say(line));
    } else if let Some(line) = last_line(report, policy, place.as_ref()) {
        messages::say(&line);
    }
}

/// A run whose report is missing must not look like one that has it: a script would read an older one.
fn finish(report: &Report, written: Result<(), Problem>) -> u8 {
    match written {
        Ok(()) => report.exit.status(),
        Err(problem) => {
            messages::problem(&problem);
            problem_status(&problem)
        }
    }
}

fn problem_status(problem: &Problem) -> u8 {
    let mut report = Report::begin(String::new(), Vec::new(), None, String::new());
    report.exit.reason = problem.reason;
    report.exit.status()
}

/// The free line after a failure: how it ended and, where a person reads it, what the policy kept away.
///
/// A limit that ended it is said to logs too: it may be the profile's, and nothing else would tell.
fn last_line(report: &Report, policy: &Policy, place: Option<&Place>) -> Option<String> {
    let limited =
        matches!(report.exit.reason, Reason::Timeout | Reason::CpuTime | Reason::Memory | Reason::Output);
    let ran = limited
        || matches!(
            report.exit.reason,
            Reason::Exited | Reason::Signalled | Reason::Violation | Reason::Killed
        );
    if !ran || report.exit.status() == 0 {
        return None;
    }
    let ending = endings::ending_under(&report.exit, policy);
    let denials = place.map(|place| kept_away(policy, place)).unwrap_or_default();
    match (place, denials.is_empty()) {
        (None, _) => limited.then_some(ending),
        (Some(_), true) => Some(ending),
        (Some(_), false) => Some(format!("{ending}; {}; --explain says which", denials.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reason: Reason, code: Option<i32>) -> Report {
        let mut report = Report::begin("i".to_owned(), Vec::new(), None, String::new());
        report.exit.reason = reason;
        report.exit.code = code;
        report
    }

    #[test]
    fn the_last_line_is_for_failures_and_for_people() {
        let policy = Policy::builtin("python-safe").unwrap();
        let place = Place { here: "/srv/x".into(), home: None };
        let line = |reason, code, place| last_line(&report(reason, code), &policy, place);
        let kept = "folder read-only (--rw .), network off (--net host); --explain says which";
        assert_eq!(line(Reason::Exited, Some(1), Some(&place)), Some(format!("exit 1; {kept}")));
        assert_eq!(line(Reason::Exited, Some(0), Some(&place)), None);
        assert_eq!(line(Reason::Exited, Some(1), None), None);
        assert_eq!(line(Reason::NotFound, None, Some(&place)), None);
        assert_eq!(line(Reason::Setup, None, Some(&place)), None);
        let late = "timeout after 300s (--timeout)";
        assert_eq!(line(Reason::Timeout, Some(0), None), Some(late.to_owned()));
        assert_eq!(line(Reason::Timeout, None, Some(&place)), Some(format!("{late}; {kept}")));
    }

    #[test]
    fn a_report_that_could_not_be_written_is_a_failure() {
        let report = report(Reason::Exited, Some(0));
        assert_eq!(finish(&report, Ok(())), 0);
        assert_eq!(finish(&report, Err(Problem::request("report", "full".to_owned()))), 125);
    }

    #[test]
    fn a_report_without_a_place_starts_nothing() {
        use clap::Parser;
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let lines = [
            format!(
                "ringfence run --report {0}/none/r --rw {0} -- touch {1}",
                folder.path().display(),
                made.display()
            ),
            format!(
                "ringfence run --report fd:77777 --rw {} -- touch {}",
                folder.path().display(),
                made.display()
            ),
        ];
        for line in lines {
            let arguments = crate::arguments::Arguments::try_parse_from(line.split(' ')).unwrap();
            let crate::arguments::Task::Run(arguments) = arguments.task else { panic!() };
            assert_eq!(run(*arguments), 125);
            assert!(!made.exists(), "{line}");
        }
    }
}
