//! What every test needs: the command line under test, a probe to run inside and outside, folders that go away.

mod cgroups;
mod landlock;
mod run;
mod rung;
mod scene;

pub use cgroups::{cgroup_is_second, cgroups_of, has_cgroups};
pub use landlock::{landlock_abi, with_landlock_answering, without_landlock};
pub use run::{Outcome, Run, UNFILTERED, caller, finish, outside, privileged, probe, ringfence, worse};
pub use rung::{COVERED_PROC, Rung};
pub use scene::{Scene, is_root, not_reachable, spare_user};
