//! `--explain`: the few lines that a person needs after a run.

use ringfence::policy::{Denial, DenialKind, Policy, Reason, Report};

use crate::endings;

/// How many refusals are said: the report lists more.
const MOST: usize = 8;

/// Whatever is less likely than this is not said of a program that failed, while something likelier is there.
const LIKELY: i32 = 100;

/// How the run ended, and what was refused: the likeliest cause first, each with what would allow it.
pub(crate) fn lines(report: &Report, policy: &Policy) -> Vec<String> {
    let ran = report.usage.is_some() || report.exit.reason == Reason::Violation;
    if !ran {
        return Vec::new();
    }
    let ending = endings::ending_under(&report.exit, policy);
    let Some(denials) = &report.violations else {
        let why = "nothing was collected, because the filter of system calls is waived (kernel-surface)";
        return vec![format!("{ending}; {why}")];
    };
    let likely = denials.iter().filter(|denial| denial.weight >= LIKELY).count();
    // What a program only looked for is told when there is nothing else to tell, and it failed.
    let failed = report.exit.status() != 0;
    let told = if likely > 0 || !failed { likely } else { denials.len() };
    if told == 0 {
        return vec![format!("{ending}; nothing that matters was refused")];
    }
    let mut lines = vec![format!("{ending}; refused, the likeliest cause first:")];
    lines.extend(denials.iter().take(told.min(MOST)).map(line));
    if told > MOST {
        lines.push(format!("  and {} more: `violations` of --report FILE lists them", told - MOST));
    }
    lines
}

fn line(denial: &Denial) -> String {
    let answer = denial.answer.as_ref().map(|answer| format!(" ({answer})")).unwrap_or_default();
    let times = if denial.count > 1 { format!(", {} times", denial.count) } else { String::new() };
    let change = match &denial.allow_with {
        Some(flag) if flag.starts_with("--") => format!("allow it with {flag}"),
        Some(line) => format!("allow it with this in a profile: {line}"),
        None if denial.kind == DenialKind::Syscall => "no policy allows it".to_owned(),
        None if denial.answer.as_deref() == Some("EACCES") => "a denial stays".to_owned(),
        None => "no flag allows it".to_owned(),
    };
    format!("  {}{answer}{times}; {change}", denial.what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfence::policy::Usage;

    fn report(code: i32, denials: Vec<Denial>) -> Report {
        let mut report = Report::begin("i".to_owned(), Vec::new(), None, String::new());
        (report.exit.reason, report.exit.code) = (Reason::Exited, Some(code));
        (report.usage, report.violations) = (Some(Usage::default()), Some(denials));
        report
    }

    fn said(code: i32, denials: &[(&str, i32, Option<&str>)]) -> Vec<String> {
        let denial = |(what, weight, flag): &(&str, i32, Option<&str>)| Denial {
            allow_with: flag.map(str::to_owned),
            ..Denial::new(DenialKind::File, (*what).to_owned(), *weight)
        };
        lines(&report(code, denials.iter().map(denial).collect()), &Policy::builtin("default").unwrap())
    }

    #[test]
    fn a_refusal_is_one_line_with_its_change() {
        let lines =
            said(1, &[("read /x: not shown", 400, Some("--ro /x")), ("look /y: not shown", 10, None)]);
        assert_eq!(lines[0], "exit 1; refused, the likeliest cause first:");
        assert_eq!(lines[1], "  read /x: not shown; allow it with --ro /x");
        assert_eq!(lines.len(), 2, "what was only looked for is left out");
        let many = said(1, &[("a", 400, None), ("b", 400, None), ("c", 400, None)].repeat(3));
        assert_eq!(many[9], "  and 1 more: `violations` of --report FILE lists them");
    }

    #[test]
    fn what_was_only_looked_for_is_told_when_there_is_nothing_else() {
        let look = [("look /y: not shown", 10, Some("--ro /y"))];
        assert_eq!(said(0, &look), ["exit 0; nothing that matters was refused"]);
        assert_eq!(said(2, &look)[1], "  look /y: not shown; allow it with --ro /y");
        assert_eq!(said(2, &[]), ["exit 2; nothing that matters was refused"]);
    }
}
