//! The filters of system calls: set, proven, and, where the program may execute nothing else, its one exec
//! answered.

use core::ffi::CStr;

use crate::abi;
use crate::plan::Plan;
use crate::steps::{Fault, expect};
use crate::sys::{self, Errno, Fd};
use crate::text::Decimal;
use crate::verify;
use crate::wire::{Op, Step, detail, fault};

/// Sets the filter that lets PID 1 answer every exec. Answers what PID 1 will listen on.
///
/// Only a fatal signal interrupts a call that PID 1 has been told of: it is answered once.
pub(crate) fn exec_once(plan: &Plan, step: &Step) -> Result<Fd, Fault> {
    let flags = abi::SECCOMP_FILTER_FLAG_NEW_LISTENER | abi::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let listener = sys::set_filter(instructions(plan, step)?, flags)?;
    prove(step)?;
    Ok(listener)
}

/// Sets the policy's filter.
pub(crate) fn policy(plan: &Plan, step: &Step) -> Result<(), Fault> {
    sys::set_filter(instructions(plan, step)?, 0)?;
    prove(step)
}

fn instructions(plan: &Plan, step: &Step) -> Result<&'static [u8], Fault> {
    plan.bytes(step.text, step.a).ok_or(Fault::plain(fault::BAD_PLAN))
}

/// Only the filter answers this call with this error.
fn prove(step: &Step) -> Result<(), Fault> {
    let answer = sys::prctl(step.b as u32, step.c as usize, 0);
    expect(answer == Err(Errno(step.d as i32)), detail::NO_FILTER)
}

/// Does the plan have the program execute nothing but itself?
pub(crate) fn answers_exec(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.op == Op::ExecOnce as u32)
}

/// The process that becomes the program asks to execute it: looks at what the process is by now, and lets it.
/// Answers false when the call is gone, because its process is.
pub(crate) fn answer(plan: &Plan, listener: Fd, process: i32) -> Result<bool, Fault> {
    let call = match sys::next_notification(listener) {
        Ok(call) => call,
        // The call was interrupted before it could be read.
        Err(Errno(abi::ENOENT | abi::EINTR)) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    expect(call.process == process.cast_unsigned(), 0)?;
    let mut path = [0_u8; 40];
    verify::confined(plan, in_proc(&mut path, process, b"/status"))?;
    match sys::let_continue(listener, call.id) {
        Ok(()) => Ok(true),
        Err(Errno(abi::ENOENT)) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The path of a process' file in /proc.
pub(crate) fn in_proc<'a>(room: &'a mut [u8; 40], process: i32, name: &[u8]) -> &'a CStr {
    let digits = Decimal::of(process.unsigned_abs().into());
    let mut length = 0;
    for part in [b"/proc/".as_slice(), digits.text().to_bytes(), name] {
        room[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    CStr::from_bytes_until_nul(room).unwrap_or_default()
}
