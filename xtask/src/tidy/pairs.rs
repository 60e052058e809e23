//! A message and its remedy that stand beside each other in one pair: `(what, what_to_do)`.

use super::Source;
use super::messages::{arguments, literals};

/// What stands behind the literal at `place` in its pair: where it is written, and its text. `None` where the literal is not
/// the first half of a pair. A name is looked up in the function, which begins at `function`.
pub(super) fn beside(source: &Source, function: usize, place: usize) -> Option<(usize, String)> {
    let (from, to) = pair_around(source, function, place)?;
    let comma = comma(&source.code, from, to)?;
    if place > comma {
        return None;
    }
    let second = source.code[comma + 1..to].trim().trim_end_matches(',');
    if !second.is_empty() && second.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return named(source, function, place, second);
    }
    literals(source, comma + 1, to).into_iter().next()
}

/// The inside of the nearest parentheses around a place that are no call's.
fn pair_around(source: &Source, function: usize, place: usize) -> Option<(usize, usize)> {
    let opened = source.code[function..place].rmatch_indices('(').map(|(at, _)| function + at);
    opened.map(|at| (at, arguments(&source.code, at + 1))).find_map(|(at, (from, to))| {
        let before = source.code[..at].trim_end_matches(' ').bytes().next_back()?;
        let is_call = before.is_ascii_alphanumeric() || matches!(before, b'_' | b'!' | b'>' | b')');
        let is_arrow = source.code[..at].trim_end().ends_with("=>");
        ((is_arrow || !is_call) && to > place).then_some((from, to))
    })
}

/// The first comma between two places that is in no bracket of its own.
fn comma(code: &str, from: usize, to: usize) -> Option<usize> {
    let mut depth = 0;
    code.bytes().enumerate().take(to).skip(from).find_map(|(at, byte)| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

/// The literal that a variable was last given before a place: of several, what to do is the last.
fn named(source: &Source, function: usize, place: usize, name: &str) -> Option<(usize, String)> {
    let at = function + source.code[function..place].rfind(&format!("let {name} = "))?;
    let end = at + source.code[at..].find(';')?;
    literals(source, at, end).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_of_a_pair_is_found_and_nothing_else_is_one() {
        let text = "fn a() { let help = format!(\"read it\"); match x {\n  A => (format!(\"`{}` is odd\", f(1, 2)), help),\n  \
                    B => { let m = \"too many\"; (m.to_owned(), \"x\") }\n  C => (\"no y\".into(), format!(\"write {y}\")),\n  \
                    D => call(\"not one\", 2) } }";
        let source = Source::new("crates/x/src/a.rs", text);
        let found = |part: &str| beside(&source, 0, text.find(part).unwrap()).map(|(_, text)| text);
        assert_eq!(found("\"`{}` is odd").as_deref(), Some("read it"));
        assert_eq!(found("\"no y").as_deref(), Some("write {y}"));
        assert_eq!(found("\"too many"), None);
        assert_eq!(found("\"write {y}"), None);
        assert_eq!(found("\"not one"), None);
    }
}
