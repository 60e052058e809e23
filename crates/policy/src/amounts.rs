//! Amounts of processors: how many at once, and which.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::{NumberOrText, number_or_text};

/// How much processor time a second of the clock may hold, in thousandths of one processor: exact, as no
/// floating-point number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(pub u32);

/// More processors than any machine has.
const MOST_CPUS: u32 = 100_000;

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / 1000, self.0 % 1000);
        match parts {
            0 => write!(f, "{whole}"),
            _ => f.write_str(format!("{whole}.{parts:03}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(parts) || whole.len() + parts.len() == 0 {
            return Err(format!("`{text}` is not a number of processors; write 2, 0.5 or 1.25"));
        }
        if parts.trim_end_matches('0').len() > 3 {
            return Err(format!("`{text}` is finer than a thousandth of a processor"));
        }
        let too_many = || format!("`{text}` is more than the {MOST_CPUS} processors that can be asked for");
        let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_many())? };
        if whole > MOST_CPUS {
            return Err(too_many());
        }
        let parts = format!("{:0<3}", parts.trim_end_matches('0')).parse().unwrap_or(0);
        match whole * 1000 + parts {
            0 => Err(format!("`{text}` is no processor at all; leave the limit out instead")),
            thousandths => Ok(Self(thousandths)),
        }
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOrText::deserialize(deserializer)?.to_text().parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cpus {
    fn schema_name() -> Cow<'static, str> {
        "Cpus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_text("Processors at once, to a thousandth: 2, 0.5.", r"^([0-9]+\.?[0-9]*|\.[0-9]+)$")
    }
}

/// Processors by number, as the kernel writes a list of them (cpuset(7)): `0-3,7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<(u32, u32)>);

impl CpuList {
    /// The first and the last of each range, ascending, none touching the next.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Are all of the other's among these?
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let within = |(first, last): &(u32, u32)| self.0.iter().any(|(from, to)| from <= first && last <= to);
        other.0.iter().all(within)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse().ok().filter(|n| *n < MOST_CPUS);
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => ranges.push((first, last)),
                _ => return Err(format!("`{text}` is not a list of processors; write 0-3, or 0,2,5-7")),
            }
        }
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Ok(Self(joined))
    }
}

impl Serialize for CpuList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOrText::deserialize(deserializer)?.to_text().parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for CpuList {
    fn schema_name() -> Cow<'static, str> {
        "CpuList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Processors by number: \"0-3,7\".",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$" },
            ],
        })
    }
}

/// A count of processes in a file: above zero.
pub(crate) mod process_count {
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
        let value = Option::<u64>::deserialize(d)?;
        value.map(|n| check(n).map_err(serde::de::Error::custom)).transpose()
    }

    /// The kernel counts processes in fewer bits than a number has (`PIDS_MAX`, kernel/cgroup/pids.c).
    pub(crate) fn check(count: u64) -> Result<u64, String> {
        match count {
            0 => Err("0 processes can run nothing; leave the limit out instead".to_owned()),
            1..=4_194_303 => Ok(count),
            _ => Err(format!("{count} processes are more than a kernel can have (4194303)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_exact_to_a_thousandth() {
        for (text, thousandths, shown) in [
            ("1", 1000, "1"),
            ("0.5", 500, "0.5"),
            (".25", 250, "0.25"),
            ("2.", 2000, "2"),
            ("1.5000", 1500, "1.5"),
            ("0.001", 1, "0.001"),
        ] {
            let cpus: Cpus = text.parse().unwrap();
            assert_eq!((cpus.0, cpus.to_string().as_str()), (thousandths, shown), "{text}");
            let json = serde_json::to_string(&cpus).unwrap();
            assert_eq!(serde_json::from_str::<Cpus>(&json).unwrap(), cpus, "{json}");
        }
    }

    #[test]
    fn processors_without_meaning_are_named() {
        for text in ["", ".", "0", "0.0", "-1", "1.0005", "two", "1e3", "100001", "99999999999999", "1.2.3"] {
            let error = text.parse::<Cpus>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn lists_are_sorted_and_joined() {
        for (text, shown, count) in
            [("0", "0", 1), ("3,1-2", "1-3", 3), ("0-1,4-6,5", "0-1,4-6", 5), ("2,2", "2", 1)]
        {
            let list: CpuList = text.parse().unwrap();
            assert_eq!((list.to_string().as_str(), list.count()), (shown, count), "{text}");
        }
        for text in ["", "-1", "3-1", "a", "0,,1", "0-", "4294967295", "0x1"] {
            assert!(text.parse::<CpuList>().unwrap_err().contains(&format!("`{text}`")), "{text}");
        }
    }

    #[test]
    fn counts_without_meaning_are_named() {
        for count in [0, 4_194_304, u64::MAX] {
            assert!(process_count::check(count).unwrap_err().contains(&count.to_string()));
        }
        assert_eq!(process_count::check(1), Ok(1));
    }
}
