//! How a filter is proven to be on: a prctl(2) that no kernel knows and only the filter answers.

/// The option. Only its 32 bits count, as everywhere in prctl(2).
pub const OPTION: u32 = 0x5246_4e43;
/// The second argument, all 64 bits of it, that the policy's filter answers.
pub const FILTER: u32 = 0x464c_5452;
/// The second argument that the filter of [`exec_once`](crate::exec_once) answers.
pub const EXEC_ONCE: u32 = 0x4f4e_4345;
/// The error number of the answer. No call of the kernel has it.
pub const ERRNO: u16 = 3917;
