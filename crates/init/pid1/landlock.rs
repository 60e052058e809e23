//! Landlock: the rules, made by PID 1 from paths inside, and the program's process that restricts itself by them.

use crate::abi;
use crate::plan::Plan;
use crate::steps::{Context, Fault, expect};
use crate::sys::{self, Errno, Fd, landlock};
use crate::target;
use crate::wire::{self, Step, detail};

/// Makes the ruleset, which allows nothing yet.
pub(crate) fn ruleset(context: &mut Context, step: &Step) -> Result<(), Fault> {
    let ruleset = landlock::create_ruleset(step.a, step.b)?;
    context.ruleset = Some(target::above_streams(ruleset)?);
    Ok(())
}

fn made(context: &Context) -> Result<Fd, Fault> {
    context.ruleset.ok_or(Fault::plain(wire::fault::BAD_PLAN))
}

/// Allows something at a path and below.
pub(crate) fn allow(context: &Context, step: &Step) -> Result<(), Fault> {
    let path = context.plan.text(step.path);
    let file = sys::openat2(Fd(abi::AT_FDCWD), path, abi::O_PATH | abi::O_CLOEXEC, abi::RESOLVE_NO_SYMLINKS)?;
    landlock::allow(made(context)?, file, step.a)?;
    Ok(sys::close(file)?)
}

/// The files that are passed may be opened anew (/dev/stdin, /proc/self/fd/1), as they are open and not otherwise.
pub(crate) fn allow_passed(context: &Context, step: &Step) -> Result<(), Fault> {
    let ruleset = made(context)?;
    let plan = &context.plan;
    let passed = target::passed(plan).map(u32::cast_signed);
    // One that is missing is none, and neither is a terminal of its own: its devpts has a rule.
    let streams = plan.header.streams.into_iter().filter(|stream| *stream >= 0);
    for file in streams.chain(passed).map(Fd) {
        let flags = match sys::status_flags(file)? {
            // A call that was skipped answers 0 too, which is "open for reading".
            0 => sys::status_flags(file)?,
            flags => flags,
        };
        let allowed = match flags & abi::O_ACCMODE {
            abi::O_RDONLY => step.a,
            abi::O_WRONLY => step.b,
            _ => step.a | step.b,
        };
        match landlock::allow(ruleset, file, allowed) {
            // A pipe, a socket: on no file system, and none of Landlock's business.
            Ok(()) | Err(Errno(abi::EBADFD)) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Message queues are files of a file system that nobody sees: the kernel mounts it for each IPC namespace, and a rule
/// needs its root (mq_overview(7)).
///
/// That mount is put below the host's root, on its /proc, and goes with it. Closed while it is nowhere it would be taken
/// apart alone, and that waits until every processor has passed through the scheduler (`synchronize_rcu_expedited`,
/// fs/namespace.c): milliseconds where they are busy.
pub(crate) fn allow_queues(context: &Context, step: &Step) -> Result<(), Fault> {
    let filesystem = match sys::fsopen(c"mqueue") {
        Ok(filesystem) => filesystem,
        // A kernel without message queues.
        Err(Errno(abi::ENODEV)) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    sys::fsconfig_create(filesystem)?;
    let flags = abi::MOUNT_ATTR_NOSUID | abi::MOUNT_ATTR_NODEV | abi::MOUNT_ATTR_NOEXEC;
    let queues = sys::fsmount(filesystem, flags)?;
    landlock::allow(made(context)?, queues, step.a)?;
    let old_root = context.old_root.ok_or(Fault::plain(wire::fault::BAD_PLAN))?;
    sys::move_mount_at(queues, old_root, c"proc")?;
    sys::close(queues)?;
    Ok(sys::close(filesystem)?)
}

/// Restricts this process, for good, and proves it.
pub(crate) fn restrict(context: &mut Context, step: &Step) -> Result<(), Fault> {
    let ruleset = made(context)?;
    prove(&context.plan, step, false)?;
    landlock::restrict_self(ruleset, step.a as u32)?;
    prove(&context.plan, step, true)?;
    context.ruleset = None;
    Ok(sys::close(ruleset)?)
}

/// Asks for something harmless that nothing but Landlock refuses so: to signal PID 1, which is outside; or to make a
/// device, which without the capability is refused too, but later and with another error.
fn prove(plan: &Plan, step: &Step, on: bool) -> Result<(), Fault> {
    let (answer, expected) = if step.path == 0 {
        let refused = if on { Err(Errno(abi::EPERM)) } else { Ok(()) };
        (sys::kill(1, 0), refused)
    } else {
        let answer = sys::make_null_device(plan.text(step.path));
        (answer, Err(Errno(if on { abi::EACCES } else { abi::EPERM })))
    };
    expect(answer == expected, detail::NO_LANDLOCK)
}

/// PID 1 needs it no more: the program's process has its own.
pub(crate) fn let_go(context: &Context) {
    if let Some(ruleset) = context.ruleset {
        let _its_own_copy = sys::close(ruleset);
    }
}
