//! The closed list of what a sandbox promises. SPEC.md has one row for each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One promise of a sandbox, by the name that flags, refusals and reports use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Only the granted files can be reached, and only the writable ones changed.
    Files,
    /// Only the granted device nodes can be reached.
    Devices,
    /// Processes outside cannot be seen, signalled or inspected.
    Processes,
    /// Only the granted network can be reached.
    Network,
    /// No shared memory, queue, semaphore or abstract socket is shared with the host.
    Ipc,
    /// No capability, and no way to gain one.
    Privileges,
    /// The kernel's interface is narrowed to what the program needs.
    KernelSurface,
    /// No more memory than its limit.
    Memory,
    /// No more processor time per second than its limit.
    Cpu,
    /// No more processes than its limit.
    Pids,
    /// It ends at its deadline.
    Time,
    /// Its files and its output stay below their limits.
    Output,
    /// Only the listed environment variables are passed.
    Environment,
    /// No open file of the caller is passed but the three streams.
    Fds,
    /// The caller's terminal cannot be read, written into or controlled.
    Terminal,
    /// Nothing of it outlives the command, however either side dies.
    Cleanup,
    /// A sandbox started by host root does not run with root's identity.
    HostRoot,
}

impl Guarantee {
    /// Every guarantee, in the order in which reports list them.
    pub const ALL: [Self; 17] = [
        Self::Files,
        Self::Devices,
        Self::Processes,
        Self::Network,
        Self::Ipc,
        Self::Privileges,
        Self::KernelSurface,
        Self::Memory,
        Self::Cpu,
        Self::Pids,
        Self::Time,
        Self::Output,
        Self::Environment,
        Self::Fds,
        Self::Terminal,
        Self::Cleanup,
        Self::HostRoot,
    ];

    /// Does it need something from the host, which a host may lack?
    #[must_use]
    pub const fn is_waivable(self) -> bool {
        !matches!(self, Self::Fds | Self::Environment)
    }

    /// The name as flags and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Devices => "devices",
            Self::Processes => "processes",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Privileges => "privileges",
            Self::KernelSurface => "kernel-surface",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Time => "time",
            Self::Output => "output",
            Self::Environment => "environment",
            Self::Fds => "fds",
            Self::Terminal => "terminal",
            Self::Cleanup => "cleanup",
            Self::HostRoot => "host-root",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Guarantee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|g| g.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no guarantee is called `{text}`; they are: {names}")
        })
    }
}

/// How a sandbox is built on this host: the same policy, by what the kernel gives here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Every namespace, a proc of its own, the filter.
    #[default]
    Full,
    /// In a container whose /proc is partly covered: the kernel gives no new one, so the caller's is shown, read-only.
    Nested,
    /// Root, where no user namespace can be made: all other namespaces, and the program's ids are the host's.
    Root,
}

impl Rung {
    /// Every rung, the best one first.
    pub const ALL: [Self; 3] = [Self::Full, Self::Nested, Self::Root];

    /// The name as reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Nested => "nested",
            Self::Root => "root",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a guarantee holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The kernel holds all of it.
    Enforced,
    /// The kernel holds most of it; the row's detail names what it does not.
    Partial,
    /// The caller waived it by name.
    Waived,
}

/// One line of the receipt: which kernel layers hold a guarantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuaranteeRow {
    /// The promise.
    pub guarantee: Guarantee,
    /// The kernel mechanisms that hold it, strongest first.
    pub layers: Vec<String>,
    /// How far it holds.
    pub status: Status,
    /// Who established it: `verified` once PID 1 has read the state back from the kernel, `planned` before.
    pub by: String,
    /// What is held, in one sentence; for `partial` and `waived`, what is not.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_and_is_what_json_says() {
        for guarantee in Guarantee::ALL {
            assert_eq!(guarantee.name().parse::<Guarantee>().unwrap(), guarantee);
            assert_eq!(serde_json::to_value(guarantee).unwrap(), guarantee.name());
        }
        assert!("all".parse::<Guarantee>().is_err());
    }
}
