//! Words that say that something is not done.

use super::{Finding, Source, rust};

const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, word) in rust::identifiers(&source.code) {
        let end = at + word.len();
        if MACROS.contains(&word) && rust::after(&source.code, end).starts_with('!') {
            let why = "a flag or a branch that is not built is absent, never a stub";
            findings.push(source.finding(at, format!("`{word}!`"), why));
        } else if word == "ignore" && is_attribute(&source.code, at) && !has_reason(source, end) {
            let why = "an ignored test names its reason: #[ignore = \"...\"]";
            findings.push(source.finding(at, "a test ignored without a reason".to_owned(), why));
        }
    }
    findings
}

/// `#[ignore` or the same behind a condition.
fn is_attribute(code: &str, at: usize) -> bool {
    let before = rust::before(code, at);
    let open = before.rfind("#[").map_or("", |open| &before[open..]);
    before.ends_with("#[") || open.starts_with("#[cfg_attr") && !open.contains(']') && before.ends_with(',')
}

/// The blanked code keeps the `=`; the text has the reason.
fn has_reason(source: &Source, end: usize) -> bool {
    let rest = rust::after(&source.text, end);
    rest.strip_prefix('=').is_some_and(|value| !value.trim_start().starts_with("\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn flags_what_is_not_done() {
        for word in super::MACROS {
            assert_eq!(found(check, "src/a.rs", &format!("\n{word} !()")), [format!("2: `{word}!`")]);
        }
        for text in ["#[ignore]", "#[ ignore ]", "#[ignore = \"\"]", "#[cfg_attr(windows, ignore)]"] {
            assert_eq!(found(check, "src/a.rs", text), ["1: a test ignored without a reason"], "{text}");
        }
    }

    #[test]
    fn leaves_the_rest() {
        for text in [
            "#[ignore = \"needs a kernel with X\"]",
            "#[cfg_attr(windows, ignore = \"a\")]",
            "// todo!()\nlet a = \"dbg!()\";",
            "let todo = 1; f(a, ignore); walk.ignore(true)",
        ] {
            assert!(found(check, "src/a.rs", text).is_empty(), "{text}");
        }
        assert!(found(check, "README.md", "todo!()").is_empty());
    }
}
