//! Control groups: what holds memory, processors and the number of processes for a whole tree.
//!
//! [`find`] says where one can be made and [`decide`] whether that is enough; [`make`] makes one, which is gone when
//! its handle is. A sandbox sees no cgroup file system and has a cgroup namespace of its own, so it can neither
//! read nor change what holds it.

mod files;
mod find;
mod freeze;
mod name;
mod receipt;
#[cfg(feature = "systemd")]
mod systemd;
mod v1;
mod v2;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use ringfence_policy::{CpuList, Cpus, Guarantee, Policy, Problem};

pub(crate) use find::find;
pub use freeze::Freezer;
pub(crate) use receipt::rows;

use crate::why::Lack;

/// What one of the kernel's controllers holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    CpuTime,
}

impl Controller {
    /// Those that the limits need. A single process is held by the filter of system calls.
    pub(crate) fn wanted(policy: &Policy) -> BTreeSet<Self> {
        let limits = &policy.limits;
        let filtered = !policy.waived.contains(&Guarantee::KernelSurface);
        let wanted = [
            (Self::Memory, limits.memory.is_some()),
            (Self::Cpu, limits.cpus.is_some()),
            (Self::Cpuset, limits.cpuset.is_some()),
            (Self::Pids, limits.pids.is_some_and(|count| count > 1 || !filtered)),
            (Self::CpuTime, limits.cpu_time.is_some()),
        ];
        wanted.into_iter().filter_map(|(controller, wanted)| wanted.then_some(controller)).collect()
    }

    /// The promise that it is part of.
    pub(crate) const fn guarantee(self) -> Guarantee {
        match self {
            Self::Memory => Guarantee::Memory,
            Self::Cpu | Self::Cpuset => Guarantee::Cpu,
            Self::Pids => Guarantee::Pids,
            Self::CpuTime => Guarantee::Time,
        }
    }

    /// The kernel's name of it, in the first version.
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::CpuTime => "cpuacct",
        }
    }
}

/// Where cgroups can be made, and what cannot be had there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) place: Option<Place>,
    pub(crate) lacking: BTreeMap<Controller, Lack>,
}

/// A folder, or several, where this caller may make cgroups.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    V2(v2::Place),
    V1(v1::Place),
    #[cfg(feature = "systemd")]
    Systemd(systemd::Place),
}

impl Place {
    /// Is PID 1 born inside? Otherwise it waits until it is moved there.
    pub(crate) const fn is_born_into(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    /// Its name in a receipt.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::V2(_) => "cgroup v2",
            Self::V1(_) => "cgroup v1",
            #[cfg(feature = "systemd")]
            Self::Systemd(_) => "cgroup v2 by systemd's user manager",
        }
    }
}

/// What a cgroup is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) memory: Option<u64>,
    pub(crate) cpus: Option<Cpus>,
    pub(crate) cpuset: Option<CpuList>,
    /// Processes of the program, PID 1 not among them.
    pub(crate) pids: Option<u64>,
    pub(crate) cpu_time: bool,
}

/// A cgroup that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) place: Place,
    pub(crate) wants: Wants,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wants = &self.wants;
        let parts = [
            wants.memory.map(|bytes| format!("memory {}", ringfence_policy::Size(bytes))),
            wants.cpus.map(|cpus| format!("{cpus} processors")),
            wants.cpuset.as_ref().map(|list| format!("processors {list}")),
            wants.pids.map(|pids| format!("{pids} processes beside PID 1")),
            wants.cpu_time.then(|| "an account of processor time".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(f, "{}: {}", self.place.kind(), parts.join(", "))
    }
}

/// What holds the limits of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) spec: Option<Spec>,
    /// What no cgroup holds, by the caller's waiver.
    pub(crate) waived: BTreeSet<Controller>,
}

/// Decides what holds the limits.
///
/// # Errors
/// A limit that no cgroup can hold here, and that is not waived.
pub(crate) fn decide(policy: &Policy, found: &Found) -> Result<Held, Problem> {
    let mut held = Held::default();
    let limits = &policy.limits;
    let mut wanted = Controller::wanted(policy);
    for (controller, lack) in &found.lacking {
        if !wanted.remove(controller) {
            continue;
        }
        if !policy.waived.contains(&controller.guarantee()) {
            return Err(lack.refusal(controller.guarantee()));
        }
        held.waived.insert(*controller);
    }
    let Some(place) = found.place.clone().filter(|_| !wanted.is_empty()) else { return Ok(held) };
    let wants = Wants {
        memory: limits.memory.map(|size| size.0).filter(|_| wanted.contains(&Controller::Memory)),
        cpus: limits.cpus.filter(|_| wanted.contains(&Controller::Cpu)),
        cpuset: limits.cpuset.clone().filter(|_| wanted.contains(&Controller::Cpuset)),
        pids: limits.pids.filter(|_| wanted.contains(&Controller::Pids)),
        cpu_time: wanted.contains(&Controller::CpuTime),
    };
    held.spec = Some(Spec { place, wants });
    Ok(held)
}

/// What a cgroup says that was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) peak_memory: Option<u64>,
    /// How many processes the kernel killed for lack of memory, whoever lacked it.
    pub(crate) oom_kills: Option<u64>,
    /// The limit itself was met.
    pub(crate) memory_full: bool,
    /// Processor time in nanoseconds: all, in user mode, in the kernel.
    pub(crate) cpu: Option<(u64, u64, u64)>,
    /// PID 1 is among them.
    pub(crate) peak_pids: Option<u64>,
    /// How often the limit of processes was met.
    pub(crate) forks_refused: u64,
    /// Bytes that block devices have read, and written.
    pub(crate) io: Option<(u64, u64)>,
}

/// What PID 1 reads or waits for, so that a stopped supervisor extends nothing.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// The account of processor time, and how many nanoseconds its unit has.
    pub(crate) cpu: Option<(OwnedFd, u32)>,
    /// Tells that memory ran out.
    pub(crate) out_of_memory: Option<OwnedFd>,
    /// The same as paths, where the files appear only when PID 1 is in its cgroup: it opens them itself.
    pub(crate) cpu_path: Option<PathBuf>,
    pub(crate) memory_path: Option<PathBuf>,
}

/// Nanoseconds in the unit in which version 2 counts processor time.
pub(crate) const MICROSECOND: u32 = 1000;

/// A live cgroup. Dropping it removes it, when nothing lives in it any more.
pub(crate) trait Cgroup: fmt::Debug + Send {
    /// The folder that a process can be born into.
    fn folder(&self) -> Option<BorrowedFd<'_>>;

    /// Moves a process there, and reads that back.
    fn add(&self, process: i32) -> Result<(), Problem>;

    /// What PID 1 needs.
    fn watched(&self) -> Result<Watched, Problem>;

    /// What was used so far.
    fn account(&self) -> Account;

    /// Somebody else removes it as soon as it is empty: its account must be read before.
    fn is_fleeting(&self) -> bool {
        false
    }
}

/// Makes a cgroup with its limits set and read back.
///
/// # Errors
/// The kernel refuses it, or keeps something else than what was written.
pub(crate) fn make(spec: &Spec) -> Result<Box<dyn Cgroup>, Problem> {
    Ok(match &spec.place {
        Place::V2(place) => Box::new(v2::Group::make(place, &spec.wants)?),
        Place::V1(place) => Box::new(v1::Group::make(place, &spec.wants)?),
        #[cfg(feature = "systemd")]
        Place::Systemd(place) => Box::new(systemd::Group::make(place, &spec.wants)?),
    })
}

/// Quota and period in microseconds. The kernel takes no quota below a millisecond and no period above a second
/// (kernel/sched/core.c).
fn bandwidth(cpus: Cpus) -> (u64, u64) {
    let period = if cpus.0 < 10 { 1_000_000 } else { 100_000 };
    (u64::from(cpus.0) * period / 1000, period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let mut policy = Policy::builtin("default").unwrap();
        policy.limits.memory = Some(ringfence_policy::Size(1 << 20));
        policy.limits.pids = Some(8);
        policy
    }

    fn nowhere() -> Found {
        let lack = || Lack::new("of this", "do that");
        let lacking = [(Controller::Memory, lack()), (Controller::Pids, lack())].into_iter().collect();
        Found { place: None, lacking }
    }

    #[test]
    fn what_cannot_be_held_is_refused_by_name_unless_it_is_waived() {
        let problem = decide(&policy(), &nowhere()).unwrap_err().to_string();
        for part in ["`memory`", "of this", "do that", "--allow-degraded=memory"] {
            assert!(problem.contains(part), "{problem}");
        }
        let waived = policy().waive(Guarantee::Memory);
        let problem = decide(&waived, &nowhere()).unwrap_err().to_string();
        assert!(problem.contains("--allow-degraded=pids"), "{problem}");
        let held = decide(&waived.waive(Guarantee::Pids), &nowhere()).unwrap();
        assert!(held.spec.is_none() && held.waived.len() == 2, "{held:?}");
    }

    #[test]
    fn a_policy_without_such_limits_needs_nothing() {
        let held = decide(&Policy::builtin("default").unwrap(), &nowhere()).unwrap();
        assert!(held.spec.is_none() && held.waived.is_empty());
    }

    #[test]
    fn quotas_are_what_the_kernel_takes() {
        for (thousandths, quota, period) in
            [(1, 1000, 1_000_000), (9, 9000, 1_000_000), (10, 1000, 100_000), (1500, 150_000, 100_000)]
        {
            assert_eq!(bandwidth(Cpus(thousandths)), (quota, period));
        }
    }
}
