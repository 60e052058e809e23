//! A request that ends before anything was started: it is said, it has a report where one was asked for, and it
//! has an exit status.

use std::ffi::OsString;

use ringfence::policy::{Policy, Problem};
use ringfence::report_of_refusal;

use crate::report_file::{Destination, Target};
use crate::scan::{Scan, scan};
use crate::{messages, usage};

/// What is known of a run that was not started.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    pub(crate) report: Option<Destination>,
    pub(crate) name: Option<&'a str>,
    pub(crate) command: &'a [OsString],
    pub(crate) policy: Option<&'a Policy>,
}

/// Ends a line that the parser did not take.
pub(crate) fn of_words(words: &[OsString], problem: &Problem) -> u8 {
    if words.first().is_none_or(|task| task != "run") {
        messages::problem(problem);
        return usage::STATUS;
    }
    messages::problem(problem);
    let scan = scan(words);
    let command = scan.as_ref().map_or(&[][..], |scan| scan.command);
    let report = match scan.as_ref().and_then(report).map(|target| target.open()).transpose() {
        Ok(report) => report,
        Err(problem) => {
            messages::problem(&problem);
            None
        }
    };
    finish(problem, Asked { report, command, ..Asked::default() })
}

/// The one `--report` of the line; two are a contradiction, and no reason to write to either.
fn report(scan: &Scan<'_>) -> Option<Target> {
    let mut all = scan.flags.iter().filter(|flag| flag.name == "--report");
    let first = all.next().filter(|_| all.next().is_none())?;
    Target::parse(first.values.first()?.clone()).ok()
}

/// Ends a run that was not started.
pub(crate) fn of_run(problem: &Problem, asked: Asked<'_>) -> u8 {
    messages::problem(problem);
    finish(problem, asked)
}

fn finish(problem: &Problem, asked: Asked<'_>) -> u8 {
    let mut report = report_of_refusal(asked.command, asked.policy, problem);
    report.name = asked.name.map(str::to_owned);
    if let Some(Err(problem)) = asked.report.map(|destination| destination.write(&report)) {
        messages::problem(&problem);
    }
    report.exit.status()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn report_of(line: &str) -> Option<Target> {
        report(&scan(&words(line)).unwrap())
    }

    #[test]
    fn the_report_is_found_in_a_line_that_is_wrong() {
        let file = |name: &str| Some(Target::File(Path::new(name).into()));
        assert_eq!(report_of("run --report a --net bridge ls"), file("a"));
        assert_eq!(report_of("run -v /a:/b --report=a ls"), file("a"));
        assert_eq!(report_of("run --bogus --report fd:9 -- ls"), Some(Target::Fd(9)));
        for line in
            ["run ls --report a", "run --bogus x --report a", "run --report a --report b ls", "run --report"]
        {
            assert_eq!(report_of(line), None, "{line}");
        }
    }

    #[test]
    fn a_wrong_run_is_125_and_has_its_report_and_another_command_is_2() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let problem = Problem::request("usage", "wrong".to_owned()).remedy("right");
        let words = words(&format!("run --report {} --net bridge -- ls -l", path.display()));
        assert_eq!(of_words(&words, &problem), 125);
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(report["exit"]["reason"], "setup");
        assert_eq!(report["error"]["message"], "wrong");
        assert_eq!(report["error"]["remedy"], "right");
        assert_eq!(report["command"], serde_json::json!(["ls", "-l"]));
        for task in ["plan", "report", "profile", "python3"] {
            assert_eq!(of_words(&[task.into(), "x".into()], &problem), 2);
        }
    }
}
