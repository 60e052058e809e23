//! Failures after which something other than the rule is right: few, each with its reason.

use crate::calls;
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
    /// Less is shown than without the failure: never more, and nothing is less covered.
    LessShown,
}

/// What is allowed after this failure, and why.
pub(crate) fn after(injection: &Injection) -> Option<(Allowed, &'static str)> {
    let call = injection.call.shown.as_str();
    let number = injection.call.number;
    match (injection.role, injection.fault) {
        (Role::Supervisor, _) if call.starts_with("readlink") && call.contains("/proc/self/fd/") => {
            Some((Allowed::NoReport, "whether the program could write the report's folder was not found out"))
        }
        (Role::Supervisor, Fault::Errno(_)) if calls::only_looks(number) && !call.contains("(/proc/") => {
            Some((Allowed::LessShown, "what of the base cannot be looked at is not shown"))
        }
        (Role::Supervisor, Fault::Errno(_)) if number == libc::SYS_read => {
            Some((Allowed::LessShown, "an account that cannot be read gives its user no name"))
        }
        (_, Fault::Errno(_)) if number == libc::SYS_clock_gettime => Some((
            Allowed::Consequence,
            "this clock cannot fail (clock_gettime(2)); without it waits end early",
        )),
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

/// Failures that are not injected, and why: what no kernel does, where the answer is a library's, not ours.
pub(crate) fn not_injected(injection: &Injection) -> Option<&'static str> {
    let number = injection.call.number;
    let lie = injection.fault == Fault::FalseSuccess;
    let ours = injection.role == Role::Supervisor;
    match number {
        libc::SYS_socketpair if ours && lie => {
            Some("socketpair: a library ends the process on descriptors that are none")
        }
        libc::SYS_getrandom if ours => {
            Some("getrandom: the standard library ends the process without randomness")
        }
        libc::SYS_prlimit64 if ours && lie => Some("prlimit: a limit that reads as zero is a limit of zero"),
        libc::SYS_ppoll if injection.every && lie => {
            Some("ppoll: a poll that never waits and never tells spins for ever")
        }
        libc::SYS_write if injection.every && lie => {
            Some("write: where every write lies, nobody hears of an end")
        }
        _ => None,
    }
}

impl Allowed {
    /// May the program lack this line of its fingerprint?
    pub(crate) fn may_lack(self, line: &str) -> bool {
        match self {
            Self::NoReport | Self::Consequence => false,
            Self::HostKeyring => line.starts_with("keyring"),
            Self::LessShown => {
                let covers = line.contains("/.ringfence-empty-") || line.starts_with("mount /proc");
                let shows = line.starts_with("mount ") && !covers;
                shows || self.may_have(line)
            }
        }
    }

    /// May the program have this line besides?
    pub(crate) fn may_have(self, line: &str) -> bool {
        match self {
            Self::NoReport | Self::Consequence => false,
            Self::HostKeyring => line.starts_with("keyring"),
            // PATH and SHELL name only what is shown; the working directory is the home where it is not.
            Self::LessShown => line.starts_with("environment ") || line.starts_with("init Err("),
        }
    }
}
