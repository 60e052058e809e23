//! The steps that build what the program sees of files. Privileged in the sandbox's own user namespace only.

use crate::abi::{self, MountAttr};
use crate::plan::Plan;
use crate::steps::{Context, Fault, expect};
use crate::sys::{self, Fd};
use crate::text::Decimal;
use crate::wire::{self, Step, mount};

const HERE: Fd = Fd(abi::AT_FDCWD);

/// Host mounts stay host mounts: nothing that happens here is seen there, nor the other way round.
pub(crate) fn private() -> Result<(), Fault> {
    let attributes = MountAttr { propagation: abi::MS_PRIVATE, ..MountAttr::default() };
    Ok(sys::mount_setattr(HERE, c"/", abi::AT_RECURSIVE, &attributes)?)
}

/// A new root in memory. It is stacked on the old one and then changes places with it, so that every later
/// path is a path inside, while the host is reachable only through `old_root`.
pub(crate) fn root(context: &mut Context, step: &Step) -> Result<(), Fault> {
    let old = sys::openat(HERE, c"/", abi::O_PATH | abi::O_CLOEXEC, 0)?;
    let filesystem = sys::fsopen(c"tmpfs")?;
    sys::fsconfig_text(filesystem, c"mode", c"0755")?;
    sys::fsconfig_text(filesystem, c"size", Decimal::of(step.a).text())?;
    sys::fsconfig_text(filesystem, c"nr_inodes", Decimal::of(step.b).text())?;
    sys::fsconfig_create(filesystem)?;
    let new = sys::fsmount(filesystem, abi::MOUNT_ATTR_NOSUID | abi::MOUNT_ATTR_NODEV)?;
    sys::move_mount(new, c"/")?;
    sys::fchdir(new)?;
    sys::pivot_root(c".", c".")?;
    sys::chdir(c"/")?;
    sys::close(new)?;
    sys::close(filesystem)?;
    // The modes of folders and files are the plan's, to the bit.
    sys::umask(0);
    context.old_root = Some(old);
    Ok(())
}

/// A file with fixed content.
pub(crate) fn file(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let mut content = plan.bytes(step.text, step.b).ok_or(Fault::plain(wire::fault::BAD_PLAN))?;
    let flags = abi::O_CREAT | abi::O_EXCL | abi::O_WRONLY | abi::O_CLOEXEC;
    let file = sys::openat(HERE, plan.text(step.path), flags, step.a as u32)?;
    while !content.is_empty() {
        let written = sys::write(file, content)?;
        // A write that takes nothing and says so is a lie on a file, and would never end.
        expect(written > 0, 0)?;
        content = content.get(written..).unwrap_or_default();
    }
    Ok(sys::close(file)?)
}

/// A file of the host. It is opened without following any link, compared with what the supervisor saw, and
/// cloned from that very fd: nothing can be swapped in between.
pub(crate) fn bind(context: &Context, step: &Step) -> Result<(), Fault> {
    let plan = &context.plan;
    let tree = match step.d {
        0 => clone_source(context, step)?,
        // Host root's supervisor cloned it already: an unprivileged id cannot walk a closed home.
        passed => Fd(passed as i32 - 1),
    };
    let attributes = private_with(step.flags);
    sys::mount_setattr(tree, c"", abi::AT_EMPTY_PATH | recursive(step.flags), &attributes)?;
    sys::move_mount(tree, plan.text(step.path))?;
    Ok(sys::close(tree)?)
}

fn clone_source(context: &Context, step: &Step) -> Result<Fd, Fault> {
    let old_root = context.old_root.ok_or(Fault::plain(wire::fault::BAD_PLAN))?;
    let path = context.plan.text(step.text).to_bytes_with_nul();
    let relative = core::ffi::CStr::from_bytes_with_nul(path.get(1..).unwrap_or_default());
    let relative = relative.ok().filter(|path| !path.is_empty()).unwrap_or(c".");
    let resolve = abi::RESOLVE_NO_SYMLINKS | abi::RESOLVE_NO_MAGICLINKS | abi::RESOLVE_BENEATH;
    let file = sys::openat2(old_root, relative, abi::O_PATH | abi::O_CLOEXEC, resolve)?;
    let seen = sys::statx(file, c"", abi::AT_EMPTY_PATH)?;
    let device = u64::from(seen.dev_major) << 32 | u64::from(seen.dev_minor);
    if (device, seen.ino, u64::from(u32::from(seen.mode) & abi::S_IFMT)) != (step.a, step.b, step.c) {
        return Err(Fault::plain(wire::fault::CHANGED));
    }
    let flags = abi::OPEN_TREE_CLONE | abi::OPEN_TREE_CLOEXEC | abi::AT_EMPTY_PATH | recursive(step.flags);
    let tree = sys::open_tree(file, c"", flags)?;
    sys::close(file)?;
    Ok(tree)
}

/// Something that is inside already, shown again: a mask, a protected folder, a folder made a mount point.
pub(crate) fn again(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let flags =
        abi::OPEN_TREE_CLONE | abi::OPEN_TREE_CLOEXEC | abi::AT_SYMLINK_NOFOLLOW | recursive(step.flags);
    let tree = sys::open_tree(HERE, plan.text(step.text), flags)?;
    let attributes = private_with(step.flags);
    sys::mount_setattr(tree, c"", abi::AT_EMPTY_PATH | recursive(step.flags), &attributes)?;
    sys::move_mount(tree, plan.text(step.path))?;
    Ok(sys::close(tree)?)
}

/// A folder in memory.
pub(crate) fn tmpfs(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let options = plan.text(step.a as u32);
    Ok(sys::mount(c"tmpfs", plan.text(step.path), old_flags(step.flags), options)?)
}

/// A proc of the sandbox's own processes. It must be mounted while the host's is still there: without one
/// that is wholly visible the kernel refuses a new one as "too revealing" (fs/namespace.c).
pub(crate) fn proc(plan: &Plan, step: &Step) -> Result<(), Fault> {
    Ok(sys::mount(c"proc", plan.text(step.path), old_flags(step.flags), c"")?)
}

/// Pseudo-terminals of the sandbox's own.
pub(crate) fn devpts(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let options = plan.text(step.a as u32);
    // Device nodes must work here; there are no others than terminals.
    Ok(sys::mount(c"devpts", plan.text(step.path), abi::MS_NOSUID | abi::MS_NOEXEC, options)?)
}

/// A mount that is full now becomes read-only.
pub(crate) fn seal(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let attributes = MountAttr { set: abi::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    Ok(sys::mount_setattr(HERE, plan.text(step.path), 0, &attributes)?)
}

/// The host's root goes: after this no path and no fd leads there.
pub(crate) fn leave_host(context: &mut Context) -> Result<(), Fault> {
    let old_root = context.old_root.take().ok_or(Fault::plain(wire::fault::BAD_PLAN))?;
    sys::fchdir(old_root)?;
    sys::umount(c".", abi::MNT_DETACH)?;
    sys::chdir(c"/")?;
    Ok(sys::close(old_root)?)
}

fn recursive(flags: u32) -> u32 {
    if flags & mount::RECURSIVE == 0 { 0 } else { abi::AT_RECURSIVE }
}

/// Attributes of a mount that is about to be attached: its flags, and private, whatever it was cloned from. A peer
/// or slave of a host mount would carry what is mounted on it to the host, or the host's mounts inside.
fn private_with(flags: u32) -> MountAttr {
    MountAttr { set: attributes(flags), propagation: abi::MS_PRIVATE, ..MountAttr::default() }
}

/// Flags of a step as mount_setattr(2) takes them. Every mount is nosuid.
fn attributes(flags: u32) -> u64 {
    let pick = |bit: u32, attribute: u64| if flags & bit == 0 { 0 } else { attribute };
    abi::MOUNT_ATTR_NOSUID
        | pick(mount::READ_ONLY, abi::MOUNT_ATTR_RDONLY)
        | pick(mount::NO_DEVICES, abi::MOUNT_ATTR_NODEV)
        | pick(mount::NO_EXEC, abi::MOUNT_ATTR_NOEXEC)
}

/// Flags of a step as mount(2) takes them: the same bits (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC).
fn old_flags(flags: u32) -> u64 {
    attributes(flags)
}
