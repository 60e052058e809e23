//! What this host is: who calls, what the kernel shows. Read for every run, never cached on disk, where a
//! sandbox with a writable home could poison it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_init::abi;
use ringfence_policy::{Policy, Problem, Rung};

use crate::resolve::Source;
use crate::rung::Unmapped;
use crate::why::Lack;
use crate::{cgroup, errno, landlock, look};

/// The namespaces that a sandbox has for itself, as /proc/PID/ns names them.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Files and folders of /proc that say something about the host, or act on it. Those that this kernel has are
/// covered (the list is the container engines' with what was found since).
const PROC_COVERED: [&str; 22] = [
    "acpi",
    "asound",
    "bus",
    "fs",
    "interrupts",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "modules",
    "sched_debug",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
];

/// Facts about this host and this caller.
#[derive(Clone, Debug)]
pub struct Host {
    /// Effective user id of the caller.
    pub uid: u32,
    /// Effective group id of the caller.
    pub gid: u32,
    /// Supplementary groups of the caller.
    pub groups: Vec<u32>,
    /// The caller's effective capabilities, one bit each.
    pub capabilities: u64,
    /// The caller's file mode creation mask (umask(2)).
    pub umask: u32,
    /// The ids that exist in the caller's user namespace: (inside, outside, count).
    pub id_map: Vec<(u32, u32, u32)>,
    /// Inode of each of the caller's namespaces.
    pub namespaces: BTreeMap<&'static str, u64>,
    /// What of /proc must be covered here: (name, is a folder).
    pub proc_covered: Vec<(&'static str, bool)>,
    /// Hard limits of the caller (getrlimit(2)); `None` is no limit.
    pub hard_limits: BTreeMap<u32, Option<u64>>,
    /// `newuidmap` and `newgidmap`, where both are installed.
    pub id_helpers: Option<(PathBuf, PathBuf)>,
    /// How many processors are online; asked only when limits need it.
    pub processors: u32,
    /// How sandboxes are built here: the full rung until a step has failed.
    pub rung: Rung,
    /// Why not better, and what is shown in place of a proc of the sandbox's own.
    pub(crate) outer_proc: Option<(Lack, Source)>,
    /// Why there is no user namespace for PID 1, and who the program is then.
    pub(crate) unmapped: Option<Unmapped>,
    /// The ABI of this kernel's Landlock (landlock(7)); `None` where it is no second layer.
    pub landlock: Option<u32>,
    /// Where cgroups can be made; looked for only when limits need one.
    pub(crate) cgroups: cgroup::Found,
}

impl Host {
    /// Reads the facts.
    ///
    /// # Errors
    /// /proc is not there, or does not say what proc(5) promises; the kernel contradicts itself about Landlock.
    pub fn read() -> Result<Self, Problem> {
        let status = read("/proc/thread-self/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(|rest| rest.split_whitespace().collect::<Vec<_>>()).unwrap_or_default()
        };
        let id = |name: &str| field(name).get(1).and_then(|id| id.parse().ok());
        let umask = field("Umask:").first().and_then(|octal| u32::from_str_radix(octal, 8).ok());
        let capabilities = field("CapEff:").first().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let (Some(uid), Some(gid), Some(capabilities)) = (id("Uid:"), id("Gid:"), capabilities) else {
            return Err(Problem::request(
                "proc",
                "/proc/thread-self/status lacks ids or capabilities".into(),
            ));
        };
        let id_map = parse_id_map(&read("/proc/self/uid_map")?);
        if id_map.is_empty() {
            // Taken for a namespace with a single id, it would make root an ordinary user.
            return Err(
                Problem::request("proc", "/proc/self/uid_map says nothing".into()).at("/proc/self/uid_map")
            );
        }
        Ok(Self {
            uid,
            gid,
            groups: field("Groups:").iter().filter_map(|id| id.parse().ok()).collect(),
            capabilities,
            umask: umask.unwrap_or(0o022),
            id_map,
            namespaces: namespaces()?,
            proc_covered: proc_covered()?,
            hard_limits: hard_limits()?,
            id_helpers: find_helper("newuidmap")?.zip(find_helper("newgidmap")?),
            processors: 1,
            rung: Rung::Full,
            outer_proc: None,
            unmapped: None,
            landlock: landlock::abi()?,
            cgroups: cgroup::Found::default(),
        })
    }

    /// Looks for a place for the cgroup that this policy's limits need, and for what else they need.
    #[must_use]
    pub fn with_cgroups(self, policy: &Policy) -> Self {
        let wanted = cgroup::Controller::wanted(policy);
        if wanted.is_empty() {
            return self;
        }
        Self { cgroups: cgroup::find(&wanted), processors: processors(), ..self }
    }

    /// Is the caller root of a host, or of a container with ids to give away? Who is root of their own id alone is an
    /// ordinary user.
    #[must_use]
    pub fn caller_is_root(&self) -> bool {
        self.uid == 0 && self.id_map.iter().any(|(_, _, count)| *count >= 2)
    }

    /// Does the caller hold every one of these capabilities?
    #[must_use]
    pub fn can(&self, numbers: &[u32]) -> bool {
        numbers.iter().all(|number| self.capabilities >> number & 1 == 1)
    }
}

fn read(path: &str) -> Result<String, Problem> {
    look::text(Path::new(path)).map_err(|e| {
        errno::problem("proc", format!("{path} cannot be read"), e)
            .at(path)
            .remedy("mount a proc file system at /proc")
    })
}

fn parse_id_map(text: &str) -> Vec<(u32, u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            <[u32; 3]>::try_from(numbers).ok().map(|[inside, outside, count]| (inside, outside, count))
        })
        .collect()
}

fn namespaces() -> Result<BTreeMap<&'static str, u64>, Problem> {
    NAMESPACES
        .into_iter()
        .map(|name| {
            let path = format!("/proc/thread-self/ns/{name}");
            let there = look::behind(Path::new(&path)).map_err(|e| {
                errno::problem("namespace", format!("this kernel has no {name} namespaces"), e).at(&path)
            })?;
            Ok((name, there.ino()))
        })
        .collect()
}

fn hard_limits() -> Result<BTreeMap<u32, Option<u64>>, Problem> {
    let read = |number: u32| {
        let limit = ringfence_init::sys::prlimit(number, None).map_err(|e| {
            let problem = Problem::request("limit", "the limits of this process cannot be read".to_owned());
            problem.errno(errno::name(e.0)).remedy("run it where getrlimit(2) is not filtered away")
        })?;
        // RLIM_INFINITY is the largest number.
        Ok((number, Some(limit.hard).filter(|hard| *hard != u64::MAX)))
    };
    let read_by_us = [
        abi::RLIMIT_CORE,
        abi::RLIMIT_NOFILE,
        abi::RLIMIT_FSIZE,
        abi::RLIMIT_STACK,
        abi::RLIMIT_CPU,
        abi::RLIMIT_DATA,
        abi::RLIMIT_NPROC,
    ];
    read_by_us.into_iter().map(read).collect()
}

/// All that are online: what the program may use of them can change while it runs.
fn processors() -> u32 {
    // SAFETY: a number in, a number out.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).unwrap_or(0).max(1)
}

fn proc_covered() -> Result<Vec<(&'static str, bool)>, Problem> {
    let mut covered = Vec::new();
    for name in PROC_COVERED {
        let path = Path::new("/proc").join(name);
        match look::at(&path) {
            Ok(there) => covered.push((name, there.is_dir())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            // To go on would leave it uncovered.
            Err(e) => return Err(look::unknown(&path, e).remedy("mount a proc file system at /proc")),
        }
    }
    Ok(covered)
}

/// A set-user-id helper from the system's own folders, never from PATH.
fn find_helper(name: &str) -> Result<Option<PathBuf>, Problem> {
    for folder in ["/usr/bin", "/bin", "/usr/sbin"] {
        let path = Path::new(folder).join(name);
        let there = look::present(look::behind(&path)).map_err(|e| look::unknown(&path, e))?;
        if there.is_some_and(|there| there.is_file()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_read() {
        let host = Host::read().unwrap();
        assert_eq!(host.uid, rustix::process::geteuid().as_raw());
        assert_eq!(host.namespaces.len(), NAMESPACES.len());
        // Which of them exist is the kernel's configuration; some do on every one.
        assert!(!host.proc_covered.is_empty());
        for (name, folder) in host.proc_covered {
            assert_eq!(Path::new("/proc").join(name).is_dir(), folder, "{name}");
        }
    }

    #[test]
    fn id_maps_parse() {
        assert_eq!(parse_id_map("         0       1000          1\n"), [(0, 1000, 1)]);
        assert_eq!(parse_id_map("nonsense\n"), []);
    }
}
