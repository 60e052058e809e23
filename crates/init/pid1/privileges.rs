//! The steps that give privileges up.

use crate::abi;
use crate::plan::Plan;
use crate::steps::{Fault, expect};
use crate::sys::{self, CapabilitySets, Errno};
use crate::wire::detail;

/// Nobody may read or trace PID 1: its memory holds the plan, which names host paths.
/// And it leaves the caller's session and process group: what stops the caller's group must not stop PID 1, which
/// holds the deadline.
pub(crate) fn conceal() -> Result<(), Fault> {
    sys::setsid()?;
    expect(sys::getsid()? == sys::getpid(), 0)?;
    sys::set_name(c"ringfence-init")?;
    sys::prctl(abi::PR_SET_DUMPABLE, 0, 0)?;
    expect(sys::prctl(abi::PR_GET_DUMPABLE, 0, 0)? == 0, detail::DUMPABLE)?;
    expect(sys::getpid() == 1, detail::NOT_PID_1)
}

/// Takes the ids of the plan. Only now: changing ids before the exec of PID 1 would have made the *caller*,
/// whose memory was shared then, undumpable.
pub(crate) fn take_ids(plan: &Plan) -> Result<(), Fault> {
    sys::setresgid(plan.header.gid)?;
    Ok(sys::setresuid(plan.header.uid)?)
}

/// From the set-up's few capabilities to the plan's, normally none, in all five sets; then the bits that
/// would give any back are locked. `verify::process` reads all of it back.
pub(crate) fn capabilities(plan: &Plan) -> Result<(), Fault> {
    let keep = plan.header.capabilities;
    drop_bounding(keep)?;
    if keep != 0 {
        let sets = sys::capget()?;
        sys::capset(CapabilitySets { permitted: sets.permitted | keep, inheritable: keep, ..sets })?;
    }
    sys::prctl(abi::PR_CAP_AMBIENT, abi::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
    for number in (0..64).filter(|number| keep >> number & 1 == 1) {
        sys::prctl(abi::PR_CAP_AMBIENT, abi::PR_CAP_AMBIENT_RAISE as usize, number)?;
    }
    sys::prctl(abi::PR_SET_SECUREBITS, abi::SECUREBITS_LOCKED as usize, 0)?;
    expect(sys::prctl(abi::PR_GET_SECUREBITS, 0, 0)? == abi::SECUREBITS_LOCKED as usize, detail::SECUREBITS)?;
    Ok(sys::capset(CapabilitySets { effective: keep, permitted: keep, inheritable: keep })?)
}

/// Drops every capability that the kernel knows, but the kept, from the bounding set.
fn drop_bounding(keep: u64) -> Result<(), Fault> {
    for number in 0..64 {
        if keep >> number & 1 == 1 {
            continue;
        }
        match sys::prctl(abi::PR_CAPBSET_DROP, number, 0) {
            Ok(_) => {}
            // The first number that the kernel does not know; number 0 every kernel knows.
            Err(Errno(abi::EINVAL)) if number > 0 => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// No exec gives anything, ever again: no setuid, no file capabilities (no_new_privs(2const)).
pub(crate) fn no_new_privileges() -> Result<(), Fault> {
    sys::prctl(abi::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    Ok(())
}
