//! The command line of Ringfence.
//!
//! Words in, one [`Policy`](ringfence::policy::Policy) out, and everything that is said to people: what a run
//! was refused for, how it ended, and what kept what away. What holds a program in is in `ringfence`.
#![forbid(unsafe_code)]

mod arguments;
mod batch;
mod brief;
mod colour;
mod completions;
mod doctor;
mod endings;
mod env_file;
mod errno;
mod events;
mod explain;
mod flags;
mod habits;
mod human;
mod inspect;
mod kept_away;
mod live;
mod man;
mod messages;
mod output;
mod plan;
mod policy;
mod profile;
mod ps;
mod receipt;
mod refusal;
mod report_file;
mod run;
mod scan;
mod show;
mod table;
mod top;
mod usage;
mod values;

/// What fuzz/ reaches, in its own build only.
#[cfg(fuzzing)]
pub mod fuzzed {
    pub use crate::batch::read_all as batch_lines;
}

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches};

use crate::arguments::{Arguments, RunArguments, Task};

/// The whole program: reads its arguments, does what they say, and gives the exit status of `CONTRACT.md`.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(answer(std::env::args_os().skip(1).collect()))
}

/// What the words ask for, done; its exit status.
fn answer(mut words: Vec<OsString>) -> u8 {
    if words.is_empty() {
        brief::say();
        return usage::STATUS;
    }
    if implies_run(&words) {
        words.insert(0, "run".into());
    }
    match parse(&words) {
        Ok(arguments) => perform(arguments.task),
        Err(error) if error.use_stderr() => {
            // No habit is a flag of ours, so that they need no look where a line parses.
            let problem = habits::find(&words).unwrap_or_else(|| usage::problem(&error, &words));
            refusal::of_words(&words, &problem)
        }
        Err(help) => output::help(&help),
    }
}

/// The arguments of words. Help is in colour where all that we print is.
fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    if let Some(arguments) = parse_run(words) {
        return Ok(arguments);
    }
    let coloured = colour::wanted(std::io::stdout().is_terminal());
    let choice = if coloured { ColorChoice::Always } else { ColorChoice::Never };
    let arguments = std::iter::once(OsString::from("ringfence")).chain(words.iter().cloned());
    Arguments::from_arg_matches(&Arguments::command().color(choice).try_get_matches_from(arguments)?)
}

/// The arguments of a right `ringfence run`. To build the definitions of every other command costs a start more than all
/// that it does with its own; what is wrong, and help, is told from the whole of them.
fn parse_run(words: &[OsString]) -> Option<Arguments> {
    words.first().filter(|word| *word == "run")?;
    let matches = RunArguments::augment_args(clap::Command::new("run")).try_get_matches_from(words).ok()?;
    let arguments = RunArguments::from_arg_matches(&matches).ok()?;
    Some(Arguments { task: Task::Run(Box::new(arguments)) })
}

/// `--` and flags belong to `run`. That holds for flags that nobody knows, too: a typing error in one must end
/// as a run that was refused (125), not as a usage error of something else.
fn implies_run(words: &[OsString]) -> bool {
    let first = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    first.len() > 1 && first.starts_with('-') && !matches!(&*first, "-h" | "--help" | "-V" | "--version")
}

fn perform(task: Task) -> u8 {
    match task {
        Task::Run(arguments) => run::run(*arguments),
        Task::Plan(arguments) => plan::plan(*arguments),
        Task::Batch(arguments) => batch::batch(*arguments),
        Task::Inspect(arguments) => inspect::inspect(*arguments),
        Task::Doctor { json } => doctor::doctor(json),
        Task::Ps { json } => ps::ps(json),
        Task::Kill { all: true, .. } => live::kill_all(),
        Task::Kill { which, .. } => live::kill(&which),
        Task::Top { once } => top::top(once),
        Task::Report { file, json } => show::show(&file, json),
        Task::Profile(task) => profile::perform(&task),
        Task::Completions { shell } => completions::print(shell),
        Task::Man => output::print(man::page()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_or_two_dashes_imply_run_and_words_do_not() {
        let implied = |word: &str| implies_run(&[word.into()]);
        for word in ["--", "-p", "--profile=minimal", "--rw", "-v", "--no-such-flag"] {
            assert!(implied(word), "{word}");
        }
        for word in ["run", "python3", "-", "", "-h", "--help", "-V", "--version"] {
            assert!(!implied(word), "{word}");
        }
    }

    #[test]
    fn a_run_is_read_without_the_other_commands_as_it_is_with_them() {
        let lines = [
            "run -- true",
            "run --rw . -p build --net host -- a -b --rw c",
            "run --verbose --timeout=3s x --help",
            "run -- -odd",
            "run --name a - x",
        ];
        for line in lines {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let alone = parse_run(&words).unwrap();
            let whole = Arguments::command()
                .try_get_matches_from(std::iter::once("ringfence".into()).chain(words))
                .and_then(|matches| Arguments::from_arg_matches(&matches));
            assert_eq!(format!("{alone:?}"), format!("{:?}", whole.unwrap()), "{line}");
        }
        for line in ["run", "run --help", "run -V x", "run --rww . x", "plan x", "run --json x", "run -h x"] {
            assert!(parse_run(&line.split(' ').map(OsString::from).collect::<Vec<_>>()).is_none(), "{line}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
