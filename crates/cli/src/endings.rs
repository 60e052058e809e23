//! How a run ended, in a word or two.

use ringfence::policy::{Exit, Policy, Reason};

use crate::human;

/// The signals by number; the same on x86_64 and aarch64 (`signal(7)`).
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// `exit 1`, `signal 11 (SIGSEGV)`, `timeout`, ...
pub(crate) fn ending(exit: &Exit) -> String {
    match exit.reason {
        Reason::Exited => format!("exit {}", exit.code.unwrap_or(0)),
        Reason::Signalled => signal(exit.signal.unwrap_or(0)),
        Reason::Timeout => "timeout".to_owned(),
        Reason::CpuTime => "out of processor time".to_owned(),
        Reason::Memory => "out of memory".to_owned(),
        Reason::Output => "too much output".to_owned(),
        Reason::Violation => "ended by the filter of system calls".to_owned(),
        Reason::Killed => "killed".to_owned(),
        Reason::Refused => "refused".to_owned(),
        Reason::Setup => "not started".to_owned(),
        Reason::NotFound => "command not found".to_owned(),
        Reason::NotExecutable => "command not executable".to_owned(),
        Reason::Internal => "an error of ringfence itself".to_owned(),
    }
}

/// The same, with the limit that ended it.
pub(crate) fn ending_under(exit: &Exit, policy: &Policy) -> String {
    let limits = &policy.limits;
    match exit.reason {
        Reason::Timeout => {
            limits.timeout.map(|limit| format!("timeout after {} (--timeout)", human::as_a_flag(limit)))
        }
        Reason::CpuTime => limits
            .cpu_time
            .map(|limit| format!("out of processor time after {} (--cpu-time)", human::as_a_flag(limit))),
        Reason::Memory => limits.memory.map(|limit| format!("out of memory at {limit} (--memory)")),
        Reason::Output => {
            limits.output.map(|limit| format!("more than {} of output (--output-limit)", limit.size))
        }
        _ => None,
    }
    .unwrap_or_else(|| ending(exit))
}

fn signal(number: i32) -> String {
    let name = usize::try_from(number - 1).ok().and_then(|index| SIGNALS.get(index));
    match name {
        Some(name) => format!("signal {number} ({name})"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_kernels_numbers() {
        use rustix::process::Signal;
        for (known, name) in [
            (Signal::HUP, "SIGHUP"),
            (Signal::SEGV, "SIGSEGV"),
            (Signal::TERM, "SIGTERM"),
            (Signal::SYS, "SIGSYS"),
        ] {
            assert_eq!(signal(known.as_raw()), format!("signal {} ({name})", known.as_raw()));
        }
        assert_eq!(signal(0), "signal 0");
        assert_eq!(signal(34), "signal 34");
    }

    #[test]
    fn a_missed_deadline_is_named() {
        let exit =
            Exit { code: Some(0), signal: None, reason: Reason::Timeout, exceeded: Vec::new(), detail: None };
        let policy = Policy::builtin("minimal").unwrap();
        assert_eq!(ending_under(&exit, &policy), "timeout after 10s (--timeout)");
    }
}
