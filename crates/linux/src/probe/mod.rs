//! What this host can enforce, found by trying each mechanism in a throw-away child. `run` tries nothing of this: it
//! takes the whole set-up for granted and asks why when a step fails.

mod cgroups;
mod helpers;
mod landlock;
mod mounts;
pub(crate) mod namespaces;
mod process;
mod seccomp;
pub(crate) mod trial;

use ringfence_policy::Guarantee;
use serde::Serialize;

use crate::errno;
use crate::why::Lack;
use trial::Failed;

/// What was found of one mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// It works.
    Works,
    /// It does not.
    Missing,
    /// It could not be tried, because another one is missing.
    NotTried,
}

/// One mechanism of the kernel, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mechanism {
    /// A stable word for scripts.
    pub name: String,
    /// Does it work?
    pub found: Found,
    /// Does the full rung need it?
    pub needed: bool,
    /// More, where it works: a version, a place.
    pub detail: Option<String>,
    /// The call that failed.
    pub call: Option<String>,
    /// The kernel's answer to it, by name.
    pub errno: Option<String>,
    /// Why it does not work.
    pub why: Option<String>,
    /// The guarantees that it holds, or helps to hold.
    pub lost: Vec<Guarantee>,
    /// What mends it.
    pub remedy: Option<String>,
}

/// Tries everything.
#[must_use]
pub fn probe() -> Vec<Mechanism> {
    let base = namespaces::base();
    let mut found = namespaces::all(&base);
    found.extend(mounts::all(&base));
    found.extend(seccomp::all());
    found.extend(process::all());
    found.push(landlock::landlock());
    found.push(helpers::id_helpers());
    found.extend(cgroups::all());
    found
}

/// A mechanism that is named, and what it holds.
pub(crate) struct Subject {
    name: &'static str,
    needed: bool,
    holds: &'static [Guarantee],
}

impl Subject {
    const fn needed(name: &'static str, holds: &'static [Guarantee]) -> Self {
        Self { name, needed: true, holds }
    }

    const fn beside(name: &'static str, holds: &'static [Guarantee]) -> Self {
        Self { name, needed: false, holds }
    }

    fn row(&self, found: Found) -> Mechanism {
        Mechanism {
            name: self.name.to_owned(),
            found,
            needed: self.needed,
            detail: None,
            call: None,
            errno: None,
            why: None,
            lost: if found == Found::Works { Vec::new() } else { self.holds.to_vec() },
            remedy: None,
        }
    }

    fn works(&self, detail: Option<String>) -> Mechanism {
        Mechanism { detail, ..self.row(Found::Works) }
    }

    fn missing(&self, lack: Lack) -> Mechanism {
        Mechanism { why: Some(lack.why), remedy: Some(lack.remedy), ..self.row(Found::Missing) }
    }

    /// The same, with the call that failed.
    fn failed(&self, failed: Failed, lack: Lack) -> Mechanism {
        let (call, errno) = match failed {
            Failed::At(call, number) => (Some(call.name().to_owned()), Some(errno::name(number))),
            Failed::Killed(signal) => (None, Some(format!("signal {signal}"))),
            Failed::Silent => (None, None),
        };
        Mechanism { call, errno, ..self.missing(lack) }
    }

    fn not_tried(&self, because: &str) -> Mechanism {
        let why = format!("it needs what is missing above: {because}");
        Mechanism { why: Some(why), ..self.row(Found::NotTried) }
    }

    /// What became of a trial, and why where it failed.
    fn tried(&self, tried: trial::Tried, why: impl FnOnce(Failed) -> Lack) -> Mechanism {
        match tried {
            Ok(()) => self.works(None),
            Err(failed) => self.failed(failed, why(failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mechanism_is_named_once_and_says_why_it_is_missing() {
        let found = probe();
        let mut names: Vec<_> = found.iter().map(|row| row.name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), found.len(), "{found:#?}");
        for row in &found {
            assert_eq!(row.found == Found::Works, row.why.is_none(), "{row:#?}");
            assert_eq!(row.found == Found::Missing, row.remedy.is_some(), "{row:#?}");
        }
    }
}
