//! Sockets: families, ports, abstract names, routes.

use ringfence_linux::told::{Kind, NOT_TRIED};

use super::prober::Told;
use super::{Class, Item, NotTried, text};

/// AF_* of Linux (socket(2), include/linux/socket.h), by number.
const FAMILIES: [&str; 46] = [
    "unspec",
    "unix",
    "inet",
    "ax25",
    "ipx",
    "appletalk",
    "netrom",
    "bridge",
    "atmpvc",
    "x25",
    "inet6",
    "rose",
    "decnet",
    "netbeui",
    "security",
    "key",
    "netlink",
    "packet",
    "ash",
    "econet",
    "atmsvc",
    "rds",
    "sna",
    "irda",
    "pppox",
    "wanpipe",
    "llc",
    "ib",
    "mpls",
    "can",
    "tipc",
    "bluetooth",
    "iucv",
    "rxrpc",
    "isdn",
    "phonet",
    "ieee802154",
    "caif",
    "alg",
    "nfc",
    "vsock",
    "kcm",
    "qipcrtr",
    "smc",
    "xdp",
    "mctp",
];

/// Protocols of netlink(7) that have a name here.
const NETLINK: [(u64, &str); 10] = [
    (0, "route"),
    (2, "usersock"),
    (4, "sock-diag"),
    (6, "xfrm"),
    (9, "audit"),
    (10, "fib-lookup"),
    (11, "connector"),
    (12, "netfilter"),
    (15, "uevent"),
    (16, "generic"),
];

const NETLINK_FAMILY: u64 = 16;

pub(super) fn judge(told: &Told, not_tried: &mut Vec<NotTried>) -> Vec<Item> {
    let mut items = Vec::new();
    if told.of(Kind::Family).any(|record| record.head.errno == NOT_TRIED) {
        let why =
            "socket(2) ended an earlier prober, and no other process can be made to try it in".to_owned();
        not_tried.push(NotTried { what: "socket families".to_owned(), why });
    }
    for record in told.of(Kind::Family).filter(|record| record.head.errno == 0) {
        let [family, kind, protocol] = record.head.numbers;
        let named = usize::try_from(family).ok().and_then(|family| FAMILIES.get(family));
        let name = named.map_or_else(|| family.to_string(), |name| (*name).to_owned());
        let name = if family == NETLINK_FAMILY {
            let named = NETLINK.iter().find(|(number, _)| *number == protocol);
            format!("{name}:{}", named.map_or_else(|| protocol.to_string(), |(_, name)| (*name).to_owned()))
        } else {
            format!("{name}:{}", ["", "stream", "dgram", "raw", "rdm", "seqpacket"][kind.min(5) as usize])
        };
        items.push(Item::new(Class::Family, name, "make", 1));
    }
    for record in told.of(Kind::Abstract).filter(|record| record.head.errno == 0) {
        let mut item = Item::new(Class::Socket, format!("@{}", text(&record.text)), "connect", 3);
        item.persists = Some("whatever its owner keeps".to_owned());
        items.push(item.detail("an abstract unix socket that somebody listens on").remedy("--net none"));
    }
    for record in told.of(Kind::Port).filter(|record| record.head.errno == 0) {
        let [family, port, _] = record.head.numbers;
        let address = if family == 2 { "127.0.0.1" } else { "[::1]" };
        let mut item = Item::new(Class::Service, format!("{address}:{port}"), "connect", 1);
        item.persists = Some("whatever its owner keeps".to_owned());
        items.push(item.detail("somebody listens").remedy("--net none"));
    }
    items.extend(ways_out(told));
    items
}

/// Routes and interfaces.
fn ways_out(told: &Told) -> Vec<Item> {
    let mut items = Vec::new();
    for (tried, name) in [("route-ipv4", "a route out, IPv4"), ("route-ipv6", "a route out, IPv6")] {
        let found =
            told.of(Kind::Try).any(|record| record.text == tried.as_bytes() && record.head.errno == 0);
        items.extend(found.then(|| Item::new(Class::Network, name, "yes", 2).remedy("--net none")));
    }
    let out = !items.is_empty();
    for line in told.file("/proc/net/dev").unwrap_or_default().lines() {
        let Some((name, _)) = line.split_once(':') else { continue };
        let name = name.trim();
        // Each new network namespace of some kernels has idle tunnels beside its loopback.
        if name != "lo" && !line.split_whitespace().skip(1).all(|word| word == "0") {
            items.push(Item::new(Class::Network, format!("interface {name}"), "see", 1).remedy("--net none"));
        }
    }
    for line in told.file("/etc/resolv.conf").filter(|_| out).unwrap_or_default().lines() {
        if let Some(server) = line.trim().strip_prefix("nameserver") {
            let item = Item::new(Class::Network, format!("name server {}", server.trim()), "yes", 2);
            items.push(item.detail("named and with a way there; nothing was asked").remedy("--net none"));
        }
    }
    items
}
