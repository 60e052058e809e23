//! The start: from a plan to a running PID 1, at a cost that does not depend on the caller's size.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use ringfence_init::abi::{self, CloneArgs};
use ringfence_init::sys::{self, Errno, Fd};
use ringfence_init::wire::{Command, CommandKind, fault};
use ringfence_policy::Problem;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::cgroup::Watched;
use crate::identity::Writer;
use crate::idmap::Trees;
use crate::image::above_streams;
use crate::observe::Observer;
use crate::plan::{Plan, clone_flag};
use crate::process::Process;
use crate::stack::GuardedStack;
use crate::supervise::{Running, send};
use crate::{cgroup, diagnose, encode, errno, idmap, image, look};

/// The open files that a program starts with.
#[derive(Debug, Default)]
pub struct Streams {
    /// Standard input, output and error. `None` is the caller's own.
    pub standard: [Option<OwnedFd>; 3],
    /// Others, each with the number that it has inside: those that the request named.
    pub more: Vec<(i32, OwnedFd)>,
}

impl Streams {
    /// The same open files again, for another try.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn duplicate(&self) -> io::Result<Self> {
        let again = |file: &OwnedFd| look::ours(rustix::io::fcntl_dupfd_cloexec(file, 3)?);
        let [a, b, c] = self.standard.each_ref().map(|file| file.as_ref().map(again).transpose());
        let more = self.more.iter().map(|(number, file)| Ok((*number, again(file)?)));
        Ok(Self { standard: [a?, b?, c?], more: more.collect::<io::Result<_>>()? })
    }
}

/// Starts a plan. The program has not run when this returns: [`Running`] says how it goes.
///
/// `begun_ns` is when the request began (`CLOCK_MONOTONIC`), for the report.
///
/// # Errors
/// Nothing was started.
pub fn launch(plan: Plan, streams: Streams, begun_ns: u64) -> Result<Running, Problem> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: io::Error| errno::problem("launch", what, e)
    };
    let on_terminal = plan.terminal().map_or([false; 3], |terminal| terminal.streams);
    // Ours stand above every number that has a meaning inside.
    let least = streams.more.iter().map(|(number, _)| number + 1).max().unwrap_or(3).max(3);
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).map_err(io::Error::from);
    let supervisor = pidfd.and_then(|file| not_below(least, file));
    let supervisor = supervisor.map_err(failed("this process cannot be watched by a pidfd"))?;
    let (ours, theirs) = socket_pair().map_err(failed("no socket to PID 1"))?;
    let ours = above_streams(ours).map_err(failed("no socket to PID 1"))?;
    let theirs = not_below(least, theirs).map_err(failed("no socket to PID 1"))?;
    let observer = plan.observed.as_ref().map(|_| connection(least)).transpose();
    let (listens, observer) = observer.map_err(failed("no socket for what is refused"))?.unzip();
    let more = streams.more.into_iter().map(|(number, file)| Ok((number, not_below(least, file)?)));
    let more: Vec<_> = more.collect::<io::Result<_>>().map_err(failed("a file cannot be passed"))?;
    let mut streams = own_numbers(streams.standard, least).map_err(failed("a stream cannot be passed"))?;
    for (stream, _) in streams.iter_mut().zip(on_terminal).filter(|(_, own)| *own) {
        *stream = Passed::Missing;
    }
    give_pipes(&plan, &streams);
    let mut trees = idmap::clone_trees(&plan, supervisor.as_fd())?;
    let files = std::mem::take(&mut trees.files).into_iter();
    let files = files.map(|(index, tree)| Ok((index, not_below(least, tree)?)));
    trees.files = files.collect::<io::Result<_>>().map_err(failed("a folder cannot be passed"))?;
    let cgroup = plan.cgroup.as_ref().map(cgroup::make).transpose()?;
    let watched = cgroup.as_ref().map(|cgroup| cgroup.watched()).transpose()?.unwrap_or_default();
    let watched = with_placeholders(watched, least).map_err(failed("no file for PID 1"))?;
    let files = encode::Files {
        control: theirs.as_raw_fd(),
        supervisor: supervisor.as_raw_fd(),
        streams: streams.each_ref().map(Passed::number),
        cpu: watched.cpu.as_ref().map(|(file, unit)| (file.as_raw_fd(), *unit)),
        memory_event: watched.out_of_memory.as_ref().map(|file| file.as_raw_fd()),
        cpu_path: watched.cpu_path.clone(),
        memory_path: watched.memory_path.clone(),
        lingers: cgroup.as_ref().is_some_and(|cgroup| cgroup.is_fleeting()),
        observer: observer.as_ref().map(|file: &OwnedFd| file.as_raw_fd()),
        trees: trees.files.iter().map(|(index, tree)| (*index, tree.as_raw_fd())).collect(),
    };
    let plan_file = image::plan_file(&encode::encode(&plan, &files)?)?;
    let plan_file = not_below(least, plan_file).map_err(failed("the plan cannot be passed"))?;
    let mut passed = vec![files.control, files.supervisor, plan_file.as_raw_fd()];
    passed.extend(files.streams.iter().flatten());
    passed.extend(files.trees.values());
    passed.extend(files.observer);
    passed.extend(files.cpu.map(|(file, _)| file).into_iter().chain(files.memory_event));
    let placed: Vec<_> = more.iter().map(|(number, file)| (file.as_raw_fd(), *number)).collect();
    let folder = cgroup.as_ref().and_then(|cgroup| cgroup.folder());
    let process = start(&plan, &passed, &placed, plan_file.as_fd(), files.control, folder)?;
    // PID 1 has its own copies now.
    drop((theirs, streams, more, plan_file, watched, observer));
    let observed = plan.observed.as_ref().zip(listens);
    let observer = observed.map(|(observed, socket)| Observer::start(&plan, observed, socket)).transpose();
    let observer = observer.map_err(failed("no thread for what is refused"))?;
    let running = Running::new(process, ours, plan, cgroup, begun_ns, observer);
    release(&running, &trees)?;
    Ok(running)
}

/// A connection of ours, and PID 1's end of it.
fn connection(least: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socket_pair()?;
    Ok((above_streams(ours)?, not_below(least, theirs)?))
}

/// Two ends of a connection that keeps messages apart.
fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: room for two numbers.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if ends.contains(&-1) {
        return Err(errno::error(Errno(fault::MISMATCH)));
    }
    // SAFETY: the kernel has just given us these numbers, and nobody else knows them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Numbers for the files that PID 1 opens itself: `/dev/null` stands there until it has. None is below `least`.
fn with_placeholders(mut watched: Watched, least: i32) -> io::Result<Watched> {
    let null = || std::fs::File::open("/dev/null").map(OwnedFd::from);
    if watched.cpu_path.is_some() {
        watched.cpu = Some((null()?, cgroup::MICROSECOND));
    }
    if watched.memory_path.is_some() {
        watched.out_of_memory = Some(null()?);
    }
    let raised = |file: Option<OwnedFd>| file.map(|file| not_below(least, file)).transpose();
    let (cpu, unit) = watched.cpu.unzip();
    watched.cpu = raised(cpu)?.zip(unit);
    watched.out_of_memory = raised(watched.out_of_memory)?;
    Ok(watched)
}

/// Moves a sandbox into its cgroup and writes its maps, where it waits for that. When that fails, dropping `running`
/// ends it.
fn release(running: &Running, trees: &Trees) -> Result<(), Problem> {
    let plan = running.plan();
    let moved = plan.cgroup.as_ref().is_some_and(|spec| !spec.place.is_born_into());
    if moved {
        running.cgroup().map_or(Ok(()), |cgroup| cgroup.add(running.process_id()))?;
    }
    if matches!(plan.identity.writer, Writer::Root | Writer::Helpers) {
        idmap::write(plan, running.process_id())?;
        idmap::map_later(plan, trees, running.process_id())?;
    } else if !moved {
        return Ok(());
    }
    let word = Command { kind: CommandKind::MapsWritten as u32, signal: 0 };
    match send(running.control(), &word) {
        // Nobody is there to read it: PID 1 has failed before, and its record, which is waited for next, says why.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
        Err(e) => Err(errno::problem("launch", "PID 1 cannot be told that its maps are written", e)),
        Ok(()) => Ok(()),
    }
}

/// A stream that PID 1 inherits.
enum Passed {
    Own(OwnedFd),
    Callers(i32),
    Missing,
}

impl Passed {
    fn number(&self) -> Option<i32> {
        match self {
            Self::Own(file) => Some(file.as_raw_fd()),
            Self::Callers(number) => Some(*number),
            Self::Missing => None,
        }
    }
}

/// A file with a number that is not below this one.
fn not_below(least: i32, file: OwnedFd) -> io::Result<OwnedFd> {
    let file = look::ours(file)?;
    if file.as_raw_fd() >= least {
        Ok(file)
    } else {
        look::ours(rustix::io::fcntl_dupfd_cloexec(file, least)?)
    }
}

/// Streams with numbers that cannot be mixed up: a file of ours is above 2, a caller's stream is its own number,
/// a closed one is missing and becomes `/dev/null`.
fn own_numbers(streams: [Option<OwnedFd>; 3], least: i32) -> io::Result<[Passed; 3]> {
    let mut number = 0;
    let passed = streams.map(|file| {
        let own = number;
        number += 1;
        match file {
            Some(file) => not_below(least, file).map(Passed::Own),
            None => match sys::descriptor_flags(Fd(own)) {
                Ok(_) => Ok(Passed::Callers(own)),
                Err(Errno(libc::EBADF)) => Ok(Passed::Missing),
                Err(Errno(number)) => Err(io::Error::from_raw_os_error(number)),
            },
        }
    });
    let [a, b, c] = passed;
    Ok([a?, b?, c?])
}

/// The program opens its own streams by name (`/dev/stdin`, `/dev/stdout`): a pipe belongs to who made it, and
/// the program of a sandbox that root starts is somebody else. Engines do the same for their containers.
fn give_pipes(plan: &Plan, streams: &[Passed; 3]) {
    let Some((uid, gid)) = plan.identity.mapped_mounts else { return };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let callers = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    for (stream, caller) in streams.iter().zip(callers) {
        let file = match stream {
            Passed::Own(file) => file.as_fd(),
            Passed::Callers(_) => caller,
            Passed::Missing => continue,
        };
        // Only a pipe without a name: a FIFO on a disk is the host's.
        if rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == PIPE_FILE_SYSTEM) {
            let owner = (Some(rustix::fs::Uid::from_raw(uid)), Some(rustix::fs::Gid::from_raw(gid)));
            // Without it the program can still use the stream itself.
            let _stream_works_anyway = rustix::fs::fchown(file, owner.0, owner.1);
        }
    }
}

/// `PIPEFS_MAGIC` (statfs(2)).
const PIPE_FILE_SYSTEM: i64 = 0x5049_5045;

/// What the child needs, prepared: it allocates nothing and calls no library.
struct Child<'a> {
    keep: &'a [i32],
    /// Files and the numbers that they get: none of `keep`, and not the executable's.
    placed: &'a [(i32, i32)],
    executable: i32,
    /// Files to write first, with their content.
    maps: &'a [(CString, Vec<u8>)],
    /// What the set-up needs and what the program keeps, one bit each.
    capabilities: u64,
    /// In the caller's own user namespace, where its id means something.
    is_root: bool,
    arguments: [usize; 4],
    environment: [usize; 1],
    /// Where it failed, for the parent to read.
    failed: Option<(ChildStep, i32)>,
}

/// The child's few calls, for the message when one fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChildStep {
    KeepFiles,
    WriteMaps,
    Capabilities,
    Execute,
}

fn start(
    plan: &Plan,
    keep: &[i32],
    placed: &[(i32, i32)],
    plan_file: BorrowedFd<'_>,
    control: i32,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Process, Problem> {
    let cached = image::executable()?;
    // The cached file's number may be one that a passed file gets.
    let own = if placed.is_empty() { None } else { Some(moved_executable(cached, placed)?) };
    let executable = own.as_ref().map_or(cached, OwnedFd::as_fd);
    let stack = GuardedStack::new().map_err(|e| errno::problem("launch", "no memory for a stack", e))?;
    let maps = own_maps(plan);
    let name = c"ringfence-init";
    let number = |fd: i32| CString::new(fd.to_string()).unwrap_or_default();
    let (plan_number, control_number) = (number(plan_file.as_raw_fd()), number(control));
    let mut child = Child {
        keep,
        placed,
        executable: executable.as_raw_fd(),
        maps: &maps,
        capabilities: plan.identity.setup_capabilities() | plan.capabilities,
        is_root: plan.identity.writer == Writer::Nobody,
        arguments: [
            name.as_ptr() as usize,
            plan_number.as_ptr() as usize,
            control_number.as_ptr() as usize,
            0,
        ],
        environment: [0],
        failed: None,
    };
    let mut pidfd = -1_i32;
    let into_cgroup = if cgroup.is_some() { abi::CLONE_INTO_CGROUP } else { 0 };
    let arguments = CloneArgs {
        flags: abi::CLONE_VM | abi::CLONE_VFORK | abi::CLONE_PIDFD | into_cgroup | namespaces(plan),
        cgroup: cgroup.map_or(0, |folder| u64::from(folder.as_raw_fd().unsigned_abs())),
        pidfd: &raw mut pidfd as u64,
        exit_signal: u64::from(abi::SIGCHLD.unsigned_abs()),
        stack: stack.bottom(),
        stack_size: stack.size(),
        ..CloneArgs::default()
    };
    let argument = &raw mut child as usize;
    // SAFETY: with CLONE_VFORK this thread sleeps until the child has executed or ended, so the stack and
    // `child` are the child's alone meanwhile; `run_child` never returns.
    let started = with_signals_blocked(|| unsafe { sys::clone_onto(&arguments, run_child, argument) });
    let started = started.map_err(|e| {
        errno::problem("launch", "signals cannot be blocked while PID 1 starts", errno::error(e))
    })?;
    let process = started.map_err(|errno| diagnose::clone_failed(plan, errno))?;
    // SAFETY: CLONE_PIDFD stored a new descriptor there, and nobody else knows its number.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let process = Process::new(i32::try_from(process).unwrap_or(0), pidfd);
    // SAFETY: the child has executed or ended; a volatile read because the compiler cannot see it write.
    let failed = unsafe { (&raw const child.failed).read_volatile() };
    match failed {
        None => Ok(process),
        Some((step, errno)) => {
            drop(process);
            Err(diagnose::child_failed(plan, step, Errno(errno)))
        }
    }
}

/// The namespaces that it starts in. That of its cgroup it makes when it is in it.
fn namespaces(plan: &Plan) -> u64 {
    let later = |name: &&&str| plan.cgroup.is_some() && **name == "cgroup";
    plan.namespaces.iter().filter(|name| !later(name)).fold(0, |flags, name| flags | clone_flag(name))
}

/// PID 1's executable under a number that no passed file gets.
fn moved_executable(cached: BorrowedFd<'_>, placed: &[(i32, i32)]) -> Result<OwnedFd, Problem> {
    let least = placed.iter().map(|(_, number)| number + 1).max().unwrap_or(3);
    rustix::io::fcntl_dupfd_cloexec(cached, least)
        .map_err(|e| errno::problem("launch", "PID 1's executable cannot be passed", e))
}

/// The maps that the sandbox writes itself: one line each, after giving setgroups(2) up.
fn own_maps(plan: &Plan) -> Vec<(CString, Vec<u8>)> {
    if plan.identity.writer != Writer::Itself {
        return Vec::new();
    }
    vec![
        (c"/proc/self/setgroups".into(), b"deny".to_vec()),
        (c"/proc/self/gid_map".into(), idmap::lines(&plan.identity.groups).into_bytes()),
        (c"/proc/self/uid_map".into(), idmap::lines(&plan.identity.users).into_bytes()),
    ]
}

/// Runs `work` with every signal blocked in this thread: a child that shares our memory must not run our
/// handlers, and PID 1 starts with everything blocked.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> Result<T, Errno> {
    let before = sys::set_signal_mask(u64::MAX)?;
    let result = work();
    // It cannot fail with a set that the kernel itself gave (sigprocmask(2)).
    let _cannot_fail = sys::set_signal_mask(before);
    Ok(result)
}

/// The child: privileged in its new user namespace, in our memory, on its own stack. System calls only.
unsafe extern "C" fn run_child(argument: usize) -> ! {
    // SAFETY: `start` passes the address of a `Child` that nobody touches until we have executed or ended.
    let child = unsafe { &mut *(argument as *mut Child<'_>) };
    let (step, errno) = match prepare(child) {
        Err(failed) => failed,
        Ok(()) => {
            let (arguments, environment) = (child.arguments.as_ptr(), child.environment.as_ptr());
            // SAFETY: both arrays end with a null pointer and hold addresses of strings that `start` keeps.
            let errno = unsafe { sys::execveat(Fd(child.executable), arguments, environment) };
            (ChildStep::Execute, errno)
        }
    };
    child.failed = Some((step, errno.0));
    sys::exit(125)
}

fn prepare(child: &Child<'_>) -> Result<(), (ChildStep, Errno)> {
    for file in child.keep {
        sys::set_descriptor_flags(Fd(*file), 0).map_err(|e| (ChildStep::KeepFiles, e))?;
    }
    for (from, to) in child.placed {
        sys::dup_onto(Fd(*from), Fd(*to)).map_err(|e| (ChildStep::KeepFiles, e))?;
    }
    for (path, content) in child.maps {
        write_file(path, content).map_err(|e| (ChildStep::WriteMaps, e))?;
    }
    if child.is_root {
        // Else the exec would give PID 1 all that root has, and the change of its ids take the few that it needs.
        let bits = abi::SECUREBITS_OF_IDS as usize;
        sys::prctl(abi::PR_SET_SECUREBITS, bits, 0).map_err(|e| (ChildStep::Capabilities, e))?;
    }
    raise_ambient(child.capabilities).map_err(|e| (ChildStep::Capabilities, e))
}

fn write_file(path: &std::ffi::CStr, content: &[u8]) -> Result<(), Errno> {
    let file = sys::openat(Fd(abi::AT_FDCWD), path, abi::O_WRONLY | abi::O_CLOEXEC, 0)?;
    let written = sys::write(file, content);
    sys::close(file)?;
    if written? == content.len() { Ok(()) } else { Err(Errno(libc::EIO)) }
}

/// An id that is not 0 inside loses every capability at exec, unless it is ambient (capabilities(7)).
fn raise_ambient(wanted: u64) -> Result<(), Errno> {
    let sets = sys::capget()?;
    sys::capset(sys::CapabilitySets { inheritable: sets.inheritable | wanted, ..sets })?;
    for number in (0..64).filter(|number| wanted >> number & 1 == 1) {
        sys::prctl(abi::PR_CAP_AMBIENT, abi::PR_CAP_AMBIENT_RAISE as usize, number)?;
    }
    Ok(())
}
