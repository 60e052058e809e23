//! PID 1 of a sandbox: carries out a plan that its supervisor wrote, starts the program, reaps, and answers.
//!
//! It is the only code of ours that runs inside before the program. Freestanding: no libc, no allocator, no
//! formatting, nothing of the host in its memory but the plan. Its parts, in the order in which they run:
//! `start` (entry), `plan` (the mapped image), `steps` (one short function for each step, in `mounts`,
//! `system`, `privileges`, `verify`, `terminal`, `target`, `filter`, `landlock`), `watch` (the loop that never blocks
//! but in poll).
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[path = "../src/abi.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the supervisor's side")]
mod abi;
mod account;
mod filter;
mod landlock;
mod mounts;
mod plan;
mod privileges;
mod proc;
mod start;
mod steps;
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "shared with the supervisor's side")]
mod sys;
mod system;
mod target;
mod terminal;
mod text;
mod verify;
mod watch;
#[path = "../src/wire.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the supervisor's side")]
mod wire;

use plan::Plan;
use sys::Fd;
use wire::Op;

/// The start, from what the kernel put on the stack.
///
/// # Safety
/// `stack` points to argc, that many pointers to terminated strings, and a null.
unsafe fn enter(stack: *const usize) -> ! {
    // SAFETY: there are always two words.
    let (count, argument) = unsafe { (*stack, *stack.add(2) as *const u8) };
    if count != 3 {
        sys::exit(125);
    }
    // SAFETY: there is a third argument, as counted.
    let control = unsafe { *stack.add(3) as *const u8 };
    // SAFETY: both are terminated strings.
    unsafe { main(start::descriptor(argument), start::descriptor(control)) }
}

/// Runs the plan in the file that the first argument names; the second is the socket that the supervisor listens
/// on, for the one failure that comes before the plan can say so.
fn main(plan_fd: Fd, control: Fd) -> ! {
    let plan = match Plan::map(plan_fd) {
        Ok(plan) => plan,
        Err(errno) => steps::fail_on(control, u32::MAX, errno.into()),
    };
    let mut context =
        steps::Context { plan, old_root: None, terminal: None, teller: None, listener: None, ruleset: None };
    for (index, step) in plan.steps.iter().enumerate() {
        if step.op == Op::Fork as u32 {
            match target::fork() {
                Ok(target::Forked::Init { process, teller }) => {
                    target::let_go(&plan);
                    landlock::let_go(&context);
                    watch::run(plan, index, process, teller, context.terminal)
                }
                Ok(target::Forked::Target { teller }) => become_target(context, index + 1, teller),
                Err(fault) => steps::fail(&plan, index, fault),
            }
        }
        if let Err(fault) = steps::run(&mut context, step) {
            steps::fail(&plan, index, fault);
        }
    }
    steps::fail(&plan, plan.steps.len(), steps::Fault::plain(wire::fault::BAD_PLAN))
}

/// The rest of the plan, in the process that becomes the program.
fn become_target(mut context: steps::Context, first: usize, teller: Fd) -> ! {
    let plan = context.plan;
    context.teller = Some(teller);
    for (index, step) in plan.steps.iter().enumerate().skip(first) {
        if step.op == Op::Exec as u32 {
            target::exec(&plan, index);
        }
        if let Err(fault) = steps::run(&mut context, step) {
            steps::fail(&plan, index, fault);
        }
    }
    steps::fail(&plan, plan.steps.len(), steps::Fault::plain(wire::fault::BAD_PLAN))
}
