//! Sizes and durations as people write them: `512M`, `1.5GiB`, `10s`, `500ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes. `K`, `M`, `G`, `T` are powers of 1024, with or without `B` or `iB`; a bare number is
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0, "");
        for next in ["K", "M", "G", "T"] {
            if value == 0 || value % 1024 != 0 {
                break;
            }
            (value, unit) = (value / 1024, next);
        }
        write!(f, "{value}{unit}")
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_size(text).map(Self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOrText::deserialize(deserializer)?.to_text().parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Bytes, or text with a unit: 64K, 512M, 1.5GiB (powers of 1024).";
        number_or_text(description, r"^([0-9]+\.?[0-9]*|\.[0-9]+)([KkMmGgTt]?([Ii]?[Bb])?)$")
    }
}

/// A duration, as a schema says it.
pub(crate) struct DurationShape;

impl JsonSchema for DurationShape {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Seconds, or text with a unit: 500ms, 10s, 2m, 1h, 1d.";
        number_or_text(description, r"^([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|m|min|h|d)?$")
    }
}

pub(crate) fn number_or_text(description: &str, pattern: &str) -> Schema {
    json_schema!({
        "description": description,
        "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "type": "string", "pattern": pattern }],
    })
}

/// What a unit looks like in a file: a bare number or a string.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, or text with a unit, is needed")]
pub(crate) enum NumberOrText {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl NumberOrText {
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Fraction(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }
}

/// Reads a size in bytes.
///
/// # Errors
/// A sentence that says what a size looks like. Zero, negative and overflowing sizes are errors.
///
/// ```
/// assert_eq!(ringfence_policy::parse_size("1.5GiB"), Ok(1_610_612_736));
/// assert!(ringfence_policy::parse_size("0").is_err());
/// ```
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text)
        .ok_or_else(|| format!("`{text}` is not a size; write bytes, or 64K, 512M, 1.5GiB"))?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{unit}` in `{text}` is not a unit of size; use K, M, G or T (powers of 1024)"
            ));
        }
    };
    let bytes = scaled(number, 1_u64 << shift).ok_or_else(|| format!("the size `{text}` is too large"))?;
    if bytes == 0 {
        Err(format!("the size `{text}` is zero; leave the limit out instead"))
    } else {
        Ok(bytes)
    }
}

/// Reads a duration: `500ms`, `10s`, `2m`, `1h`, `1d`, seconds when bare.
///
/// # Errors
/// A sentence that says what a duration looks like. Zero, negative and overflowing durations are errors.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(ringfence_policy::parse_duration("1.5"), Ok(Duration::from_millis(1500)));
/// assert!(ringfence_policy::parse_duration("10 bananas").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_number(text)
        .ok_or_else(|| format!("`{text}` is not a duration; write seconds, or 500ms, 10s, 2m, 1h"))?;
    let unit_ns: u64 = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(format!("`{unit}` in `{text}` is not a unit of time; use ms, s, m, h or d")),
    };
    let ns = scaled(number, unit_ns).ok_or_else(|| format!("the duration `{text}` is too long"))?;
    if ns == 0 {
        Err(format!("the duration `{text}` is zero; leave the limit out instead"))
    } else {
        Ok(Duration::from_nanos(ns))
    }
}

/// The digits (with at most one point) at the start of `text`, and the rest.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    (digits > 0 && number.matches('.').count() <= 1).then_some((number, unit))
}

/// `number * unit`, exactly for whole numbers, rounded down for fractions; `None` when it does not fit.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Twelve digits after the point tell any two byte counts apart; more could overflow.
    let digits = &fraction[..fraction.len().min(12)];
    let parts: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let total =
        u128::from(whole) * u128::from(unit) + parts * u128::from(unit) / 10_u128.pow(digits.len() as u32);
    u64::try_from(total).ok().filter(|t| i64::try_from(*t).is_ok())
}

/// A [`Duration`] in a file: text with a unit, or seconds when bare.
pub(crate) mod duration_text {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            None => s.serialize_none(),
            Some(d) => s.serialize_str(&format!("{}ms", d.as_millis())),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        let value = Option::<NumberOrText>::deserialize(d)?;
        value.map(|v| parse_duration(&v.to_text()).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("1", 1), ("64K", 65_536), ("512M", 536_870_912), ("1gb", 1 << 30), ("0.5k", 512)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_without_meaning_are_named() {
        for text in
            ["", "0", "-1", "5 M", "M", "1.2.3", "9e9", "1X", "99999999999999999999", "9000000T", "0.0"]
        {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("3", 3000), ("0.25", 250)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "-3", "ten", "5y", "1e3", "9999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_prints_as_it_parses() {
        for bytes in [1, 1000, 1024, 512 << 20, 3 << 40] {
            assert_eq!(parse_size(&Size(bytes).to_string()), Ok(bytes));
        }
    }
}
