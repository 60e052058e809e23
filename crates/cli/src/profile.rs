//! `ringfence profile`: what a policy can begin as.

use ringfence::policy::{BUILTIN_PROFILES, Profile};

use crate::{messages, output};

/// Lists the built-in profiles, one to a line.
pub(crate) fn list() -> u8 {
    let mut text = String::new();
    for (name, _) in BUILTIN_PROFILES {
        match Profile::builtin(name) {
            Ok(profile) => text += &format!("{name:16}{}\n", profile.description),
            Err(problem) => {
                messages::problem(&problem);
                return output::FAILED;
            }
        }
    }
    output::print(text)
}

/// Prints the file of one.
pub(crate) fn show(name: &str) -> u8 {
    match BUILTIN_PROFILES.iter().find(|(known, _)| *known == name) {
        Some((_, file)) => output::print(format!("{}\n", file.trim_end())),
        None => {
            messages::say(&format!(
                "no profile is called `{name}`; `ringfence profile list` says which there are"
            ));
            output::FAILED
        }
    }
}
