//! Everything that can keep a sandbox from running, in one shape: what, where, why, what to do.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Guarantee, Reason, codes};

/// Why a sandbox was not started, or could not be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Problem {
    /// The class of the ending; it decides the exit status.
    #[serde(skip, default = "setup")]
    pub reason: Reason,
    /// A stable word for scripts.
    pub code: String,
    /// The step of the set-up that failed, as `ringfence plan` names it.
    pub step: Option<String>,
    /// The path that it was about.
    pub path: Option<String>,
    /// The kernel's answer, by name (`EACCES`).
    pub errno: Option<String>,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The line of a file that it is about, as people are shown it; a report has no room for it.
    #[serde(skip)]
    pub excerpt: Vec<String>,
}

const fn setup() -> Reason {
    Reason::Setup
}

impl Problem {
    /// A problem of one class, with the remedy of its code (`codes::CODES`).
    #[must_use]
    pub fn new(reason: Reason, code: &str, message: String) -> Self {
        // Whoever has a nearer one says it.
        let remedy = codes::find(code).map(|code| code.remedy.to_owned());
        let code = code.to_owned();
        Self { reason, code, step: None, path: None, errno: None, message, remedy, excerpt: Vec::new() }
    }

    /// The request or the policy is wrong, on any host.
    #[must_use]
    pub fn request(code: &str, message: String) -> Self {
        Self::new(Reason::Setup, code, message)
    }

    /// Names the path that it is about.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Names the kernel's answer.
    #[must_use]
    pub fn errno(mut self, name: impl Into<String>) -> Self {
        self.errno = Some(name.into());
        self
    }

    /// Names the step.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(errno) = &self.errno {
            write!(f, " ({errno})")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// A guarantee that this host cannot give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The promise.
    pub guarantee: Guarantee,
    /// Why this host lacks it.
    pub why: String,
    /// The command that mends the host, where there is one.
    pub remedy: Option<String>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let waiver = format!("--allow-degraded={} does without it", refusal.guarantee);
        let remedy = match refusal.remedy {
            Some(remedy) => format!("{remedy}; or {waiver}"),
            None => waiver,
        };
        let message = format!("this host cannot guarantee `{}`: {}", refusal.guarantee, refusal.why);
        Self::new(Reason::Refused, "refused", message).remedy(remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_guarantee_reason_remedy_and_waiver() {
        let refusal =
            Refusal { guarantee: Guarantee::HostRoot, why: "of this".into(), remedy: Some("do that".into()) };
        let problem = Problem::from(refusal);
        assert_eq!(
            problem.to_string(),
            "this host cannot guarantee `host-root`: of this; do that; or --allow-degraded=host-root does without it"
        );
    }
}
