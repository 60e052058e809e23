//! `ringfence profile`: what a policy can begin as.

use std::path::Path;

use ringfence::policy::{BUILTIN_PROFILES, Mistakes, Problem, Profile};
use ringfence::profiles::Profiles;

use crate::arguments::ProfileTask;
use crate::messages::escaped;
use crate::{messages, output};

/// Does what was asked, and gives the exit status.
pub(crate) fn perform(task: &ProfileTask) -> u8 {
    let done = match task {
        ProfileTask::List { names: true } => names(),
        ProfileTask::List { names: false } => list(),
        ProfileTask::Show { name } => show(name),
        ProfileTask::Check { file } => check(file),
        ProfileTask::Schema => Ok(output::print(format!("{:#}\n", Profile::schema()))),
        ProfileTask::Import { file } => import(file),
        ProfileTask::Trust { file } => trust(file),
    };
    done.unwrap_or_else(|problem| {
        messages::problem(&problem);
        output::FAILED
    })
}

/// One to a line: name, where it is, what it is for or why it would be refused.
/// For completions, which expand what they are given: a file in a cloned repository may be called anything.
fn names() -> Result<u8, Problem> {
    let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let names = Profiles::of_caller()?.list()?.into_iter().map(|listed| listed.name).filter(is_plain);
    Ok(output::print(names.map(|name| name + "\n").collect::<String>()))
}

fn list() -> Result<u8, Problem> {
    let mut text = String::new();
    for listed in Profiles::of_caller()?.list()? {
        let what = listed.description.unwrap_or_else(|why| format!("refused: {why}"));
        let place = match &listed.path {
            None => listed.origin.name().to_owned(),
            Some(path) => format!("{} {}", listed.origin.name(), path.display()),
        };
        text += &format!("{:16}{:10}{}\n", listed.name, escaped(&place), escaped(&what));
    }
    Ok(output::print(text))
}

fn show(name: &str) -> Result<u8, Problem> {
    let profile = if BUILTIN_PROFILES.iter().any(|(known, _)| *known == name) {
        Profile::builtin(name)?
    } else {
        let found = Profiles::of_caller()?.find(name)?;
        found.files.iter().for_each(|file| messages::say(&format!("read from {}", file.display())));
        found.profile
    };
    notes(profile.notes());
    Ok(print(&profile))
}

/// Every mistake goes to stderr with its line; a file without any is said to be so.
fn check(file: &Path) -> Result<u8, Problem> {
    match Profiles::of_caller()?.check(file)? {
        Ok(said) => {
            notes(&said);
            Ok(output::print(format!("{}: no mistakes\n", escaped(&file.to_string_lossy()))))
        }
        Err(mistakes) => {
            say_all(&mistakes);
            Ok(output::FAILED)
        }
    }
}

fn say_all(mistakes: &Mistakes) {
    for mistake in mistakes.all() {
        messages::say(&mistakes.line(mistake));
        mistake.excerpt.iter().for_each(|line| messages::say(line));
    }
}

fn import(file: &Path) -> Result<u8, Problem> {
    let (profile, said) = Profiles::of_caller()?.import(file)?;
    notes(&said);
    Ok(print(&profile))
}

fn trust(file: &Path) -> Result<u8, Problem> {
    let trusted = Profiles::of_caller()?.trust(file)?;
    let than = if trusted.before { "what was trusted before" } else { "the built-in profile `default`" };
    let path = trusted.path.display();
    messages::say(&match trusted.changes.len() {
        0 => format!("trusted: {path}; it says what {than} says"),
        _ => format!("trusted: {path}; beside {than}, it says"),
    });
    trusted.with.iter().for_each(|other| messages::say(&format!("trusted with it: {}", other.display())));
    Ok(output::print(trusted.changes.iter().map(|line| format!("{}\n", escaped(line))).collect::<String>()))
}

fn notes(notes: &[String]) {
    notes.iter().for_each(|note| messages::say(&format!("note: {note}")));
}

fn print(profile: &Profile) -> u8 {
    match serde_json::to_string_pretty(profile) {
        Ok(text) => output::print(text + "\n"),
        Err(error) => {
            messages::say(&format!("the profile cannot be printed: {error}"));
            output::FAILED
        }
    }
}
