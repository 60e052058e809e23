//! The few options of a command: each is taken by name, and what is left over is an error.

use crate::failure::Failure;

/// What stands after the command's name.
pub(crate) struct Arguments {
    left: Vec<String>,
}

impl Arguments {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self { left: words.collect() }
    }

    /// Takes an option without a value.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|word| word != name);
        self.left.len() < before
    }

    /// Takes an option with its value: `--name VALUE` or `--name=VALUE`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let joined = format!("{name}=");
        let Some(at) = self.left.iter().position(|word| word == name || word.starts_with(&joined)) else {
            return Ok(None);
        };
        let word = self.left.remove(at);
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        if at == self.left.len() {
            return Err(Failure::Usage(format!("{name} needs a value")));
        }
        Ok(Some(self.left.remove(at)))
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.left.first() {
            None => Ok(()),
            Some(word) => {
                Err(Failure::Usage(format!("`{word}` means nothing here; `cargo xtask` lists the options")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        Arguments::new(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn takes_options_in_both_spellings() {
        let mut given = arguments(&["--runs", "7", "--json", "--as=me"]);
        assert_eq!(given.value("--runs").unwrap(), Some("7".to_owned()));
        assert_eq!(given.value("--as").unwrap(), Some("me".to_owned()));
        assert!(given.flag("--json") && !given.flag("--json"));
        assert!(given.finish().is_ok());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(arguments(&["--runs"]).value("--runs").is_err());
        assert_eq!(arguments(&["--fast"]).finish().unwrap_err().status(), 2);
    }
}
