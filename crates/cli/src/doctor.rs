//! `ringfence doctor`: what this host can enforce, as a table for people or as JSON for scripts.

use ringfence::doctor::{Diagnosis, examine};
use ringfence::policy::{Guarantee, GuaranteeRow, Status};
use ringfence::{Found, Mechanism};

use crate::messages::escaped;
use crate::output;

/// Tries everything and prints it. This program itself, saying its version, is what runs in the last trial's sandbox.
pub(crate) fn doctor(json: bool) -> u8 {
    let program = std::env::current_exe().unwrap_or_else(|_| "/bin/true".into());
    let diagnosis = examine(&[program.into_os_string(), "--version".into()]);
    let text = if json {
        serde_json::to_string_pretty(&diagnosis).unwrap_or_default() + "\n"
    } else {
        lines(&diagnosis).iter().map(|line| format!("{}\n", escaped(line))).collect()
    };
    match output::print(text) {
        0 if diagnosis.full => 0,
        0 => output::FAILED,
        failed => failed,
    }
}

/// The headline, the mechanisms that the full set-up needs, those beside it, and the sandbox.
fn lines(diagnosis: &Diagnosis) -> Vec<String> {
    let rung = match (diagnosis.rung, diagnosis.full) {
        (Some(rung), true) => format!("the {rung} rung: everything is there"),
        (Some(rung), false) if diagnosis.waivers.is_empty() => {
            format!("the {rung} rung, with something missing")
        }
        (Some(rung), false) => {
            let waivers = diagnosis.waivers.iter().map(|waived| format!(" --allow-degraded={waived}"));
            format!("the {rung} rung, with{}", waivers.collect::<String>())
        }
        (None, _) => "no sandbox can be started".to_owned(),
    };
    let mut lines = vec![format!("Linux {}, user {}: {rung}", diagnosis.kernel, diagnosis.user)];
    for (needed, heading) in [(true, "needed"), (false, "beside it")] {
        lines.extend([String::new(), heading.to_owned()]);
        let rows: Vec<_> = diagnosis.mechanisms.iter().filter(|row| row.needed == needed).collect();
        let width = diagnosis.mechanisms.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for (index, row) in rows.iter().enumerate() {
            // What mends several of them is said once, below the last.
            let again =
                rows.get(index + 1).is_some_and(|next| row.remedy.is_some() && next.remedy == row.remedy);
            mechanism(&mut lines, row, width, !again);
        }
    }
    lines.extend([String::new(), "a real sandbox, under the profile `default`".to_owned()]);
    match &diagnosis.sandbox.error {
        Some(problem) => lines.push(format!("  does not run: {problem}")),
        None => {
            lines.push("  runs".to_owned());
            lines.extend(held(&diagnosis.sandbox.receipt));
        }
    }
    lines
}

fn mechanism(lines: &mut Vec<String>, row: &Mechanism, width: usize, with_remedy: bool) {
    let found = match row.found {
        Found::Works => "yes",
        Found::Missing => "NO",
        Found::NotTried => "not tried",
    };
    let answer = [row.call.clone(), row.errno.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let answer = if answer.is_empty() { answer } else { format!(" ({answer})") };
    let what = row.detail.clone().or_else(|| row.why.clone()).unwrap_or_default();
    let line = format!("  {:width$}  {found:9}  {what}{answer}", row.name);
    lines.push(line.trim_end().to_owned());
    let more = |lines: &mut Vec<String>, what: &str, text: &str| {
        lines.push(format!("  {:width$}  {:9}  {what}: {text}", "", ""));
    };
    if row.found == Found::Missing && !row.lost.is_empty() {
        more(lines, "concerns", &names(row.lost.iter().copied()));
    }
    if let Some(remedy) = row.remedy.as_ref().filter(|_| with_remedy) {
        more(lines, "remedy", remedy);
    }
}

fn held(receipt: &[GuaranteeRow]) -> Vec<String> {
    let of =
        |status: Status| names(receipt.iter().filter(|row| row.status == status).map(|row| row.guarantee));
    [("enforced", Status::Enforced), ("partial", Status::Partial), ("waived", Status::Waived)]
        .into_iter()
        .map(|(word, status)| (word, of(status)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(word, names)| format!("  {word}: {names}"))
        .collect()
}

fn names(guarantees: impl Iterator<Item = Guarantee>) -> String {
    guarantees.map(Guarantee::name).collect::<Vec<_>>().join(", ")
}
