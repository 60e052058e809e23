//! Processes in /proc: their files, and the numbers that they have there.

use core::ffi::CStr;

use crate::plan::Plan;
use crate::steps::Fault;
use crate::sys;
use crate::text::{Decimal, Lines, number, words};
use crate::wire::{Op, detail};

/// Room for a path of a process' file in /proc.
pub(crate) type Path = [u8; 48];

/// The path of a process' file in /proc, by its number there.
pub(crate) fn of<'a>(room: &'a mut Path, process: i32, name: &[u8]) -> &'a CStr {
    joined(room, b"/proc/", process, name)
}

fn joined<'a>(room: &'a mut Path, before: &[u8], number: i32, after: &[u8]) -> &'a CStr {
    let digits = Decimal::of(number.unsigned_abs().into());
    let mut length = 0;
    for part in [before, digits.text().to_bytes(), after] {
        room[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    CStr::from_bytes_until_nul(room).unwrap_or_default()
}

/// The number that a process of the sandbox has in /proc. Where that is the caller's, it counts as the caller does: the
/// kernel translates in what it says of a pidfd (pidfd_open(2)).
pub(crate) fn number_of(plan: &Plan, process: i32) -> Result<i32, Fault> {
    if plan.steps.iter().any(|step| step.op == Op::Proc as u32) {
        return Ok(process);
    }
    let pidfd = sys::pidfd_open(process)?;
    let mut room = [0; 48];
    let mut lines = Lines::open(joined(&mut room, b"/proc/self/fdinfo/", pidfd.0, b""))?;
    let mut shown = None;
    while let Some(line) = lines.next()? {
        let mut words = words(line);
        if words.next() == Some(b"Pid:") {
            shown = words.next().and_then(|word| number(word, 10));
        }
    }
    lines.close()?;
    sys::close(pidfd)?;
    let shown = shown.and_then(|shown| i32::try_from(shown).ok()).filter(|shown| *shown > 0);
    shown.ok_or(Fault::mismatch(detail::INCOMPLETE))
}
