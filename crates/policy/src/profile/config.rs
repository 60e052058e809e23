//! What a host or a user says for every run: the waivers that stand.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::mistake::Mistakes;
use super::{read, tree};
use crate::Guarantee;

/// A configuration file. An unknown key is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Guarantees that every run does without where the host cannot give them.
    pub allow_degraded: BTreeSet<Guarantee>,
}

impl Config {
    /// Reads one, in TOML.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        let tree = tree::toml(text).map_err(|mistakes| Mistakes::locate(text, mistakes, &[]))?;
        let (config, _, mistakes) = read::read::<Self>(&tree);
        match config.filter(|_| mistakes.is_empty()) {
            Some(config) => match config.allow_degraded.iter().find(|guarantee| !guarantee.is_waivable()) {
                None => Ok(config),
                Some(held) => {
                    let why = format!("`{held}` needs nothing from the host, so it cannot be waived");
                    Err(Mistakes::whole(why))
                }
            },
            None => Err(Mistakes::locate(text, mistakes, &[])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waivers_are_read_and_mistakes_have_their_line() {
        let config = Config::parse("# why\nallow_degraded = ['processes', \"memory\"]\n").unwrap();
        assert_eq!(config.allow_degraded, [Guarantee::Processes, Guarantee::Memory].into());
        assert_eq!(Config::parse("").unwrap(), Config::default());
        for (text, line, word) in [
            ("\nallow_degrade = ['memory']\n", 2, "allow_degraded"),
            ("allow_degraded = ['memory',\n'all']\n", 2, "all"),
            ("allow_degraded = 'memory'\n", 1, "list"),
            ("allow_degraded = ['fds']\n", 0, "fds"),
            ("allow_degraded = [\n", 1, "TOML"),
        ] {
            let mistakes = Config::parse(text).unwrap_err();
            let first = &mistakes.all()[0];
            assert_eq!(first.line, line, "{text}: {mistakes}");
            assert!(first.message.contains(word), "{text}: {mistakes}");
        }
    }
}
