//! How a stopped process' registers say "no call", "this answer", "this length": one function each, on each
//! architecture.

use std::io;

#[cfg(target_arch = "aarch64")]
use crate::tracer::Request;
use crate::tracer::{Pid, ptrace};

/// The number that no system call has: the kernel skips the call (ptrace(2)).
#[cfg(target_arch = "aarch64")]
const NO_CALL: i32 = -1;

/// At the entry of a call: the kernel will not carry it out.
#[cfg(target_arch = "x86_64")]
pub(crate) fn skip(process: Pid) -> io::Result<()> {
    poke(process, std::mem::offset_of!(libc::user_regs_struct, orig_rax), u64::MAX)
}

/// At the exit of a call: what the process will read as the kernel's answer.
#[cfg(target_arch = "x86_64")]
pub(crate) fn answer(process: Pid, value: i64) -> io::Result<()> {
    poke(process, std::mem::offset_of!(libc::user_regs_struct, rax), value.cast_unsigned())
}

/// At the entry of a call: its third argument, which is the length of every call that reads or writes.
#[cfg(target_arch = "x86_64")]
pub(crate) fn set_length(process: Pid, length: u64) -> io::Result<()> {
    poke(process, std::mem::offset_of!(libc::user_regs_struct, rdx), length)
}

#[cfg(target_arch = "x86_64")]
fn poke(process: Pid, offset: usize, value: u64) -> io::Result<()> {
    ptrace(libc::PTRACE_POKEUSER, process, offset, value as usize).map(drop)
}

/// At the entry of a call: the kernel will not carry it out.
#[cfg(target_arch = "aarch64")]
pub(crate) fn skip(process: Pid) -> io::Result<()> {
    const NT_ARM_SYSTEM_CALL: usize = 0x404;
    let mut number = NO_CALL;
    let area = libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of::<i32>() };
    ptrace(libc::PTRACE_SETREGSET, process, NT_ARM_SYSTEM_CALL, &raw const area as usize).map(drop)
}

/// At the exit of a call: what the process will read as the kernel's answer.
#[cfg(target_arch = "aarch64")]
pub(crate) fn answer(process: Pid, value: i64) -> io::Result<()> {
    set_register(process, 0, value.cast_unsigned())
}

/// At the entry of a call: its third argument, which is the length of every call that reads or writes.
#[cfg(target_arch = "aarch64")]
pub(crate) fn set_length(process: Pid, length: u64) -> io::Result<()> {
    set_register(process, 2, length)
}

#[cfg(target_arch = "aarch64")]
fn set_register(process: Pid, index: usize, value: u64) -> io::Result<()> {
    // `struct user_pt_regs`: 31 general registers, sp, pc, pstate.
    let mut registers = [0_u64; 34];
    transfer(libc::PTRACE_GETREGSET, process, &mut registers)?;
    registers[index] = value;
    transfer(libc::PTRACE_SETREGSET, process, &mut registers)
}

#[cfg(target_arch = "aarch64")]
fn transfer(request: Request, process: Pid, registers: &mut [u64; 34]) -> io::Result<()> {
    const NT_PRSTATUS: usize = 1;
    let area = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(registers) };
    ptrace(request, process, NT_PRSTATUS, &raw const area as usize).map(drop)
}
