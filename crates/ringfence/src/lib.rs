//! Run a program you don't trust so that the kernel itself holds it in.
//!
//! It sees only the files it was given, reaches only the network it was allowed, dies with its owner, and leaves
//! a [`Report`] of what was enforced and used. The face is that of [`std::process::Command`]:
//!
//! ```
//! use ringfence::{Policy, Sandbox};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::new(Policy::builtin("default")?);
//! let output = sandbox.command("/bin/echo").arg("hello").output()?;
//! assert_eq!(output.stdout, b"hello\n");
//! assert_eq!(output.report.exit.code, Some(0));
//! # Ok(())
//! # }
//! ```
//!
//! Everything is callable from any thread, any number of times at once. Nothing of the calling process changes
//! beyond one cached memory file, one child for each sandbox, and its SIGCHLD.
#![forbid(unsafe_code)]

mod child;
mod clock;
mod command;
pub mod config;
pub mod doctor;
#[cfg(feature = "tokio")]
mod execute;
mod foreground;
pub mod inspect;
pub mod profiles;
pub mod registry;
mod report_file;
mod stdio;

pub use child::{Child, Output, Truncated};
pub use command::{Command, DEFAULT_OUTPUT, Failure, Plan, Sandbox, report_of_refusal};
#[cfg(feature = "tokio")]
pub use execute::{Request, execute};
pub use registry::Registry;
pub use report_file::ReportFile;
pub use ringfence_linux::{
    Cancellation, Found, Mechanism, Signals, errno_name, take_inherited, without_file_size_signal,
};
pub use ringfence_policy as policy;
pub use ringfence_policy::{Event, Guarantee, GuaranteeRow, Policy, Problem, Profile, Report};
pub use stdio::Stdio;
