//! Completion scripts: the generator's, with profiles asked for when a word is completed, because a user's own and the
//! working directory's are not known before; and paths beside them.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use ringfence::policy::BUILTIN_PROFILES;

use crate::arguments::Arguments;
use crate::output;

/// What says the names, a line each.
const ASK: &str = "ringfence profile list --names 2>/dev/null";

/// Prints the script of a shell.
pub(crate) fn print(shell: Shell) -> u8 {
    output::print(script(shell))
}

fn script(shell: Shell) -> String {
    // Made in memory: the generator panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ringfence", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let names: Vec<_> = BUILTIN_PROFILES.iter().map(|(name, _)| *name).collect();
    let words = names.join(" ");
    match shell {
        Shell::Bash => {
            let asked = script
                .replace(&format!("compgen -W \"{words}\" -- \"${{cur}}\""), "_ringfence_profiles \"${cur}\"")
                .replace(&words, &format!("$({ASK})"));
            let function = format!(
                "_ringfence_profiles() {{\n    compgen -W \"$({ASK})\" -- \"$1\"\n    compgen -f -- \"$1\"\n}}\n\n"
            );
            function + &asked
        }
        Shell::Zsh => {
            let function = format!(
                "_ringfence_profiles() {{\n    local -a names\n    names=(${{(f)\"$({ASK})\"}})\n    \
                 _alternative 'profiles:profile:compadd -a names' 'files:file:_files'\n}}\n\n"
            );
            let asked =
                escaped(&Arguments::command(), script).replace(&format!("({words})"), "_ringfence_profiles");
            // The first line says which command the file completes, and stays the first.
            match asked.split_once('\n') {
                Some((first, rest)) => format!("{first}\n\n{function}{rest}"),
                None => asked,
            }
        }
        Shell::Fish => {
            let listed = names.iter().map(|name| format!("{name}\\t''")).collect::<Vec<_>>().join("\n");
            script
                .replace(&format!("-f -a \"{listed}\""), &format!("-F -a \"({ASK})\""))
                .replace(&format!("-a \"{listed}\""), &format!("-a \"({ASK})\""))
        }
        _ => script,
    }
}

/// A colon ends a description for zsh (zshcompsys(1), `_arguments`), and the generator lets those of our values stand.
fn escaped(command: &Command, mut script: String) -> String {
    for name in command.get_arguments().flat_map(|argument| argument.get_value_names().unwrap_or_default()) {
        if name.contains(':') {
            script = script.replace(&format!("]:{name}:"), &format!("]:{}:", name.replace(':', "\\:")));
        }
    }
    command.get_subcommands().fold(script, |script, command| escaped(command, script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_has_the_names_written_down() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(!script.contains("python-safe"), "{shell}: the generator writes them otherwise now");
            assert!(script.contains(ASK) && script.contains("output-limit"), "{shell}");
        }
        assert!(script(Shell::Fish).contains(&format!("-F -a \"({ASK})\"")));
        assert!(script(Shell::Zsh).starts_with("#compdef ringfence\n"));
        assert!(script(Shell::Zsh).contains(r"]:SIZE[\:kill|\:truncate]:"));
    }
}
