//! Failures after which something other than the rule is right: few, each with its reason.

use crate::inject::{Fault, Injection};
use crate::tracer::Role;

/// What a run with a failure may do besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// There is no report.
    NoReport,
    /// The program's session keyring is its caller's.
    HostKeyring,
    /// The message names what the failure led to, not the failure.
    Consequence,
}

/// What is allowed after this failure, and why.
pub(crate) fn after(injection: &Injection) -> Option<(Allowed, &'static str)> {
    let call = injection.call.shown.as_str();
    let number = injection.call.number;
    match (injection.role, injection.fault) {
        (Role::Supervisor, _) if call.starts_with("readlink") && call.contains("/proc/self/fd/") => {
            Some((Allowed::NoReport, "whether the program could write the report's folder was not found out"))
        }
        (_, Fault::Errno(_)) if number == libc::SYS_clock_gettime => Some((
            Allowed::Consequence,
            "this clock cannot fail (clock_gettime(2)); without it waits end early",
        )),
        (Role::Init | Role::Target, Fault::Errno(_)) if injection.every && number == libc::SYS_write => {
            Some((Allowed::Consequence, "the word that names a failure inside is a write: its lack is named"))
        }
        (Role::Init, Fault::Errno(libc::EPERM | libc::ENOSYS))
            if injection.every && number == libc::SYS_keyctl =>
        {
            Some((
                Allowed::HostKeyring,
                "a filter that forbids keyctl to PID 1 forbids it to the program too",
            ))
        }
        _ => None,
    }
}

impl Allowed {
    /// May the program's fingerprint differ in this line?
    pub(crate) fn may_differ(self, line: &str) -> bool {
        match self {
            Self::NoReport | Self::Consequence => false,
            Self::HostKeyring => line.starts_with("keyring"),
        }
    }
}
