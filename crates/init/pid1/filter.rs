//! The filters of system calls: set, proven, and, where the program may execute nothing else, its one exec
//! answered.

use crate::abi;
use crate::plan::Plan;
use crate::proc;
use crate::steps::{Fault, expect};
use crate::sys::{self, Errno, Fd};
use crate::verify;
use crate::wire::{Op, Step, detail, fault};

/// Sets the filter that lets PID 1 answer every exec. Answers what PID 1 will listen on.
pub(crate) fn exec_once(plan: &Plan, step: &Step) -> Result<Fd, Fault> {
    let listener = sys::set_listened_filter(instructions(plan, step)?)?;
    prove(step)?;
    Ok(listener)
}

/// Sets the policy's filter.
pub(crate) fn policy(plan: &Plan, step: &Step) -> Result<(), Fault> {
    sys::set_filter(instructions(plan, step)?)?;
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
/// `shown` is its number in /proc. Answers false when the call is gone, because its process is.
pub(crate) fn answer(plan: &Plan, listener: Fd, process: i32, shown: i32) -> Result<bool, Fault> {
    let call = match sys::next_notification(listener) {
        Ok(call) => call,
        // The call was interrupted before it could be read.
        Err(Errno(abi::ENOENT | abi::EINTR)) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    expect(call.process == process.cast_unsigned(), 0)?;
    verify::confined(plan, proc::of(&mut [0; 48], shown, b"/status"))?;
    match sys::let_continue(listener, call.id) {
        Ok(()) => Ok(true),
        Err(Errno(abi::ENOENT)) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
