//! The architectures, and their numbers.

use crate::table;

/// An architecture that filters are compiled for. Both are little-endian and 64 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86_64, without i386 and x32.
    X86_64,
    /// aarch64, without 32-bit ARM.
    Aarch64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The one that this was compiled for.
    pub const NATIVE: Option<Self> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(Self::X86_64)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little", target_pointer_width = "64")) {
        Some(Self::Aarch64)
    } else {
        None
    };

    /// `AUDIT_ARCH_*` of linux/audit.h.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// A call's number here; `None` where this architecture lacks it.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u32> {
        table::CALLS[table::find(name)?].number(self)
    }

    /// The call with this number.
    #[must_use]
    pub fn name(self, number: u32) -> Option<&'static str> {
        table::numbered(self, number).map(|call| table::CALLS[call].name)
    }
}

/// The bits that the kernel reads of each argument of a call; `None` for a name that no architecture here has.
#[must_use]
pub fn arguments(name: &str) -> Option<Vec<u64>> {
    let call = &table::CALLS[table::find(name)?];
    Some((0..6).map_while(|argument| call.full(argument)).collect())
}
