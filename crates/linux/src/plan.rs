//! The plan: ordered kernel steps as data. `plan` is a pure function, so every host can be tested on any, and
//! `ringfence plan` prints the very list that PID 1 carries out.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ringfence_init::abi;
use ringfence_policy::{
    Access, Base, Guarantee, GuaranteeRow, IdMap, Limits, Network, OutputLimit, Policy, Problem, Rung,
};

use crate::cgroup::{self, Held};
use crate::filter::{Filters, filters};
use crate::host::{Host, NAMESPACES};
use crate::identity::{Identity, Writer};
use crate::landlock::{self, Ruleset};
use crate::layout::{Layout, Node, Rank};
use crate::observe::Observed;
use crate::receipt;
use crate::resolve::{FURNITURE, Resolved, Source};
use crate::rlimits;
use crate::rung;
use crate::step::{MountFlags, Step};
use crate::terminal::OwnTerminal;

/// Ordered steps, and what they promise.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) identity: Identity,
    pub(crate) namespaces: Vec<&'static str>,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) capabilities: u64,
    pub(crate) umask: u32,
    pub(crate) filter_kills: bool,
    pub(crate) deadline_ns: u64,
    pub(crate) grace_ns: u64,
    pub(crate) output: Option<OutputLimit>,
    pub(crate) id_helpers: Option<(PathBuf, PathBuf)>,
    pub(crate) limits: Limits,
    pub(crate) cgroup: Option<cgroup::Spec>,
    pub(crate) processors: u32,
    pub(crate) rung: Rung,
    pub(crate) receipt: Vec<GuaranteeRow>,
    pub(crate) notes: Vec<String>,
    pub(crate) unprotected: Vec<PathBuf>,
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) layout: Layout,
    pub(crate) observed: Option<Observed>,
}

impl Plan {
    /// How the sandbox is built on this host.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.rung
    }

    /// What each guarantee is held by.
    #[must_use]
    pub fn receipt(&self) -> &[GuaranteeRow] {
        &self.receipt
    }

    /// Lines for a person: what was decided for them.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Protected names that do not exist on the host yet.
    #[must_use]
    pub fn unprotected(&self) -> &[PathBuf] {
        &self.unprotected
    }

    /// What the program may print.
    #[must_use]
    pub const fn output_limit(&self) -> Option<OutputLimit> {
        self.output
    }

    /// What the program may do with a file of the host that it sees at the file's own place; `None` where it does not.
    ///
    /// # Errors
    /// A file on the way cannot be looked at.
    pub fn access(&self, host: &Path) -> Result<Option<Access>, Problem> {
        self.layout.access(host)
    }

    /// What stands on the host behind a path inside; `None` where that is the sandbox's own.
    #[must_use]
    pub fn host_path(&self, inside: &Path) -> Option<PathBuf> {
        self.layout.host_path(inside)
    }

    /// Its terminal, where it has one of its own.
    #[must_use]
    pub fn terminal(&self) -> Option<&OwnTerminal> {
        self.steps.iter().find_map(|step| match step {
            Step::Terminal(terminal) => Some(terminal),
            _ => None,
        })
    }

    /// Host folders that the program can change.
    #[must_use]
    pub fn writable(&self) -> &[PathBuf] {
        &self.writable
    }

    /// The steps, a line each, as they will be carried out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let ids = match self.identity.writer {
            Writer::Itself => "mapping the caller's own id",
            Writer::Root => "mapped by root to an unprivileged host id",
            Writer::Helpers => "mapped by newuidmap and newgidmap",
            Writer::Nobody => "under the host's own ids",
        };
        let cgroup = match &self.cgroup {
            Some(spec) if spec.place.is_born_into() => format!(", born into a cgroup ({spec})"),
            Some(spec) => format!(", to be moved into a cgroup ({spec})"),
            None => String::new(),
        };
        let start = format!("start PID 1 in new {} namespaces, {ids}{cgroup}", self.namespaces.join(", "));
        std::iter::once(start).chain(self.steps.iter().map(Step::to_string)).collect()
    }
}

/// CLONE_NEW* of a namespace's name.
pub(crate) fn clone_flag(namespace: &str) -> u64 {
    match namespace {
        "user" => abi::CLONE_NEWUSER,
        "mnt" => abi::CLONE_NEWNS,
        "pid" => abi::CLONE_NEWPID,
        "net" => abi::CLONE_NEWNET,
        "ipc" => abi::CLONE_NEWIPC,
        "uts" => abi::CLONE_NEWUTS,
        _ => abi::CLONE_NEWCGROUP,
    }
}

/// The empty file and folder that covers are made of; taken away before the root is sealed.
const EMPTY_FILE: &str = "/.ringfence-empty-file";
const EMPTY_FOLDER: &str = "/.ringfence-empty-folder";

/// From what may be done, what is there and what the kernel can, to what will be done.
///
/// `random` decides the host id that root's sandboxes get.
///
/// # Errors
/// A guarantee that this host cannot give and the policy does not waive; a limit above what the caller has.
pub fn plan(policy: &Policy, resolved: &Resolved, host: &Host, random: u32) -> Result<Plan, Problem> {
    let outer_proc = outer_proc(policy, host)?;
    rung::check(policy, resolved, host)?;
    let identity = Identity::decide(policy, host, random)?;
    check_devices(resolved, &identity)?;
    let held = cgroup::decide(policy, &host.cgroups)?;
    let namespaces = namespaces(policy, host);
    let mut steps = Vec::new();
    become_somebody(&mut steps, &identity, &held);
    let verify_namespace = |name: &&'static str| Step::VerifyNamespace {
        name,
        host: host.namespaces.get(name).copied().unwrap_or(0),
    };
    let in_hosts = identity.writer == Writer::Nobody;
    if in_hosts {
        // Before anything is done that would be done to the host in a namespace of the host's.
        steps.extend(namespaces.iter().map(verify_namespace));
    }
    steps.push(Step::Private);
    steps.extend(in_hosts.then_some(Step::VerifyPrivate));
    steps.push(Step::Root { bytes: FURNITURE, inodes: 65_536 });
    build_files(&mut steps, policy, resolved, &identity, outer_proc);
    let ruleset = second_layer(&mut steps, policy, resolved, host);
    leave_host(&mut steps, &resolved.layout);
    steps.push(Step::VerifyMounts);
    if policy.network == Network::None {
        steps.push(Step::Loopback);
    }
    steps.push(Step::Hostname { name: policy.process.hostname.clone() });
    steps.push(Step::Keyring);
    if !in_hosts {
        steps.extend(namespaces.iter().map(verify_namespace));
    }
    let capabilities = policy.capabilities.iter().fold(0, |set, capability| set | 1 << capability.number());
    steps.push(Step::CloseFiles);
    steps.extend(ruleset.iter().flat_map(Ruleset::allowed).map(Step::Landlock));
    steps.extend([Step::Capabilities { keep: capabilities }, Step::NoNewPrivileges]);
    steps.extend(resolved.terminal.clone().map(Step::Terminal));
    steps.push(Step::Fork);
    let filters = filters(policy, resolved.start)?;
    let layers = Layers { ruleset: ruleset.as_ref(), filters: filters.as_ref() };
    become_the_program(&mut steps, policy, resolved, host, &held, layers)?;
    let ns = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Ok(Plan {
        rung: host.rung,
        receipt: receipt::rows(policy, resolved, host, &identity, &held, layers),
        steps,
        identity,
        namespaces,
        arguments: resolved.arguments.clone(),
        environment: resolved.environment.clone().into_iter().collect(),
        capabilities,
        umask: host.umask,
        filter_kills: filters.is_some_and(|filters| filters.kills),
        deadline_ns: policy.limits.timeout.map_or(0, ns),
        grace_ns: ns(policy.limits.grace()),
        output: policy.limits.output,
        id_helpers: host.id_helpers.clone(),
        limits: policy.limits.clone(),
        processors: processors(&policy.limits, host),
        cgroup: held.spec,
        notes: resolved.notes.clone(),
        unprotected: resolved.unprotected.clone(),
        writable: writable(resolved),
        layout: resolved.layout.clone(),
        observed: None,
    })
}

/// The namespaces that the sandbox gets.
fn namespaces(policy: &Policy, host: &Host) -> Vec<&'static str> {
    let is_had = |name: &&str| match *name {
        "net" => policy.network == Network::None,
        "user" => host.unmapped.is_none(),
        _ => true,
    };
    NAMESPACES.into_iter().filter(is_had).collect()
}

/// What is shown as /proc where the sandbox can have none of its own.
///
/// # Errors
/// It may not be so by the policy: what is seen there is not waived.
fn outer_proc<'a>(policy: &Policy, host: &'a Host) -> Result<Option<&'a Source>, Problem> {
    let Some((lack, source)) = &host.outer_proc else { return Ok(None) };
    if policy.waived.contains(&Guarantee::Processes) {
        return Ok(Some(source));
    }
    Err(lack.refusal(Guarantee::Processes))
}

/// How many processors the program can use at once.
fn processors(limits: &Limits, host: &Host) -> u32 {
    let at_once = limits.cpus.map(|cpus| cpus.0.div_ceil(1000));
    let listed = limits.cpuset.as_ref().map(ringfence_policy::CpuList::count);
    [at_once, listed].into_iter().flatten().fold(host.processors, u32::min).max(1)
}

/// A device node cannot be mapped to the unprivileged id that root's sandboxes get: what only its owner or group
/// may open would be shown and useless.
fn check_devices(resolved: &Resolved, identity: &Identity) -> Result<(), Problem> {
    let Some((uid, gid)) = identity.mapped_mounts else { return Ok(()) };
    for (path, rank, node) in resolved.layout.nodes() {
        let Node::Device { source } = node else { continue };
        let theirs = source.owner.0 == uid || source.owner.1 == gid || source.mode & 0o006 != 0;
        if rank == Rank::Caller && !theirs {
            let why = format!("`{}` may be opened by user {} only", path.display(), source.owner.0);
            let remedy = "--user NAME runs it as one who may, --allow-degraded=host-root as root";
            return Err(Problem::request("device", why).at(path).errno("EACCES").remedy(remedy));
        }
    }
    Ok(())
}

fn writable(resolved: &Resolved) -> Vec<PathBuf> {
    let writable = |node: &Node| match node {
        Node::Bind { source, access: Access::Write, .. } => Some(source.path.clone()),
        _ => None,
    };
    resolved.layout.nodes().filter_map(|(_, _, node)| writable(node)).collect()
}

fn become_somebody(steps: &mut Vec<Step>, identity: &Identity, held: &Held) {
    let moved = held.spec.as_ref().is_some_and(|spec| !spec.place.is_born_into());
    match identity.writer {
        Writer::Itself | Writer::Nobody if moved => steps.push(Step::Await { what: "it is in its cgroup" }),
        Writer::Itself | Writer::Nobody => {}
        Writer::Root | Writer::Helpers => steps.push(Step::Await { what: "the id maps are written" }),
    }
    if identity.writer != Writer::Itself {
        if identity.drops_groups {
            steps.push(Step::DropGroups);
        }
        steps.push(Step::TakeIds { uid: identity.uid, gid: identity.gid });
    }
    steps.push(Step::Conceal);
    if held.spec.is_some() {
        // Made now, not at the start: the cgroup that it is in by now becomes the root that it sees.
        steps.push(Step::CgroupNamespace);
    }
}

/// Everything that the program sees, parents before children.
fn build_files(
    steps: &mut Vec<Step>,
    policy: &Policy,
    resolved: &Resolved,
    identity: &Identity,
    outer_proc: Option<&Source>,
) {
    let layout = &resolved.layout;
    let covers = layout.nodes().any(|(_, _, node)| matches!(node, Node::Cover { .. }));
    if covers {
        steps.push(Step::Folder { path: EMPTY_FOLDER.into(), mode: 0 });
        steps.push(Step::File { path: EMPTY_FILE.into(), mode: 0, content: Vec::new() });
    }
    let mut builder = Builder { steps, made: Vec::new(), policy, identity, outer_proc };
    for (path, rank, node) in layout.nodes() {
        let (container, kind) = layout.container(path);
        if !matches!(kind, Node::Bind { .. } | Node::Proc) {
            builder.make_way(container, path, node);
        }
        builder.node(layout, path, rank, node);
    }
    if covers {
        steps.push(Step::Remove { path: EMPTY_FOLDER.into(), folder: true });
        steps.push(Step::Remove { path: EMPTY_FILE.into(), folder: false });
    }
}

/// The host's root goes, and what is full is sealed.
fn leave_host(steps: &mut Vec<Step>, layout: &Layout) {
    steps.push(Step::LeaveHost);
    for (path, _, node) in layout.nodes() {
        if matches!(node, Node::Root | Node::Memory { sealed: true, .. }) {
            steps.push(Step::Seal { path: path.to_owned() });
        }
    }
}

/// What the program's process restricts itself by.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a> {
    pub(crate) ruleset: Option<&'a Ruleset>,
    pub(crate) filters: Option<&'a Filters>,
}

/// PID 1 makes the ruleset of Landlock where this kernel has one; its rules come later.
fn second_layer(steps: &mut Vec<Step>, policy: &Policy, resolved: &Resolved, host: &Host) -> Option<Ruleset> {
    let no_exec: BTreeSet<_> = steps.iter().filter_map(Step::no_exec).map(Path::to_owned).collect();
    // Only where the commands are named does it matter from which mount something is executed.
    let no_exec = (!policy.filesystem.commands.is_empty()).then_some(&no_exec);
    let ruleset = landlock::ruleset(&resolved.layout, host.landlock?, no_exec)?;
    steps.extend(ruleset.made().map(Step::Landlock));
    Some(ruleset)
}

struct Builder<'a> {
    steps: &'a mut Vec<Step>,
    /// Folders that exist by now in what is the sandbox's own.
    made: Vec<PathBuf>,
    policy: &'a Policy,
    identity: &'a Identity,
    /// Shown where the sandbox can have no proc of its own.
    outer_proc: Option<&'a Source>,
}

impl Builder<'_> {
    /// Makes the folders between a container and a path, and the thing to mount on, in what is the sandbox's own.
    fn make_way(&mut self, container: &Path, path: &Path, node: &Node) {
        let above: Vec<_> = path.ancestors().skip(1).take_while(|above| *above != container).collect();
        for folder in above.into_iter().rev() {
            self.make_folder(folder, 0o755);
        }
        match node {
            Node::Bind { source, .. } if !source.is_folder() => self.make_mount_point(path),
            Node::Device { .. } | Node::Cover { folder: false } => self.make_mount_point(path),
            Node::Bind { .. } | Node::Memory { .. } | Node::Proc | Node::Terminals | Node::Cover { .. } => {
                self.make_folder(path, 0o755);
            }
            Node::Root | Node::Folder { .. } | Node::Text { .. } | Node::Link { .. } | Node::Pin { .. } => {}
        }
    }

    fn make_mount_point(&mut self, path: &Path) {
        self.steps.push(Step::File { path: path.to_owned(), mode: 0o444, content: Vec::new() });
    }

    fn make_folder(&mut self, path: &Path, mode: u32) {
        if !self.made.iter().any(|made| made == path) {
            self.made.push(path.to_owned());
            self.steps.push(Step::Folder { path: path.to_owned(), mode });
        }
    }

    fn node(&mut self, layout: &Layout, path: &Path, rank: Rank, node: &Node) {
        let plain = MountFlags { no_devices: true, ..MountFlags::default() };
        let still = MountFlags { read_only: true, no_exec: true, ..plain };
        let path = path.to_owned();
        let step = match node {
            Node::Root => return,
            Node::Folder { mode } => return self.make_folder(&path, *mode),
            Node::Text { content } => Step::File { path, mode: 0o644, content: content.clone() },
            Node::Link { target } => Step::Symlink { path, target: target.clone() },
            Node::Bind { source, access, .. } => {
                let flags = MountFlags {
                    read_only: *access == Access::Read,
                    recursive: source.is_folder(),
                    no_exec: self.holds_data_only(layout, &path, rank, node),
                    ..plain
                };
                let (cloned, mapped) = (self.is_cloned_outside(rank), self.is_mapped(rank, source));
                Step::Bind { source: source.clone(), path, flags, cloned, mapped }
            }
            Node::Device { source } => {
                let flags = MountFlags { no_devices: false, ..still };
                Step::Bind { source: source.clone(), path, flags, cloned: false, mapped: false }
            }
            Node::Memory { size, mode, sealed } => {
                let options =
                    format!("size={size},nr_inodes={},mode={mode:o}", (size / 4096).clamp(64, 1 << 20));
                let no_exec =
                    *sealed || path == Path::new("/dev/shm") || !self.policy.filesystem.commands.is_empty();
                Step::Tmpfs { path, options, flags: MountFlags { no_exec, ..plain } }
            }
            Node::Proc => match self.outer_proc {
                // In the host's user namespace the limit would be the host's.
                None if self.identity.writer == Writer::Nobody => Step::Proc { path },
                None => {
                    self.steps.push(Step::Proc { path });
                    Step::NoUserNamespaces
                }
                Some(source) => {
                    let flags = MountFlags { recursive: true, ..still };
                    Step::Bind { source: source.clone(), path, flags, cloned: false, mapped: false }
                }
            },
            // The whole of the caller's proc is read-only.
            Node::Pin { .. } if self.outer_proc.is_some() && path.starts_with("/proc") => return,
            Node::Terminals => Step::Devpts { path, options: self.terminal_options() },
            Node::Pin { access, folder } => {
                let in_proc = path.starts_with("/proc");
                let flags = MountFlags {
                    read_only: *access == Access::Read,
                    no_exec: in_proc,
                    recursive: *folder && !in_proc,
                    ..plain
                };
                Step::Again { from: path.clone(), path, flags }
            }
            Node::Cover { folder } => {
                let from = if *folder { EMPTY_FOLDER } else { EMPTY_FILE };
                Step::Again { from: from.into(), path, flags: still }
            }
        };
        self.steps.push(step);
    }

    /// Where the commands are named, nothing is executed that the program can write: neither by exec, nor by a
    /// dynamic loader, which cannot map it (mmap(2), EPERM).
    fn holds_data_only(&self, layout: &Layout, path: &Path, rank: Rank, node: &Node) -> bool {
        let Node::Bind { source, access, .. } = node else { return false };
        let written = || rank > Rank::Base && layout.is_changed_elsewhere(path, &source.path);
        !self.policy.filesystem.commands.is_empty() && (*access == Access::Write || written())
    }

    /// Granted folders of a sandbox that root starts are cloned by root's supervisor: PID 1, under an unprivileged
    /// id, may not be able to walk to them. The host's own programs are for everyone.
    fn is_cloned_outside(&self, rank: Rank) -> bool {
        let another_system = matches!(self.policy.filesystem.base, Base::Rootfs(_));
        self.identity.mapped_mounts.is_some() && (rank > Rank::Base || another_system)
    }

    /// Their owner is mapped to the program, unless that is the program already.
    fn is_mapped(&self, rank: Rank, source: &Source) -> bool {
        self.identity.writer == Writer::Root
            && self.is_cloned_outside(rank)
            && self.identity.mapped_mounts.is_some_and(|(uid, _)| uid != source.owner.0)
    }

    /// Terminals belong to group 5 (`tty`) where that group exists inside.
    fn terminal_options(&self) -> String {
        let tty = self.policy.process.id_map == IdMap::Range || self.identity.gid == 5;
        let group = if tty { ",gid=5" } else { "" };
        format!("newinstance,ptmxmode=0666,mode=620{group}")
    }
}

/// The last steps, in the process that becomes the program.
fn become_the_program(
    steps: &mut Vec<Step>,
    policy: &Policy,
    resolved: &Resolved,
    host: &Host,
    held: &Held,
    layers: Layers<'_>,
) -> Result<(), Problem> {
    let path = resolved.program.clone();
    steps.push(match &resolved.terminal {
        Some(terminal) => Step::Group { foreground: terminal.eager },
        None => Step::Session,
    });
    steps.push(Step::Streams);
    steps.extend(resolved.passed.iter().map(|number| Step::Pass { number: *number }));
    steps.extend([
        Step::Directory { path: resolved.directory.clone() },
        Step::SealFiles,
        Step::Signals,
        Step::VerifyProcess,
        Step::VerifyProgram { path: path.clone(), file: resolved.program_file },
    ]);
    steps.extend(layers.ruleset.map(|ruleset| Step::Landlock(ruleset.put_on())));
    if let Some(program) = layers.filters.and_then(|filters| filters.exec_once.clone()) {
        steps.push(Step::ExecOnce { program });
    }
    // Late: a small limit must not hinder the steps themselves.
    rlimits::limits(steps, policy, host, held)?;
    steps.push(Step::Announce);
    if let Some(filters) = layers.filters {
        steps.push(Step::Filter { program: filters.policy.clone(), summary: filters.summary.clone() });
    }
    steps.push(Step::Exec { path });
    Ok(())
}
