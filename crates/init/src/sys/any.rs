//! Calls by their number.

use super::{Result, check, raw};

/// Any system call: for the prober, to which every answer is a finding.
///
/// # Safety
/// Every pointer among the arguments is valid for what this call reads or writes through it, or is one that the
/// kernel refuses to use.
pub unsafe fn any(number: usize, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller vouches for the arguments.
    check(unsafe { raw(number, arguments) })
}
