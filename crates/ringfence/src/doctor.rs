//! What this host can enforce: every mechanism tried, then a real sandbox.

use std::time::Duration;

use ringfence_linux::{Found, Mechanism, probe};
use ringfence_policy::{Guarantee, GuaranteeRow, Policy, Problem, Rung};
use serde::Serialize;

use crate::{Command, Sandbox, Stdio};

/// The version of the JSON.
pub const SCHEMA: u32 = 1;

/// No sandbox that does nothing takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of Ringfence.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// User id of the caller: another one may be allowed more, or less.
    pub user: u32,
    /// The best rung that a sandbox runs on here; `null` when none can be started.
    pub rung: Option<Rung>,
    /// What must be waived by name for that.
    pub waivers: Vec<Guarantee>,
    /// Is everything there that the full rung needs? Limits by cgroups are beside it.
    pub full: bool,
    /// Each mechanism, tried.
    pub mechanisms: Vec<Mechanism>,
    /// A real sandbox under the profile `default`.
    pub sandbox: Proof,
}

/// A sandbox that was started, because no single trial is the whole story.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The program ran in it, and exited with 0.
    pub ran: bool,
    /// Why not.
    pub error: Option<Problem>,
    /// What held each guarantee.
    pub receipt: Vec<GuaranteeRow>,
}

/// Tries everything. `words` is a command that does nothing and exits with 0: it runs in a sandbox, last.
#[must_use]
pub fn examine(words: &[impl AsRef<std::ffi::OsStr>]) -> Diagnosis {
    let mechanisms = probe();
    let (mut sandbox, mut rung) = prove(words, &[]);
    let mut waivers = Vec::new();
    // The policy of a run decides what may be done without; here it is asked what that would give.
    for without in DEGRADED {
        if rung.is_none() {
            let (degraded, lower) = prove(words, without);
            if lower.is_some() {
                (sandbox, rung, waivers) = (degraded, lower, without.to_vec());
            }
        }
    }
    let all = mechanisms.iter().filter(|row| row.needed).all(|row| row.found == Found::Works);
    Diagnosis {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        user: rustix::process::geteuid().as_raw(),
        rung,
        waivers,
        full: all && rung == Some(Rung::Full),
        mechanisms,
        sandbox,
    }
}

/// What the rungs below the full one need, the best one first.
const DEGRADED: [&[Guarantee]; 3] =
    [&[Guarantee::Processes], &[Guarantee::Privileges], &[Guarantee::Processes, Guarantee::Privileges]];

/// Runs the command as `ringfence run` would.
fn prove(words: &[impl AsRef<std::ffi::OsStr>], waived: &[Guarantee]) -> (Proof, Option<Rung>) {
    let failed = |error| (Proof { ran: false, error: Some(error), receipt: Vec::new() }, None);
    let [program, rest @ ..] = words else {
        return failed(Problem::request("usage", "no program was named".to_owned()));
    };
    let mut policy = match Policy::builtin("default") {
        Ok(policy) => policy,
        Err(problem) => return failed(problem),
    };
    policy.limits.timeout = Some(LONGEST);
    policy.waived.extend(waived);
    let mut command: Command = Sandbox::new(policy).command(program);
    command.args(rest).name("doctor");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let report = match command.status() {
        Ok(report) => report,
        Err(failure) => *failure.report,
    };
    let ran = report.error.is_none() && report.exit.code == Some(0);
    let ending =
        || Problem::request("ending", format!("the program in it ended otherwise: {:?}", report.exit.reason));
    let error = if ran { None } else { Some(report.error.clone().unwrap_or_else(ending)) };
    (Proof { ran, error, receipt: report.receipt }, report.rung.filter(|_| ran))
}
