//! The rows of the receipt that cgroups fill, or the limits of single processes in their place.

use ringfence_policy::{Guarantee, GuaranteeRow, Limits, Policy, Status};

use super::{Controller, Held};
use crate::receipt::{partial, row};

/// One row for each guarantee that is asked for.
pub(crate) fn rows(policy: &Policy, held: &Held) -> Vec<GuaranteeRow> {
    let limits = &policy.limits;
    [memory(limits, held), cpu(limits, held), pids(policy, held), time(limits, held)]
        .into_iter()
        .flatten()
        .collect()
}

/// The layer's name: which version, which files.
fn layer(held: &Held, files: &str) -> String {
    let kind = held.spec.as_ref().map_or("cgroup", |spec| spec.place.kind());
    format!("{kind}: {files}")
}

fn memory(limits: &Limits, held: &Held) -> Option<GuaranteeRow> {
    let size = limits.memory?;
    if held.waived.contains(&Controller::Memory) {
        let detail = format!(
            "each process has at most {size} of its own data; files in memory are not counted, nor the sum"
        );
        return Some(partial(Guarantee::Memory, &["RLIMIT_DATA"], &detail));
    }
    let detail = format!(
        "at most {size} for all of it, files in memory included and PID 1 too; all of it is killed at that"
    );
    Some(row(Guarantee::Memory, &[&layer(held, "memory"), "no swap"], &detail))
}

fn cpu(limits: &Limits, held: &Held) -> Option<GuaranteeRow> {
    let held_by =
        |controller, said: Option<String>| (said.is_some(), held.waived.contains(&controller), said);
    let parts = [
        held_by(Controller::Cpu, limits.cpus.map(|cpus| format!("at most {cpus} processors at once"))),
        held_by(Controller::Cpuset, limits.cpuset.as_ref().map(|list| format!("only on processors {list}"))),
    ];
    let asked: Vec<_> = parts.into_iter().filter(|(asked, ..)| *asked).collect();
    let said = |waived: bool| {
        let of = asked.iter().filter(|(_, is, _)| *is == waived).filter_map(|(_, _, said)| said.clone());
        of.collect::<Vec<_>>().join(", ")
    };
    let (kept, lost) = (said(false), said(true));
    let layer = layer(held, "cpu");
    match (kept.is_empty(), lost.is_empty()) {
        (true, true) => None,
        (false, true) => Some(row(Guarantee::Cpu, &[&layer], &kept)),
        (false, false) => Some(partial(Guarantee::Cpu, &[&layer], &format!("{kept}; not held: {lost}"))),
        (true, false) => {
            let waived = row(Guarantee::Cpu, &[], &format!("not held: {lost}"));
            Some(GuaranteeRow { status: Status::Waived, ..waived })
        }
    }
}

fn pids(policy: &Policy, held: &Held) -> Option<GuaranteeRow> {
    let count = policy.limits.pids?;
    if !Controller::wanted(policy).contains(&Controller::Pids) {
        return Some(row(Guarantee::Pids, &["seccomp filter"], "no child and no thread"));
    }
    if held.waived.contains(&Controller::Pids) {
        let detail = format!("at most {count} processes and threads of the program's own user id");
        return Some(partial(Guarantee::Pids, &["RLIMIT_NPROC in an own user namespace"], &detail));
    }
    let detail = format!("at most {count} processes and threads beside PID 1; one more is EAGAIN");
    Some(row(Guarantee::Pids, &[&layer(held, "pids")], &detail))
}

fn time(limits: &Limits, held: &Held) -> Option<GuaranteeRow> {
    let (mut layers, mut details) = (Vec::new(), Vec::new());
    if let Some(timeout) = limits.timeout {
        layers.push("deadline in PID 1".to_owned());
        let (end, grace) = (timeout.as_millis(), limits.grace().as_millis());
        details.push(format!("ends after {end} ms, killed {grace} ms later"));
    }
    let waived = held.waived.contains(&Controller::CpuTime);
    if let Some(time) = limits.cpu_time {
        let ms = time.as_millis();
        if waived {
            details.push(format!("each process is killed after {ms} ms of processor time, in whole seconds; their sum is only judged at the end"));
        } else {
            layers.push(layer(held, "account of processor time, read by PID 1"));
            details.push(format!("killed after {ms} ms of processor time, all processes together"));
        }
        layers.push("RLIMIT_CPU".to_owned());
    }
    if details.is_empty() {
        return None;
    }
    layers.push("PID namespace".to_owned());
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    let make = if waived { partial } else { row };
    Some(make(Guarantee::Time, &layers, &details.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringfence_policy::Size;

    use super::*;

    #[test]
    fn what_was_waived_is_never_called_enforced() {
        let mut policy = Policy::builtin("default").unwrap();
        policy.limits = Limits {
            memory: Some(Size(1 << 20)),
            cpus: Some("0.5".parse().unwrap()),
            cpuset: Some("0".parse().unwrap()),
            pids: Some(8),
            cpu_time: Some(Duration::from_secs(1)),
            ..Limits::default()
        };
        let all = Controller::wanted(&policy);
        let statuses = |waived| {
            let held = Held { spec: None, waived };
            rows(&policy, &held).iter().map(|row| (row.guarantee, row.status)).collect::<Vec<_>>()
        };
        use Guarantee::{Cpu, Memory, Pids, Time};
        assert_eq!(statuses([].into()), [Memory, Cpu, Pids, Time].map(|g| (g, Status::Enforced)));
        assert_eq!(
            statuses(all),
            [
                (Memory, Status::Partial),
                (Cpu, Status::Waived),
                (Pids, Status::Partial),
                (Time, Status::Partial)
            ]
        );
        assert!(statuses([Controller::Cpuset].into()).contains(&(Cpu, Status::Partial)));
        assert!(rows(&Policy::builtin("default").unwrap(), &Held::default()).is_empty());
    }
}
