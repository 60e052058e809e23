//! What /proc says of processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use ringfence_linux::errno_name;
use ringfence_policy::Problem;

use super::{Facts, Who};

/// Who this process is.
pub(super) fn own_facts() -> Result<Facts, Problem> {
    let failed = |e: std::io::Error| {
        let problem = Problem::request("registry", "/proc does not say who this process is".to_owned());
        problem
            .errno(e.raw_os_error().map_or_else(|| e.to_string(), errno_name))
            .remedy("mount a proc on /proc")
    };
    let pid = std::process::id().cast_signed();
    let started = start_time(pid).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let boot_id = small("/proc/sys/kernel/random/boot_id").map_err(failed)?;
    let pid_namespace = fs::metadata("/proc/self/ns/pid").map_err(failed)?.ino();
    let boot_id = boot_id.trim().to_owned();
    Ok(Facts { process: Who { pid, started }, boot_id, pid_namespace })
}

/// A file of /proc that is smaller than a page: one read gives all of it.
fn small(path: &str) -> io::Result<String> {
    let mut buffer = [0; 4096];
    let length = File::open(path)?.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Who this user is outside its user namespace (user_namespaces(7)): many are root in one, and each has a folder of
/// its own.
pub(super) fn outer_user(inside: u32) -> u32 {
    small("/proc/self/uid_map").ok().and_then(|map| mapped(&map, inside)).unwrap_or(inside)
}

/// Where a map takes an id.
fn mapped(map: &str, inside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[first, outer, count] = numbers.as_slice() else { return None };
        let offset = inside.checked_sub(first).filter(|offset| *offset < count)?;
        outer.checked_add(offset)
    })
}

/// State, parent and start time (proc_pid_stat(5)). The name before them may hold anything but ends at the last
/// `)`.
pub(super) fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = small(&format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((state, parent, started))
}

/// When a process started; `None` when it is gone. One that nobody has reaped yet is gone.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    stat(pid).filter(|(state, ..)| !matches!(state, 'Z' | 'X')).map(|(.., started)| started)
}

/// Is it still this process?
pub(super) fn is_alive(who: Who) -> bool {
    who.pid > 0 && start_time(who.pid) == Some(who.started)
}

/// Is it the first process of a PID namespace below ours? An entry that somebody has forged names another.
pub(super) fn is_first(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<_> = numbers.split_ascii_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

/// What one process uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) parent: i32,
    /// Processor time of its own and of what it has reaped, in clock ticks.
    pub(super) cpu: u64,
    /// Resident pages.
    pub(super) resident: u64,
}

/// Every process that is alive (proc_pid_stat(5): fields 4, 14 to 17 and 24).
pub(super) fn tasks() -> BTreeMap<i32, Task> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let task = |pid: i32| {
        let text = small(&format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number =
            |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let parent = fields.get(1)?.parse().ok()?;
        (!matches!(*fields.first()?, "Z" | "X"))
            .then(|| (pid, Task { parent, cpu: (11..=14).map(number).sum(), resident: number(21) }))
    };
    ids.filter_map(task).collect()
}

/// Every process below this one, with its parent: one look at all of /proc.
pub(super) fn descendants(of: &[i32]) -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = ids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut found: Vec<(i32, i32)> = Vec::new();
    let mut layer: Vec<i32> = of.to_vec();
    while !layer.is_empty() {
        let next: Vec<_> = parents.iter().filter(|(_, parent)| layer.contains(parent)).copied().collect();
        layer = next.iter().map(|(pid, _)| *pid).collect();
        found.extend(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_user_namespace_is_who_made_it() {
        let nested = "         0       1001          1\n         1     165536      65536\n";
        assert_eq!(mapped(nested, 0), Some(1001));
        assert_eq!(mapped(nested, 3), Some(165_538));
        assert_eq!(mapped(nested, 65_537), None);
        assert_eq!(mapped("         0          0 4294967295\n", 1000), Some(1000), "no user namespace");
        assert_eq!(mapped("0 4294967295 9", 1), None);
        assert_eq!(mapped("of no meaning", 0), None);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = own_facts().unwrap();
        assert!(is_alive(own.process));
        assert!(!is_alive(Who { started: own.process.started + 1, ..own.process }));
        assert!(!is_alive(Who { pid: 0, started: 0 }) && !is_alive(Who { pid: i32::MAX, started: 0 }));
        assert!(!is_first(own.process.pid), "it would be killed by a forged entry");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = child.id().cast_signed();
        assert!(descendants(&[own.process.pid]).contains(&(id, own.process.pid)));
        let who = Who { pid: id, started: start_time(id).unwrap() };
        child.kill().unwrap();
        // Dead and not yet reaped is gone.
        while is_alive(who) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_alive(who));
    }
}
