//! Conditions on arguments, in the width that the kernel reads.

use crate::table::Call;
use crate::{Comparison, Condition};

/// `(argument & mask) op value`, unsigned. The mask names no bit that the kernel does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Test {
    pub(crate) argument: u8,
    pub(crate) mask: u64,
    pub(crate) op: Op,
    pub(crate) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Why a condition cannot be asked of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The call has fewer arguments.
    NoArgument,
    /// The value does not fit into the argument, which has this many bits.
    TooWide(u32),
}

impl Op {
    pub(crate) fn holds<T: Ord>(self, left: T, right: T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

impl From<Comparison> for Op {
    fn from(comparison: Comparison) -> Self {
        match comparison {
            Comparison::Eq | Comparison::MaskedEq => Self::Eq,
            Comparison::Ne => Self::Ne,
            Comparison::Lt => Self::Lt,
            Comparison::Le => Self::Le,
            Comparison::Gt => Self::Gt,
            Comparison::Ge => Self::Ge,
        }
    }
}

impl Test {
    /// A condition, as it is asked of this call.
    pub(crate) fn of(condition: &Condition, call: &Call) -> Result<Self, Unfit> {
        let full = call.full(condition.index).ok_or(Unfit::NoArgument)?;
        let too_wide = Unfit::TooWide(full.count_ones());
        let value = if condition.value < 0 {
            // The most negative number is the sign bit alone.
            let least = -(i128::from(full >> 1) + 1);
            if condition.value < least {
                return Err(too_wide);
            }
            u64::try_from(condition.value + i128::from(full) + 1).map_err(|_| too_wide)?
        } else {
            u64::try_from(condition.value).ok().filter(|value| *value <= full).ok_or(too_wide)?
        };
        let mask = condition.mask.unwrap_or(full) & full;
        Ok(Self { argument: condition.index, mask, op: condition.op.into(), value })
    }

    /// A test of an argument of 32 bits.
    pub(crate) const fn word(argument: u8, op: Op, value: u32) -> Self {
        Self { argument, mask: 0xffff_ffff, op, value: value as u64 }
    }
}
