//! A rung below the full one, on which the escape checks run when `RINGFENCE_TEST_RUNG` names it: every run goes through
//! what makes the host so, and with the waivers that it needs.

use std::ffi::OsString;

use serde_json::Value;

use crate::worse;

/// A rung under test.
pub struct Rung {
    name: &'static str,
    /// A line of shell that makes the host so in a user and mount namespace; none where `worse` does.
    prepare: Option<&'static str>,
    waived: &'static [&'static str],
}

/// Covers a part of /proc, as container engines do.
pub const COVERED_PROC: &str =
    "{ mount -t tmpfs none /proc/scsi 2>/dev/null || mount -t tmpfs none /proc/fs; }";

const RUNGS: [Rung; 2] = [
    Rung { name: "nested", prepare: Some(COVERED_PROC), waived: &["processes"] },
    Rung { name: "root", prepare: None, waived: &["privileges"] },
];

impl Rung {
    /// The one that the environment names; none is the full one.
    pub fn under_test() -> Option<Self> {
        let name = std::env::var("RINGFENCE_TEST_RUNG").ok()?;
        let rung = RUNGS.into_iter().find(|rung| rung.name == name);
        Some(rung.unwrap_or_else(|| panic!("no rung below the full one is called `{name}`")))
    }

    /// Are root's files the program's own there?
    pub(crate) fn maps_ids(&self) -> bool {
        self.name != "root"
    }

    /// The words that a command is started through.
    pub(crate) fn host(&self) -> Vec<OsString> {
        match self.prepare {
            Some(prepare) => {
                let script = format!("{prepare} && exec \"$@\"");
                ["unshare", "-Urm", "sh", "-c", &script, "sh"].map(OsString::from).into()
            }
            None => vec![worse().into(), "no-user-namespaces".into(), "--".into()],
        }
    }

    pub(crate) fn waivers(&self) -> impl Iterator<Item = OsString> + use<> {
        self.waived.iter().map(|waived| format!("--allow-degraded={waived}").into())
    }

    /// What ran, ran on it.
    #[track_caller]
    pub(crate) fn check(&self, report: &Value) {
        let rung = &report["rung"];
        assert!(rung.is_null() || rung == self.name, "not on the rung under test: {report:#}");
    }
}
