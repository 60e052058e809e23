//! Every message that keeps a sandbox from running has a code, and docs/MESSAGES.md has every one: made from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Finding, Source, pairs, rust, said};

/// The table, and the list of codes.
pub(crate) const TABLE: &str = "docs/MESSAGES.md";
const CODES: &str = "crates/policy/src/codes.rs";

/// What makes a problem: its first literal is the code, its second the message.
const MAKERS: [&str; 3] = ["Problem::request(", "Problem::new(", "errno::problem("];

/// A place that says something.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    code: String,
    /// What is said, and what to do if that is chosen with it; several where the place chooses.
    said: Vec<(String, Option<String>)>,
    remedy: Option<String>,
    at: usize,
}

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(list) = sources.iter().find(|source| source.path == CODES) else { return Vec::new() };
    let codes = codes(list);
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| is_ours(source)) {
        let unknown = messages(source).into_iter().filter(|message| !codes.contains_key(&message.code));
        findings.extend(unknown.map(|message| {
            let what = format!("the code `{}` is not in {CODES}", message.code);
            source.finding(message.at, what, "every code says where, why and what to do")
        }));
    }
    let table = sources.iter().find(|source| source.path == TABLE);
    if table.is_none_or(|table| table.text != text(sources)) {
        let what = "the table of messages is not what the code says".to_owned();
        let place = table.unwrap_or(list);
        findings.push(place.finding(0, what, "`cargo xtask messages` writes it"));
    }
    findings
}

fn is_ours(source: &Source) -> bool {
    source.path.starts_with("crates/") && source.path.contains("/src/") && source.path.ends_with(".rs")
}

/// The table, made from the sources.
pub(crate) fn text(sources: &[Source]) -> String {
    let codes = sources.iter().find(|source| source.path == CODES).map(codes).unwrap_or_default();
    let mut all: BTreeMap<&str, Vec<Message>> = BTreeMap::new();
    for source in sources.iter().filter(|source| is_ours(source)) {
        for message in messages(source) {
            if let Some((word, _)) = codes.get_key_value(&message.code) {
                all.entry(word.as_str()).or_default().push(message);
            }
        }
    }
    let mut text = HEAD.to_owned();
    for (word, [place, why, remedy]) in &codes {
        let _ = write!(
            text,
            "\n## `{word}`\n\nAbout {place}: {why}. What to do, where the message says nothing nearer: {remedy}.\n"
        );
        let mut rows: Vec<_> =
            all.get(word.as_str()).into_iter().flatten().flat_map(|m| rows(m, remedy)).collect();
        rows.sort();
        rows.dedup();
        if !rows.is_empty() {
            text.push_str("\n| said | what to do |\n| --- | --- |\n");
            text.extend(rows);
        }
    }
    text.push_str(&said::text(sources.iter().filter(|source| is_ours(source))));
    text
}

const HEAD: &str = "# Messages\n\n\
    Everything that keeps a sandbox from running, or a command of ours from doing its work, is one line: what, the kernel's\n\
    answer by its name, and what to do. The report has the same in `error` (`code`, `step`, `path`, `errno`, `message`,\n\
    `remedy`). Braces stand for what differs: a path, a number, a name. Written by `cargo xtask messages` from the code.\n";

fn rows(message: &Message, usual: &str) -> Vec<String> {
    let row = |(said, own): &(String, Option<String>)| {
        row(said, own.as_deref().or(message.remedy.as_deref()).unwrap_or(usual))
    };
    message.said.iter().map(row).collect()
}

/// One line of a table.
pub(super) fn row(said: &str, remedy: &str) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    format!("| {} | {} |\n", cell(said), cell(remedy))
}

/// Word, place, why and remedy of every code.
fn codes(list: &Source) -> BTreeMap<String, [String; 3]> {
    let tests = list.code.find("#[cfg(test)]").unwrap_or(list.code.len());
    let constant = |name: &str| {
        let at = list.code[..tests].find(&format!("const {name}:"))?;
        literals(list, at, tests).into_iter().next().map(|(_, text)| text)
    };
    let mut codes = BTreeMap::new();
    for (at, _) in list.code[..tests].match_indices(" code(") {
        let (from, to) = arguments(&list.code, at + " code(".len());
        let mut parts: Vec<_> = literals(list, from, to).into_iter().map(|(_, text)| text).collect();
        if parts.len() == 3 {
            let name =
                list.code[from..to].trim_end_matches([',', ' ', '\n', ')']).rsplit([',', ' ', '\n']).next();
            parts.extend(name.and_then(constant));
        }
        if let Ok([word, place, why, remedy]) = <[String; 4]>::try_from(parts) {
            codes.insert(word, [place, why, remedy]);
        }
    }
    codes
}

/// The problems that a file makes, its tests left out.
fn messages(source: &Source) -> Vec<Message> {
    let end = source.code.find("#[cfg(test)]").unwrap_or(source.code.len());
    let mut found = Vec::new();
    for maker in MAKERS {
        for (at, _) in source.code[..end].match_indices(maker) {
            let (from, to) = arguments(&source.code, at + maker.len());
            let mut parts = literals(source, from, to).into_iter().map(|(_, text)| text);
            let Some(code) = parts.next().filter(|code| is_word(code)) else { continue };
            let statement = source.code[to..end].find(';').map_or(end, |length| to + length);
            let remedy = remedies(source, to, statement).into_iter().next();
            let said = match parts.next() {
                Some(said) => vec![(said, None)],
                None => said_before(source, at),
            };
            let said = said.into_iter().map(|(text, remedy)| (one_line(&text), remedy)).collect();
            found.push(Message { code, said, remedy, at });
        }
    }
    found
}

fn is_word(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Where the message is made beforehand: every sentence of the function so far that is no remedy, each with what
/// stands beside it in a pair `(message, remedy)`.
fn said_before(source: &Source, at: usize) -> Vec<(String, Option<String>)> {
    let function = source.code[..at].rfind("fn ").unwrap_or(0);
    // What was said by an earlier place of the same function is not said by this one.
    let earlier = MAKERS.iter().filter_map(|maker| source.code[function..at].rfind(maker)).max();
    let start = earlier.map_or(function, |earlier| {
        let earlier = function + earlier;
        source.code[earlier..at].find(';').map_or(at, |length| earlier + length)
    });
    let remedies = remedies(source, start, at);
    let all = literals(source, start, at);
    let beside: Vec<_> = all.iter().map(|(place, _)| pairs::beside(source, function, *place)).collect();
    let taken: Vec<_> = beside.iter().flatten().map(|(place, _)| *place).collect();
    all.into_iter()
        .zip(beside)
        .filter(|((place, text), _)| is_sentence(text) && !remedies.contains(text) && !taken.contains(place))
        .map(|((_, text), beside)| (text, beside.map(|(_, text)| one_line(&text))))
        .collect()
}

/// Words, and not the beginning of what is to be done.
fn is_sentence(text: &str) -> bool {
    let starts = ["write ", "did you mean ", "it is one of "];
    let is_remedy = starts.iter().any(|start| text.starts_with(start)) || text.contains("--help`");
    text.contains(' ') && text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !is_remedy
}

/// What stands in `.remedy(...)`.
fn remedies(source: &Source, from: usize, to: usize) -> Vec<String> {
    let inside = |(at, _): (usize, &str)| {
        let (from, to) = arguments(&source.code, from + at + ".remedy(".len());
        literals(source, from, to).into_iter().next().map(|(_, text)| one_line(&text))
    };
    source.code[from..to].match_indices(".remedy(").filter_map(inside).collect()
}

/// From behind an opening parenthesis to the closing one.
pub(super) fn arguments(code: &str, from: usize) -> (usize, usize) {
    let mut depth = 1;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (from, at);
        }
    }
    (from, code.len())
}

/// The string literals in a part of a file, without their quotes.
pub(super) fn literals(source: &Source, from: usize, to: usize) -> Vec<(usize, String)> {
    let (mut found, mut at) = (Vec::new(), from);
    while at < to {
        let rest = &source.text[at..];
        let length = rust::opaque(source.text.as_bytes(), at);
        if length > 1 && (rest.starts_with('"') || rest.starts_with("r\"") || rest.starts_with("r#\"")) {
            let text = rest[..length].trim_start_matches(['r', '#']).trim_end_matches('#');
            found.push((at, text.trim_matches('"').to_owned()));
        }
        at += length.max(1);
        while !source.text.is_char_boundary(at.min(source.text.len())) {
            at += 1;
        }
    }
    found
}

/// A literal over several lines is one (`\` at the end of a line leaves out what follows it), and escapes are read.
pub(super) fn one_line(text: &str) -> String {
    let joined: Vec<_> = text.split("\\\n").map(str::trim_start).collect();
    joined.concat().replace("\\\"", "\"").replace("\\\\", "\\").replace("{{", "{").replace("}}", "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "const MORE: &str = \"more\";\npub const CODES: &[Code] = &[\n    \
        code(\"path\", \"a path\", \"it is wrong\", \"write another\"),\n    code(\"top\", \"`top`\", \"no\", MORE),\n];\n";

    fn sources(text: &str) -> Vec<Source> {
        vec![Source::new(CODES, LIST), Source::new("crates/x/src/a.rs", text)]
    }

    #[test]
    fn a_code_that_nobody_lists_and_a_table_that_is_old_are_found() {
        let mut sources = sources("fn a() { Problem::request(\"paht\", \"x y\".into()) }\n");
        let what = |sources: &[Source]| check(sources).into_iter().map(|f| f.what).collect::<Vec<_>>();
        assert_eq!(
            what(&sources),
            [
                "the code `paht` is not in crates/policy/src/codes.rs",
                "the table of messages is not what the code says"
            ]
        );
        sources[1] =
            Source::new("crates/x/src/a.rs", "fn a() { Problem::request(\"path\", \"x y\".into()) }\n");
        let table = text(&sources);
        sources.push(Source::new(TABLE, &table));
        assert_eq!(what(&sources), [""; 0]);
    }

    #[test]
    fn messages_have_their_words_and_their_remedies() {
        let said = text(&sources(
            "fn a() {\n    let why = format!(\"`{}` is | odd\", x);\n    \
             Problem::new(Reason::Setup, \"path\", why).at(x).remedy(\"mend it\")\n}\n\
             fn b() { errno::problem(\"path\", \"cannot \\\n        go\", e) }\n\
             #[cfg(test)]\nmod tests { fn c() { Problem::request(\"path\", \"a test\".into()); } }\n",
        ));
        assert!(said.contains("| `{}` is \\| odd | mend it |\n"), "{said}");
        assert!(said.contains("| cannot go | write another |\n"), "{said}");
        assert!(!said.contains("a test"), "{said}");
        assert!(
            said.contains(
                "## `top`\n\nAbout `top`: no. What to do, where the message says nothing nearer: more."
            ),
            "{said}"
        );
    }
}
