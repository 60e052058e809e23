//! Why a command did not do its work.

use std::fmt;

/// What, where, why and what to do, in a sentence or two.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong: exit status 2.
    Usage(String),
    /// The work could not be done, or its result is bad: exit status 1.
    Work(String),
}

impl Failure {
    /// The exit status that it stands for.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Work(_) => 1,
        }
    }

    /// A call to the system about a path.
    pub(crate) fn io(what: &str, path: impl AsRef<std::path::Path>, error: &std::io::Error) -> Self {
        Self::Work(format!("cannot {what} {}: {error}", path.as_ref().display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Work(message) => f.write_str(message),
        }
    }
}
