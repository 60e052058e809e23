//! Addresses: what a call names, and why nobody answers there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::process::{Caller, listens};

/// An address of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Internet(IpAddr, u16),
    /// A socket that is a file.
    File(PathBuf),
    Other,
}

impl Address {
    /// `struct sockaddr` (sockaddr(3type)).
    pub(super) fn read(caller: Caller, address: u64, length: u64) -> Option<Self> {
        let length = usize::try_from(length & 0xffff_ffff).ok().filter(|length| *length >= 2)?;
        let bytes = caller.bytes(address, length.min(size_of::<libc::sockaddr_un>()))?;
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
        match family {
            libc::AF_INET => {
                let four: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
                Some(Self::Internet(Ipv4Addr::from(four).into(), port()?))
            }
            libc::AF_INET6 => {
                let sixteen: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                Some(Self::Internet(Ipv6Addr::from(sixteen).to_canonical(), port()?))
            }
            libc::AF_UNIX => {
                let path = bytes.get(2..)?.split(|byte| *byte == 0).next()?;
                if path.is_empty() {
                    return Some(Self::Other);
                }
                Some(Self::File(std::ffi::OsString::from_vec(path.to_vec()).into()))
            }
            _ => Some(Self::Other),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(IpAddr::V6(address), port) => write!(f, "[{address}]:{port}"),
            Self::Internet(address, port) => write!(f, "{address}:{port}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Other => f.write_str("a name without a file"),
        }
    }
}

/// Where names are asked for.
const DOMAIN: u16 = 53;

/// What is out of reach while the network is off, in words and by its error.
pub(super) fn judge(caller: Caller, address: IpAddr, port: u16) -> Option<(String, &'static str)> {
    let own = address.is_loopback() || address.is_unspecified();
    let shown = Address::Internet(address, port);
    if port == DOMAIN && !(own && caller.listens(port)) {
        let answer = if own { "ECONNREFUSED" } else { "ENETUNREACH" };
        return Some((format!("names cannot be looked up ({shown})"), answer));
    }
    if !own {
        return Some((format!("connect to {shown}"), "ENETUNREACH"));
    }
    // What the host offers on its loopback is not on the sandbox's.
    let hosts = !caller.listens(port) && listens(Path::new("/proc/self/net"), port);
    hosts.then(|| (format!("connect to the host's own {shown}"), "ECONNREFUSED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_does() {
        let four = [&2_u16.to_ne_bytes()[..], &443_u16.to_be_bytes(), &[192, 0, 2, 7], &[0; 8]].concat();
        assert_eq!(Address::parse(&four).unwrap().to_string(), "192.0.2.7:443");
        let mut six = [&10_u16.to_ne_bytes()[..], &80_u16.to_be_bytes(), &[0; 4], &[0; 16], &[0; 4]].concat();
        six[23] = 1;
        assert_eq!(Address::parse(&six).unwrap().to_string(), "[::1]:80");
        let local = [&1_u16.to_ne_bytes()[..], b"/run/x\0rest"].concat();
        assert_eq!(Address::parse(&local), Some(Address::File("/run/x".into())));
        assert_eq!(Address::parse(&[1, 0, 0, b'a']), Some(Address::Other));
        for short in [&[][..], &[2], &[2, 0], &[2, 0, 1, 1, 5], &[10, 0, 0, 0, 0, 0]] {
            assert_eq!(Address::parse(short), None, "{short:?}");
        }
    }
}
