//! A compiled program, and the words of the machine that runs it (linux/filter.h, linux/seccomp.h).

use std::borrow::Cow;

/// `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions a jump skips when its comparison holds.
    pub jt: u8,
    /// How many it skips when not.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

/// Instructions that the kernel accepts as a filter. The empty one stands for no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Cow<'static, [Instruction]>,
}

impl Program {
    /// The most that the kernel takes (`BPF_MAXINSNS`).
    pub const MOST: usize = 4096;

    /// A program that was compiled earlier.
    #[must_use]
    pub const fn from_static(instructions: &'static [Instruction]) -> Self {
        Self { instructions: Cow::Borrowed(instructions) }
    }

    pub(crate) const fn new(instructions: Vec<Instruction>) -> Self {
        Self { instructions: Cow::Owned(instructions) }
    }

    /// The instructions, the first one first.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }
}

/// Loads a word of `struct seccomp_data`.
pub(crate) const LOAD: u16 = 0x20;
/// Keeps the accumulator's bits that are in the operand.
pub(crate) const AND: u16 = 0x54;
/// Ends with an answer.
pub(crate) const RETURN: u16 = 0x06;
/// Jumps always; the distance is the operand.
pub(crate) const JUMP: u16 = 0x05;
/// Jumps when the accumulator is the operand.
pub(crate) const EQUAL: u16 = 0x15;
/// Jumps when it is greater.
pub(crate) const GREATER: u16 = 0x25;
/// Jumps when it is at least the operand.
pub(crate) const AT_LEAST: u16 = 0x35;

/// Where `struct seccomp_data` holds the number.
pub(crate) const NUMBER: u32 = 0;
/// Where it holds the architecture.
pub(crate) const ARCH: u32 = 4;

/// Where it holds the low half of an argument.
pub(crate) const fn low(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

/// Where it holds the high half.
pub(crate) const fn high(argument: u8) -> u32 {
    low(argument) + 4
}
