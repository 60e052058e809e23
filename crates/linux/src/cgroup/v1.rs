//! Version 1: a hierarchy of its own for each controller, or for a few. (Hybrid hosts have their controllers here too.)

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;
use rustix::event::{EventfdFlags, eventfd};

use super::files::{self, Folder};
use super::find::Hierarchy;
use super::{Account, Cgroup, Controller, Found, Lack, Wants, Watched, bandwidth, name};
use crate::errno;
use crate::image::above_streams;
use crate::pump::duplicate;

/// This caller's own folder in each hierarchy that is needed.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    parents: BTreeMap<Controller, PathBuf>,
    /// Of what holds nothing, where it can be had: the freezer, by which `ringfence kill --all` stops everything at
    /// once, and the account of what block devices do.
    beside: Vec<PathBuf>,
    io: Option<PathBuf>,
}

/// Looks for this caller's folder of each controller, and whether a cgroup can be made below.
pub(super) fn find(hierarchies: &[Hierarchy], wanted: &BTreeSet<Controller>) -> Found {
    let (mut parents, mut lacking) = (BTreeMap::new(), BTreeMap::new());
    let parent_of = |name: &str| {
        let has = |hierarchy: &&Hierarchy| {
            hierarchy.controllers.as_ref().is_some_and(|names| names.iter().any(|known| known == name))
        };
        parent(hierarchies.iter().find(has), name)
    };
    for controller in wanted {
        match parent_of(controller.name()) {
            Ok(parent) => drop(parents.insert(*controller, parent)),
            Err(lack) => drop(lacking.insert(*controller, lack)),
        }
    }
    // Kernels since 6.10 count nothing there until somebody limits a device; then even the parent has no line of one.
    let io =
        parent_of("blkio").ok().filter(|folder| io(folder).is_some_and(|(read, written)| read + written > 0));
    let beside = parent_of("freezer").ok().into_iter().chain(io.clone()).collect();
    let place = (!parents.is_empty()).then_some(super::Place::V1(Place { parents, beside, io }));
    Found { place, lacking }
}

fn parent(hierarchy: Option<&Hierarchy>, name: &str) -> Result<PathBuf, Lack> {
    let Some(hierarchy) = hierarchy else {
        let why = format!("the cgroup controller `{name}` is not mounted here");
        let remedy = format!("mount it (mount -t cgroup -o {name} ...), or use a host with cgroup v2");
        return Err(Lack::new(why, remedy));
    };
    let Some(own) = &hierarchy.own else {
        let why = format!("this process is in a cgroup outside of {}", hierarchy.mount_point.display());
        return Err(Lack::new(why, "give the container its own cgroups"));
    };
    for path in [own.clone(), own.join("cgroup.procs")] {
        files::may_write(&path).map_err(|e| {
            let why = format!("the cgroup v1 folder {} is not this user's", own.display());
            let remedy = "run it as root, or let root make a folder there, chown it with its files to this user, and \
                          start this from inside it";
            Lack::new(why, remedy).said(e)
        })?;
    }
    Ok(own.clone())
}

/// Folders in one or more hierarchies, under one name.
#[derive(Debug)]
pub(super) struct Group {
    folders: Vec<Folder>,
    /// Index of each controller's folder.
    of: BTreeMap<Controller, usize>,
    /// What block devices do for it.
    io: Option<PathBuf>,
    /// Counts when memory runs out.
    out_of_memory: Option<OwnedFd>,
}

impl Group {
    pub(super) fn make(place: &Place, wants: &Wants) -> Result<Self, Problem> {
        let name = name::fresh()?;
        let wanted = [
            (Controller::Memory, wants.memory.is_some()),
            (Controller::Cpu, wants.cpus.is_some()),
            (Controller::Cpuset, wants.cpuset.is_some()),
            (Controller::Pids, wants.pids.is_some()),
            (Controller::CpuTime, wants.cpu_time),
        ];
        let mut group = Self { folders: Vec::new(), of: BTreeMap::new(), io: None, out_of_memory: None };
        for (controller, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            let Some(parent) = place.parents.get(&controller) else { continue };
            let index = group.index(parent, &name)?;
            group.of.insert(controller, index);
        }
        for parent in &place.beside {
            group.index(parent, &name)?;
        }
        group.io = place.io.as_ref().map(|parent| parent.join(&name));
        group.set(wants)?;
        group.out_of_memory = group.folder(Controller::Memory).map(tells_of_memory).transpose()?;
        Ok(group)
    }

    /// Which of its folders lies there: one that several controllers share is made once.
    fn index(&mut self, parent: &Path, name: &str) -> Result<usize, Problem> {
        let path = parent.join(name);
        if let Some(known) = self.folders.iter().position(|folder| folder.path() == path) {
            return Ok(known);
        }
        self.folders.push(Folder::make(parent, name)?);
        Ok(self.folders.len() - 1)
    }

    fn folder(&self, controller: Controller) -> Option<&Path> {
        self.of.get(&controller).map(|index| self.folders[*index].path())
    }

    fn set(&self, wants: &Wants) -> Result<(), Problem> {
        if let Some((folder, bytes)) = self.folder(Controller::Memory).zip(wants.memory) {
            files::set_bytes(folder, "memory.limit_in_bytes", bytes)?;
            no_swap(folder, bytes)?;
        }
        if let Some((folder, cpus)) = self.folder(Controller::Cpu).zip(wants.cpus) {
            let (quota, period) = bandwidth(cpus);
            files::set(folder, "cpu.cfs_period_us", &period.to_string())?;
            files::set(folder, "cpu.cfs_quota_us", &quota.to_string())?;
        }
        if let Some((folder, list)) = self.folder(Controller::Cpuset).zip(wants.cpuset.as_ref()) {
            // A new cpuset has no memory node, and nothing can run in it.
            let parent = folder.parent().unwrap_or(folder);
            let nodes = files::known_words(parent, "cpuset.effective_mems")?.concat();
            files::set(folder, "cpuset.mems", &nodes)?;
            files::set(folder, "cpuset.cpus", &list.to_string()).map_err(|problem| {
                problem.remedy("name processors that this process itself may use (nproc)")
            })?;
        }
        if let Some((folder, pids)) = self.folder(Controller::Pids).zip(wants.pids) {
            files::set(folder, "pids.max", &(pids + 1).to_string())?;
        }
        Ok(())
    }
}

/// What block devices have done for it.
fn io(folder: &Path) -> Option<(u64, u64)> {
    files::transferred(folder, "blkio.throttle.io_service_bytes", ["Read", "Write"])
}

/// Memory and swap together may be no more than memory alone. Without that file the kernel counts no swap.
fn no_swap(folder: &Path, bytes: u64) -> Result<(), Problem> {
    let together = "memory.memsw.limit_in_bytes";
    if files::has(folder, together)? {
        return files::set_bytes(folder, together, bytes);
    }
    if !files::host_has_swap()? {
        return Ok(());
    }
    let why = "this kernel counts no swap in cgroups, and this host has some".to_owned();
    let remedy = Some("boot it with swapaccount=1, or `swapoff -a`".to_owned());
    Err(ringfence_policy::Refusal { guarantee: ringfence_policy::Guarantee::Memory, why, remedy }.into())
}

impl Cgroup for Group {
    fn folder(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn add(&self, process: i32) -> Result<(), Problem> {
        self.folders.iter().try_for_each(|folder| files::add(folder.path(), process))
    }

    fn watched(&self) -> Result<Watched, Problem> {
        let cpu = self.folder(Controller::CpuTime);
        let cpu = cpu.map(|folder| files::open_file(folder, "cpuacct.usage")).transpose()?;
        let memory = self.out_of_memory.as_ref().map(|event| duplicate(event.as_fd())).transpose();
        let memory = memory.map_err(|e| errno::problem("cgroup", "no more files can be opened", e))?;
        Ok(Watched { cpu: cpu.map(|file| (file, 1)), out_of_memory: memory, ..Watched::default() })
    }

    fn account(&self) -> Account {
        let mut account = Account::default();
        if let Some(folder) = self.folder(Controller::Memory) {
            account.peak_memory = files::number(folder, "memory.max_usage_in_bytes");
            account.oom_kills = files::field(folder, "memory.oom_control", "oom_kill");
            // The counter of failures does not count those of memory and swap together. Of the host's own lack of
            // memory nothing is told.
            account.memory_full = self.out_of_memory.as_ref().is_some_and(|event| {
                let mut count = [0_u8; 8];
                rustix::io::read(event, &mut count).is_ok_and(|length| length == count.len())
            });
        }
        if let Some(folder) = self.folder(Controller::CpuTime) {
            let part = |file| files::number(folder, file);
            let parts = part("cpuacct.usage_user").zip(part("cpuacct.usage_sys"));
            account.cpu = part("cpuacct.usage").zip(parts).map(|(all, (user, system))| (all, user, system));
        }
        if let Some(folder) = self.folder(Controller::Pids) {
            account.peak_pids = files::number(folder, "pids.peak");
            account.forks_refused = files::field(folder, "pids.events", "max").unwrap_or(0);
        }
        account.io = self.io.as_deref().and_then(io);
        account
    }
}

/// An eventfd that counts when the limit cannot be kept without a kill (Documentation/admin-guide/cgroup-v1/memory.rst).
fn tells_of_memory(folder: &Path) -> Result<OwnedFd, Problem> {
    let failed =
        |e: io::Error| errno::problem("cgroup", "the kernel cannot tell when memory runs out", e).at(folder);
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
    let event = event.and_then(above_streams).map_err(failed)?;
    let control = files::open_file(folder, "memory.oom_control")?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    files::write(folder, "cgroup.event_control", &line)?;
    Ok(event)
}
