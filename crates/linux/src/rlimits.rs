//! Limits of a single process (setrlimit(2)): those that were asked for, and the second layer under a cgroup.

use ringfence_init::abi;
use ringfence_policy::{Policy, Problem};

use crate::cgroup::{Controller, Held};
use crate::host::Host;
use crate::step::Step;

/// The steps that limit the program's process itself (setrlimit(2)).
///
/// # Errors
/// A limit above what the caller has.
pub(crate) fn limits(
    steps: &mut Vec<Step>,
    policy: &Policy,
    host: &Host,
    held: &Held,
) -> Result<(), Problem> {
    // A core limit of 1 keeps a piped core handler of the host from running; 0 does not (fs/coredump.c). The
    // filter of system calls keeps the program from lowering it.
    let core = host.hard_limits.get(&abi::RLIMIT_CORE).copied().flatten().unwrap_or(u64::MAX).min(1);
    steps.push(Step::Limit { name: "core", resource: abi::RLIMIT_CORE, soft: core, hard: core });
    let limits = &policy.limits;
    if let Some(time) = limits.cpu_time.filter(|_| !held.waived.contains(&Controller::CpuTime)) {
        // A second layer, for each process: PID 1 comes first. The caller's own may be tighter, and stays.
        let own = host.hard_limits.get(&abi::RLIMIT_CPU).copied().flatten().unwrap_or(u64::MAX);
        let seconds = whole_seconds(time).saturating_add(1).min(own);
        steps.push(Step::Limit { name: "cpu-time", resource: abi::RLIMIT_CPU, soft: seconds, hard: seconds });
    }
    // What no cgroup holds, by the caller's waiver. PID 1 is of the same user in the same namespace.
    let waived = |controller| held.waived.contains(&controller);
    let pids = limits.pids.filter(|_| waived(Controller::Pids)).map(|count| count + 1);
    let memory = limits.memory.filter(|_| waived(Controller::Memory)).map(|size| size.0);
    if let Some(time) = limits.cpu_time.filter(|_| waived(Controller::CpuTime)) {
        // The soft limit's signal says what it was; who catches it has a second left.
        let soft = whole_seconds(time);
        let step =
            Step::Limit { name: "cpu-time", resource: abi::RLIMIT_CPU, soft, hard: soft.saturating_add(1) };
        steps.push(step);
    }
    for (name, resource, value) in [
        ("file-size", abi::RLIMIT_FSIZE, limits.file_size.map(|size| size.0)),
        ("stack", abi::RLIMIT_STACK, limits.stack.map(|size| size.0)),
        ("nofile", abi::RLIMIT_NOFILE, limits.nofile),
        ("pids", abi::RLIMIT_NPROC, pids),
        ("memory", abi::RLIMIT_DATA, memory),
    ] {
        let Some(value) = value else { continue };
        let hard = host.hard_limits.get(&resource).copied().flatten();
        if let Some(hard) = hard.filter(|hard| *hard < value) {
            let why = format!("--{name} {value} is more than this caller may have itself ({hard})");
            return Err(Problem::request("limit", why).remedy(format!("ask for at most {hard}")));
        }
        steps.push(Step::Limit { name, resource, soft: value, hard: value });
    }
    Ok(())
}

/// The limit of a single process counts whole seconds.
fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
