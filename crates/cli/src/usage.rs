//! What the parser found wrong, in our words: what, and what to do, on one line.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use ringfence::policy::Problem;

use crate::values::quoted_all;

/// A request that is wrong, for every command but `run`.
pub(crate) const STATUS: u8 = 2;

/// The parser's error about `words` (without the program's own name).
pub(crate) fn problem(error: &clap::Error, words: &[OsString]) -> Problem {
    let task = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let help = format!("`ringfence {task} --help` says what there is");
    let argument = one(error, ContextKind::InvalidArg);
    // `--timeout <DURATION>` → `--timeout`
    let flag = argument.split(' ').next().unwrap_or_default();
    let value = one(error, ContextKind::InvalidValue);
    let (message, remedy) = match error.kind() {
        ErrorKind::InvalidSubcommand => return unknown_command(error, words),
        ErrorKind::MissingSubcommand if words.is_empty() => {
            ("no command was given".to_owned(), "`ringfence --help` lists them".to_owned())
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            (format!("`ringfence {task}` needs to know what to do"), help)
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let message = format!("`{flag}` is not a flag of `ringfence {task}`");
            match one(error, ContextKind::SuggestedArg) {
                near if near.is_empty() => (message, help),
                near => (message, format!("did you mean `{near}`? {help}")),
            }
        }
        ErrorKind::UnknownArgument => {
            (format!("`{argument}` is one word too many for `ringfence {task}`"), help)
        }
        ErrorKind::InvalidValue if value.is_empty() && !is_given(words, flag) => {
            (format!("`{flag}` has no value"), format!("write `{argument}`"))
        }
        ErrorKind::InvalidValue => {
            let valid = several(error, ContextKind::ValidValue).join(", ");
            (format!("`{value}` is nothing that {} can be", called(flag)), format!("it is one of {valid}"))
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            (format!("{}: {why}", called(flag)), help)
        }
        ErrorKind::InvalidUtf8 => ("a value of a flag is not UTF-8".to_owned(), help),
        ErrorKind::TooManyValues => (format!("`{flag}` takes no value"), format!("write `{flag}` alone")),
        ErrorKind::ArgumentConflict => conflict(error, flag),
        ErrorKind::MissingRequiredArgument if matches!(&*task, "run" | "plan") => {
            let message = "no program was named".to_owned();
            (message, format!("write `ringfence {task} -- COMMAND [ARG...]`"))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = several(error, ContextKind::InvalidArg).join(" ");
            (format!("`ringfence {task}` needs {missing}"), help)
        }
        _ => (first_paragraph(error), help),
    };
    Problem::request("usage", message).remedy(remedy)
}

fn conflict(error: &clap::Error, flag: &str) -> (String, String) {
    let prior = one(error, ContextKind::PriorArg);
    let prior = prior.split(' ').next().unwrap_or_default();
    if prior == flag || prior.is_empty() {
        (format!("`{flag}` is given more than once"), "it has one value; keep one".to_owned())
    } else {
        (format!("`{flag}` and `{prior}` contradict each other"), "keep one".to_owned())
    }
}

/// A word that is no command of ours is most often a program that should run.
fn unknown_command(error: &clap::Error, words: &[OsString]) -> Problem {
    let word = one(error, ContextKind::InvalidSubcommand);
    let nested = words.first().is_some_and(|first| first.to_string_lossy() != word);
    let near = several(error, ContextKind::SuggestedSubcommand);
    let near = near.first().map(|near| format!("did you mean `{near}`? "));
    let remedy = if nested {
        format!("`ringfence {} --help` says what there is", words[0].to_string_lossy())
    } else {
        format!("to run it, write: ringfence run -- {}", quoted_all(words))
    };
    Problem::request("usage", format!("`{word}` is not a command of ringfence"))
        .remedy(near.unwrap_or_default() + &remedy)
}

/// An argument without dashes stands under its own name.
fn called(flag: &str) -> String {
    if flag.starts_with('-') { format!("`{flag}`") } else { flag.trim_matches(['<', '>']).to_owned() }
}

/// Was the flag given with a value that is empty (`--net=`), rather than without one?
fn is_given(words: &[OsString], flag: &str) -> bool {
    words.windows(2).any(|pair| pair[0] == flag && pair[1].is_empty())
        || words.iter().any(|word| word.to_string_lossy() == format!("{flag}="))
}

fn one(error: &clap::Error, kind: ContextKind) -> String {
    several(error, kind).into_iter().next().unwrap_or_default()
}

fn several(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// The parser's own words, for what it may learn to say in a later version.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;

    fn said(line: &str) -> String {
        let words: Vec<OsString> =
            line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let arguments = std::iter::once(OsString::from("ringfence")).chain(words.clone());
        problem(&Arguments::try_parse_from(arguments).unwrap_err(), &words).to_string()
    }

    #[test]
    fn every_kind_of_mistake_says_what_and_what_to_do() {
        for (line, text) in [
            (
                "python3 x.py",
                "`python3` is not a command of ringfence; to run it, write: ringfence run -- python3 x.py",
            ),
            (
                "plam ls",
                "`plam` is not a command of ringfence; did you mean `plan`? to run it, write: ringfence run -- plam ls",
            ),
            ("run", "no program was named; write `ringfence run -- COMMAND [ARG...]`"),
            ("run --rw .", "no program was named; write `ringfence run -- COMMAND [ARG...]`"),
            (
                "run --timeot 3 ls",
                "`--timeot` is not a flag of `ringfence run`; did you mean `--timeout`? `ringfence run --help` says what there is",
            ),
            ("run -Z ls", "`-Z` is not a flag of `ringfence run`; `ringfence run --help` says what there is"),
            (
                "run --timeout 5y ls",
                "`--timeout`: `y` in `5y` is not a unit of time; use ms, s, m, h or d; `ringfence run --help` says what there is",
            ),
            ("run --net bridge ls", "`bridge` is nothing that `--net` can be; it is one of none, host"),
            ("run --net= ls", "`` is nothing that `--net` can be; it is one of none, host"),
            ("run --net", "`--net` has no value; write `--net <WHICH>`"),
            ("run --ro", "`--ro` has no value; write `--ro <PATH>`"),
            ("run --verbose=1 ls", "`--verbose` takes no value; write `--verbose` alone"),
            ("run --uid 1 --uid 1 ls", "`--uid` is given more than once; it has one value; keep one"),
            ("run --base host --rootfs /r ls", "`--base` and `--rootfs` contradict each other; keep one"),
            ("report", "`ringfence report` needs <FILE>; `ringfence report --help` says what there is"),
            (
                "report a b",
                "`b` is one word too many for `ringfence report`; `ringfence report --help` says what there is",
            ),
            (
                "profile",
                "`ringfence profile` needs to know what to do; `ringfence profile --help` says what there is",
            ),
            (
                "profile verify x",
                "`verify` is not a command of ringfence; `ringfence profile --help` says what there is",
            ),
            (
                "completions tcsh",
                "`tcsh` is nothing that SHELL can be; it is one of bash, elvish, fish, powershell, zsh",
            ),
        ] {
            assert_eq!(said(line), text, "{line}");
        }
    }

    #[test]
    fn a_misspelt_flag_does_not_say_its_value_back() {
        assert!(!said("run --evn=TOKEN=secret ls").contains("secret"));
        assert!(!said("run --env==secret ls").contains("secret"));
    }
}
