//! Reading back: what the kernel says now, not what a call reported. A call that lied is caught here.

use core::ffi::CStr;

use crate::abi;
use crate::plan::Plan;
use crate::steps::{Fault, expect};
use crate::sys::{self, Fd};
use crate::text::{Lines, number, words};
use crate::wire::{Op, Step, detail, fault, mount};

/// A line of a process' status about its privileges: does it say what the plan does, and what it is about.
fn privilege(name: &[u8], value: Option<&[u8]>, keep: u64) -> Option<(bool, u64)> {
    let holds = value.and_then(|word| number(word, 16)) == Some(keep);
    Some(match name {
        b"CapInh:" => (holds, detail::INHERITABLE),
        b"CapPrm:" => (holds, detail::PERMITTED),
        b"CapEff:" => (holds, detail::EFFECTIVE),
        b"CapBnd:" => (holds, detail::BOUNDING),
        b"CapAmb:" => (holds, detail::AMBIENT),
        b"NoNewPrivs:" => (value == Some(b"1"), detail::NO_NEW_PRIVILEGES),
        _ => return None,
    })
}

/// Another process, about to execute the program, has the plan's privileges and two filters more than this one.
pub(crate) fn confined(plan: &Plan, status: &CStr) -> Result<(), Fault> {
    let wanted = filters(c"/proc/self/status")? + 2;
    let mut found = 0_u32;
    let mut lines = Lines::open(status)?;
    while let Some(line) = lines.next()? {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        if let Some((holds, which)) = privilege(name, words.next(), plan.header.capabilities) {
            expect(holds, which)?;
            found += 1;
        }
    }
    lines.close()?;
    expect(found == 6, detail::INCOMPLETE)?;
    expect(filters(status)? == wanted, detail::FILTERS)
}

/// How many filters of system calls a process has.
fn filters(status: &CStr) -> Result<u64, Fault> {
    let mut lines = Lines::open(status)?;
    let mut count = None;
    while let Some(line) = lines.next()? {
        let mut words = words(line);
        if words.next() == Some(b"Seccomp_filters:") {
            count = words.next().and_then(|word| number(word, 10));
        }
    }
    lines.close()?;
    count.ok_or(Fault::mismatch(detail::INCOMPLETE))
}

/// Capabilities, ids, groups, no_new_privs and signals of this process, from one reading of its status.
pub(crate) fn process(plan: &Plan) -> Result<(), Fault> {
    let header = plan.header;
    let mut found = 0_u32;
    let mut lines = Lines::open(c"/proc/self/status")?;
    while let Some(line) = lines.next()? {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        let value = words.next();
        let hex = value.and_then(|word| number(word, 16));
        let ids = |wanted: u32| {
            let wanted = Some(u64::from(wanted));
            value.and_then(|word| number(word, 10)) == wanted
        };
        let privilege = privilege(name, value, header.capabilities);
        let (holds, which) = match name {
            _ if privilege.is_some() => privilege.unwrap_or_default(),
            b"Uid:" => (ids(header.uid) && words.all(|word| Some(word) == value), detail::UID),
            b"Gid:" => (ids(header.gid) && words.all(|word| Some(word) == value), detail::GID),
            b"Groups:" => (value.is_none() || header.no_groups == 0, detail::GROUPS),
            b"Umask:" => {
                (value.and_then(|word| number(word, 8)) == Some(u64::from(header.umask)), detail::UMASK)
            }
            b"SigBlk:" | b"SigIgn:" => (hex == Some(0), detail::SIGNALS),
            _ => continue,
        };
        expect(holds, which)?;
        found += 1;
    }
    lines.close()?;
    expect(found == 12, detail::INCOMPLETE)
}

/// A namespace is not the host's.
pub(crate) fn namespace(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let seen = sys::statx(Fd(abi::AT_FDCWD), plan.text(step.text), 0)?;
    expect(seen.ino != 0 && seen.ino != step.a, 0)
}

/// The program at its path is the one that the supervisor found.
pub(crate) fn program(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let seen = sys::statx(Fd(abi::AT_FDCWD), plan.text(plan.header.program), 0)?;
    let device = u64::from(seen.dev_major) << 32 | u64::from(seen.dev_minor);
    if (device, seen.ino) == (step.a, step.b) { Ok(()) } else { Err(Fault::plain(fault::CHANGED)) }
}

/// No mount of this namespace shares events with others (proc_pid_mountinfo(5): the seventh field ends the optional
/// ones, and none may be).
pub(crate) fn private() -> Result<(), Fault> {
    let mut found = 0_u32;
    let mut lines = Lines::open(c"/proc/self/mountinfo")?;
    while let Some(line) = lines.next()? {
        expect(words(line).nth(6) == Some(b"-"), detail::SHARED_MOUNT)?;
        found += 1;
    }
    lines.close()?;
    expect(found > 0, detail::INCOMPLETE)
}

/// How many steps a plan may have: one bit each.
const MOST_STEPS: usize = 1 << 15;

/// Every mount of this namespace is one that a step made, with at least its flags, and each of those is there.
/// Mounts below a recursive bind came with it and carry at least its flags.
pub(crate) fn mounts(plan: &Plan) -> Result<(), Fault> {
    let steps = plan.steps.get(..MOST_STEPS.min(plan.steps.len())).unwrap_or_default();
    // A step's mount is the *last* one at its path: below it may be one that came along with a recursive bind.
    let mut holds = [0_u64; MOST_STEPS / 64];
    let mut cursor = 0;
    let mut lines = Lines::open(c"/proc/self/mountinfo")?;
    while let Some(line) = lines.next()? {
        // proc_pid_mountinfo(5): id, parent, device, root, mount point, options, ...
        let mut fields = words(line).skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else {
            return Err(Fault::mismatch(detail::INCOMPLETE));
        };
        // Optional fields say that a mount shares events with others (mount_namespaces(7)). None may.
        expect(fields.next() == Some(b"-"), detail::SHARED_MOUNT)?;
        let index = find(plan, steps, cursor, point).ok_or(Fault::mismatch(detail::UNKNOWN_MOUNT))?;
        let step = &steps[index];
        let flags_hold = has(options, flags_after(plan, steps, step));
        if same_path(point, plan.text(step.path).to_bytes()) {
            let bit = 1 << (index % 64);
            holds[index / 64] = if flags_hold { holds[index / 64] | bit } else { holds[index / 64] & !bit };
            cursor = index + 1;
        } else {
            expect(flags_hold, detail::MOUNT_FLAGS | (index as u64) << 32)?;
        }
    }
    lines.close()?;
    for index in (0..steps.len()).filter(|index| mounts_something(&steps[*index])) {
        expect(holds[index / 64] >> (index % 64) & 1 == 1, detail::MISSING_MOUNT | (index as u64) << 32)?;
    }
    Ok(())
}

fn mounts_something(step: &Step) -> bool {
    let ops = [Op::Root, Op::Bind, Op::Again, Op::Tmpfs, Op::Proc, Op::Devpts];
    ops.into_iter().any(|op| step.op == op as u32)
}

/// The step that made the mount at `point`: itself, first looked for after the last one found, or the deepest
/// recursive one above it.
fn find(plan: &Plan, steps: &[Step], cursor: usize, point: &[u8]) -> Option<usize> {
    let path = |index: usize| plan.text(steps[index].path).to_bytes();
    let candidates = || (cursor..steps.len()).chain(0..cursor).filter(|i| mounts_something(&steps[*i]));
    let exact = candidates().find(|index| same_path(point, path(*index)));
    exact.or_else(|| {
        candidates()
            .filter(|index| steps[*index].flags & mount::RECURSIVE != 0 && is_below(point, path(*index)))
            .max_by_key(|index| path(*index).len())
    })
}

/// The flags that a step's mount must have when all steps are done: a later `Seal` adds read-only.
fn flags_after(plan: &Plan, steps: &[Step], step: &Step) -> u32 {
    let path = plan.text(step.path);
    let sealed = steps.iter().any(|s| s.op == Op::Seal as u32 && plan.text(s.path) == path);
    step.flags | if sealed { mount::READ_ONLY } else { 0 }
}

/// Do a mount's options hold the flags? Every mount must be nosuid.
fn has(options: &[u8], flags: u32) -> bool {
    let option = |wanted: &[u8]| options.split(|byte| *byte == b',').any(|option| option == wanted);
    let holds = |flag: u32, wanted: &[u8]| flags & flag == 0 || option(wanted);
    option(b"nosuid")
        && holds(mount::READ_ONLY, b"ro")
        && holds(mount::NO_DEVICES, b"nodev")
        && holds(mount::NO_EXEC, b"noexec")
        && holds(mount::MAPPED, b"idmapped")
}

/// A path of mountinfo, whose odd bytes are written as `\ooo`, byte by byte.
fn decoded(escaped: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = escaped;
    core::iter::from_fn(move || {
        let (byte, length) = match rest {
            [] => return None,
            [b'\\', a, b, c, ..] => ((a & 7) << 6 | (b & 7) << 3 | (c & 7), 4),
            [byte, ..] => (*byte, 1),
        };
        rest = rest.get(length..).unwrap_or_default();
        Some(byte)
    })
}

fn same_path(escaped: &[u8], path: &[u8]) -> bool {
    decoded(escaped).eq(path.iter().copied())
}

/// Is the escaped path strictly below the plain one?
fn is_below(escaped: &[u8], path: &[u8]) -> bool {
    let mut bytes = decoded(escaped);
    path.iter().all(|byte| bytes.next() == Some(*byte)) && bytes.next() == Some(b'/')
}
