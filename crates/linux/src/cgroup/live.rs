//! What a live sandbox uses, as the cgroup that was made for it counts it: for whoever looks from outside.

use std::fs;

use super::{files, find, name};

/// What a cgroup counts now; `None` where none of ours does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes of memory, files in memory included.
    pub memory_bytes: Option<u64>,
    /// Processor time in microseconds, of all that lives and lived in it.
    pub cpu_us: Option<u64>,
    /// Processes and threads, PID 1 among them.
    pub tasks: Option<u64>,
}

/// Reads the cgroups of a sandbox, by its first process and by who supervises it (process id and start time in clock
/// ticks): one that its supervisor did not make counts more than the sandbox (cgroups(7)).
#[must_use]
pub fn counted(init: i32, supervisor: (i32, u64)) -> Counted {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own = read(&format!("/proc/{init}/cgroup"));
    let mut counted = Counted::default();
    for hierarchy in find::hierarchies(&read("/proc/self/mountinfo"), &own) {
        let Some(folder) = hierarchy.own else { continue };
        let leaf = folder.file_name().and_then(|leaf| leaf.to_str()).unwrap_or_default();
        if !name::is_of(leaf, supervisor) {
            continue;
        }
        // A file that a controller lacks is not there.
        let number = |file| files::number(&folder, file);
        let cpu = files::field(&folder, "cpu.stat", "usage_usec");
        counted = Counted {
            memory_bytes: counted
                .memory_bytes
                .or_else(|| number("memory.current"))
                .or_else(|| number("memory.usage_in_bytes")),
            cpu_us: counted.cpu_us.or(cpu).or_else(|| Some(number("cpuacct.usage")? / 1000)),
            tasks: counted.tasks.or_else(|| number("pids.current")),
        };
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_in_a_cgroup_of_somebody_elses_is_not_counted_by_it() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert_eq!(counted(own, (own, 1)), Counted::default());
        assert_eq!(counted(i32::MAX, (1, 1)), Counted::default(), "nobody");
    }
}
