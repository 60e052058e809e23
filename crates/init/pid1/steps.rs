//! From a step's number to the function that does it, and the one way in which a step fails.

use crate::abi;
use crate::plan::Plan;
use crate::sys::{self, Errno, Fd};
use crate::wire::{self, Message as _, Op, Record, RecordKind, Step};
use crate::{filter, landlock, mounts, privileges, system, target, terminal, verify};

/// What steps share.
pub(crate) struct Context {
    /// The plan that is carried out.
    pub(crate) plan: Plan,
    /// The host's root, from the step that leaves it reachable to the step that lets it go.
    pub(crate) old_root: Option<Fd>,
    /// The sandbox's own terminal.
    pub(crate) terminal: Option<Fd>,
    /// In the process that becomes the program: where PID 1 hears of the exec.
    pub(crate) teller: Option<Fd>,
    /// In the same process: what PID 1 will listen on for the exec.
    pub(crate) listener: Option<Fd>,
    /// The Landlock ruleset, from the step that makes it to the one that restricts the program's process.
    pub(crate) ruleset: Option<Fd>,
}

/// Why a step failed.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// A kernel's error number or one of [`wire::fault`].
    pub(crate) errno: i32,
    /// See [`Record::detail`].
    pub(crate) detail: u64,
}

impl Fault {
    /// A fault that its number says wholly.
    pub(crate) const fn plain(errno: i32) -> Self {
        Self { errno, detail: 0 }
    }

    /// The kernel reported success, and reads back something else.
    pub(crate) const fn mismatch(detail: u64) -> Self {
        Self { errno: wire::fault::MISMATCH, detail }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::plain(errno.0)
    }
}

/// A mismatch unless `holds`.
pub(crate) fn expect(holds: bool, detail: u64) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::mismatch(detail)) }
}

/// Does one step.
pub(crate) fn run(context: &mut Context, step: &Step) -> Result<(), Fault> {
    let plan = &context.plan;
    match Op::from_number(step.op) {
        Some(Op::AwaitMaps) => system::await_maps(plan),
        Some(Op::Conceal) => privileges::conceal(),
        Some(Op::DropGroups) => Ok(sys::drop_groups()?),
        Some(Op::TakeIds) => privileges::take_ids(plan),
        Some(Op::CgroupNamespace) => Ok(sys::unshare(abi::CLONE_NEWCGROUP)?),
        Some(Op::Private) => mounts::private(),
        Some(Op::VerifyPrivate) => verify::private(),
        Some(Op::Root) => mounts::root(context, step),
        Some(Op::Folder) => Ok(sys::mkdir(plan.text(step.path), step.a as u32)?),
        Some(Op::File) => mounts::file(plan, step),
        Some(Op::Symlink) => Ok(sys::symlink(plan.text(step.text), plan.text(step.path))?),
        Some(Op::Bind) => mounts::bind(context, step),
        Some(Op::Again) => mounts::again(plan, step),
        Some(Op::Tmpfs) => mounts::tmpfs(plan, step),
        Some(Op::Proc) => mounts::proc(plan, step),
        Some(Op::Devpts) => mounts::devpts(plan, step),
        Some(Op::Remove) => Ok(sys::remove(plan.text(step.path), step.a == 1)?),
        Some(Op::Seal) => mounts::seal(plan, step),
        Some(Op::LeaveHost) => mounts::leave_host(context),
        Some(Op::Loopback) => system::loopback(),
        Some(Op::Hostname) => system::hostname(plan, step),
        Some(Op::NoUserNamespaces) => system::no_user_namespaces(),
        Some(Op::Keyring) => system::keyring(plan),
        Some(Op::Capabilities) => privileges::capabilities(plan),
        Some(Op::NoNewPrivileges) => privileges::no_new_privileges(),
        Some(Op::VerifyMounts) => verify::mounts(plan),
        Some(Op::VerifyNamespace) => verify::namespace(plan, step),
        Some(Op::CloseFiles) => target::close_files(context),
        Some(Op::Terminal) => terminal::make(context, step),
        Some(Op::Session) => target::session(),
        Some(Op::Group) => terminal::group(context, step),
        Some(Op::Streams) => target::streams(plan, context.terminal),
        Some(Op::Limit) => target::limit(step),
        Some(Op::Directory) => target::directory(plan, step),
        Some(Op::Pass) => target::pass(step),
        Some(Op::SealFiles) => target::seal_files(plan),
        Some(Op::Signals) => target::signals(plan),
        Some(Op::VerifyProcess) => verify::process(plan),
        Some(Op::VerifyProgram) => verify::program(plan, step),
        Some(Op::LandlockRuleset) => landlock::ruleset(context, step),
        Some(Op::LandlockAllow) => landlock::allow(context, step),
        Some(Op::LandlockAllowPassed) => landlock::allow_passed(context, step),
        Some(Op::LandlockAllowQueues) => landlock::allow_queues(context, step),
        Some(Op::LandlockRestrict) => landlock::restrict(context, step),
        Some(Op::ExecOnce) => {
            context.listener = Some(filter::exec_once(plan, step)?);
            Ok(())
        }
        Some(Op::Announce) => {
            let teller = context.teller.ok_or(Fault::plain(wire::fault::BAD_PLAN))?;
            target::announce(plan, teller, context.listener)
        }
        Some(Op::Filter) => filter::policy(plan, step),
        Some(Op::FilterAsked) => filter::asked(plan, step),
        Some(Op::Fork | Op::Exec) | None => Err(Fault::plain(wire::fault::BAD_PLAN)),
    }
}

/// Says which step failed and why, and ends: with PID 1 everything inside ends.
pub(crate) fn fail(plan: &Plan, index: usize, fault: Fault) -> ! {
    fail_on(Fd(plan.header.control), index as u32, fault)
}

/// The same on a socket that is known by other means.
pub(crate) fn fail_on(control: Fd, step: u32, fault: Fault) -> ! {
    let (errno, detail) = (fault.errno, fault.detail);
    let record = Record { kind: RecordKind::Failed as u32, step, errno, detail, ..Record::default() };
    let _nobody_to_tell = sys::write(control, record.bytes());
    sys::exit(125)
}

/// Sends a record. When that fails there is nobody to tell: the supervisor reads the missing record as failure.
pub(crate) fn send(plan: &Plan, record: &Record) {
    let _nobody_to_tell = sys::write(Fd(plan.header.control), record.bytes());
}
