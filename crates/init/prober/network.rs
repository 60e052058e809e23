//! Sockets: which kinds can be made, who listens on the loopback and under abstract names, and whether there is a way
//! out. Nothing is sent: a connection is made and closed, a datagram socket is only connected, which asks for a route.

use core::ffi::CStr;

use crate::abi::{self, nr};
use crate::inspect::{ENDED, Head, Kind};
use crate::sys::{self, Fd};
use crate::tell::Prober;
use crate::{HERE, names, own};

/// More than the families that Linux has (AF_MAX), and than the protocols of netlink (MAX_LINKS).
const FAMILIES: usize = 47;
const NETLINKS: usize = 32;

const SOCK_STREAM: usize = 1;
const SOCK_RAW: usize = 3;
const AF_NETLINK: usize = 16;
const AF_INET6: usize = 10;
const SOCK_NONBLOCK: usize = 0o4000;
const IPPROTO_ICMP: usize = 1;
const EPROTOTYPE: i32 = 91;
const EINPROGRESS: i32 = 115;

/// How many ports and names are tried.
const MOST: usize = 512;

pub(crate) fn probe(prober: &mut Prober) {
    for path in [c"/proc/net/dev", c"/etc/resolv.conf"] {
        own::text(prober, path);
    }
    // TEST-NET-1 (RFC 5737) and the documentation's prefix (RFC 3849): nobody is there.
    let answer = route(prober, &address(192 | 2 << 16, 9));
    prober.said("route-ipv4", answer);
    let mut six = [0_u8; 28];
    six[..8].copy_from_slice(&[AF_INET6 as u8, 0, 0, 9, 0, 0, 0, 0]);
    six[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    six[23] = 1;
    let answer = route(prober, &six);
    prober.said("route-ipv6", answer);
    ports(prober, c"/proc/net/tcp", abi::AF_INET as usize);
    ports(prober, c"/proc/net/tcp6", AF_INET6);
    abstract_names(prober);
    // Last: it may be the end.
    families(prober);
}

fn socket(prober: &mut Prober, family: usize, kind: usize, protocol: usize) -> Result<Fd, i32> {
    let kind = kind | abi::SOCK_CLOEXEC as usize | SOCK_NONBLOCK;
    prober.plain(nr::SYS_socket, [family, kind, protocol, 0, 0, 0]).map(|file| Fd(file as i32))
}

fn connect(prober: &mut Prober, socket: Fd, address: &[u8]) -> Result<(), i32> {
    let (start, length) = (address.as_ptr() as usize, address.len());
    // SAFETY: the address is readable for its whole length.
    unsafe { prober.call(nr::SYS_connect, [socket.0 as usize, start, length, 0, 0, 0]) }.map(drop)
}

/// Each family by each of its kinds that a program would use.
fn families(prober: &mut Prober) {
    for family in (1..FAMILIES).filter(|family| *family != AF_NETLINK) {
        for kind in [SOCK_STREAM, abi::SOCK_DGRAM as usize, SOCK_RAW, abi::SOCK_SEQPACKET as usize] {
            let protocol = if kind == SOCK_RAW && matches!(family, 2 | AF_INET6) { IPPROTO_ICMP } else { 0 };
            family_of(prober, family, kind, protocol);
        }
    }
    for protocol in 0..NETLINKS {
        family_of(prober, AF_NETLINK, SOCK_RAW, protocol);
    }
}

/// In a process of its own, where there can be one: a filter may end whoever asks for one family and not for another.
fn family_of(prober: &mut Prober, family: usize, kind: usize, protocol: usize) {
    let numbers = [family, kind, protocol].map(|number| number as u64);
    let head = Head { kind: Kind::Family as u32, numbers, ..Head::default() };
    match prober.fork() {
        Ok(0) => {
            let errno = socket(prober, family, kind, protocol).err().unwrap_or(0);
            prober.say(Head { errno, ..head }, &[]);
            prober.flush();
            sys::exit(0)
        }
        Ok(child) => {
            if prober.wait(child) != Ok(0) {
                prober.say(Head { errno: ENDED, ..head }, &[]);
            }
        }
        Err(_) => {
            let answer = socket(prober, family, kind, protocol);
            if let Ok(socket) = answer {
                prober.close(socket);
            }
            prober.say(Head { errno: answer.err().unwrap_or(0), ..head }, &[]);
        }
    }
}

/// `struct sockaddr_in`; the address as its four bytes stand in memory.
fn address(address: u32, port: u16) -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    bytes[0] = abi::AF_INET as u8;
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&address.to_le_bytes());
    bytes
}

/// Is there a way to an address? To connect a datagram socket sends nothing.
fn route(prober: &mut Prober, address: &[u8]) -> Result<usize, i32> {
    let socket = socket(prober, usize::from(address[0]), abi::SOCK_DGRAM as usize, 0)?;
    let answer = connect(prober, socket, address);
    prober.close(socket);
    answer.map(|()| 0)
}

/// Connects to who listens, as /proc/net tells.
fn ports(prober: &mut Prober, table: &CStr, family: usize) {
    let mut asked = 0;
    let mut lines = Lines::open(prober, table);
    while let Some(line) = lines.as_mut().and_then(|lines| lines.next(prober)) {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (local, state) = (words.nth(1), words.nth(1));
        // 0A is TCP_LISTEN (include/net/tcp_states.h).
        let port = local.filter(|_| state == Some(b"0A")).and_then(|local| hexadecimal(names_port(local)));
        let Some(port) = port.filter(|_| asked < MOST) else { continue };
        asked += 1;
        let answer = if family == AF_INET6 {
            let mut six = [0_u8; 28];
            six[0] = AF_INET6 as u8;
            six[2..4].copy_from_slice(&port.to_be_bytes());
            six[23] = 1;
            listener(prober, &six)
        } else {
            listener(prober, &address(u32::from_le_bytes([127, 0, 0, 1]), port))
        };
        let numbers = [family as u64, u64::from(port), 0];
        let errno = answer.err().unwrap_or(0);
        prober.say(Head { kind: Kind::Port as u32, errno, numbers, ..Head::default() }, &[]);
    }
    if let Some(lines) = lines {
        prober.close(lines.file);
    }
}

/// On the loopback a connection is there at once, or refused.
fn listener(prober: &mut Prober, address: &[u8]) -> Result<(), i32> {
    let socket = socket(prober, usize::from(address[0]), SOCK_STREAM, 0)?;
    let answer = match connect(prober, socket, address) {
        Err(EINPROGRESS) => Ok(()),
        other => other,
    };
    prober.close(socket);
    answer
}

fn names_port(local: &[u8]) -> &[u8] {
    local.rsplit(|byte| *byte == b':').next().unwrap_or_default()
}

fn hexadecimal(digits: &[u8]) -> Option<u16> {
    let text = core::str::from_utf8(digits).ok()?;
    u16::from_str_radix(text, 16).ok()
}

/// Connects to every abstract name that somebody has bound, as /proc/net/unix tells.
fn abstract_names(prober: &mut Prober) {
    let mut asked = 0;
    let mut lines = Lines::open(prober, c"/proc/net/unix");
    while let Some(line) = lines.as_mut().and_then(|lines| lines.next(prober)) {
        // The eighth word is the path; what begins with @ is abstract. A name with a blank is cut, and not found.
        let name = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).nth(7);
        let Some(name) = name.and_then(|name| name.strip_prefix(b"@")).filter(|_| asked < MOST) else {
            continue;
        };
        asked += 1;
        let mut kept = [0_u8; 107];
        let length = name.len().min(kept.len());
        kept[..length].copy_from_slice(&name[..length]);
        let name = &kept[..length];
        let mut address = [0_u8; 110];
        address[0] = abi::AF_UNIX as u8;
        address[3..3 + length].copy_from_slice(name);
        // The kernel shows a NUL in a name as another @.
        let errno = unix(prober, &address[..3 + length]).err().unwrap_or(0);
        prober.say(Head { kind: Kind::Abstract as u32, errno, ..Head::default() }, &[name]);
    }
    if let Some(lines) = lines {
        prober.close(lines.file);
    }
}

/// Connects by each kind of unix socket, until one is of the listener's.
fn unix(prober: &mut Prober, address: &[u8]) -> Result<(), i32> {
    let mut last = Err(abi::ENOENT);
    for kind in [SOCK_STREAM, abi::SOCK_DGRAM as usize, abi::SOCK_SEQPACKET as usize] {
        let socket = socket(prober, abi::AF_UNIX as usize, kind, 0)?;
        last = connect(prober, socket, address);
        prober.close(socket);
        if last != Err(EPROTOTYPE) {
            // A full queue is somebody's too.
            return if last == Err(abi::EAGAIN) { Ok(()) } else { last };
        }
    }
    last
}

/// A unix socket in a folder: its path begins at that folder, so that it fits.
pub(crate) fn connect_to_path(prober: &mut Prober, folder: Fd, name: &CStr) -> Result<(), i32> {
    let name = name.to_bytes();
    if names::last(name).len() > 107 {
        return Err(abi::EINVAL);
    }
    let mut address = [0_u8; 110];
    address[0] = abi::AF_UNIX as u8;
    address[2..2 + name.len()].copy_from_slice(name);
    let here = prober.open(HERE, c".", abi::O_PATH)?;
    prober.plain(nr::SYS_fchdir, [folder.0 as usize, 0, 0, 0, 0, 0])?;
    let answer = unix(prober, &address[..2 + name.len()]);
    let _back = prober.plain(nr::SYS_fchdir, [here.0 as usize, 0, 0, 0, 0, 0]);
    prober.close(here);
    answer
}

/// A table of /proc, line by line; what is longer than the buffer is cut.
struct Lines {
    file: Fd,
    buffer: [u8; 2048],
    filled: usize,
    used: usize,
}

impl Lines {
    fn open(prober: &mut Prober, path: &CStr) -> Option<Self> {
        let file = prober.open(HERE, path, abi::O_RDONLY).ok()?;
        Some(Self { file, buffer: [0; 2048], filled: 0, used: 0 })
    }

    fn next(&mut self, prober: &mut Prober) -> Option<&[u8]> {
        loop {
            let rest = self.used..self.filled;
            if let Some(end) = self.buffer[rest.clone()].iter().position(|byte| *byte == b'\n') {
                self.used += end + 1;
                return Some(&self.buffer[rest.start..rest.start + end]);
            }
            if self.used == 0 && self.filled == self.buffer.len() {
                self.used = self.filled;
                return Some(&self.buffer[..self.filled]);
            }
            self.buffer.copy_within(rest.clone(), 0);
            (self.used, self.filled) = (0, rest.len());
            let read = prober.read(self.file, &mut self.buffer[rest.len()..]).ok()?;
            if read == 0 {
                return None;
            }
            self.filled += read;
        }
    }
}
