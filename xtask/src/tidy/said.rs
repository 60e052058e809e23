//! What is said and keeps nothing from running (notes), and what is wrong with a single word of a flag or a file. Both have
//! their remedy behind a semicolon of their own text.

use std::collections::BTreeSet;

use super::Source;
use super::messages::{arguments, literals, one_line, row};

/// What says a note.
const NOTES: [&str; 3] = ["messages::say(", "notes.push(", "let note = "];
/// Who reads words: the shared types, and the flags.
const READERS: [&str; 2] = ["crates/policy/src/", "crates/cli/src/"];

/// Both tables.
pub(super) fn text<'a>(sources: impl Iterator<Item = &'a Source>) -> String {
    let (mut notes, mut words) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        let end = source.code.find("#[cfg(test)]").unwrap_or(source.code.len());
        for maker in NOTES {
            notes.extend(sentences(source, end, maker).into_iter().map(|said| split(&said, NOTHING)));
        }
        if READERS.iter().any(|folder| source.path.starts_with(folder)) {
            words.extend(sentences(source, end, "Err(").into_iter().map(|said| split(&said, HELP)));
        }
    }
    [(NOTES_HEAD, notes), (WORDS_HEAD, words)]
        .into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(head, rows)| head.to_owned() + &rows.into_iter().collect::<String>())
        .collect()
}

const NOTHING: &str = "nothing: it only tells";
const HELP: &str = "write it as the flag's `--help` or `profile schema` says";
const NOTES_HEAD: &str = "\n## Notes\n\n\
    Said on stderr beside what runs; they keep nothing from running and change no exit status.\n\n\
    | said | what to do |\n| --- | --- |\n";
const WORDS_HEAD: &str = "\n## Words\n\n\
    What is wrong with one word. A message of `usage` begins with the flag that has it; in a file the line follows, with its\n\
    place.\n\n| said | what to do |\n| --- | --- |\n";

/// What every call of a maker says, where that is a sentence written right there.
fn sentences(source: &Source, end: usize, maker: &str) -> Vec<String> {
    let first = |at: usize| {
        let from = at + maker.len();
        let to = if maker.ends_with('(') { arguments(&source.code, from).1 } else { statement(source, from) };
        let (place, text) = literals(source, from, to).into_iter().next()?;
        let before = source.code[from..place].trim().trim_start_matches('&').trim_start_matches("format!(");
        before.trim().is_empty().then(|| one_line(&text))
    };
    let all = source.code[..end].match_indices(maker).filter_map(|(at, _)| first(at));
    all.filter(|text| text.contains(' ') && text.split("{}").any(|part| part.len() > 8)).collect()
}

fn statement(source: &Source, from: usize) -> usize {
    source.code[from..].find(';').map_or(source.code.len(), |length| from + length)
}

/// A row: what stands before the last semicolon, and what to do.
fn split(said: &str, usual: &str) -> String {
    match said.rsplit_once("; ") {
        Some((said, remedy)) => row(said, remedy),
        // What is wrong says itself what to do.
        None if said.ends_with("{problem}") => row(said, "what {problem} says"),
        None => row(said, usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_words_are_told_apart_and_split() {
        let source = Source::new(
            "crates/cli/src/a.rs",
            "fn a() { messages::say(&format!(\"`{x}` is not shown; --ro PATH shows it\")); messages::say(\"after a second\"); }\n\
             fn b() -> Result<(), String> { Err(format!(\"`{x}` is no number; write 1\")) }\n",
        );
        let said = text(std::iter::once(&source));
        for line in [
            "| `{x}` is not shown | --ro PATH shows it |",
            "| after a second | nothing: it only tells |",
            "| `{x}` is no number | write 1 |",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
}
