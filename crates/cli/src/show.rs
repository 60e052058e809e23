//! `ringfence report FILE`: a report for people. A report is somebody else's text: nothing of it reaches the
//! terminal unescaped.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ringfence::policy::{Exceeded, Exit, Guarantee, GuaranteeRow, Problem, SCHEMA, Usage};
use serde::Deserialize;

use crate::messages::escaped;
use crate::values::quoted;
use crate::{endings, errno, human, messages, output, receipt};

/// More than any report; a file that is larger is another file.
const LARGEST: u64 = 64 << 20;

/// The parts of a report that people ask for.
#[derive(Deserialize)]
struct Shown {
    version: String,
    id: String,
    name: Option<String>,
    command: Vec<String>,
    profile: String,
    started_at: String,
    exit: Exit,
    error: Option<Problem>,
    usage: Option<Usage>,
    receipt: Vec<GuaranteeRow>,
    waived: Vec<Guarantee>,
}

/// The one part that says how to read the others.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
    version: String,
}

/// Prints the report in `file`.
pub(crate) fn show(file: &Path) -> u8 {
    match read(file) {
        Ok(report) => output::print(text(&report)),
        Err(problem) => {
            messages::problem(&problem);
            output::FAILED
        }
    }
}

fn read(file: &Path) -> Result<Shown, Problem> {
    let mut json = Vec::new();
    File::open(file).and_then(|open| open.take(LARGEST + 1).read_to_end(&mut json)).map_err(|e| {
        errno::problem("report", &format!("cannot read the report `{}`", file.display()), &e).at(file)
    })?;
    if json.len() as u64 > LARGEST {
        let message = format!("`{}` is larger than 64 MiB, so it is no report", file.display());
        return Err(Problem::request("report", message).at(file));
    }
    parse(&json).map_err(|problem| Problem {
        message: format!("`{}` {}", file.display(), problem.message),
        ..problem
    })
}

fn parse(json: &[u8]) -> Result<Shown, Problem> {
    let wrong = |message: String| Problem::request("report", message);
    let versioned: Versioned = serde_json::from_slice(json).map_err(|e| {
        wrong(format!("is no report: {e}")).remedy("a report is what `ringfence run --report FILE` wrote")
    })?;
    let own = env!("CARGO_PKG_VERSION");
    let newer = format!("it was written by ringfence {}, and this is {own}", versioned.version);
    if versioned.schema != SCHEMA {
        return Err(wrong(format!("has schema {}, and this reads {SCHEMA}", versioned.schema)).remedy(newer));
    }
    serde_json::from_slice(json)
        .map_err(|e| wrong(format!("holds what this does not know: {e}")).remedy(newer))
}

fn text(report: &Shown) -> String {
    let mut lines = Vec::new();
    let mut say = |what: &str, value: String| lines.push(format!("{what:10}{}", escaped(&value)));
    let name = report.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    say("run", format!("{}{name}", report.id));
    say("command", report.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
    if !report.profile.is_empty() {
        say("profile", report.profile.clone());
    }
    say("started", format!("{} by ringfence {}", report.started_at, report.version));
    say("ended", endings::ending(&report.exit));
    if let Some(detail) = &report.exit.detail {
        say("", detail.clone());
    }
    for exceeded in &report.exit.exceeded {
        say("exceeded", limit(exceeded));
    }
    if let Some(problem) = &report.error {
        error(problem, &mut say);
    }
    if let Some(used) = &report.usage {
        usage(used, &mut say);
    }
    if !report.waived.is_empty() {
        say("waived", report.waived.iter().map(|waived| waived.name()).collect::<Vec<_>>().join(", "));
    }
    if !report.receipt.is_empty() {
        lines.push(String::new());
        lines.extend(receipt::table(&report.receipt));
    }
    lines.join("\n") + "\n"
}

fn error(problem: &Problem, say: &mut dyn FnMut(&str, String)) {
    let errno = problem.errno.as_ref().map_or_else(String::new, |errno| format!(" ({errno})"));
    say("error", format!("{}{errno}", problem.message));
    for (what, value) in [("  step", &problem.step), ("  path", &problem.path), ("  remedy", &problem.remedy)]
    {
        if let Some(value) = value {
            say(what, value.clone());
        }
    }
}

fn usage(used: &Usage, say: &mut dyn FnMut(&str, String)) {
    let time = human::microseconds;
    say("time", format!("{}, and {} to set it up", time(used.wall_us), time(used.setup_us)));
    let (user, system) = (time(used.cpu_user_us), time(used.cpu_system_us));
    say("cpu", format!("{} (user {user}, system {system})", time(used.cpu_us)));
    let peak = human::bytes(used.peak_memory_bytes);
    let (largest, source) = (human::bytes(used.max_rss_bytes), &used.memory_source);
    say("memory", format!("{peak} at its peak (by {source}), {largest} in the largest process"));
    if used.oom_killed == Some(true) {
        say("", "something was killed for lack of it".to_owned());
    }
    if let Some(peak) = used.peak_pids {
        say("processes", format!("{peak} at once"));
    }
    if let (Some(read), Some(written)) = (used.read_bytes, used.written_bytes) {
        let by = if used.io_source.is_empty() { String::new() } else { format!(" (by {})", used.io_source) };
        say("storage", format!("{} read, {} written{by}", human::bytes(read), human::bytes(written)));
    }
    let (forced, voluntary) = (used.switches_forced, used.switches_voluntary);
    say("switches", format!("{forced} forced, {voluntary} by waiting"));
    for (what, bytes) in [("stdout", used.stdout_bytes), ("stderr", used.stderr_bytes)] {
        if let Some(bytes) = bytes {
            say(what, human::bytes(bytes));
        }
    }
}

/// A limit in the unit that its flag has.
fn limit(exceeded: &Exceeded) -> String {
    let unit: fn(u64) -> String = match exceeded.limit.as_str() {
        "timeout" | "cpu-time" | "grace" => human::microseconds,
        "nofile" | "pids" | "cpus" => |n| n.to_string(),
        _ => human::bytes,
    };
    format!("--{}: {} allowed, {} used", exceeded.limit, unit(exceeded.allowed), unit(exceeded.used))
}

#[cfg(test)]
mod tests {
    use ringfence::policy::{Policy, Reason, Report, Status};

    use super::*;

    fn report() -> Report {
        let policy = Policy::builtin("default").unwrap();
        let command = vec!["sh".to_owned(), "-c".to_owned(), "\u{1b}]0;owned\u{7}".to_owned()];
        let mut report =
            Report::begin("id-1".to_owned(), command, Some(&policy), "2026-01-01T00:00:00Z".to_owned());
        report.exit.reason = Reason::Timeout;
        report.exit.exceeded.push(Exceeded {
            limit: "timeout".to_owned(),
            allowed: 1_000_000,
            used: 1_003_000,
        });
        report.error = Some(
            Problem::request("code", "it failed".to_owned())
                .errno("EACCES")
                .step("mount")
                .at("/x")
                .remedy("mend it"),
        );
        report.usage =
            Some(Usage { wall_us: 1_500, max_rss_bytes: 2048, stdout_bytes: Some(7), ..Usage::default() });
        report.receipt.push(GuaranteeRow {
            guarantee: Guarantee::Files,
            layers: vec!["landlock".to_owned()],
            status: Status::Enforced,
            by: "verified".to_owned(),
            detail: "d".to_owned(),
        });
        report.waived.push(Guarantee::Ipc);
        report
    }

    #[test]
    fn a_report_is_shown_whole_and_escaped() {
        let json = serde_json::to_vec(&report()).unwrap();
        let text = text(&parse(&json).unwrap_or_else(|problem| panic!("{problem}")));
        for part in [
            "run       id-1\n",
            r"command   sh -c '\u{1b}]0;owned\u{7}'",
            "ended     timeout\n",
            "exceeded  --timeout: 1.00 s allowed, 1.00 s used",
            "error     it failed (EACCES)\n  step    mount\n  path    /x\n  remedy  mend it\n",
            "time      1.5 ms, and 0 us",
            "2.0 KiB in the largest process",
            "stdout    7 B",
            "waived    ipc",
            "files      enforced  landlock  d\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn what_is_no_report_is_said() {
        let said = |json: &[u8]| parse(json).map(|_| ()).unwrap_err().to_string();
        assert!(said(b"{}").contains("is no report"));
        assert!(said(b"not json").contains("is no report"));
        assert!(
            said(br#"{"schema": 2, "version": "9.0"}"#)
                .contains("schema 2, and this reads 1; it was written by")
        );
        assert!(said(br#"{"schema": 1, "version": "9.0"}"#).contains("does not know"));
        assert_eq!(show(Path::new("/no/such/report")), 1);
        assert_eq!(show(Path::new("/dev/zero")), 1);
    }
}
