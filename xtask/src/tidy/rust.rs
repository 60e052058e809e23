//! As much of Rust's lexical structure as the rules need: what is code, and what is a comment or a literal.

/// The text with every comment and every string or character literal turned into blanks: same length in bytes,
/// same lines, nothing but ASCII.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let end = at + opaque(bytes, at);
        if end == at {
            code.push(if byte.is_ascii() { char::from(byte) } else { '_' });
            at += 1;
        }
        while at < end {
            code.push(if bytes.get(at) == Some(&b'\n') { '\n' } else { ' ' });
            at += 1;
        }
    }
    code
}

/// The length of the comment or literal that begins here; 0 for code.
pub(super) fn opaque(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', ..] => character(rest),
        [b'r' | b'b' | b'c', ..] if at == 0 || !is_word(bytes[at - 1]) => prefixed(rest),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character literal; a lifetime is code.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted(rest, b'\'');
    }
    // One character of up to four bytes, then the closing quote.
    let width = rest.get(1).map_or(1, |first| first.leading_ones().max(1) as usize);
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

/// `b"`, `c"`, `b'`, `r"`, `br#"` and their like; a word that merely begins so is code.
fn prefixed(rest: &[u8]) -> usize {
    let kind = usize::from(matches!(rest.first(), Some(b'b' | b'c')));
    let raw = usize::from(rest.get(kind) == Some(&b'r'));
    let prefix = kind + raw;
    let tail = rest.get(prefix..).unwrap_or_default();
    if raw == 0 {
        return match tail.first() {
            Some(b'"') => prefix + quoted(tail, b'"'),
            Some(b'\'') if rest.first() == Some(&b'b') => prefix + quoted(tail, b'\''),
            _ => 0,
        };
    }
    let hashes = tail.iter().take_while(|byte| **byte == b'#').count();
    if tail.get(hashes) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &tail[..hashes]].concat();
    let body = &tail[hashes + 1..];
    let length = body.windows(close.len()).position(|window| window == close);
    length.map_or(rest.len(), |length| prefix + hashes + 1 + length + close.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Every identifier, keyword and number of blanked code, with its place.
pub(super) fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code.get(at..)?.bytes().position(is_word)?;
        let length = code[start..].bytes().position(|byte| !is_word(byte)).unwrap_or(code.len() - start);
        at = start + length;
        Some((start, &code[start..at]))
    })
}

/// What follows a place, without the blanks.
pub(super) fn after(code: &str, at: usize) -> &str {
    code.get(at..).unwrap_or_default().trim_start()
}

/// What stands before a place, without the blanks.
pub(super) fn before(code: &str, at: usize) -> &str {
    code.get(..at).unwrap_or_default().trim_end()
}

/// The line of a byte, from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_literals_and_comments() {
        for literal in [
            r#""a \" b""#,
            "b\"a\"",
            "c\"a\"",
            r###"r#"a " b"#"###,
            r###"br##"a "# b"##"###,
            "'a'",
            "'\\''",
            "'é'",
            "b'x'",
            "/* a /* b */ c */",
            "// a",
        ] {
            let text = format!("x {literal}\ny");
            let want = format!("x {}\ny", " ".repeat(literal.len()));
            assert_eq!(blank(&text), want, "{literal}");
        }
    }

    #[test]
    fn leaves_code() {
        let text = "fn a<'a>(b: &'a str) -> r#type { bar(c, 'a') }";
        assert_eq!(blank(text), text.replace("'a')", "   )"));
        assert_eq!(blank("let attribute = crab;"), "let attribute = crab;");
    }

    #[test]
    fn survives_what_does_not_end() {
        for text in ["\"a", "/* a", "r#\"a", "'", "b'", "'\\", "é"] {
            assert_eq!(blank(text).len(), text.len());
        }
    }

    #[test]
    fn finds_words_and_lines() {
        let words: Vec<_> = identifiers("fn a_1(b)").collect();
        assert_eq!(words, [(0, "fn"), (3, "a_1"), (7, "b")]);
        assert_eq!(line("a\nb\nc", 4), 3);
    }
}
