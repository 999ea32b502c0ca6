//! Frames and the nft tables of the family bridge, in a namespace with a real bridge: what the kernel lets through is what
//! the walk says.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs, unused_imports)]
#[path = "kernel/lab.rs"]
mod lab;

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use netpath::address::Family;
use netpath::answer::Decision;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::route::{Fib, parse_routes};
use netpath::sysctl::Sysctls;
use netpath::walk::Entry;
use netpath::{link, nft, walk};

/// A bridge br0 (10.7.0.254) with the ports p1 and p2, behind each of which is a host: 10.7.0.1 and 10.7.0.2.
struct Bridge {
    name: String,
    sends: UdpSocket,
    /// Who receives at 10.7.0.2 and at 10.7.0.254.
    receive: [UdpSocket; 2],
}

const PORT: u16 = 7000;

/// A socket in a namespace, from a thread that enters it and ends.
fn socket(ns: &str, port: u16) -> UdpSocket {
    let path = format!("/run/netns/{ns}");
    let open = move || {
        let namespace = std::fs::File::open(path).unwrap();
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).unwrap();
        let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    };
    std::thread::spawn(open).join().unwrap()
}

impl Bridge {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("npb{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let ns = |host: &str| format!("{name}{host}");
        for host in ["b", "h1", "h2"] {
            lab::run("ip", &["netns", "add", &ns(host)]).unwrap();
        }
        let b = ns("b");
        let ip = |arguments: &[&str]| lab::run("ip", arguments).unwrap();
        ip(&["-n", &b, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &b, "addr", "add", "10.7.0.254/24", "dev", "br0"]);
        for (port, host, address) in [("p1", "h1", "10.7.0.1/24"), ("p2", "h2", "10.7.0.2/24")] {
            let host = ns(host);
            ip(&["-n", &b, "link", "add", port, "type", "veth", "peer", "name", "e0", "netns", &host]);
            ip(&["-n", &b, "link", "set", port, "master", "br0", "up"]);
            ip(&["-n", &host, "addr", "add", address, "dev", "e0"]);
            ip(&["-n", &host, "link", "set", "e0", "up"]);
        }
        ip(&["-n", &b, "link", "set", "br0", "up"]);
        let (sends, receive) = (socket(&ns("h1"), 6000), [socket(&ns("h2"), PORT), socket(&b, PORT)]);
        Self { name, sends, receive }
    }

    fn ns(&self, host: &str) -> String {
        format!("{}{host}", self.name)
    }

    fn in_b(&self, command: &[&str]) -> String {
        lab::run("ip", &[&["netns", "exec", &self.ns("b")], command].concat()).unwrap()
    }

    /// Whether a datagram of h1 arrives.
    fn reaches(&self, address: &str) -> bool {
        self.sends.send_to(b"x", (address, PORT)).unwrap();
        let receiver = &self.receive[usize::from(address == "10.7.0.254")];
        receiver.recv(&mut [0; 16]).is_ok()
    }

    fn load(&self, rules: &str) {
        let b = self.ns("b");
        // nft wants a line's end before a brace.
        let rules = format!("flush ruleset\n{}\n", rules.replace(" }", "\n}"));
        lab::feed("ip", &["netns", "exec", &b, "nft", "-f", "-"], &rules).unwrap();
    }

    fn node(&self, call: &str) -> Node {
        let settings = self.in_b(&["sysctl", "-a", "--pattern", "^net"]);
        // Without br_netfilter there is no such setting; its walk is asked with it off and on all the same.
        let settings = format!("{settings}net.bridge.bridge-nf-call-iptables = {call}\n");
        let routes = self.in_b(&["ip", "-4", "-j", "route", "show", "table", "all"]);
        Node {
            links: link::merge(
                link::parse("addr", self.in_b(&["ip", "-j", "addr"]).as_bytes()).unwrap(),
                link::parse("link", self.in_b(&["ip", "-j", "-d", "link"]).as_bytes()).unwrap(),
            ),
            routes: Fib::new(parse_routes("route", routes.as_bytes(), Family::V4).unwrap()),
            sysctls: Sysctls::parse("sysctl", settings.as_bytes()),
            nft: Some(nft::parse_text("nft.txt", self.in_b(&["nft", "-a", "list", "ruleset"]).as_bytes())),
            ..Node::default()
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for host in ["b", "h1", "h2"] {
            let _ = lab::run("ip", &["netns", "del", &self.ns(host)]);
        }
    }
}

/// Rules, and whether a datagram from p1 gets to p2, and to the bridge's own address.
const CASES: [(&str, bool, bool); 11] = [
    ("", true, true),
    (
        "table bridge t { chain c { type filter hook prerouting priority -200; iifname \"p1\" ip protocol udp drop; } }",
        false,
        false,
    ),
    ("table bridge t { chain c { type filter hook prerouting priority -200; iifname \"br0\" drop; } }", true, true),
    ("table bridge t { chain c { type filter hook prerouting priority 100; ip daddr 10.7.0.2 drop; } }", false, true),
    (
        "table bridge t { chain c { type filter hook forward priority -200; iifname \"p1\" oifname \"p2\" ip protocol udp drop; } }",
        false,
        true,
    ),
    ("table bridge t { chain c { type filter hook forward priority 0; udp dport 7000 drop; } }", false, true),
    (
        "table bridge t { chain c { type filter hook input priority -200; ip daddr 10.7.0.254 udp dport 7000 drop; } }",
        true,
        false,
    ),
    ("table bridge t { chain c { type filter hook postrouting priority 300; iifname \"p1\" drop; } }", true, true),
    ("table bridge t { chain c { type filter hook postrouting priority 300; ip saddr 10.7.0.1 drop; } }", false, true),
    (
        "table bridge t { chain c { type filter hook forward priority 0; policy drop; ip daddr 10.7.0.2 accept; ip saddr 10.7.0.2 accept; arp operation request accept; arp operation reply accept; } }",
        true,
        true,
    ),
    ("table bridge t { flags dormant; chain c { type filter hook forward priority 0; policy drop; } }", true, true),
];

#[test]
fn frames_meet_the_bridge_s_own_chains_as_in_the_kernel() {
    if lab::must_skip() {
        return;
    }
    let bridge = Bridge::new();
    // Ports learn for a moment before they forward; and neighbours first, so that no rule meets a question about them.
    assert!((0..50).any(|_| bridge.reaches("10.7.0.2")) && bridge.reaches("10.7.0.254"));
    let ip = |text: &str| text.parse().unwrap();
    for (rules, across, up) in CASES {
        bridge.load(rules);
        assert_eq!(bridge.reaches("10.7.0.2"), across, "the kernel, across: {rules}");
        assert_eq!(bridge.reaches("10.7.0.254"), up, "the kernel, up: {rules}");
        for call in ["0", "1"] {
            let node = bridge.node(call);
            let ask = |to: &str, entry: &Entry| {
                let packet = Packet::udp((ip("10.7.0.1"), 6000), (ip(to), PORT));
                walk(&node, &packet, entry).verdict
            };
            let ports = Entry::Bridged { input: Arc::from("p1"), output: Arc::from("p2") };
            let wanted = |passes: bool| if passes { Decision::Accept } else { Decision::Drop };
            assert_eq!(ask("10.7.0.2", &ports), wanted(across), "across, call {call}: {rules}");
            assert_eq!(ask("10.7.0.254", &Entry::Interface(Arc::from("p1"))), wanted(up), "up, call {call}: {rules}");
        }
    }
}

/// By which port a bridge sends its host's frames, only the bridge knows: a rule by it makes the answer depend.
#[test]
fn a_rule_by_an_unknown_port_makes_the_answer_depend() {
    if lab::must_skip() {
        return;
    }
    let bridge = Bridge::new();
    let rule = |port: &str| {
        format!("table bridge t {{ chain c {{ type filter hook output priority 100; oifname \"{port}\" drop; }} }}")
    };
    bridge.load(&rule("p2"));
    let packet = Packet::icmp_echo("10.7.0.254".parse().unwrap(), "10.7.0.1".parse().unwrap());
    assert_eq!(walk(&bridge.node("0"), &packet, &Entry::Local).verdict, Decision::Depends);
    bridge.load("");
    assert_eq!(walk(&bridge.node("0"), &packet, &Entry::Local).verdict, Decision::Accept);
}
