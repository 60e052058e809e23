//! What the sandbox's cgroup says, read from files that the supervisor opened: processor time used, memory run out.

use crate::abi;
use crate::plan::Plan;
use crate::sys::{self, Errno, Fd};
use crate::text::number;
use crate::wire::NO_FD;

/// Processor time that the cgroup has used, in nanoseconds; `None` where nobody counts it.
///
/// The file's first number says it: `cpuacct.usage` is that number, `cpu.stat` begins with `usage_usec N`.
pub(crate) fn processor_ns(plan: &Plan) -> Result<Option<u64>, Errno> {
    let header = plan.header;
    if header.cpu_file == NO_FD {
        return Ok(None);
    }
    let mut text = [0_u8; 64];
    let length = sys::read_at_start(Fd(header.cpu_file), &mut text)?;
    let text = text.get(..length).unwrap_or_default();
    let digits = text.iter().position(u8::is_ascii_digit).unwrap_or(length);
    let used = number(text.get(digits..).unwrap_or_default(), 10);
    let used = used.and_then(|used| used.checked_mul(header.cpu_unit_ns.into()));
    used.map(Some).ok_or(Errno(abi::EIO))
}

/// Has the kernel killed for lack of memory? An eventfd that has counted says yes by being ready; `memory.events` has a
/// line that counts the kills.
pub(crate) fn memory_ran_out(plan: &Plan) -> Result<bool, Errno> {
    if plan.header.memory_path == 0 {
        return Ok(true);
    }
    let mut text = [0_u8; 512];
    let length = sys::read_at_start(Fd(plan.header.memory_event), &mut text)?;
    let mut lines = text.get(..length).unwrap_or_default().split(|byte| *byte == b'\n');
    let kills = lines.find_map(|line| number(line.strip_prefix(b"oom_kill ")?, 10));
    Ok(kills.is_some_and(|kills| kills > 0))
}
