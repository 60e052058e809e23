//! What a sandboxed program may do ([`Policy`]), what it promises to hold ([`Guarantee`]), and what is said
//! afterwards ([`Report`]).
//!
//! Plain data: nothing here calls the operating system, and the same types serve every front end and every
//! backend.
#![forbid(unsafe_code)]

mod amounts;
mod capability;
pub mod codes;
mod denial;
mod event;
mod guarantee;
mod output;
mod policy;
mod problem;
mod profile;
mod report;
mod tighten;
mod units;
mod words;

pub use amounts::{CpuList, Cpus};
pub use capability::Capability;
pub use denial::{Denial, DenialKind, Denials};
pub use event::{Event, Happened};
pub use guarantee::{Guarantee, GuaranteeRow, Rung, Status};
pub use output::{Beyond, OutputLimit};
pub use policy::{
    Access, Base, Environment, Filesystem, Grant, HostUser, IdMap, Layer, Limits, Network, Policy, Process,
    Tmpfs, Toolchain, Tty,
};
pub use problem::{Problem, Refusal};
pub use profile::{BUILTIN_PROFILES, Config, Facts, Format, Located, Mistakes, OciFilter, Profile};
pub use report::{Exceeded, Exit, Reason, Report, SCHEMA, Usage};
pub use ringfence_seccomp::{Syscalls, Violation};
pub use units::{Size, parse_duration, parse_size};
pub use words::{BindSpec, TmpfsSpec, Variable};
