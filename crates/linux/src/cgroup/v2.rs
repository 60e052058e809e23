//! Version 2: one hierarchy, one folder, and processes that are born into it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;
use rustix::fs::{Mode, OFlags, open};

use super::files::{self, Folder};
use super::find::Hierarchy;
use super::{Account, Cgroup, Controller, Found, Lack, MICROSECOND, Wants, Watched, bandwidth, name};
use crate::errno;
use crate::image::above_streams;

/// A folder below which this caller may make cgroups.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    parent: PathBuf,
    /// What its children have yet to be given.
    missing: Vec<&'static str>,
    /// The same for the account of what block devices do, which holds nothing.
    io: bool,
}

impl Controller {
    /// The controller's name in version 2. Processor time is counted without one.
    pub(super) const fn second_name(self) -> Option<&'static str> {
        match self {
            Self::CpuTime => None,
            other => Some(other.name()),
        }
    }
}

/// Goes up from this process' own folder to the first that is this caller's and whose children can have what is
/// wanted. A process can only be born into, or moved to, what shares such a folder with where it comes from
/// (kernel/cgroup/cgroup.c, cgroup_attach_permissions).
pub(super) fn find(hierarchy: &Hierarchy, wanted: &BTreeSet<Controller>) -> Found {
    let mut reason = None;
    let own = hierarchy.own.as_deref();
    let above = own.into_iter().flat_map(Path::ancestors);
    for folder in above.take_while(|folder| folder.starts_with(&hierarchy.mount_point)) {
        match look(folder, wanted) {
            Ok(place) => return Found { place: Some(super::Place::V2(place)), lacking: [].into() },
            Err(lack) => reason = Some(reason.unwrap_or(lack)),
        }
    }
    let lack = reason.unwrap_or_else(|| {
        let why = format!("this process is in a cgroup outside of {}", hierarchy.mount_point.display());
        Lack::new(why, "give the container a cgroup namespace of its own")
    });
    Found { place: None, lacking: wanted.iter().map(|controller| (*controller, lack.clone())).collect() }
}

/// Slices and the user manager's own folder are systemd's, whoever owns the files.
fn is_systemds(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".slice") || (name.starts_with("user@") && name.ends_with(".service"))
}

fn look(folder: &Path, wanted: &BTreeSet<Controller>) -> Result<Place, Lack> {
    let shown = folder.display();
    let delegate =
        "ask for a delegated cgroup (systemd-run --user --scope -p Delegate=yes ...), or run it as root";
    if is_systemds(folder) {
        let why = format!("the cgroup {shown} is systemd's, and nothing below is delegated to this process");
        return Err(Lack::new(why, delegate));
    }
    for path in [folder.to_owned(), folder.join("cgroup.procs")] {
        files::may_write(&path).map_err(|e| {
            Lack::new(format!("the cgroup {shown} is not delegated to this user"), delegate).said(e)
        })?;
    }
    let words = |file: &str| {
        let unread = |e| Lack::new(format!("{file} of the cgroup {shown} cannot be read"), delegate).said(e);
        files::words(folder, file).map_err(unread)
    };
    let given = words("cgroup.subtree_control")?;
    let names = wanted.iter().filter_map(|controller| controller.second_name());
    let missing: Vec<_> = names.filter(|name| given.iter().all(|given| given != name)).collect();
    let there = words("cgroup.controllers")?;
    // Only the root of the whole hierarchy may have processes and give controllers to its children.
    let is_root = matches!(folder.join("cgroup.type").try_exists(), Ok(false));
    let is_free = !is_root && words("cgroup.procs")?.is_empty();
    // In all of a host others would pay for the account.
    let io = is_free && there.iter().any(|name| name == "io") && given.iter().all(|name| name != "io");
    if missing.is_empty() {
        return Ok(Place { parent: folder.to_owned(), missing, io });
    }
    if let Some(name) = missing.iter().find(|name| there.iter().all(|there| there != *name)) {
        let why = format!("the cgroup {shown} was not given the controller `{name}`");
        return Err(Lack::new(why, delegate));
    }
    if !is_root && !is_free {
        let why = format!(
            "the cgroup {shown} has processes of its own, so its children can be given no controller"
        );
        let remedy = "start this from a child of a delegated cgroup that has no processes itself";
        return Err(Lack::new(why, remedy));
    }
    Ok(Place { parent: folder.to_owned(), missing, io })
}

/// One folder.
#[derive(Debug)]
pub(super) struct Group {
    folder: Folder,
    file: OwnedFd,
    wants: Wants,
}

impl Group {
    pub(super) fn make(place: &Place, wants: &Wants) -> Result<Self, Problem> {
        let name = name::fresh()?;
        for controller in &place.missing {
            let given = files::write(&place.parent, "cgroup.subtree_control", &format!("+{controller}"));
            given.map_err(|problem| {
                problem.remedy("no process of another user may be in there; or let root do that")
            })?;
        }
        if place.io {
            let _the_report_says_rusage = files::write(&place.parent, "cgroup.subtree_control", "+io");
        }
        let folder = Folder::make(&place.parent, &name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = open(folder.path(), flags, Mode::empty()).map_err(io::Error::from).and_then(above_streams);
        let file =
            file.map_err(|e| errno::problem("cgroup", "the cgroup cannot be opened", e).at(folder.path()))?;
        set(folder.path(), wants)?;
        Ok(Self { folder, file, wants: wants.clone() })
    }
}

fn set(folder: &Path, wants: &Wants) -> Result<(), Problem> {
    if let Some(bytes) = wants.memory {
        files::set_bytes(folder, "memory.max", bytes)?;
        no_swap(folder)?;
        files::set(folder, "memory.oom.group", "1")?;
    }
    if let Some(cpus) = wants.cpus {
        let (quota, period) = bandwidth(cpus);
        files::set(folder, "cpu.max", &format!("{quota} {period}"))?;
    }
    if let Some(list) = &wants.cpuset {
        files::set(folder, "cpuset.cpus", &list.to_string())?;
        let effective = files::known_words(folder, "cpuset.cpus.effective")?.concat();
        if effective != list.to_string() {
            let why =
                format!("the processors {list} were asked for, and this process may use {effective} of them");
            return Err(Problem::request("cpuset", why).remedy("name processors that it may use (nproc)"));
        }
    }
    if let Some(pids) = wants.pids {
        files::set(folder, "pids.max", &(pids + 1).to_string())?;
    }
    Ok(())
}

/// Without that file the kernel counts no swap.
fn no_swap(folder: &Path) -> Result<(), Problem> {
    if !files::has(folder, "memory.swap.max")? && !files::host_has_swap()? {
        return Ok(());
    }
    files::set(folder, "memory.swap.max", "0")
}

/// Reads back what somebody else has set.
#[cfg(feature = "systemd")]
pub(super) fn verify(folder: &Path, wants: &Wants) -> Result<(), Problem> {
    if let Some(bytes) = wants.memory {
        let page = rustix::param::page_size() as u64;
        files::read_back(folder, "memory.max", &(bytes / page * page).to_string())?;
        if files::has(folder, "memory.swap.max")? {
            files::read_back(folder, "memory.swap.max", "0")?;
        } else {
            no_swap(folder)?;
        }
    }
    if let Some(cpus) = wants.cpus {
        let words = files::known_words(folder, "cpu.max")?;
        let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let same = matches!(numbers[..], [quota, period] if quota * 1000 <= u64::from(cpus.0) * period);
        if !same {
            let what = format!("the cgroup was to have {cpus} processors and says {numbers:?}");
            return Err(Problem::new(ringfence_policy::Reason::Setup, "cgroup", what).at(folder));
        }
    }
    if let Some(list) = &wants.cpuset {
        files::read_back(folder, "cpuset.cpus", &list.to_string())?;
    }
    if let Some(pids) = wants.pids {
        files::read_back(folder, "pids.max", &(pids + 1).to_string())?;
    }
    Ok(())
}

impl Cgroup for Group {
    fn folder(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn add(&self, process: i32) -> Result<(), Problem> {
        files::add(self.folder.path(), process)
    }

    fn watched(&self) -> Result<Watched, Problem> {
        // Also where that is not limited: what the set-up used is not the program's.
        let cpu = files::open_file(self.folder.path(), "cpu.stat")?;
        Ok(Watched { cpu: Some((cpu, MICROSECOND)), ..Watched::default() })
    }

    fn account(&self) -> Account {
        account(self.folder.path(), &self.wants)
    }
}

pub(super) fn account(folder: &Path, wants: &Wants) -> Account {
    let mut account = Account::default();
    let micros = |name| files::field(folder, "cpu.stat", name).map(|time| time * 1000);
    account.cpu = micros("usage_usec")
        .zip(micros("user_usec").zip(micros("system_usec")))
        .map(|(all, (user, system))| (all, user, system));
    if wants.memory.is_some() {
        account.peak_memory = files::number(folder, "memory.peak");
        account.oom_kills = files::field(folder, "memory.events", "oom_kill");
        account.memory_full = files::field(folder, "memory.events", "oom").is_some_and(|count| count > 0);
    }
    if wants.pids.is_some() {
        account.peak_pids = files::number(folder, "pids.peak");
        account.forks_refused = files::field(folder, "pids.events", "max").unwrap_or(0);
    }
    account.io = files::transferred(folder, "io.stat", ["rbytes", "wbytes"]);
    account
}
