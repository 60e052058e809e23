//! From a plan to the image that PID 1 maps.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ringfence_init::sys::landlock::QUIET;
use ringfence_init::wire::{self, Header, Message as _, NO_FD, Op};
use ringfence_policy::Problem;
use ringfence_seccomp::{Program, sentinel};

use crate::landlock;
use crate::plan::Plan;
use crate::step::{MountFlags, Step};

/// The file descriptors that a plan names.
pub(crate) struct Files {
    pub(crate) control: i32,
    pub(crate) supervisor: i32,
    pub(crate) streams: [Option<i32>; 3],
    /// The cgroup's account of processor time, and its unit in nanoseconds.
    pub(crate) cpu: Option<(i32, u32)>,
    /// What tells that memory ran out.
    pub(crate) memory_event: Option<i32>,
    /// What is to be opened later as these two.
    pub(crate) cpu_path: Option<PathBuf>,
    pub(crate) memory_path: Option<PathBuf>,
    /// PID 1 stays until its cgroup's account is read.
    pub(crate) lingers: bool,
    /// Where the listener of the filter goes out.
    pub(crate) observer: Option<i32>,
    /// Already cloned trees, by the index of their step.
    pub(crate) trees: BTreeMap<usize, i32>,
}

/// The device that is never made.
const PROOF: &str = ".ringfence-landlock";

/// More steps than PID 1 keeps book of.
const MOST_STEPS: usize = 1 << 15;

/// Writes the image.
pub(crate) fn encode(plan: &Plan, files: &Files) -> Result<Vec<u8>, Problem> {
    if plan.steps.len() > MOST_STEPS {
        let why =
            format!("the policy needs {} steps; at most {MOST_STEPS} can be carried out", plan.steps.len());
        return Err(Problem::request("too-many", why).remedy("show folders instead of single files"));
    }
    let steps_size = plan.steps.len() * size_of::<wire::Step>();
    let mut image = Image { bytes: vec![0; size_of::<Header>() + steps_size] };
    let steps: Vec<wire::Step> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| image.step(step, files.trees.get(&index)))
        .collect();
    let program = plan.steps.iter().find_map(|step| match step {
        Step::Exec { path } => Some(path.as_path()),
        _ => None,
    });
    let program = image.path(program.unwrap_or(Path::new("/")));
    let arguments = image.array(plan.arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    let variable = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
        [name.as_bytes(), b"=", value.as_bytes()].concat()
    };
    let environment = image.array(plan.environment.iter().map(variable));
    let cpu_path = files.cpu_path.as_ref().map(|path| image.path(path));
    let memory_path = files.memory_path.as_ref().map(|path| image.path(path));
    let header = Header {
        magic: wire::MAGIC,
        size: image.offset(),
        steps: u32::try_from(size_of::<Header>()).unwrap_or(0),
        step_count: u32::try_from(steps.len()).unwrap_or(0),
        control: files.control,
        supervisor: files.supervisor,
        streams: streams(plan, files),
        program,
        arguments,
        environment,
        gid: plan.identity.gid,
        uid: plan.identity.uid,
        no_groups: u32::from(plan.identity.drops_groups),
        umask: plan.umask,
        processors: plan.processors,
        cpu_file: files.cpu.map_or(NO_FD, |(file, _)| file),
        cpu_unit_ns: files.cpu.map_or(0, |(_, unit)| unit),
        memory_event: files.memory_event.unwrap_or(NO_FD),
        cpu_path: cpu_path.unwrap_or(0),
        memory_path: memory_path.unwrap_or(0),
        lingers: u32::from(files.lingers),
        observer: files.observer.unwrap_or(NO_FD),
        unused: 0,
        capabilities: plan.capabilities,
        deadline_ns: plan.deadline_ns,
        grace_ns: plan.grace_ns,
        cpu_limit_ns: plan.limits.cpu_time.map_or(0, nanoseconds),
    };
    let head: Vec<u8> =
        header.bytes().iter().chain(steps.iter().flat_map(wire::Message::bytes)).copied().collect();
    image.bytes[..head.len()].copy_from_slice(&head);
    Ok(image.bytes)
}

/// The numbers of the three streams.
fn streams(plan: &Plan, files: &Files) -> [i32; 3] {
    let own = plan.terminal().map_or([false; 3], |terminal| terminal.streams);
    std::array::from_fn(|stream| match files.streams[stream] {
        _ if own[stream] => wire::TERMINAL,
        number => number.unwrap_or(NO_FD),
    })
}

pub(crate) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn offset(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Adds a terminated string. No string here can hold a NUL: paths come from the kernel or were checked.
    fn text(&mut self, text: &[u8]) -> u32 {
        let offset = self.offset();
        self.bytes.extend(text.iter().filter(|byte| **byte != 0));
        self.bytes.push(0);
        offset
    }

    fn path(&mut self, path: &Path) -> u32 {
        self.text(path.as_os_str().as_bytes())
    }

    /// Adds strings, then the aligned array of their offsets, ended by zero.
    fn array(&mut self, texts: impl Iterator<Item = Vec<u8>>) -> u32 {
        let offsets: Vec<u32> = texts.map(|text| self.text(&text)).collect();
        self.bytes.resize(self.bytes.len().next_multiple_of(size_of::<usize>()), 0);
        let array = self.offset();
        for offset in offsets.into_iter().chain([0]) {
            self.bytes.extend(u64::from(offset).to_ne_bytes());
        }
        array
    }

    /// A filter, and the call that proves it.
    fn filter(&mut self, program: &Program, which: u32, base: wire::Step) -> wire::Step {
        let text = self.offset();
        for instruction in program.instructions() {
            self.bytes.extend(instruction.code.to_ne_bytes());
            self.bytes.extend([instruction.jt, instruction.jf]);
            self.bytes.extend(instruction.k.to_ne_bytes());
        }
        let length = u64::from(self.offset() - text);
        let (option, errno) = (u64::from(sentinel::OPTION), u64::from(sentinel::ERRNO));
        wire::Step { text, a: length, b: option, c: u64::from(which), d: errno, ..base }
    }

    /// The step's number, with what it carries.
    fn step(&mut self, step: &Step, tree: Option<&i32>) -> wire::Step {
        let base = wire::Step { op: op(step) as u32, ..wire::Step::default() };
        match step {
            Step::Root { bytes, inodes } => {
                let flags = wire::mount::NO_DEVICES;
                wire::Step { path: self.text(b"/"), a: *bytes, b: *inodes, flags, ..base }
            }
            Step::Folder { path, mode } => wire::Step { path: self.path(path), a: u64::from(*mode), ..base },
            Step::File { path, mode, content } => {
                let text = self.offset();
                self.bytes.extend(content);
                let length = content.len() as u64;
                wire::Step { path: self.path(path), text, a: u64::from(*mode), b: length, ..base }
            }
            Step::Symlink { path, target } => {
                wire::Step { path: self.path(path), text: self.path(target), ..base }
            }
            Step::Bind { source, path, flags, mapped, .. } => wire::Step {
                path: self.path(path),
                text: self.path(&source.path),
                a: device_words(source.device),
                b: source.inode,
                c: u64::from(source.kind),
                d: tree.map_or(0, |fd| u64::from(fd.unsigned_abs()) + 1),
                flags: bits(*flags) | if *mapped { wire::mount::MAPPED } else { 0 },
                ..base
            },
            Step::Again { from, path, flags } => {
                wire::Step { path: self.path(path), text: self.path(from), flags: bits(*flags), ..base }
            }
            Step::Tmpfs { path, options, flags } => {
                let options = u64::from(self.text(options.as_bytes()));
                wire::Step { path: self.path(path), a: options, flags: bits(*flags), ..base }
            }
            Step::Proc { path } => {
                let flags = wire::mount::NO_DEVICES | wire::mount::NO_EXEC;
                wire::Step { path: self.path(path), flags, ..base }
            }
            Step::Devpts { path, options } => {
                let options = u64::from(self.text(options.as_bytes()));
                wire::Step { path: self.path(path), a: options, flags: wire::mount::NO_EXEC, ..base }
            }
            Step::Remove { path, folder } => {
                wire::Step { path: self.path(path), a: u64::from(*folder), ..base }
            }
            Step::Seal { path } | Step::Directory { path } => wire::Step { path: self.path(path), ..base },
            Step::Hostname { name } => wire::Step { text: self.text(name.as_bytes()), ..base },
            Step::VerifyNamespace { name, host } => {
                wire::Step { text: self.text(format!("/proc/self/ns/{name}").as_bytes()), a: *host, ..base }
            }
            _ => self.own_step(step, base),
        }
    }

    /// The same for the steps that mount and make nothing.
    fn own_step(&mut self, step: &Step, base: wire::Step) -> wire::Step {
        match step {
            Step::Limit { resource, soft, hard, .. } => {
                wire::Step { a: u64::from(*resource), b: *soft, c: *hard, ..base }
            }
            Step::Terminal(terminal) => {
                let text = self.offset();
                self.bytes.extend(terminal.settings.iter().flat_map(wire::Message::bytes));
                let length = u64::from(self.offset() - text);
                let size = terminal.size.into_iter().rev().fold(0, |all, word| all << 16 | u64::from(word));
                wire::Step { text, a: length, b: size, ..base }
            }
            Step::Group { foreground } => wire::Step { a: u64::from(*foreground), ..base },
            Step::Pass { number } => wire::Step { a: u64::from(number.unsigned_abs()), ..base },
            Step::VerifyProgram { file, .. } => {
                wire::Step { a: device_words(file.device), b: file.inode, ..base }
            }
            Step::ExecOnce { program } => self.filter(program, sentinel::EXEC_ONCE, base),
            Step::Filter { program, .. } | Step::FilterAsked { program, .. } => {
                self.filter(program, sentinel::FILTER, base)
            }
            Step::Landlock(step) => self.landlock(step, base),
            _ => base,
        }
    }

    fn landlock(&mut self, step: &landlock::Step, base: wire::Step) -> wire::Step {
        match step {
            landlock::Step::Ruleset { handled, scopes } => wire::Step { a: *handled, b: *scopes, ..base },
            landlock::Step::Allow { path, rights } => {
                wire::Step { path: self.path(path), a: *rights, ..base }
            }
            landlock::Step::AllowPassed { for_reading, for_writing } => {
                wire::Step { a: *for_reading, b: *for_writing, ..base }
            }
            landlock::Step::AllowQueues { rights } => wire::Step { a: *rights, ..base },
            landlock::Step::Restrict { abi, proof, .. } => {
                let flags = if *abi >= 7 { QUIET } else { 0 };
                let path = proof.as_ref().map_or(0, |folder| self.path(&folder.join(PROOF)));
                wire::Step { path, a: u64::from(flags), ..base }
            }
        }
    }
}

/// The number of a step.
const fn op(step: &Step) -> Op {
    match step {
        Step::Await { .. } => Op::AwaitMaps,
        Step::CgroupNamespace => Op::CgroupNamespace,
        Step::DropGroups => Op::DropGroups,
        Step::TakeIds { .. } => Op::TakeIds,
        Step::Conceal => Op::Conceal,
        Step::Private => Op::Private,
        Step::VerifyPrivate => Op::VerifyPrivate,
        Step::Root { .. } => Op::Root,
        Step::Folder { .. } => Op::Folder,
        Step::File { .. } => Op::File,
        Step::Symlink { .. } => Op::Symlink,
        Step::Bind { .. } => Op::Bind,
        Step::Again { .. } => Op::Again,
        Step::Tmpfs { .. } => Op::Tmpfs,
        Step::Proc { .. } => Op::Proc,
        Step::Devpts { .. } => Op::Devpts,
        Step::Remove { .. } => Op::Remove,
        Step::Seal { .. } => Op::Seal,
        Step::LeaveHost => Op::LeaveHost,
        Step::Loopback => Op::Loopback,
        Step::Hostname { .. } => Op::Hostname,
        Step::NoUserNamespaces => Op::NoUserNamespaces,
        Step::Keyring => Op::Keyring,
        Step::Capabilities { .. } => Op::Capabilities,
        Step::NoNewPrivileges => Op::NoNewPrivileges,
        Step::VerifyMounts => Op::VerifyMounts,
        Step::VerifyNamespace { .. } => Op::VerifyNamespace,
        Step::CloseFiles => Op::CloseFiles,
        Step::Landlock(landlock::Step::Ruleset { .. }) => Op::LandlockRuleset,
        Step::Landlock(landlock::Step::Allow { .. }) => Op::LandlockAllow,
        Step::Landlock(landlock::Step::AllowPassed { .. }) => Op::LandlockAllowPassed,
        Step::Landlock(landlock::Step::AllowQueues { .. }) => Op::LandlockAllowQueues,
        Step::Landlock(landlock::Step::Restrict { .. }) => Op::LandlockRestrict,
        Step::Fork => Op::Fork,
        Step::Terminal(_) => Op::Terminal,
        Step::Session => Op::Session,
        Step::Group { .. } => Op::Group,
        Step::Streams => Op::Streams,
        Step::Pass { .. } => Op::Pass,
        Step::Limit { .. } => Op::Limit,
        Step::Directory { .. } => Op::Directory,
        Step::SealFiles => Op::SealFiles,
        Step::Signals => Op::Signals,
        Step::VerifyProcess => Op::VerifyProcess,
        Step::VerifyProgram { .. } => Op::VerifyProgram,
        Step::ExecOnce { .. } => Op::ExecOnce,
        Step::Announce => Op::Announce,
        Step::Filter { .. } => Op::Filter,
        Step::FilterAsked { .. } => Op::FilterAsked,
        Step::Exec { .. } => Op::Exec,
    }
}

/// A device as statx(2) says it: major and minor, a word each.
fn device_words(device: u64) -> u64 {
    u64::from(libc::major(device)) << 32 | u64::from(libc::minor(device))
}

fn bits(flags: MountFlags) -> u32 {
    let pick = |flag: bool, bit: u32| if flag { bit } else { 0 };
    pick(flags.read_only, wire::mount::READ_ONLY)
        | pick(flags.no_devices, wire::mount::NO_DEVICES)
        | pick(flags.no_exec, wire::mount::NO_EXEC)
        | pick(flags.recursive, wire::mount::RECURSIVE)
}
