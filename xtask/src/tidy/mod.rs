//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy can check. One rule, one file.

mod edges;
mod functions;
mod hosts;
mod messages;
mod pairs;
mod promises;
mod rust;
mod said;
mod unsafety;
mod words;

use std::fmt;
use std::fs;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.why)
    }
}

/// A text file of the project.
struct Source {
    path: String,
    text: String,
    /// The same text with comments and literals blanked, byte for byte; empty for what is not Rust.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { rust::blank(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// A finding at a byte of the text.
    fn finding(&self, at: usize, what: String, why: &'static str) -> Finding {
        Finding { path: self.path.clone(), line: rust::line(&self.text, at), what, why }
    }
}

/// A rule over source files.
type Rule = fn(&[Source]) -> Vec<Finding>;

const RULES: [Rule; 6] =
    [unsafety::check, functions::check, words::check, promises::check, hosts::check, messages::check];

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.finish()?;
    let sources = sources()?;
    let mut findings = edges::check(&Workspace::load()?.packages, &sources);
    findings.extend(RULES.iter().flat_map(|rule| rule(&sources)));
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files keep the house rules", sources.len());
            Ok(())
        }
        count => Err(Failure::Work(format!("{count} findings in {} files", sources.len()))),
    }
}

/// `cargo xtask messages`: writes the table of messages anew.
pub(crate) fn write_messages(arguments: Arguments) -> Result<(), Failure> {
    arguments.finish()?;
    let path = workspace::root().join(messages::TABLE);
    fs::write(&path, messages::text(&sources()?)).map_err(|error| Failure::io("write", &path, &error))
}

fn sources() -> Result<Vec<Source>, Failure> {
    let root = workspace::root();
    let mut sources = Vec::new();
    for path in workspace::files()? {
        let bytes = fs::read(root.join(&path)).map_err(|error| Failure::io("read", &path, &error))?;
        // What is not text has no lines to judge.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source::new(&path, &text));
        }
    }
    Ok(sources)
}

/// Findings of a rule in one file, as `line: what`, for the rules' own tests.
#[cfg(test)]
fn found(rule: Rule, path: &str, text: &str) -> Vec<String> {
    let findings = rule(&[Source::new(path, text)]);
    findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
}
