//! How a run ended and what it used, from PID 1's last record and from the cgroup's account.

use ringfence_init::wire::{Record, ended};
use ringfence_policy::{Denial, DenialKind, Exceeded, Exit, Problem, Reason, Usage};

use crate::cgroup::Account;
use crate::diagnose::TOO_LITTLE_MEMORY;
use crate::meter::Meter;
use crate::plan::Plan;

/// Did the limit itself end it? A kill alone may be the host's, which ran out of memory.
pub(crate) fn ran_out_of_memory(account: &Account) -> bool {
    account.memory_full && account.oom_kills.is_some_and(|kills| kills > 0)
}

/// Who asked for the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The owner, by a signal or a kill.
    pub(crate) to_end: bool,
    /// The end of standard input.
    pub(crate) by_input: bool,
}

/// The exit: what the final usage exceeds, and the one reason.
pub(crate) fn judge(
    plan: &Plan,
    record: &Record,
    account: &Account,
    usage: &Usage,
    meter: &Meter,
    asked: Asked,
) -> Exit {
    let code = libc::WIFEXITED(record.status).then(|| libc::WEXITSTATUS(record.status));
    let signal = libc::WIFSIGNALED(record.status).then(|| libc::WTERMSIG(record.status));
    let limits = &plan.limits;
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let out_of_memory = record.ended & ended::MEMORY != 0 || ran_out_of_memory(account);
    let memory = limits.memory.filter(|_| out_of_memory);
    let timeout = limits.timeout.filter(|_| record.ended & ended::DEADLINE != 0).map(micros);
    let cpu_time = limits.cpu_time.map(micros);
    let used_up = record.ended & ended::CPU_TIME != 0 || signal == Some(libc::SIGXCPU);
    let cpu_time = cpu_time.filter(|limit| used_up || usage.cpu_us > *limit);
    let pids = limits.pids.filter(|_| account.forks_refused > 0);
    // The kernel writes up to the limit and not beyond (setrlimit(2)).
    let file_size = limits.file_size.filter(|_| signal == Some(libc::SIGXFSZ));
    let exceed = |limit: &str, allowed: u64, used: u64| Exceeded { limit: limit.to_owned(), allowed, used };
    let exceeded: Vec<_> = [
        memory.map(|size| exceed("memory", size.0, usage.peak_memory_bytes)),
        timeout.map(|allowed| exceed("timeout", allowed, usage.wall_us.max(allowed))),
        meter.exceeded(),
        cpu_time.map(|allowed| exceed("cpu-time", allowed, usage.cpu_us.max(allowed))),
        pids.map(|allowed| exceed("pids", allowed, usage.peak_pids.unwrap_or(allowed))),
        file_size.map(|size| exceed("file-size", size.0, size.0)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let reason = if meter.is_fatal() {
        Reason::Output
    } else if memory.is_some() {
        Reason::Memory
    } else if timeout.is_some() {
        Reason::Timeout
    } else if cpu_time.is_some() {
        Reason::CpuTime
    } else if (asked.to_end || asked.by_input) && signal == Some(libc::SIGKILL) {
        Reason::Killed
    } else if signal == Some(libc::SIGSYS) && plan.filter_kills {
        Reason::Violation
    } else if signal.is_some() {
        Reason::Signalled
    } else {
        Reason::Exited
    };
    let closed = asked.by_input && reason == Reason::Killed;
    let details = [
        closed.then(|| "standard input was closed, and the grace has passed".to_owned()),
        pids.map(|_| {
            format!("{} times there was no room for another process (--pids)", account.forks_refused)
        }),
    ];
    let details: Vec<_> = details.into_iter().flatten().collect();
    let detail = (!details.is_empty()).then(|| details.join("; "));
    Exit { code, signal, reason, exceeded, detail }
}

/// How likely a limit that was met is the cause of a failure: it ended the program, or something in it failed.
const LIMIT: [i32; 2] = [900, 550];

/// The limits that were met, with the flag that raises each: to twice of what it was.
pub(crate) fn denials(plan: &Plan, exit: &Exit) -> Vec<Denial> {
    let limits = &plan.limits;
    let mut met: Vec<_> = exit.exceeded.iter().map(|met| (met.limit.clone(), met.allowed)).collect();
    // A shell says by its status how its child ended.
    if exit.signal == Some(libc::SIGXFSZ) || exit.code == Some(128 + libc::SIGXFSZ) {
        met.extend(limits.file_size.map(|size| ("file-size".to_owned(), size.0)));
    }
    let ended = !matches!(exit.reason, Reason::Exited);
    met.into_iter()
        .map(|(limit, allowed)| {
            let twice = allowed.saturating_mul(2);
            let (shown, raised) = match limit.as_str() {
                "timeout" | "cpu-time" => {
                    (format!("{}ms", allowed / 1000), format!("{}ms", twice.div_ceil(1000)))
                }
                _ => (allowed.to_string(), twice.to_string()),
            };
            let what = format!("the limit --{limit} ({shown}) was met");
            let weight = LIMIT[usize::from(!ended)];
            Denial {
                allow_with: Some(format!("--{limit} {raised}")),
                ..Denial::new(DenialKind::Limit, what, weight)
            }
        })
        .collect()
}

/// What was used: the cgroup knows the whole tree, PID 1 what it reaped.
pub(crate) fn account_for(usage: Usage, record: &Record, account: &Account, cpu_before_us: u64) -> Usage {
    // A record without figures is not PID 1's: nobody lived to say it.
    let said = record.kind != 0;
    let max_rss_bytes = record.max_rss_kib * 1024;
    let (cpu_user_us, cpu_system_us) = match account.cpu {
        // What the set-up used was used in the kernel.
        Some((all, user, _)) => {
            let all = (all / 1000).saturating_sub(cpu_before_us);
            let user = (user / 1000).min(all);
            (user, all - user)
        }
        None => (record.user_us, record.system_us),
    };
    // Each knows what the other may not: a cgroup nothing of what is written back later, rusage nobody who was not
    // waited for.
    let (read, written) = account.io.unzip();
    let stored = |blocks: u64, counted: Option<u64>| said.then_some(blocks * 512).max(counted);
    Usage {
        cpu_us: cpu_user_us + cpu_system_us,
        cpu_user_us,
        cpu_system_us,
        peak_memory_bytes: account.peak_memory.unwrap_or(max_rss_bytes),
        memory_source: if account.peak_memory.is_some() { "cgroup" } else { "rusage" }.to_owned(),
        max_rss_bytes,
        // PID 1 may have been faster than the kernel.
        oom_killed: account.oom_kills.map(|kills| kills > 0 || record.ended & ended::MEMORY != 0),
        // PID 1 is none of the program's.
        peak_pids: account.peak_pids.map(|peak| peak.saturating_sub(1)),
        switches_forced: record.forced,
        switches_voluntary: record.voluntary,
        read_bytes: stored(record.blocks_read, read),
        written_bytes: stored(record.blocks_written, written),
        io_source: if account.io.is_some() { "cgroup" } else { "rusage" }.to_owned(),
        ..usage
    }
}

/// A start that failed while the limit of memory was met failed for that.
pub(crate) fn blame_memory(problem: Problem, account: &Account) -> Problem {
    if !ran_out_of_memory(account) && !account.memory_full {
        return problem;
    }
    let problem = Problem { reason: Reason::Setup, ..problem };
    problem.remedy(TOO_LITTLE_MEMORY)
}
