//! What passes between the supervisor and PID 1: the plan (one image, mapped), and fixed-size messages.
//!
//! The supervisor writes the image, PID 1 maps it. Offsets count from the start of the image; a string is
//! terminated by a NUL. Neither side reads a byte that the other did not mean: magic, sizes and bounds are
//! checked on arrival.

/// First word of a plan.
pub const MAGIC: u64 = u64::from_le_bytes(*b"rfplan01");

/// A file descriptor that is not there.
pub const NO_FD: i32 = -1;

/// A stream that is the sandbox's own terminal.
pub const TERMINAL: i32 = -2;

/// Start of a plan's image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// Length of the whole image.
    pub size: u32,
    /// Offset of the steps.
    pub steps: u32,
    /// Number of steps.
    pub step_count: u32,
    /// Socket of messages.
    pub control: i32,
    /// Pidfd of the supervisor.
    pub supervisor: i32,
    /// Files that become 0, 1 and 2; [`NO_FD`] for `/dev/null`, [`TERMINAL`] for the sandbox's own.
    pub streams: [i32; 3],
    /// Offset of the program's path inside.
    pub program: u32,
    /// Offset of an array of offsets, ended by zero: the arguments.
    pub arguments: u32,
    /// The same: the environment.
    pub environment: u32,
    /// Group id inside.
    pub gid: u32,
    /// User id inside.
    pub uid: u32,
    /// 1: supplementary groups were dropped and none may be left.
    pub no_groups: u32,
    /// File mode creation mask of the program (umask(2)): the caller's.
    pub umask: u32,
    /// How many processors the program can use at once; at least 1.
    pub processors: u32,
    /// The cgroup's account of processor time, or [`NO_FD`].
    pub cpu_file: i32,
    /// Nanoseconds in the unit of that account.
    pub cpu_unit_ns: u32,
    /// An eventfd that counts when memory runs out, or [`NO_FD`].
    pub memory_event: i32,
    /// Offset of the path to open as `cpu_file` once this process is in its cgroup; 0 for none.
    pub cpu_path: u32,
    /// The same for `memory_event`, which is then no eventfd but the cgroup's `memory.events`.
    pub memory_path: u32,
    /// 1: after its last word PID 1 stays until it is killed, a second at most, so that its cgroup does.
    pub lingers: u32,
    /// Socket on which the listener of [`Op::FilterAsked`] goes out, or [`NO_FD`].
    pub observer: i32,
    /// Nothing: what follows is aligned to 8 bytes.
    pub unused: u32,
    /// Capabilities that the program keeps, one bit each.
    pub capabilities: u64,
    /// Time from the program's start to its polite end, in nanoseconds; 0 for none.
    pub deadline_ns: u64,
    /// Time from the polite end to the kill, in nanoseconds.
    pub grace_ns: u64,
    /// Processor time until the kill, in nanoseconds; 0 for none.
    pub cpu_limit_ns: u64,
}

/// What a step does. The numbers are private to one build: both sides come from it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Wait until the supervisor has written the id maps, and moved this process into its cgroup.
    AwaitMaps = 1,
    /// Become unreadable for every other process: not dumpable, under a name of its own.
    Conceal,
    /// Drop every supplementary group.
    DropGroups,
    /// Take the ids of the header.
    TakeIds,
    /// Make the cgroup that this process is in the root of a cgroup namespace.
    CgroupNamespace,
    /// Cut the mount namespace off from the host's mount events.
    Private,
    /// Read back that no mount shares events with others: where PID 1 has no user namespace of its own its first mount
    /// would else be the host's too.
    VerifyPrivate,
    /// Make the new root, in memory, and enter it; the old one stays reachable by fd. `a`: bytes, `b`: inodes.
    Root,
    /// Make a folder at `path`, mode `a`.
    Folder,
    /// Make a file at `path`, mode `a`, with the `b` bytes at `text`.
    File,
    /// Make a symlink at `path` to `text`.
    Symlink,
    /// Show a file of the host. `text`: its path; `a`: device; `b`: inode; `c`: type; `d`: an already cloned
    /// tree's fd + 1, or 0; `flags`: [`mount`].
    Bind,
    /// Show what is already inside, again, elsewhere. `text`: its path; `flags`: [`mount`].
    Again,
    /// Make a folder in memory. `a`: offset of the options; `flags`: [`mount`].
    Tmpfs,
    /// Mount a fresh proc.
    Proc,
    /// Mount a fresh devpts, options at `a`.
    Devpts,
    /// Take away the file (or, with `a` = 1, the folder) at `path`, which the steps before needed.
    Remove,
    /// Make the mount at `path` read-only.
    Seal,
    /// Let the old root go.
    LeaveHost,
    /// Set the loopback interface up.
    Loopback,
    /// Set host name (`text`) and domain name.
    Hostname,
    /// Allow no further user namespace.
    NoUserNamespaces,
    /// Join a fresh session keyring.
    Keyring,
    /// Drop the bounding set, lock the secure bits, keep only the header's capabilities.
    Capabilities,
    /// Set no_new_privs.
    NoNewPrivileges,
    /// Read back every mount of the namespace and compare it with the steps.
    VerifyMounts,
    /// Compare one namespace with the host's. `text`: its name; `a`: the host's inode.
    VerifyNamespace,
    /// Close every fd but those that the rest needs.
    CloseFiles,
    /// Make the Landlock ruleset. `a`: the rights on files that need a rule, `b`: the scopes.
    LandlockRuleset,
    /// Allow the rights `a` at `path` and below.
    LandlockAllow,
    /// Allow files that are passed to be opened anew: those open for reading with the rights `a`, for writing `b`.
    LandlockAllowPassed,
    /// Allow the rights `a` on POSIX message queues.
    LandlockAllowQueues,
    /// Make a terminal in the sandbox's own devpts, make it the controlling terminal of PID 1's session, and send its
    /// master to the supervisor. `text`: its settings ([`abi::Termios`]), `a` bytes, or none; `b`: its size, four words.
    ///
    /// [`abi::Termios`]: crate::abi::Termios
    Terminal,
    /// Start the process that becomes the program; every later step is its own.
    Fork,
    /// Lead a session of its own.
    Session,
    /// Lead a process group in PID 1's session; `a`: 1 in the foreground of its terminal.
    Group,
    /// Put the three streams in place.
    Streams,
    /// Set the limit `a` to soft `b` and hard `c`.
    Limit,
    /// Enter the working directory `path`.
    Directory,
    /// Leave the fd `a` open for the program; refuse a folder.
    Pass,
    /// Close every fd but the streams, and those that are passed, at exec, and prove it.
    SealFiles,
    /// Unblock and reset every signal.
    Signals,
    /// Read back capabilities, ids, groups, no_new_privs and signals.
    VerifyProcess,
    /// Compare the program with what the supervisor saw. `a`: device, `b`: inode.
    VerifyProgram,
    /// Restrict this process by the ruleset, with the flags `a`, and prove it: by a signal to PID 1, or else by a
    /// device at `path` that cannot be made.
    LandlockRestrict,
    /// Let exec be answered by PID 1, once, and prove it. `text`: the filter; `a`: its bytes; `b`, `c`, `d`: prctl(`b`,
    /// `c`) answers the error number `d`, which nothing but this filter does.
    ExecOnce,
    /// Say that all is verified, and when the program starts: after this its process says nothing more.
    Announce,
    /// Set the filter of system calls, and prove it. As `ExecOnce`.
    Filter,
    /// The same with a filter that asks the supervisor, who gets its listener.
    FilterAsked,
    /// Execute the program.
    Exec,
}

impl Op {
    /// Every step, in numeric order.
    pub const ALL: [Self; 50] = [
        Self::AwaitMaps,
        Self::Conceal,
        Self::DropGroups,
        Self::TakeIds,
        Self::CgroupNamespace,
        Self::Private,
        Self::VerifyPrivate,
        Self::Root,
        Self::Folder,
        Self::File,
        Self::Symlink,
        Self::Bind,
        Self::Again,
        Self::Tmpfs,
        Self::Proc,
        Self::Devpts,
        Self::Remove,
        Self::Seal,
        Self::LeaveHost,
        Self::Loopback,
        Self::Hostname,
        Self::NoUserNamespaces,
        Self::Keyring,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::VerifyMounts,
        Self::VerifyNamespace,
        Self::CloseFiles,
        Self::LandlockRuleset,
        Self::LandlockAllow,
        Self::LandlockAllowPassed,
        Self::LandlockAllowQueues,
        Self::Terminal,
        Self::Fork,
        Self::Session,
        Self::Group,
        Self::Streams,
        Self::Limit,
        Self::Directory,
        Self::Pass,
        Self::SealFiles,
        Self::Signals,
        Self::VerifyProcess,
        Self::VerifyProgram,
        Self::LandlockRestrict,
        Self::ExecOnce,
        Self::Announce,
        Self::Filter,
        Self::FilterAsked,
        Self::Exec,
    ];

    /// The step of a number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u32 == number)
    }
}

/// Flags of a step that mounts.
pub mod mount {
    /// Read-only.
    pub const READ_ONLY: u32 = 1;
    /// No device node works. Every mount has it but the device nodes that were granted.
    pub const NO_DEVICES: u32 = 2;
    /// Nothing can be executed.
    pub const NO_EXEC: u32 = 4;
    /// With every mount below.
    pub const RECURSIVE: u32 = 8;
    /// The owner of the files is mapped to the program.
    pub const MAPPED: u32 = 16;
}

/// One step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// [`Op`], as a number.
    pub op: u32,
    /// [`mount`], where the step mounts.
    pub flags: u32,
    /// Offset of an absolute path inside; 0 for none.
    pub path: u32,
    /// Offset of a second text; 0 for none.
    pub text: u32,
    /// See [`Op`].
    pub a: u64,
    /// See [`Op`].
    pub b: u64,
    /// See [`Op`].
    pub c: u64,
    /// See [`Op`].
    pub d: u64,
}

/// What PID 1 says. The numbers are private to one build.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// `step` failed with `errno` (a kernel's error, or one of [`fault`]); `detail` says more.
    Failed = 1,
    /// The sandbox is set up and verified; the program's process exists.
    Ready,
    /// The program runs: proven. `time_ns` is when.
    Started,
    /// The program could not be executed: `errno`.
    ExecFailed,
    /// The program ended: `status` as wait(2) says it, usage of the whole tree.
    Ended,
    /// The deadline has passed; the grace begins.
    Deadline,
    /// Comes with the master of the sandbox's terminal.
    Terminal,
    /// A signal has stopped the program: `status` as wait(2) says it.
    Stopped,
}

/// A message of PID 1, always of this size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// [`RecordKind`], as a number.
    pub kind: u32,
    /// Index of the step.
    pub step: u32,
    /// Positive error number.
    pub errno: i32,
    /// Raw wait status.
    pub status: i32,
    /// What a verification found, see [`fault`].
    pub detail: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// Processor time in user mode, microseconds. Of [`RecordKind::Started`]: what the cgroup had used before.
    pub user_us: u64,
    /// Processor time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident set, KiB.
    pub max_rss_kib: u64,
    /// Context switches by waiting.
    pub voluntary: u64,
    /// Context switches that the scheduler forced.
    pub forced: u64,
    /// [`ended`] bits.
    pub ended: u64,
    /// Blocks of 512 bytes read from storage.
    pub blocks_read: u64,
    /// Blocks of 512 bytes written to storage.
    pub blocks_written: u64,
}

/// Bits of [`Record::ended`].
pub mod ended {
    /// The deadline had passed.
    pub const DEADLINE: u64 = 1;
    /// The supervisor asked for the end.
    pub const ASKED: u64 = 2;
    /// The processor time was used up.
    pub const CPU_TIME: u64 = 4;
    /// Memory ran out.
    pub const MEMORY: u64 = 8;
}

/// Error numbers that no kernel call gives: what PID 1 found by itself.
pub mod fault {
    /// The kernel reported success, but what it reads back is different. `detail` says which.
    pub const MISMATCH: i32 = 5000;
    /// A file is not the one that the supervisor saw.
    pub const CHANGED: i32 = 5001;
    /// A stream is a folder; `detail` is its number.
    pub const STREAM_IS_FOLDER: i32 = 5002;
    /// The plan cannot be read.
    pub const BAD_PLAN: i32 = 5003;
    /// PID 1 itself failed.
    pub const PANIC: i32 = 5004;
    /// The program's process ended before it executed the program; `status` says how.
    pub const DIED: i32 = 5005;
}

/// Which part of a process a verification found different ([`Record::detail`]).
pub mod detail {
    /// Inheritable capabilities.
    pub const INHERITABLE: u64 = 1;
    /// Permitted capabilities.
    pub const PERMITTED: u64 = 2;
    /// Effective capabilities.
    pub const EFFECTIVE: u64 = 3;
    /// Bounding set.
    pub const BOUNDING: u64 = 4;
    /// Ambient capabilities.
    pub const AMBIENT: u64 = 5;
    /// no_new_privs.
    pub const NO_NEW_PRIVILEGES: u64 = 6;
    /// User id.
    pub const UID: u64 = 7;
    /// Group id.
    pub const GID: u64 = 8;
    /// Supplementary groups.
    pub const GROUPS: u64 = 9;
    /// Ignored or blocked signals.
    pub const SIGNALS: u64 = 10;
    /// The file mode creation mask.
    pub const UMASK: u64 = 20;
    /// A mount that shares mount events with others.
    pub const SHARED_MOUNT: u64 = 21;
    /// A line of the process' status was missing.
    pub const INCOMPLETE: u64 = 11;
    /// Secure bits.
    pub const SECUREBITS: u64 = 12;
    /// A mount that no step made.
    pub const UNKNOWN_MOUNT: u64 = 13;
    /// A mount with other flags than its step's; the step's index is added, shifted by 32 bits.
    pub const MOUNT_FLAGS: u64 = 14;
    /// A mount that is not there; the step's index is added, shifted by 32 bits.
    pub const MISSING_MOUNT: u64 = 15;
    /// Another user namespace could be made.
    pub const USER_NAMESPACE: u64 = 16;
    /// The process is not PID 1.
    pub const NOT_PID_1: u64 = 17;
    /// The process can be dumped.
    pub const DUMPABLE: u64 = 18;
    /// An open file would pass to the program; its number is added, shifted by 32 bits.
    pub const OPEN_FILE: u64 = 19;
    /// A filter that was set is not on.
    pub const NO_FILTER: u64 = 22;
    /// The number of filters of the process.
    pub const FILTERS: u64 = 23;
    /// Landlock refuses nothing, or refused it before.
    pub const NO_LANDLOCK: u64 = 24;
}

/// What the supervisor says. The numbers are private to one build.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// The id maps are written, and it is in its cgroup.
    MapsWritten = 1,
    /// Send `signal` to the program.
    Signal,
    /// Send `signal` to the program; kill it when the grace has passed.
    Terminate,
    /// Kill everything.
    Kill,
    /// Stop everything.
    Freeze,
    /// Let the program's process group go on, or everything where `signal` is [`EVERYTHING`], and have it drawn again.
    Thaw,
    /// Put the program's process group into the foreground of its terminal, and let it go on.
    Foreground,
}

/// Every process inside ([`CommandKind::Thaw`]).
pub const EVERYTHING: i32 = 1;

/// A message of the supervisor, always of this size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Command {
    /// [`CommandKind`], as a number.
    pub kind: u32,
    /// Signal number.
    pub signal: i32,
}

/// Structures that are sent as their bytes.
pub trait Message: Copy + Default {
    /// Its bytes.
    fn bytes(&self) -> &[u8] {
        let length = size_of::<Self>();
        // SAFETY: every implementor is `repr(C)` of integers without padding, checked below.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), length) }
    }

    /// Room for one to arrive in.
    fn bytes_mut(&mut self) -> &mut [u8] {
        let length = size_of::<Self>();
        // SAFETY: as above; every bit pattern of an integer is valid.
        unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(self).cast(), length) }
    }
}

impl Message for Header {}
impl Message for Step {}
impl Message for Record {}
impl Message for Command {}
impl Message for crate::abi::Termios {}

// No padding: the sizes are the sums of the fields.
const _: () = assert!(size_of::<Header>() == 8 + 3 * 4 + 5 * 4 + 16 * 4 + 4 * 8);
const _: () = assert!(size_of::<Step>() == 4 * 4 + 4 * 8);
const _: () = assert!(size_of::<Record>() == 4 * 4 + 10 * 8);
const _: () = assert!(size_of::<Command>() == 8);
