//! How a run ended, what it used, and what held: the JSON that scripts read.

use serde::{Deserialize, Serialize};

use crate::{Denial, Guarantee, GuaranteeRow, Policy, Problem, Rung};

/// The version of the report's JSON.
pub const SCHEMA: u32 = 1;

/// The account of one run, written on every ending, refusals too.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of Ringfence.
    pub version: String,
    /// A name that no other run has.
    pub id: String,
    /// The name that the caller gave.
    pub name: Option<String>,
    /// The command as given.
    pub command: Vec<String>,
    /// The profile that the policy began as.
    pub profile: String,
    /// The effective policy; names of variables, never their values. `null` when none could be read.
    pub policy: Option<serde_json::Value>,
    /// SHA-256 of `policy`.
    pub policy_sha256: Option<String>,
    /// When the run began, UTC, RFC 3339.
    pub started_at: String,
    /// How it ended.
    pub exit: Exit,
    /// Why it did not run, when it did not.
    pub error: Option<Problem>,
    /// What it used; `null` when the program never started.
    pub usage: Option<Usage>,
    /// What was refused, the likeliest cause of a failure first; absent where nobody collected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violations: Option<Vec<Denial>>,
    /// How the sandbox was built on this host; `null` when nothing was set up.
    pub rung: Option<Rung>,
    /// Which kernel layer held which guarantee; empty when nothing was set up.
    pub receipt: Vec<GuaranteeRow>,
    /// Guarantees that the caller waived.
    pub waived: Vec<Guarantee>,
}

impl Report {
    /// A report of a run that has not ended: everything that is known before the start.
    #[must_use]
    pub fn begin(id: String, command: Vec<String>, policy: Option<&Policy>, started_at: String) -> Self {
        let mut report = Self::begin_briefly(id, command, policy, started_at);
        policy.into_iter().for_each(|policy| report.describe(policy));
        report
    }

    /// The same, but for what [`describe`](Self::describe) adds.
    #[must_use]
    pub fn begin_briefly(
        id: String,
        command: Vec<String>,
        policy: Option<&Policy>,
        started_at: String,
    ) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            id,
            name: None,
            command,
            profile: policy.map_or_else(String::new, |p| p.profile.clone()),
            policy: None,
            policy_sha256: None,
            started_at,
            exit: Exit {
                code: None,
                signal: None,
                reason: Reason::Internal,
                exceeded: Vec::new(),
                detail: None,
            },
            error: None,
            usage: None,
            violations: None,
            rung: None,
            receipt: Vec::new(),
            waived: policy.map_or_else(Vec::new, |p| p.waived.iter().copied().collect()),
        }
    }

    /// The whole policy, and its hash: the costly part, for when there is time.
    pub fn describe(&mut self, policy: &Policy) {
        self.policy = serde_json::to_value(policy.without_values()).ok();
        self.policy_sha256 = Some(policy.sha256());
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The program's own status, when it exited.
    pub code: Option<i32>,
    /// The signal that ended it, when one did.
    pub signal: Option<i32>,
    /// The one reason that decides the exit status.
    pub reason: Reason,
    /// Limits that the final usage exceeds.
    pub exceeded: Vec<Exceeded>,
    /// One sentence, where there is more to say.
    pub detail: Option<String>,
}

impl Exit {
    /// The exit status of `ringfence run`, as CONTRACT says it.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.reason {
            Reason::Exited => u8::try_from(self.code.unwrap_or(0) & 0xff).unwrap_or(u8::MAX),
            Reason::Signalled => u8::try_from(128 + self.signal.unwrap_or(0)).unwrap_or(u8::MAX),
            Reason::Timeout => 124,
            Reason::CpuTime => 152,
            Reason::Output => 153,
            Reason::Violation => 159,
            Reason::Memory | Reason::Killed => 137,
            Reason::Refused | Reason::Setup | Reason::Internal => 125,
            Reason::NotExecutable => 126,
            Reason::NotFound => 127,
        }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The program exited.
    Exited,
    /// A signal ended the program.
    Signalled,
    /// The deadline ended it, or it ended after its deadline.
    Timeout,
    /// It used up its processor time.
    CpuTime,
    /// It came to the limit of its memory, and all of it was killed.
    Memory,
    /// It printed more than it may, and was killed for it.
    Output,
    /// The filter of system calls ended it.
    Violation,
    /// Its owner killed it.
    Killed,
    /// A guarantee could not be given.
    Refused,
    /// The sandbox was not set up, or the request was wrong.
    Setup,
    /// The command was not found.
    NotFound,
    /// The command was found but cannot be executed.
    NotExecutable,
    /// Ringfence itself failed.
    Internal,
}

/// A limit that the final usage exceeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exceeded {
    /// The limit, by the name of its flag.
    pub limit: String,
    /// What was allowed, in the limit's own unit (microseconds, bytes, a count).
    pub allowed: u64,
    /// What was used.
    pub used: u64,
}

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Wall clock from the program's start, in microseconds.
    pub wall_us: u64,
    /// From the request to the program's start, in microseconds.
    pub setup_us: u64,
    /// Processor time of the whole tree, in microseconds.
    pub cpu_us: u64,
    /// Its part in user mode.
    pub cpu_user_us: u64,
    /// Its part in the kernel.
    pub cpu_system_us: u64,
    /// The most memory that the whole tree held (by its cgroup), or the most that one process did (by rusage).
    pub peak_memory_bytes: u64,
    /// Where `peak_memory_bytes` comes from: `cgroup` or `rusage`.
    pub memory_source: String,
    /// The largest resident set of one process, in bytes.
    pub max_rss_bytes: u64,
    /// Something was killed for lack of memory; `null` where no cgroup counted that.
    pub oom_killed: Option<bool>,
    /// The most processes and threads at once; `null` where no cgroup counted them.
    pub peak_pids: Option<u64>,
    /// Context switches that the scheduler forced.
    pub switches_forced: u64,
    /// Context switches by waiting.
    pub switches_voluntary: u64,
    /// Bytes read from storage; `null` when PID 1 did not live to say it and no cgroup counted them.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage, or made ready to be; `null` as above.
    pub written_bytes: Option<u64>,
    /// Where the two come from: `rusage`, which knows the processes that somebody waited for, or `cgroup`, which knows
    /// all, but not what is still to be written: then each is the larger of the two figures.
    #[serde(default)]
    pub io_source: String,
    /// Bytes of standard output; `null` where the stream was passed directly.
    pub stdout_bytes: Option<u64>,
    /// Bytes of standard error; `null` where the stream was passed directly.
    pub stderr_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(reason: Reason, code: Option<i32>, signal: Option<i32>) -> u8 {
        Exit { code, signal, reason, exceeded: Vec::new(), detail: None }.status()
    }

    #[test]
    fn statuses_are_the_contracts() {
        assert_eq!(exit(Reason::Exited, Some(3), None), 3);
        assert_eq!(exit(Reason::Signalled, None, Some(9)), 137);
        assert_eq!(exit(Reason::Timeout, Some(0), None), 124, "even if the program then exits 0");
        assert_eq!(exit(Reason::Output, Some(0), None), 153);
        assert_eq!(exit(Reason::Killed, Some(0), None), 137);
        assert_eq!(exit(Reason::Memory, Some(0), None), 137);
        assert_eq!(exit(Reason::CpuTime, None, Some(9)), 152);
        for reason in [Reason::Refused, Reason::Setup, Reason::Internal] {
            assert_eq!(exit(reason, None, None), 125);
        }
        assert_eq!(exit(Reason::NotExecutable, None, None), 126);
        assert_eq!(exit(Reason::NotFound, None, None), 127);
    }
}
