//! Reads the flags of a `run` or `plan` line without judging them: what another tool's habit was meant, and
//! where the report of a request goes that is too wrong for the parser.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::habits::{self, Habit};

/// The parts of a line.
pub(crate) struct Scan<'a> {
    pub(crate) flags: Vec<Seen<'a>>,
    /// The program and its arguments; empty where a flag that nobody knows hides where they begin.
    pub(crate) command: &'a [OsString],
}

/// One flag, as far as it was read.
pub(crate) struct Seen<'a> {
    /// `--name` or `-n`, without a value.
    pub(crate) name: String,
    pub(crate) values: Vec<OsString>,
    pub(crate) habit: Option<&'static Habit>,
    /// The word after it all.
    pub(crate) next: Option<&'a OsStr>,
}

/// The flags of a line whose first word is `run` or `plan`; `None` for other lines.
pub(crate) fn scan(words: &[OsString]) -> Option<Scan<'_>> {
    let task = words.first()?.to_str().filter(|task| matches!(*task, "run" | "plan"))?;
    let ours = Arguments::command();
    let ours = ours.find_subcommand(task)?;
    let mut scan = Scan { flags: Vec::new(), command: &[] };
    let mut rest = &words[1..];
    while let [word, tail @ ..] = rest {
        let text = word.to_string_lossy();
        if text == "--" {
            scan.command = tail;
            break;
        }
        if text == "-" || !text.starts_with('-') {
            // After an unknown flag this may be its value as well as the program. A guess could show a secret
            // in the report, or take the program's `--report` for ours.
            let guess =
                scan.flags.last().is_some_and(|last| last.habit.is_none() && !known(ours, &last.name));
            scan.command = if guess { &[] } else { rest };
            break;
        }
        let (name, joined) = split(&text, word);
        let habit =
            if known(ours, name) { None } else { habits::named_as(&text).or_else(|| habits::named_as(name)) };
        let takes = habit.map_or_else(|| usize::from(takes_value(ours, name)), |habit| habit.takes.len());
        let mut values: Vec<OsString> = joined.filter(|_| takes > 0).into_iter().collect();
        rest = tail;
        while let [value, tail @ ..] = rest
            && values.len() < takes
            && value != "--"
        {
            values.push(value.clone());
            rest = tail;
        }
        scan.flags.push(Seen {
            name: name.to_owned(),
            values,
            habit,
            next: rest.first().map(OsString::as_os_str),
        });
    }
    Some(scan)
}

/// `--name=value`, `-nvalue` and `-n=value` into name and value; a value that is not UTF-8 is left out.
fn split<'t>(text: &'t str, word: &OsStr) -> (&'t str, Option<OsString>) {
    let (name, value) = if text.starts_with("--") {
        text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
    } else {
        let end = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
        let value = &text[end..];
        (&text[..end], (!value.is_empty()).then(|| value.strip_prefix('=').unwrap_or(value)))
    };
    (name, value.filter(|_| word.to_str().is_some()).map(OsString::from))
}

fn argument<'c>(ours: &'c clap::Command, name: &str) -> Option<&'c clap::Arg> {
    ours.get_arguments().find(|argument| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => name.chars().nth(1).is_some_and(|short| argument.get_short() == Some(short)),
    })
}

/// Is it one of ours? The parser adds help and version only when it runs.
fn known(ours: &clap::Command, name: &str) -> bool {
    matches!(name, "-h" | "--help") || argument(ours, name).is_some()
}

fn takes_value(ours: &clap::Command, name: &str) -> bool {
    argument(ours, name).is_some_and(|argument| argument.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn shape(line: &str) -> (Vec<(String, Vec<OsString>)>, Vec<OsString>) {
        let words = words(line);
        let scan = scan(&words).unwrap();
        (scan.flags.into_iter().map(|flag| (flag.name, flag.values)).collect(), scan.command.to_vec())
    }

    #[test]
    fn flags_have_their_values_and_the_command_is_the_rest() {
        let (flags, command) = shape("run --report=a -p build --verbose --rw . ls --report b");
        let expected = [("--report", "a"), ("-p", "build"), ("--verbose", ""), ("--rw", ".")];
        let expected = expected.map(|(name, value)| {
            (name.to_owned(), if value.is_empty() { vec![] } else { vec![OsString::from(value)] })
        });
        assert_eq!(flags, expected);
        assert_eq!(command, words("ls --report b"));
        assert_eq!(shape("run --rm -v/a:/b -- -x").1, words("-x"));
        assert_eq!(shape("run -pbuild x").0, [("-p".to_owned(), vec!["build".into()])]);
    }

    #[test]
    fn a_flag_that_nobody_knows_ends_the_guessing() {
        let (flags, command) = shape("run --evn TOKEN=x --report f prog");
        assert_eq!(flags.len(), 1);
        assert!(command.is_empty(), "{command:?}");
        assert_eq!(shape("run --evn -- prog").1, words("prog"));
        assert_eq!(shape("run --evn --report f -- prog").0.len(), 2);
    }

    #[test]
    fn only_lines_with_a_policy_are_read() {
        assert!(scan(&words("report -v")).is_none());
        assert!(scan(&[]).is_none());
        assert!(scan(&words("plan x")).is_some());
    }
}
