//! Cgroups: which controllers this caller's sandboxes can have, and where from. They hold limits only, so that the full
//! rung does without them.

use ringfence_policy::Guarantee as G;

use super::{Mechanism, Subject};
use crate::cgroup::{self, Controller};

const CONTROLLERS: [(Controller, Subject); 5] = [
    (Controller::Memory, Subject::beside("cgroup-memory", &[G::Memory])),
    (Controller::Cpu, Subject::beside("cgroup-cpu", &[G::Cpu])),
    (Controller::Cpuset, Subject::beside("cgroup-cpuset", &[G::Cpu])),
    (Controller::Pids, Subject::beside("cgroup-pids", &[G::Pids])),
    (Controller::CpuTime, Subject::beside("cgroup-cpu-time", &[G::Time])),
];

/// Each controller by itself: one that is missing does not hide another.
pub(crate) fn all() -> Vec<Mechanism> {
    let row = |(controller, subject): &(Controller, Subject)| {
        let found = cgroup::find(&[*controller].into());
        match (found.lacking.get(controller), &found.place) {
            (Some(lack), _) => subject.missing(lack.clone()),
            (None, Some(place)) => subject.works(Some(place.kind().to_owned())),
            (None, None) => subject.not_tried("a cgroup"),
        }
    };
    CONTROLLERS.iter().map(row).collect()
}
