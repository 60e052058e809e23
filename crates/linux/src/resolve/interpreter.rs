//! The interpreter of a script, by its first line (execve(2)), and by what env(1) makes of it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ringfence_policy::{Problem, Reason};

use super::Request;
use super::command::{find_outside, is_executable, says_nothing_runs};
use crate::look;

/// An interpreter, as it is outside.
pub(super) struct Interpreter {
    /// What the line says.
    pub(super) said: OsString,
    /// Its file.
    pub(super) outside: PathBuf,
    /// It was found through PATH.
    pub(super) by_name: bool,
}

/// The first line of a script without its `#!`; the kernel reads 256 bytes of it. What is no file is not waited for.
///
/// # Errors
/// Nobody knows what is in the file.
pub(super) fn line(path: &Path) -> Result<Option<String>, Problem> {
    // A program that may be run and not read is no script of this caller's.
    let start = look::present(look::regular(path, 256)).map_err(|e| look::unknown(path, e))?;
    let start = start.flatten().unwrap_or_default();
    let line = start.strip_prefix(b"#!").and_then(|text| text.split(|byte| *byte == b'\n').next());
    Ok(line.map(|line| String::from_utf8_lossy(line).trim().to_owned()))
}

/// The interpreter of a file; `None` when it is no script.
pub(super) fn of(script: &Path, request: &Request) -> Result<Option<Interpreter>, Problem> {
    let Some(line) = line(script)? else { return Ok(None) };
    // The kernel hands what follows the interpreter over as one argument.
    let (first, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
    if first.is_empty() {
        return Ok(None);
    }
    let path = request.directory.join(first);
    is_executable(&path).map_err(|e| behind(script, e))?;
    if !is_env(&path) {
        return Ok(Some(Interpreter { said: first.into(), outside: path, by_name: false }));
    }
    match program_of_env(rest.trim()).map_err(|why| behind(script, why))? {
        None => Ok(None),
        Some(name) if name.contains('/') => {
            let outside = request.directory.join(&name);
            is_executable(&outside).map_err(|e| behind(script, e))?;
            Ok(Some(Interpreter { said: name.into(), outside, by_name: false }))
        }
        Some(name) => {
            let outside = find_outside(OsStr::new(&name), request).map_err(|e| behind(script, e))?;
            Ok(Some(Interpreter { said: name.into(), outside, by_name: true }))
        }
    }
}

/// The system's env(1), under whatever program it is a name of.
fn is_env(path: &Path) -> bool {
    let of_system = ["/usr/bin", "/bin"].iter().any(|folder| path.parent() == Some(Path::new(folder)));
    of_system && path.file_name() == Some(OsStr::new("env"))
}

/// The program that env(1) would run with this one argument; `None` when it would run none.
fn program_of_env(argument: &str) -> Result<Option<String>, Problem> {
    let split = argument.strip_prefix("--split-string=").or_else(|| argument.strip_prefix("--split-string "));
    let split = split.or_else(|| argument.strip_prefix("-S")).or_else(|| argument.strip_prefix("-vS"));
    let Some(text) = split else {
        // An option alone runs nothing; else it is one name, blanks and all.
        let is_option = argument.starts_with('-') || argument.contains('=');
        return Ok((!argument.is_empty() && !is_option).then(|| argument.to_owned()));
    };
    let mut words = split_words(text).into_iter();
    while let Some(word) = words.next().transpose()? {
        match word.as_str() {
            "-u" | "--unset" | "-C" | "--chdir" | "-a" | "--argv0" => drop(words.next()),
            "--" => {}
            option if option.starts_with('-') => {}
            assignment if assignment.starts_with("PATH=") => {
                return Err(unclear(text, "sets PATH, so which program it runs is not known"));
            }
            assignment if assignment.contains('=') => {}
            _ => return Ok(Some(word)),
        }
    }
    Ok(None)
}

/// The words of `env -S`: blanks part them, quotes join them. What depends on variables or escapes is an error in
/// its place, and the last: after the program's name nothing matters.
fn split_words(text: &str) -> Vec<Result<String, Problem>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match (c, quote) {
            ('\\' | '$', quote) if quote != Some('\'') => {
                let why = "holds `\\` or `$`, so which program it runs is not known";
                words.push(Err(unclear(text, why)));
                return words;
            }
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take().map(Ok)),
            ('#', None) if word.is_none() => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(Ok));
    words
}

fn unclear(text: &str, why: &str) -> Problem {
    Problem::new(Reason::NotExecutable, "interpreter", format!("`env -S{text}` {why}"))
        .remedy("run the script by its interpreter: INTERPRETER SCRIPT")
}

fn behind(script: &Path, mut problem: Problem) -> Problem {
    problem.message = format!("`{}` needs an interpreter: {}", script.display(), problem.message);
    if says_nothing_runs(&problem) {
        problem.reason = Reason::NotExecutable;
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_read_as_it_reads_itself() {
        for (argument, program) in [
            ("sh", Some("sh")),
            ("", None),
            ("node --flag", Some("node --flag")),
            ("-i", None),
            ("A=1", None),
            ("-S node --flag", Some("node")),
            ("-Snode", Some("node")),
            ("--split-string=node -x", Some("node")),
            ("-S -i A=1 B='c d' node x", Some("node")),
            ("-S -u NODE_OPTIONS node", Some("node")),
            ("-S -C /tmp --unset X deno run", Some("deno")),
            ("-S -- A=1 node", Some("node")),
            ("-S 'no de' x", Some("no de")),
            ("-S -v", None),
            ("-S node --title=${X} \\_", Some("node")),
        ] {
            assert_eq!(program_of_env(argument).unwrap().as_deref(), program, "{argument}");
        }
        for unclear in ["-S ${HOME}/bin/x", "-S no\\_de", "-S PATH=/x node"] {
            let problem = program_of_env(unclear).unwrap_err();
            assert!(problem.message.contains("not known"), "{unclear}: {problem}");
        }
    }
}
