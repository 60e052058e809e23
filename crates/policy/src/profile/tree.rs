//! A file as a tree whose every key and value knows where it stands, whatever its format.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// More than any profile needs, and less than would use up a thread's stack.
const DEEPEST: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What JSON and TOML have in common.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Truth(bool),
    Whole(i128),
    Fraction(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key, where it stands, and what it has.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) node: Node,
}

/// One step from a value to what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl Node {
    /// The entries of a table; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Table(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Where the steps lead, as far as there is something.
    pub(crate) fn find(&self, steps: &[Step<'_>]) -> &Self {
        let Some((first, rest)) = steps.split_first() else { return self };
        let next = match first {
            Step::Key(name) => self.get(name),
            Step::Item(index) => self.items().get(*index),
        };
        next.map_or(self, |next| next.find(rest))
    }
}

/// Reads JSON.
///
/// # Errors
/// Every mistake that was found before reading had to end.
pub(crate) fn json(text: &str) -> Result<Node, Vec<Mistake>> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|e| vec![syntax(text, 0, &e)])?;
    let mut mistakes = Vec::new();
    let node = JsonReader { text, mistakes: &mut mistakes }.read(whole, 0);
    node.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// The parser's error, which counts lines and columns from `start`.
fn syntax(text: &str, start: usize, error: &serde_json::Error) -> Mistake {
    let line = error.line().max(1) - 1;
    let mut begin = start;
    for _ in 0..line {
        begin += text[begin..].find('\n').map_or(0, |at| at + 1);
    }
    let mut at = (begin + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    Mistake::new(at..at, format!("this is not JSON: {said}"))
}

struct JsonReader<'a> {
    text: &'a str,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> JsonReader<'a> {
    fn read(&mut self, raw: &'a RawValue, depth: usize) -> Option<Node> {
        let span = self.span(raw);
        if depth > DEEPEST {
            self.mistakes
                .push(Mistake::new(span, format!("more than {DEEPEST} lists and tables in another")));
            return None;
        }
        let value = match raw.get().as_bytes().first() {
            Some(b'{') => self.table(raw, &span, depth),
            Some(b'[') => self.list(raw, depth),
            _ => serde_json::from_str(raw.get()).map(scalar),
        };
        match value {
            Ok(value) => Some(Node { span, value }),
            Err(error) => {
                let mistake = syntax(self.text, span.start, &error);
                self.mistakes.push(mistake);
                None
            }
        }
    }

    /// A raw value is a part of the text: where it begins there is where it stands.
    fn span(&self, raw: &RawValue) -> Span {
        let start = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start + raw.get().len()
    }

    fn list(&mut self, raw: &'a RawValue, depth: usize) -> serde_json::Result<Value> {
        let items = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Items)?;
        Ok(Value::List(items.into_iter().filter_map(|item| self.read(item, depth + 1)).collect()))
    }

    fn table(&mut self, raw: &'a RawValue, span: &Span, depth: usize) -> serde_json::Result<Value> {
        let pairs = serde_json::Deserializer::from_str(raw.get()).deserialize_map(Pairs)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
        let mut after = span.start;
        for (name, raw) in pairs {
            let value = self.span(raw);
            let key = key_span(self.text, after, value.start);
            after = value.end;
            if entries.iter().any(|entry| entry.name == name) {
                self.mistakes
                    .push(Mistake::new(key, format!("the key `{}` is there twice; keep one", plain(&name))));
                continue;
            }
            let Some(node) = self.read(raw, depth + 1) else { continue };
            entries.push(Entry { name, span: key, node });
        }
        Ok(Value::Table(entries))
    }
}

/// Between the value before it and its own value, a key is the only thing in quotes.
fn key_span(text: &str, from: usize, to: usize) -> Span {
    let between = &text[from..to];
    match (between.find('"'), between.rfind('"')) {
        (Some(first), Some(last)) if last > first => from + first..from + last + 1,
        _ => from..to,
    }
}

fn scalar(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Bool(truth) => Value::Truth(truth),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Whole(whole.into()),
            (_, Some(whole)) => Value::Whole(whole.into()),
            _ => Value::Fraction(number.as_f64().unwrap_or(f64::NAN)),
        },
        _ => Value::Null,
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            all.push(pair);
        }
        Ok(all)
    }
}

/// Reads TOML.
///
/// # Errors
/// Every mistake that was found.
pub(crate) fn toml(text: &str) -> Result<Node, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors
        .iter()
        .map(|error| {
            let said = error.message().replace('\n', ", ");
            Mistake::new(error.span().unwrap_or(0..0), format!("this is not TOML: {said}"))
        })
        .collect();
    let whole = Node { span: 0..text.len(), value: toml_table(table.get_ref(), 0, &mut mistakes) };
    if mistakes.is_empty() { Ok(whole) } else { Err(mistakes) }
}

fn toml_table(table: &DeTable<'_>, depth: usize, mistakes: &mut Vec<Mistake>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, _)| Entry {
        name: AsRef::<str>::as_ref(key.get_ref()).to_owned(),
        span: key.span(),
        node: toml_node(value, depth + 1, mistakes),
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.span.start);
    Value::Table(entries)
}

fn toml_node(value: &toml::Spanned<DeValue<'_>>, depth: usize, mistakes: &mut Vec<Mistake>) -> Node {
    let span = value.span();
    let mut wrong = |what: &str| {
        mistakes.push(Mistake::new(span.clone(), what.to_owned()));
        Value::Null
    };
    let value = match value.get_ref() {
        _ if depth > DEEPEST => wrong("too many lists and tables in another"),
        DeValue::String(text) => Value::Text(text.as_ref().to_owned()),
        DeValue::Boolean(truth) => Value::Truth(*truth),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => Value::Whole(whole),
            Err(_) => wrong("the number is too large"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(fraction) => Value::Fraction(fraction),
            Err(_) => wrong("this is no number"),
        },
        DeValue::Datetime(_) => wrong("a date is nothing that a profile holds"),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| toml_node(item, depth + 1, mistakes)).collect())
        }
        DeValue::Table(table) => toml_table(table, depth, mistakes),
    };
    Node { span, value }
}

/// A word of a file, without what would steer a terminal.
pub(crate) fn plain(word: &str) -> String {
    word.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}
