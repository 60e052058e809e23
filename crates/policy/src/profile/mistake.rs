//! What is wrong with a profile file, and where: the line, the column, and the line shown.

use std::fmt;
use std::path::Path;

use super::tree::Span;
use crate::Problem;

/// One thing that is wrong, by its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl Mistake {
    pub(crate) const fn new(span: Span, message: String) -> Self {
        Self { span, message }
    }
}

/// One thing that is wrong with a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The line, from 1; 0 where no line is to blame.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do, in one sentence.
    pub message: String,
    /// The line, and marks under the part that is meant.
    pub excerpt: Vec<String>,
}

/// Everything that is wrong with a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    file: Option<String>,
    all: Vec<Located>,
}

impl Mistakes {
    /// Finds the lines of mistakes. What stands in `hidden` is not shown: a variable's value may be a secret.
    pub(crate) fn locate(text: &str, mut mistakes: Vec<Mistake>, hidden: &[Span]) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
        mistakes.dedup();
        let all = mistakes.into_iter().map(|mistake| locate(text, mistake, hidden)).collect();
        Self { file: None, all }
    }

    /// One that no line is to blame for.
    #[must_use]
    pub fn whole(message: String) -> Self {
        let located = Located { line: 0, column: 0, message, excerpt: Vec::new() };
        Self { file: None, all: vec![located] }
    }

    /// Names the file, for what is said.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_string_lossy().into_owned());
        self
    }

    /// Every mistake, in the order of the file. There is at least one.
    #[must_use]
    pub fn all(&self) -> &[Located] {
        &self.all
    }

    /// `FILE:LINE:COLUMN: what is wrong`.
    #[must_use]
    pub fn line(&self, mistake: &Located) -> String {
        let file = self.file.as_deref().unwrap_or("the profile");
        match mistake.line {
            0 => format!("{file}: {}", mistake.message),
            line => format!("{file}:{line}:{}: {}", mistake.column, mistake.message),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.all.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", self.line(mistake))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Problem {
    /// The first of them, with its line; how many others there are.
    fn from(mistakes: Mistakes) -> Self {
        let Some(first) = mistakes.all.first() else {
            return Self::request("profile", "the profile is wrong".to_owned());
        };
        let file = mistakes.file.clone().unwrap_or_default();
        let others = match mistakes.all.len() - 1 {
            0 => "`ringfence profile schema` says what a profile may hold".to_owned(),
            1 => format!("`ringfence profile check {file}` says the other mistake too"),
            n => format!("`ringfence profile check {file}` says the {n} other mistakes too"),
        };
        let mut problem = Self::request("profile", mistakes.line(first)).remedy(others);
        problem.path = mistakes.file.clone();
        problem.excerpt.clone_from(&first.excerpt);
        problem
    }
}

/// More of a line than this is not shown.
const WIDEST: usize = 100;

fn locate(text: &str, mistake: Mistake, hidden: &[Span]) -> Located {
    let start = boundary(text, mistake.span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    let end = boundary(text, mistake.span.end.clamp(start, line_end));
    let shown = show(text, line_start..line_end, hidden);
    let marked = text[start..end].chars().count().max(1);
    let excerpt = excerpt(line, &shown, column - 1, marked);
    Located { line, column, message: mistake.message, excerpt }
}

fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The characters of a line as they may be shown: each is one column, and none steers a terminal.
fn show(text: &str, line: Span, hidden: &[Span]) -> Vec<char> {
    let secret = |at: usize| hidden.iter().any(|span| span.contains(&at));
    let one = |(at, c): (usize, char)| match c {
        _ if secret(line.start + at) => '*',
        c if c.is_whitespace() => ' ',
        c if c.is_control() || is_odd(c) => '\u{fffd}',
        c => c,
    };
    text[line.clone()].trim_end().char_indices().map(one).collect()
}

/// Invisible, or turns the reading order.
const fn is_odd(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// The line with its number, and marks under the part that is meant.
fn excerpt(number: usize, line: &[char], column: usize, marked: usize) -> Vec<String> {
    // A long line is shown around the place.
    let first = if line.len() <= WIDEST { 0 } else { column.saturating_sub(WIDEST / 2) };
    let window: String = line.iter().skip(first).take(WIDEST).collect();
    let (before, after) =
        (if first > 0 { "..." } else { "" }, if first + WIDEST < line.len() { "..." } else { "" });
    let number = number.to_string();
    let gap = " ".repeat(number.len());
    let left = " ".repeat(column - first + before.len());
    let marks = "^".repeat(marked.min(WIDEST - (column - first).min(WIDEST - 1)));
    vec![format!("{number} | {before}{window}{after}"), format!("{gap} | {left}{marks}")]
}
