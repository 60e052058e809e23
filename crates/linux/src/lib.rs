//! Ringfence on Linux.
//!
//! One direction: a [`Policy`](ringfence_policy::Policy) and a [`Request`] are *resolved* against this host's
//! files ([`resolve`]), what the kernel offers is *probed* ([`Host`]), both become a [`Plan`] of ordered kernel
//! steps or a refusal ([`plan`]), the plan is *launched* ([`launch`]), and the [`Running`] sandbox is
//! supervised until it has an [`Ending`].

mod cancel;
mod cgroup;
mod diagnose;
mod encode;
mod errno;
mod filter;
mod host;
mod identity;
mod idmap;
mod image;
mod landlock;
mod launch;
mod layout;
mod loader_calls;
mod look;
mod meter;
mod observe;
mod passed;
mod plan;
mod probe;
mod process;
mod pump;
mod receipt;
mod relay;
mod resolve;
mod rlimits;
mod rung;
mod signals;
#[cfg(test)]
mod spec;
mod stack;
mod step;
mod supervise;
mod terminal;
mod verdict;
mod why;

/// What fuzz/ reaches, in its own build only.
#[cfg(fuzzing)]
pub mod fuzzed {
    /// What a record of PID 1 makes a person read.
    pub fn step_failed(
        plan: &crate::Plan,
        record: &ringfence_init::wire::Record,
    ) -> ringfence_policy::Problem {
        crate::diagnose::step_failed(plan, record)
    }
}

pub use cancel::Cancellation;
pub use cgroup::{Counted, Freezer, counted};
pub use errno::name as errno_name;
pub use filter::{Ruled, ruled};
pub use host::Host;
pub use image::prober;
pub use launch::{Streams, launch};
pub use layout::{Layout, Node};
pub use look::real as real_path;
pub use observe::Observe;
pub use passed::{check as check_passed, closable, take_inherited};
pub use plan::{Plan, plan};
pub use probe::{Found, Mechanism, probe};
pub use pump::{Pump, Sink, Take, duplicate, pipe, without_waiting};
pub use resolve::{Instead, Request, Resolved, SameFile, Source, Start, is_terminal, resolve};
pub use rung::Descent;
pub use signals::{Signals, without_file_size_signal};
pub use step::Step;
pub use supervise::{Ending, Running, Tell};
pub use terminal::{Connection, Keyboard, Outer, OwnTerminal};

/// What the prober says, and how a system call is answered by rules.
pub use ringfence_init::inspect as told;
pub use ringfence_seccomp::{Answered, Passes};
