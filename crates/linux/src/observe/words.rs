//! A refused call in words.

use super::calls;
use super::process::Caller;
use crate::filter::NATIVE;

/// The arguments of a call: numbers, and the path where one is named.
pub(super) fn arguments(caller: Caller, name: &str, arguments: &[u64; 6]) -> Vec<String> {
    let widths = ringfence_seccomp::arguments(name).unwrap_or_default();
    let path = calls::path_of(name).map(|path| usize::from(path.path));
    let shown = |(at, (mask, value)): (usize, (u64, &u64))| {
        if path == Some(at) {
            return caller.path(*value).map_or_else(|| "?".to_owned(), |path| format!("{path:?}"));
        }
        number(mask, value & mask)
    };
    widths.into_iter().zip(arguments).enumerate().map(shown).collect()
}

/// Small numbers as they are, of either sign; others are flags or addresses.
fn number(mask: u64, value: u64) -> String {
    let signed = if mask == 0xffff_ffff { i64::from(value as u32 as i32) } else { value.cast_signed() };
    if signed.abs() < 4096 { signed.to_string() } else { format!("{value:#x}") }
}

/// The call, with what makes it one that is refused.
pub(super) fn call(name: &str, arguments: &[u64; 6]) -> String {
    let low = |at: usize| arguments[at] as u32;
    let particular = match name {
        "socket" | "socketpair" => format!(" of {}", family(low(0))),
        "ioctl" => format!(" {}", request(low(1))),
        "fcntl" => format!(" {}", low(1)),
        "prctl" | "keyctl" | "ptrace" | "personality" => format!(" {}", low(0)),
        "clone" if low(0) & NAMESPACES != 0 => format!(" with new namespaces {:#x}", low(0) & NAMESPACES),
        _ => String::new(),
    };
    format!("system call {name}{particular}")
}

/// The number of a call, as a name.
pub(super) fn name(number: i32) -> &'static str {
    NATIVE.name(number.cast_unsigned()).unwrap_or("unknown")
}

/// `CLONE_NEW*` (clone(2)).
const NAMESPACES: u32 = 0x7e02_0080;

fn request(number: u32) -> String {
    match number {
        0x5412 => "TIOCSTI".to_owned(),
        0x541c => "TIOCLINUX".to_owned(),
        _ => format!("{number:#x}"),
    }
}

/// A family of sockets (linux/socket.h).
fn family(number: u32) -> String {
    let names = [
        (1, "AF_UNIX"),
        (2, "AF_INET"),
        (10, "AF_INET6"),
        (16, "AF_NETLINK"),
        (17, "AF_PACKET"),
        (29, "AF_CAN"),
        (31, "AF_BLUETOOTH"),
        (38, "AF_ALG"),
        (40, "AF_VSOCK"),
        (44, "AF_XDP"),
    ];
    let name = names.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("family {number}"))
}

/// Programs ask this to see whether they may, and do without.
pub(super) fn is_a_question(name: &str, arguments: &[u64; 6]) -> bool {
    let asked =
        ["io_uring_setup", "get_mempolicy", "set_mempolicy", "mbind", "perf_event_open", "rseq", "keyctl"];
    let netlink = matches!(name, "socket") && arguments[0] as u32 == 16;
    netlink || asked.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_makes_it_special() {
        let of = |name, first: u64, second: u64| call(name, &[first, second, 0, 0, 0, 0]);
        assert_eq!(of("socket", 38, 0), "system call socket of AF_ALG");
        assert_eq!(of("socket", 77, 0), "system call socket of family 77");
        assert_eq!(of("ioctl", 0, 0x5412 | 1 << 40), "system call ioctl TIOCSTI");
        assert_eq!(of("clone", 0x1000_0011, 0), "system call clone with new namespaces 0x10000000");
        assert_eq!(of("mount", 1, 2), "system call mount");
    }

    #[test]
    fn numbers_are_read_in_their_width() {
        assert_eq!(number(0xffff_ffff, 0xffff_ff9c), "-100");
        assert_eq!(number(0xffff_ffff, 0x80000), "0x80000");
        assert_eq!(number(u64::MAX, u64::MAX), "-1");
        assert_eq!(number(u64::MAX, 0x7fff_0000_1000), "0x7fff00001000");
    }
}
