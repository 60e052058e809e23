//! The network: a loopback of its own, or the host's. Nothing in between yet.

use std::net::TcpListener;

use support::{Run, Scene, outside};

use crate::tools::shell_outside;

/// Interfaces by name, as proc(5) lists them.
const INTERFACES: &str = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";

#[test]
fn without_network_loopback_works_and_nothing_else() {
    let scene = Scene::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap().to_string();
    for flags in [&[][..], &["--net", "none"], &["--net=none"]] {
        let run = || Run::new(&scene).flags(flags);
        run().probe(["loopback"]).expect(&["ok"]);
        run().probe(["connect-tcp", &address]).expect(&["ECONNREFUSED"]);
        // Addresses that no machine has (RFC 5737, RFC 3849): only the route is asked for.
        run().probe(["connect-tcp", "192.0.2.1:80"]).expect(&["ENETUNREACH"]);
        run().probe(["connect-tcp", "[2001:db8::1]:80"]).expect(&["ENETUNREACH", "errno 99"]);
        run().probe(["connect-tcp", "169.254.169.254:80"]).expect(&["ENETUNREACH"]);
        assert_eq!(run().shell(INTERFACES).answer(), "lo");
    }
    outside(["connect-tcp", &address]).expect(&["ok"]);
}

#[test]
fn loopback_carries_both_address_families_and_names() {
    let scene = Scene::new();
    let script = "import socket\n\
                  for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):\n\
                  \x20   listener = socket.socket(family)\n\
                  \x20   listener.bind((host, 0))\n\
                  \x20   listener.listen()\n\
                  \x20   socket.create_connection((socket.gethostname(), listener.getsockname()[1])).close()\n\
                  \x20   socket.create_connection(('localhost', listener.getsockname()[1])).close()\n\
                  print('both')\n";
    let outcome = Run::new(&scene).run(["/usr/bin/python3", "-c", script]);
    assert_eq!(outcome.answer(), "both", "{outcome:#?}");
}

#[test]
fn with_the_hosts_network_the_hosts_services_and_names_are_there() {
    let scene = Scene::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap().to_string();
    let run = || Run::new(&scene).flags(["--net", "host"]);
    run().probe(["connect-tcp", &address]).expect(&["ok"]);
    assert_eq!(run().shell(INTERFACES).stdout, shell_outside(INTERFACES).stdout);
    let resolver = std::fs::read_to_string("/etc/resolv.conf");
    match resolver {
        Ok(resolver) => assert_eq!(run().shell("cat /etc/resolv.conf").stdout, resolver),
        Err(e) => {
            support::not_reachable("resolver", &format!("this host has no readable /etc/resolv.conf: {e}"))
        }
    }
    // Without it there is nothing to ask, and no file that says whom the host asks.
    Run::new(&scene).probe(["open", "/etc/resolv.conf"]).expect(&["ENOENT"]);
}

#[test]
fn the_receipt_says_which_network_was_held() {
    let scene = Scene::new();
    let none = Run::new(&scene).run(["/bin/true"]);
    assert_eq!(
        (none.row("network")["status"].as_str(), none.row("network")["by"].as_str()),
        (Some("enforced"), Some("verified"))
    );
    let host = Run::new(&scene).flags(["--net=host"]).run(["/bin/true"]);
    assert!(host.row("network").is_null(), "a guarantee that was not asked for: {host:#?}");
    // Abstract sockets belong to the network; from ABI 6 on Landlock keeps them apart all the same.
    let scoped = support::landlock_abi().is_some_and(|abi| abi >= 6);
    assert_eq!(host.row("ipc")["status"], if scoped { "enforced" } else { "partial" }, "{host:#?}");
}
