//! Id maps: those of a sandbox's user namespace, and mounts whose files belong to its unprivileged id.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use ringfence_init::abi::{self, CloneArgs, MountAttr, PollFd};
use ringfence_init::sys::{self, Fd};
use ringfence_policy::{Guarantee, Problem, Refusal};
use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::identity::{Extent, Identity, Writer};
use crate::launch::with_signals_blocked;
use crate::plan::Plan;
use crate::probe::trial::Call;
use crate::resolve::Source;
use crate::stack::GuardedStack;
use crate::step::{MountFlags, Step};
use crate::{errno, look, why};

/// Map lines as the kernel takes them (user_namespaces(7)).
pub(crate) fn lines(extents: &[Extent]) -> String {
    extents.iter().map(|e| format!("{} {} {}\n", e.inside, e.outside, e.count)).collect()
}

/// Writes a waiting sandbox's maps from outside.
pub(crate) fn write(plan: &Plan, process: i32) -> Result<(), Problem> {
    let identity = &plan.identity;
    match identity.writer {
        Writer::Itself | Writer::Nobody => Ok(()),
        Writer::Root => write_as_root(identity, process),
        Writer::Helpers => run_helpers(plan, process),
    }
}

fn write_as_root(identity: &Identity, process: i32) -> Result<(), Problem> {
    for (name, extents) in [("gid_map", &identity.groups), ("uid_map", &identity.users)] {
        let path = format!("/proc/{process}/{name}");
        fs::write(&path, lines(extents)).map_err(|e| {
            errno::problem("id-map", format!("the {name} of the sandbox cannot be written"), e)
                .at(path)
                .step("write the id maps")
                .remedy("check that the ids exist in this user namespace (/proc/self/uid_map)")
        })?;
    }
    Ok(())
}

fn run_helpers(plan: &Plan, process: i32) -> Result<(), Problem> {
    let Some((users, groups)) = &plan.id_helpers else {
        return Err(Problem::request("id-map", "newuidmap and newgidmap are not installed".into()));
    };
    for (helper, extents) in [(groups, &plan.identity.groups), (users, &plan.identity.users)] {
        let numbers = extents.iter().flat_map(|e| [e.inside, e.outside, e.count]).map(|n| n.to_string());
        let output = Command::new(helper).arg(process.to_string()).args(numbers).output();
        let failed = |why: String| {
            Problem::request("id-map", format!("{} failed: {why}", helper.display()))
                .at(helper)
                .step("write the id maps")
                .remedy("check /etc/subuid and /etc/subgid, or use --id-map=single")
        };
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Err(e) => return Err(failed(e.to_string())),
        }
    }
    Ok(())
}

/// Trees of the host for a sandbox that root starts.
#[derive(Default)]
pub(crate) struct Trees {
    /// Each by the index of its step.
    pub(crate) files: BTreeMap<usize, OwnedFd>,
    /// Those whose owner the sandbox's own user namespace maps to the program, once it has its maps.
    later: Vec<usize>,
}

/// The trees that PID 1 cannot clone itself: under an unprivileged id it cannot walk a closed home. Each one's
/// files belong, inside, to the program's id; on the host they stay whose they are.
pub(crate) fn clone_trees(plan: &Plan, supervisor: BorrowedFd<'_>) -> Result<Trees, Problem> {
    let mut trees = Trees::default();
    let Some(to) = plan.identity.mapped_mounts else { return Ok(trees) };
    let cloned = |step: &&Step| matches!(step, Step::Bind { cloned: true, .. });
    let count = plan.steps.iter().filter(cloned).count();
    let mut namespaces: BTreeMap<(u32, u32), OwnedFd> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let Step::Bind { source, flags, cloned: true, mapped, .. } = step else { continue };
        let tree = cloned_tree(source, *flags).map_err(|e| explain(e, count))?;
        if !mapped {
            trees.files.insert(index, tree);
            continue;
        }
        if is_own_map(&plan.identity, source.owner, to) {
            trees.later.push(index);
            trees.files.insert(index, tree);
            continue;
        }
        let namespace = match namespaces.entry(source.owner) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(mapping_namespace(source.owner, to, supervisor)?),
        };
        map_tree(tree.as_fd(), source, *flags, namespace).map_err(|e| explain(e, count))?;
        trees.files.insert(index, tree);
    }
    Ok(trees)
}

/// Does the sandbox's user namespace say just "who owns the files is the program"? Then no other is needed to say it.
fn is_own_map(identity: &Identity, owner: (u32, u32), to: (u32, u32)) -> bool {
    let only = |extents: &[Extent], inside, outside| matches!(extents, [e] if (e.inside, e.outside, e.count) == (inside, outside, 1));
    only(&identity.users, owner.0, to.0) && only(&identity.groups, owner.1, to.1)
}

/// Maps the trees that wait for the maps of the sandbox's own user namespace, before PID 1 attaches them.
pub(crate) fn map_later(plan: &Plan, trees: &Trees, process: i32) -> Result<(), Problem> {
    if trees.later.is_empty() {
        return Ok(());
    }
    let namespace = look::open(Path::new(&format!("/proc/{process}/ns/user")), OFlags::empty())
        .map_err(|e| errno::problem("id-map", "the sandbox's user namespace cannot be opened", e))?;
    for index in &trees.later {
        let (Some(Step::Bind { source, flags, .. }), Some(tree)) =
            (plan.steps.get(*index), trees.files.get(index))
        else {
            continue;
        };
        map_tree(tree.as_fd(), source, *flags, &namespace)?;
    }
    Ok(())
}

/// Each tree is an open file until PID 1 has it, and the kernel's limit on these is the caller's own.
fn explain(problem: Problem, trees: usize) -> Problem {
    if problem.errno.as_deref() != Some("EMFILE") {
        return problem;
    }
    let limit = sys::prlimit(abi::RLIMIT_NOFILE, None).unwrap_or_default();
    // What a start needs besides.
    let needed = trees as u64 + 32;
    let what = format!(
        "to show {trees} paths root needs as many open files, and this process may have {}",
        limit.soft
    );
    let raise =
        if limit.hard < needed { format!(" (the hard limit is {})", limit.hard) } else { String::new() };
    let remedy = format!("raise `ulimit -n` to {needed}{raise}, or show the folders above them");
    Problem { message: what, ..problem }.remedy(remedy)
}

/// A detached copy of what is mounted at a source, checked to be what was seen there.
fn cloned_tree(source: &Source, flags: MountFlags) -> Result<OwnedFd, Problem> {
    let shown = source.path.display().to_string();
    let failed = |what: &str, errno: sys::Errno| {
        let problem = |message: String| {
            let problem = Problem::request("source", message).at(&source.path);
            problem.errno(errno::name(errno.0)).step(format!("show {shown}"))
        };
        if matches!(errno.0, libc::ENOSYS | libc::EPERM) {
            let lack = why::mounts(Call::OpenTree, errno.0);
            return problem(format!("`{shown}` {what}: {}", lack.why)).remedy(lack.remedy);
        }
        problem(format!("`{shown}` {what}"))
            .remedy("something has moved in its path: run it again when nothing moves files there")
    };
    let path = CString::new(source.path.as_os_str().as_bytes())
        .map_err(|_| Problem::request("path", format!("`{shown}` holds a NUL byte")))?;
    let resolve = abi::RESOLVE_NO_SYMLINKS | abi::RESOLVE_NO_MAGICLINKS;
    let file = sys::openat2(Fd(abi::AT_FDCWD), &path, abi::O_PATH | abi::O_CLOEXEC, resolve);
    let file = owned(file.map_err(|e| failed("cannot be opened", e))?);
    let seen = sys::statx(Fd(file.as_raw_fd()), c"", abi::AT_EMPTY_PATH)
        .map_err(|e| failed("cannot be looked at", e))?;
    let device = libc::makedev(seen.dev_major, seen.dev_minor);
    let kind = u32::from(seen.mode) & libc::S_IFMT;
    if (device, seen.ino, kind) != (source.device, source.inode, source.kind) {
        return Err(Problem::request("changed", format!("`{shown}` is another file than a moment ago"))
            .at(&source.path)
            .step(format!("show {shown}"))
            .remedy("run it again when nothing moves files there"));
    }
    let recursive = if flags.recursive { abi::AT_RECURSIVE } else { 0 };
    // A copy made here would be a peer of the host's mount: what is later mounted on it would appear on the host.
    let private = MountAttr { propagation: abi::MS_PRIVATE, ..MountAttr::default() };
    let clone = abi::OPEN_TREE_CLONE | abi::OPEN_TREE_CLOEXEC | abi::AT_EMPTY_PATH | recursive;
    let tree = sys::open_tree(Fd(file.as_raw_fd()), c"", clone).map_err(|e| failed("cannot be cloned", e))?;
    let tree = owned(tree);
    sys::mount_setattr(Fd(tree.as_raw_fd()), c"", abi::AT_EMPTY_PATH | recursive, &private)
        .map_err(|e| failed("cannot be cut off from the host's mount events", e))?;
    Ok(tree)
}

/// Maps the owner of a tree's files to the program.
fn map_tree(
    tree: BorrowedFd<'_>,
    source: &Source,
    flags: MountFlags,
    namespace: &OwnedFd,
) -> Result<(), Problem> {
    let shown = source.path.display();
    let recursive = if flags.recursive { abi::AT_RECURSIVE } else { 0 };
    let attributes = MountAttr {
        set: libc::MOUNT_ATTR_IDMAP,
        userns_fd: u64::from(namespace.as_raw_fd().unsigned_abs()),
        ..MountAttr::default()
    };
    sys::mount_setattr(Fd(tree.as_raw_fd()), c"", abi::AT_EMPTY_PATH | recursive, &attributes).map_err(|e| {
        let why = format!("the file system of `{shown}` cannot map ids");
        let remedy = format!("run it as an ordinary user, or with --user={} that owns it", source.owner.0);
        Problem::from(Refusal { guarantee: Guarantee::HostRoot, why, remedy: Some(remedy) })
            .at(&source.path)
            .errno(errno::name(e.0))
    })
}

fn owned(fd: Fd) -> OwnedFd {
    // SAFETY: the kernel has just given us this number, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd.0) }
}

/// A user namespace that says "who owns the files is the program": it exists only to be named in
/// mount_setattr(2). The process that holds it open ends before this returns.
fn mapping_namespace(
    from: (u32, u32),
    to: (u32, u32),
    supervisor: BorrowedFd<'_>,
) -> Result<OwnedFd, Problem> {
    let failed =
        |e: std::io::Error| errno::problem("id-map", "a user namespace for mapped mounts cannot be made", e);
    let holder = Holder::start(supervisor).map_err(|e| {
        let lack = e.raw_os_error().map(|number| why::namespaces(&["user"], number));
        let problem = failed(e);
        match lack {
            Some(lack) => {
                let message = format!("{}: {}", problem.message, lack.why);
                Problem { message, ..problem }.remedy(lack.remedy)
            }
            None => problem,
        }
    })?;
    let line = |from, to| lines(&[Extent { inside: from, outside: to, count: 1 }]);
    let process = holder.process;
    fs::write(format!("/proc/{process}/gid_map"), line(from.1, to.1)).map_err(failed)?;
    fs::write(format!("/proc/{process}/uid_map"), line(from.0, to.0)).map_err(failed)?;
    look::open(Path::new(&format!("/proc/{process}/ns/user")), OFlags::empty()).map_err(failed)
}

/// One such, to see whether a file system takes it.
pub(crate) fn example_namespace() -> Result<OwnedFd, Problem> {
    let failed =
        |e: rustix::io::Errno| errno::problem("id-map", "this process cannot be watched by a pidfd", e);
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    mapping_namespace((0, 0), (1, 1), own.map_err(failed)?.as_fd())
}

/// A process in a user namespace of its own that does nothing. It shares our memory, so it costs the same
/// whatever our size; it ends with us, however we end.
struct Holder {
    process: i32,
    pidfd: OwnedFd,
    _stack: GuardedStack,
    _watched: Box<i32>,
}

impl Holder {
    fn start(supervisor: BorrowedFd<'_>) -> std::io::Result<Self> {
        let stack = GuardedStack::new()?;
        let watched = Box::new(supervisor.as_raw_fd());
        let mut pidfd = -1_i32;
        let arguments = CloneArgs {
            flags: abi::CLONE_VM | abi::CLONE_NEWUSER | abi::CLONE_PIDFD,
            pidfd: &raw mut pidfd as u64,
            stack: stack.bottom(),
            stack_size: stack.size(),
            ..CloneArgs::default()
        };
        let argument = std::ptr::from_ref(&*watched) as usize;
        // SAFETY: the stack is the child's alone until `Drop` has seen it end; `hold` never returns, and reads
        // only `watched`, which lives as long.
        let started = with_signals_blocked(|| unsafe { sys::clone_onto(&arguments, hold, argument) });
        let process = started.and_then(|started| started).map_err(errno::error)?;
        // SAFETY: CLONE_PIDFD stored a new descriptor there, and nobody else knows its number. From here on nothing
        // can fail before `Drop` guards the child, whose stack must outlive it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self { process: i32::try_from(process).unwrap_or(0), pidfd, _stack: stack, _watched: watched })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _already_ended_is_fine = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let id = self.pidfd.as_raw_fd().unsigned_abs();
        loop {
            // SAFETY: room for one answer; `__WALL` because this child has no exit signal.
            let waited = unsafe {
                let mut answer: libc::siginfo_t = std::mem::zeroed();
                libc::waitid(libc::P_PIDFD, id, &raw mut answer, libc::WEXITED | libc::__WALL)
            };
            let interrupted = std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
            if waited == 0 || !interrupted {
                return;
            }
        }
    }
}

/// Waits until the supervisor ends or kills us, or two seconds have passed. Signals stay blocked: no handler of the caller's runs here.
unsafe extern "C" fn hold(watched: usize) -> ! {
    // SAFETY: `Holder::start` passes the address of a number that outlives this process.
    let fd = unsafe { *(watched as *const i32) };
    let mut files = [PollFd { fd, events: abi::POLLIN, revents: 0 }];
    // Its work takes some 100 microseconds; were the word to end lost, it must not stay.
    let longest = abi::Timespec { seconds: 2, nanoseconds: 0 };
    let _either_way = sys::poll(&mut files, Some(longest));
    sys::exit(0)
}
