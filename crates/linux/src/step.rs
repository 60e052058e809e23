//! The kernel steps as data: what PID 1 carries out is what `ringfence plan` prints.

use std::fmt;
use std::path::{Path, PathBuf};

use ringfence_seccomp::Program;

use crate::landlock;
use crate::resolve::{SameFile, Source};
use crate::terminal::OwnTerminal;

/// Flags of a mount. Every mount is nosuid besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountFlags {
    /// Nothing can be changed.
    pub read_only: bool,
    /// No device node works.
    pub no_devices: bool,
    /// Nothing can be executed.
    pub no_exec: bool,
    /// With every mount below.
    pub recursive: bool,
}

/// One kernel step.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "`Display` says what each one does; ringfence_init::wire::Op documents them")]
pub enum Step {
    Await { what: &'static str },
    CgroupNamespace,
    DropGroups,
    TakeIds { uid: u32, gid: u32 },
    Conceal,
    Private,
    VerifyPrivate,
    Root { bytes: u64, inodes: u64 },
    Folder { path: PathBuf, mode: u32 },
    File { path: PathBuf, mode: u32, content: Vec<u8> },
    Symlink { path: PathBuf, target: PathBuf },
    Bind { source: Source, path: PathBuf, flags: MountFlags, cloned: bool, mapped: bool },
    Again { from: PathBuf, path: PathBuf, flags: MountFlags },
    Tmpfs { path: PathBuf, options: String, flags: MountFlags },
    Proc { path: PathBuf },
    Devpts { path: PathBuf, options: String },
    Remove { path: PathBuf, folder: bool },
    Seal { path: PathBuf },
    LeaveHost,
    Loopback,
    Hostname { name: String },
    NoUserNamespaces,
    Keyring,
    Capabilities { keep: u64 },
    NoNewPrivileges,
    VerifyMounts,
    VerifyNamespace { name: &'static str, host: u64 },
    CloseFiles,
    Landlock(landlock::Step),
    Terminal(OwnTerminal),
    Fork,
    Session,
    Group { foreground: bool },
    Streams,
    Pass { number: i32 },
    Limit { name: &'static str, resource: u32, soft: u64, hard: u64 },
    Directory { path: PathBuf },
    SealFiles,
    Signals,
    VerifyProcess,
    VerifyProgram { path: PathBuf, file: SameFile },
    ExecOnce { program: Program },
    Announce,
    Filter { program: Program, summary: String },
    FilterAsked { program: Program, summary: String },
    Exec { path: PathBuf },
}

impl Step {
    /// The place of a mount from which nothing can be executed.
    pub(crate) fn no_exec(&self) -> Option<&Path> {
        match self {
            Self::Bind { path, flags, .. }
            | Self::Again { path, flags, .. }
            | Self::Tmpfs { path, flags, .. }
                if flags.no_exec =>
            {
                Some(path)
            }
            _ => None,
        }
    }
}

impl fmt::Display for MountFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read_only { "read-only" } else { "writable" })?;
        f.write_str(", nosuid")?;
        f.write_str(if self.no_devices { ", nodev" } else { "" })?;
        f.write_str(if self.no_exec { ", noexec" } else { "" })?;
        f.write_str(if self.recursive { ", recursive" } else { "" })
    }
}

const fn group(foreground: bool) -> &'static str {
    if foreground {
        "lead the process group in that terminal's foreground"
    } else {
        "lead a process group in that terminal's background"
    }
}

/// What becomes of them, in words.
fn capabilities(keep: u64) -> String {
    match keep {
        0 => "drop every capability from all five sets, lock the secure bits".to_owned(),
        _ => format!("keep capabilities {keep:#x}, drop the rest, lock the secure bits"),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Await { what } => write!(f, "wait until {what}"),
            Self::CgroupNamespace => f.write_str("make its cgroup the root of a namespace"),
            Self::DropGroups => f.write_str("drop every supplementary group"),
            Self::TakeIds { uid, gid } => write!(f, "take user id {uid} and group id {gid}"),
            Self::Conceal => f.write_str("make PID 1 untraceable, in a session of its own"),
            Self::Private => f.write_str("cut off from the host's mount events"),
            Self::VerifyPrivate => f.write_str("verify that no mount is shared with the host"),
            Self::Root { bytes, .. } => write!(f, "enter a new root in memory, {} KiB", bytes / 1024),
            Self::Folder { path, mode } => write!(f, "make folder {} ({mode:o})", path.display()),
            Self::File { path, content, .. } => {
                write!(f, "make file {} ({} bytes)", path.display(), content.len())
            }
            Self::Symlink { path, target } => {
                write!(f, "make link {} -> {}", path.display(), target.display())
            }
            Self::Bind { source, path, flags, mapped, .. } => {
                let mapped = if *mapped { ", ids mapped" } else { "" };
                write!(f, "show {} at {} ({flags}{mapped})", source.path.display(), path.display())
            }
            Self::Again { from, path, flags } if from == path => {
                write!(f, "pin {} ({flags})", path.display())
            }
            Self::Again { path, .. } => write!(f, "cover {}", path.display()),
            Self::Tmpfs { path, options, flags } => {
                write!(f, "mount memory at {} ({options}; {flags})", path.display())
            }
            Self::Proc { path } => {
                write!(f, "mount a proc of its own at {} (nosuid, nodev, noexec)", path.display())
            }
            Self::Devpts { path, options } => {
                write!(f, "mount terminals of its own at {} ({options})", path.display())
            }
            Self::Remove { path, .. } => write!(f, "take away {}", path.display()),
            Self::Seal { path } => write!(f, "make {} read-only", path.display()),
            Self::LeaveHost => f.write_str("let the host's root go"),
            Self::Loopback => f.write_str("set the loopback interface up"),
            Self::Hostname { name } => write!(f, "set the host name to {name}"),
            Self::NoUserNamespaces => f.write_str("allow no further user namespace"),
            Self::Keyring => f.write_str("join a fresh session keyring"),
            Self::Capabilities { keep } => f.write_str(&capabilities(*keep)),
            Self::NoNewPrivileges => f.write_str("set no_new_privs"),
            Self::VerifyMounts => f.write_str("verify every mount"),
            Self::VerifyNamespace { name, .. } => write!(f, "verify that the {name} namespace is its own"),
            Self::CloseFiles => f.write_str("close inherited files"),
            Self::Landlock(step) => step.fmt(f),
            Self::Terminal(terminal) => {
                write!(f, "make a terminal of its own, {terminal}, and hand its master out")
            }
            Self::Fork => f.write_str("start the program's process; what follows is its own"),
            _ => self.of_the_programs_process(f),
        }
    }
}

impl Step {
    /// The steps after the fork, in words.
    fn of_the_programs_process(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("lead a session of its own"),
            Self::Group { foreground } => f.write_str(group(*foreground)),
            Self::Streams => f.write_str("put the three streams in place"),
            Self::Pass { number } => write!(f, "leave descriptor {number} open"),
            Self::Limit { name, soft, .. } => write!(f, "limit {name} to {soft}"),
            Self::Directory { path } => write!(f, "enter {}", path.display()),
            Self::SealFiles => f.write_str("verify that no other file stays open"),
            Self::Signals => f.write_str("unblock and reset every signal"),
            Self::VerifyProcess => f.write_str("verify capabilities, ids, groups, no_new_privs, signals"),
            Self::VerifyProgram { path, .. } => {
                write!(f, "verify that {} is the file that was found", path.display())
            }
            Self::ExecOnce { .. } => {
                f.write_str("have PID 1 answer every exec: the program's own, and no other")
            }
            Self::Announce => f.write_str("say that all is verified, and when it starts"),
            Self::Filter { program, summary } => {
                write!(f, "filter system calls ({summary}; {} instructions)", program.instructions().len())
            }
            Self::FilterAsked { program, summary } => {
                let length = program.instructions().len();
                write!(f, "filter system calls, the supervisor answers ({summary}; {length} instructions)")
            }
            Self::Exec { path } => write!(f, "execute {}", path.display()),
            // Said by `Display` itself.
            _ => Ok(()),
        }
    }
}
