//! From a tree to a type: serde, with the place of every error, and with more than the first error.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::mistake::Mistake;
use super::near::did_you_mean;
use super::tree::{Entry, Node, Span, Value, plain};

/// More mistakes than this in one file are not looked for.
const MOST: usize = 50;

/// Reads a type; every mistake is found by taking what is wrong out and reading on. The type is there when, but
/// for what was taken out, it could be read; the tree is what was left.
pub(crate) fn read<T: DeserializeOwned>(tree: &Node) -> (Option<T>, Node, Vec<Mistake>) {
    let mut tree = tree.clone();
    let mut mistakes = Vec::new();
    let mut taken = Vec::new();
    while mistakes.len() < MOST {
        let fault = match T::deserialize(&tree) {
            Ok(value) => return (Some(value), tree, mistakes),
            Err(fault) => fault,
        };
        let span = fault.span.unwrap_or_else(|| tree.span.clone());
        // What is missing now may have been taken out.
        if !fault.missing.as_ref().is_some_and(|name| taken.contains(name)) {
            mistakes.push(Mistake::new(span.clone(), fault.message));
        }
        if !take_out(&mut tree, fault.whole.as_ref().unwrap_or(&span), &mut taken) {
            break;
        }
    }
    (None, tree, mistakes)
}

/// Takes the entry or item at a place out of the tree; its key is added to `taken`.
fn take_out(node: &mut Node, span: &Span, taken: &mut Vec<String>) -> bool {
    match &mut node.value {
        Value::Table(entries) => {
            let wrong = |entry: &Entry| entry.span == *span || entry.node.span == *span;
            if let Some(index) = entries.iter().position(wrong) {
                taken.push(entries.remove(index).name);
                return true;
            }
            entries.iter_mut().any(|entry| take_out(&mut entry.node, span, taken))
        }
        Value::List(items) => {
            if let Some(index) = items.iter().position(|item| item.span == *span) {
                items.remove(index);
                return true;
            }
            items.iter_mut().any(|item| take_out(item, span, taken))
        }
        _ => false,
    }
}

/// An error of serde's, with the innermost place that it is about.
#[derive(Debug)]
pub(crate) struct Fault {
    span: Option<Span>,
    /// What makes no sense without the part that is wrong.
    whole: Option<Span>,
    message: String,
    missing: Option<String>,
}

impl Fault {
    fn says(message: String) -> Self {
        Self { span: None, whole: None, message, missing: None }
    }

    fn at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::says(message.to_string())
    }

    /// Texts and keys are not said back: they may be secrets.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let what = match unexpected {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a fraction",
            Unexpected::Other("null") | Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a table",
            _ => "text",
        };
        Self::says(format!("here is {what}, and {} is needed", needed(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match unexpected {
            Unexpected::Str(_) => Self::says(format!("the text is no {}", needed(expected))),
            other => Self::says(format!("{other} is out of range: {} is needed", needed(expected))),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        if let Some(why) = not_built(field, expected) {
            return Self::says(why.to_owned());
        }
        let known = expected.iter().copied().filter(|name| !name.starts_with('$'));
        let mut near = did_you_mean(field, known.clone());
        if near.is_empty() {
            near = format!("; there are {}", known.collect::<Vec<_>>().join(", "));
        }
        Self::says(format!("unknown key `{}`{near}", plain(field)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        if let Some(why) = not_built(variant, expected) {
            return Self::says(why.to_owned());
        }
        let near = did_you_mean(variant, expected.iter().copied());
        let list: Vec<_> = expected.iter().map(|word| format!("`{word}`")).collect();
        Self::says(format!("`{}` is none of {}{near}", plain(variant), list.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field.to_owned()), ..Self::says(format!("the key `{field}` is missing")) }
    }
}

/// Keys and values of the format that this version cannot hold: never accepted and left out.
const NOT_BUILT: [(&str, &str, &str); 7] = [
    ("overlay", "workdir", "`overlay` is not in this version; leave it out, or copy the folder first"),
    ("devices", "workdir", "`devices` is no key of a profile: a device is granted by the caller (--device)"),
    ("allow", "host", "lists of allowed hosts are not in this version; `network` is \"none\" or \"host\""),
    ("publish", "host", "published ports are not in this version; `network` is \"none\" or \"host\""),
    ("host_ports", "host", "ports of the host are not in this version; `network` is \"none\" or \"host\""),
    ("sockets", "host", "sockets of the host are not in this version; `network` is \"none\" or \"host\""),
    (
        "user",
        "hostname",
        "`user` is no key of a profile: the host identity is the caller's to choose (--user)",
    ),
];

/// Why a known name is no key here; the name of a neighbour says where "here" is.
fn not_built(name: &str, neighbours: &[&str]) -> Option<&'static str> {
    let found = NOT_BUILT.iter().find(|(word, near, _)| *word == name && neighbours.contains(near));
    found.map(|(_, _, why)| *why)
}

/// What serde calls a thing, in the words of a file.
fn needed(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "a string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "i128" => "a whole number that fits".to_owned(),
        other if other.starts_with("struct ") => "a table of keys".to_owned(),
        other if other.starts_with("enum ") || other.starts_with("string or map") => "one word".to_owned(),
        _ => text,
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Truth(truth) => visitor.visit_bool(*truth),
            Value::Whole(whole) => match (u64::try_from(*whole), i64::try_from(*whole)) {
                (Ok(whole), _) => visitor.visit_u64(whole),
                (_, Ok(whole)) => visitor.visit_i64(whole),
                _ => visitor.visit_i128(*whole),
            },
            Value::Fraction(fraction) => visitor.visit_f64(*fraction),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        };
        result.map_err(|fault| fault.at(&self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        result.map_err(|fault| fault.at(&self.span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at(&self.span))
    }

    /// By its keys only: a derived type would take a list too, by order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Table(_) => self.deserialize_any(visitor),
            _ => Err(Fault::says("a table of keys is needed here".to_owned()).at(&self.span)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match &self.value {
            Value::Text(text) => visitor.visit_enum(Word(text)),
            Value::Table(entries) if entries.len() == 1 => visitor.visit_enum(&entries[0]),
            Value::Table(_) => Err(Fault::says("one key is needed here, and no other".to_owned())),
            _ => Err(Fault::says("one word is needed here".to_owned())),
        };
        result.map_err(|fault| Fault { whole: Some(self.span.clone()), ..fault.at(&self.span) })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let next = self.0.next();
        next.map(|node| seed.deserialize(node).map_err(|fault| fault.at(&node.span))).transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(&entry.node);
        let key: StrDeserializer<'_, Fault> = entry.name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.at(&entry.span))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let node = self.value.take().ok_or_else(|| Fault::says("a key without a value".to_owned()))?;
        seed.deserialize(node).map_err(|fault| fault.at(&node.span))
    }
}

/// A variant that is one word.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let word: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(Fault::says(format!("`{0}` needs a value: {{\"{0}\": ...}}", self.0)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::says("one word is too little here".to_owned()))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(Fault::says("one word is too little here".to_owned()))
    }
}

/// A variant that is `{ word: value }`.
impl<'de> EnumAccess<'de> for &'de Entry {
    type Error = Fault;
    type Variant = &'de Node;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, &'de Node), Fault> {
        let word: StrDeserializer<'_, Fault> = self.name.as_str().into_deserializer();
        let variant = seed.deserialize(word).map_err(|fault| fault.at(&self.span))?;
        Ok((variant, &self.node))
    }
}

impl<'de> VariantAccess<'de> for &'de Node {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Err(Fault::says("this word takes no value".to_owned()).at(&self.span))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}
