//! What a filter can answer, as linux/seccomp.h numbers it.

pub const KILL_PROCESS: u32 = 0x8000_0000;
pub const TRAP: u32 = 0x0003_0000;
pub const NOTIFY: u32 = 0x7fc0_0000;
pub const LOG: u32 = 0x7ffc_0000;
pub const ALLOW: u32 = 0x7fff_0000;

pub const fn errno(number: u16) -> u32 {
    0x0005_0000 | number as u32
}

// Numbers that errors have on every architecture that we know.
pub const EPERM: u16 = 1;
pub const EAGAIN: u16 = 11;
pub const ENOSYS: u16 = 38;
pub const EAFNOSUPPORT: u16 = 97;

// As linux/audit.h numbers architectures.
pub const X86_64: u32 = 0xc000_003e;
pub const I386: u32 = 0x4000_0003;
pub const AARCH64: u32 = 0xc000_00b7;
pub const ARM: u32 = 0x4000_0028;
pub const RISCV64: u32 = 0xc000_00f3;

/// An answer as a person reads it.
pub fn name(answer: u32) -> String {
    match answer {
        KILL_PROCESS => "kill".to_owned(),
        TRAP => "trap".to_owned(),
        NOTIFY => "notify".to_owned(),
        LOG => "log".to_owned(),
        ALLOW => "allow".to_owned(),
        _ if answer & 0xffff_0000 == 0x0005_0000 => format!("errno {}", answer & 0xffff),
        _ => format!("{answer:#010x}"),
    }
}
