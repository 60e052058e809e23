//! The limit on what a program prints: `SIZE[:kill|:truncate]`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Size;
use crate::units::{NumberOrText, number_or_text};

/// How much a program may print, standard output and standard error together, and what happens beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes that may pass.
    pub size: Size,
    /// What happens beyond.
    pub beyond: Beyond,
}

/// What happens to a program that prints more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    /// It is killed.
    Kill,
    /// It goes on; the rest is read and dropped.
    Truncate,
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beyond = match self.beyond {
            Beyond::Kill => "kill",
            Beyond::Truncate => "truncate",
        };
        write!(f, "{}:{beyond}", self.size)
    }
}

impl FromStr for OutputLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, beyond) = match text.split_once(':') {
            None => (text, Beyond::Kill),
            Some((size, "kill")) => (size, Beyond::Kill),
            Some((size, "truncate")) => (size, Beyond::Truncate),
            Some((_, word)) => return Err(format!("`{word}` in `{text}` is neither `kill` nor `truncate`")),
        };
        Ok(Self { size: size.parse()?, beyond })
    }
}

impl Serialize for OutputLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OutputLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOrText::deserialize(deserializer)?.to_text().parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for OutputLimit {
    fn schema_name() -> Cow<'static, str> {
        "OutputLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Bytes of stdout and stderr together: 1M kills beyond, 1M:truncate drops the rest.";
        number_or_text(
            description,
            r"^([0-9]+\.?[0-9]*|\.[0-9]+)([KkMmGgTt]?([Ii]?[Bb])?)(:(kill|truncate))?$",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_kills_unless_it_says_otherwise_and_prints_as_it_parses() {
        for (text, size, beyond) in [
            ("10", 10, Beyond::Kill),
            ("1M:kill", 1 << 20, Beyond::Kill),
            ("1.5K:truncate", 1536, Beyond::Truncate),
        ] {
            let limit: OutputLimit = text.parse().unwrap();
            assert_eq!(limit, OutputLimit { size: Size(size), beyond });
            assert_eq!(limit.to_string().parse(), Ok(limit));
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<OutputLimit>(&json).unwrap(), limit);
        }
        assert_eq!(serde_json::from_str::<OutputLimit>("1024").unwrap().size, Size(1024));
        for text in ["", "0", "-1", "0:truncate", "1M:drop", "1M:", ":kill", "1M:kill:kill", "9000000T"] {
            assert!(text.parse::<OutputLimit>().is_err(), "{text}");
        }
    }
}
