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

/// How long the listener may take to go out.
const LONGEST_HAND_OUT_NS: u64 = 10_000_000_000;
const LOOKS_APART: abi::Timespec = abi::Timespec { seconds: 0, nanoseconds: 50_000 };

/// Sets a filter that asks the supervisor. From then on this process may not be able to say anything, so another one
/// without the filter, which has the same table of files, hands the listener out. The exec waits for that.
pub(crate) fn asked(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let observer = Fd(plan.header.observer);
    // The listener gets the lowest number that is free.
    let free = sys::duplicate_above(observer, 3)?;
    sys::close(free)?;
    let own = sys::getpid();
    if !sys::fork_with_files()? {
        // A call that lied would have this process wait for itself.
        expect(sys::getpid() != own, 0)?;
        hand_out(observer, free);
    }
    let listener = sys::set_listened_filter(instructions(plan, step)?)?;
    expect(listener == free, detail::NO_FILTER)?;
    prove(step)
}

/// Sends the file as soon as it is there. PID 1 sees an end that is no success, and the supervisor whether it came.
fn hand_out(observer: Fd, file: Fd) -> ! {
    let until = sys::monotonic_ns().saturating_add(LONGEST_HAND_OUT_NS);
    while sys::monotonic_ns() < until {
        match sys::send(observer, &[1], Some(file)) {
            Ok(1) => sys::exit(0),
            Err(Errno(abi::EBADF | abi::EINTR)) => {}
            Ok(_) | Err(_) => break,
        }
        let _time_passes = sys::poll(&mut [], Some(LOOKS_APART));
    }
    sys::exit(125)
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
