//! Random rule sets that translate, in kube-proxy's shape and in others, and packets whose source ports are all
//! different, so that no two translated connections meet.

use std::fmt::Write;
use std::net::IpAddr;

use netpath::address::Family;
use netpath::packet::Packet;

use crate::frames::{Probe, Side, complete};
use crate::generate_packets::dressed;
use crate::random::Random;

/// The addresses of one family that Services, endpoints and sources have.
struct Names {
    is_v4: bool,
    vips: [&'static str; 4],
    endpoints: [&'static str; 6],
}

const V4: Names = Names {
    is_v4: true,
    vips: ["10.96.0.1", "10.96.0.10", "10.96.7.7", "10.10.0.5"],
    endpoints: ["10.20.0.7", "10.20.0.8", "10.20.0.9", "10.10.0.9", "10.10.0.1", "10.20.0.1"],
};

const V6: Names = Names {
    is_v4: false,
    vips: ["fd96::1", "fd96::10", "fd96:7::7", "fd00:10::5"],
    endpoints: ["fd00:20::7", "fd00:20::8", "fd00:20::9", "fd00:10::9", "fd00:10::1", "fd00:20::1"],
};

impl Names {
    fn of(family: Family) -> &'static Self {
        if family == Family::V4 { &V4 } else { &V6 }
    }

    /// The IPv4 text that a rule is written with, or its like in IPv6.
    fn text(&self, line: &str) -> String {
        let mut line = line.to_owned();
        if self.is_v4 {
            return line;
        }
        for (from, to) in [
            ("10.10.0.0/16", "fd00:10::/32"),
            ("10.10.0.0/25", "fd00:10::/121"),
            ("10.10.0.0/24", "fd00:10::/120"),
            ("10.10.1.0/24", "fd00:10:0:1::/64"),
            ("10.10.2.0/24", "fd00:10:0:2::/64"),
            ("10.96.0.0/24", "fd96::/120"),
            ("10.20.5.0/24", "fd00:20:5::/120"),
            ("10.20.9.0/24", "fd00:20:9::/120"),
            ("10.20.0.3-10.20.0.6", "fd00:20::3-fd00:20::6"),
            ("10.20.0.1:", "[fd00:20::1]:"),
            ("10.20.0.1", "fd00:20::1"),
            ("10.10.0.1", "fd00:10::1"),
            ("icmp-host-prohibited", "icmp6-adm-prohibited"),
            ("/32", "/128"),
        ] {
            line = line.replace(from, to);
        }
        line
    }
}

const PORTS: [u16; 5] = [53, 80, 443, 8080, 30000];

pub fn rules(random: &mut Random, family: Family) -> String {
    let names = Names::of(family);
    let mut nat = String::from(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:SERVICES - [0:0]\n:MASQ - [0:0]\n",
    );
    let mut body = String::new();
    // Without chance every counter can be predicted.
    let chance = random.chance(50);
    for service in 0..4 {
        let _ = writeln!(nat, ":SVC{service} - [0:0]");
        service_rules(random, names, (service, chance), &mut nat, &mut body);
    }
    let _ = writeln!(body, "-A PREROUTING -j SERVICES\n-A OUTPUT -j SERVICES\n-A MASQ -j MARK --or-mark 0x4000");
    for _ in 0..random.below(4) {
        let _ = writeln!(body, "-A PREROUTING{}", names.text(&other_destination(random, chance)));
    }
    for _ in 0..random.below(3) {
        let _ = writeln!(
            body,
            "-A INPUT -p tcp --dport {} -j SNAT --to-source {}{}",
            random.pick(&PORTS),
            if names.is_v4 { "10.10.0." } else { "fd00:10::" },
            20 + random.below(9)
        );
    }
    for _ in 0..random.below(4) {
        let _ = writeln!(body, "-A POSTROUTING{}", names.text(&source(random)));
    }
    let _ = writeln!(
        body,
        "-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A POSTROUTING -j MARK --xor-mark 0x4000\n-A POSTROUTING -j MASQUERADE{}",
        random.pick(&["", " --random-fully"])
    );
    format!("{nat}{body}COMMIT\n{}", names.text(&filter(random, names)))
}

fn service_rules(
    random: &mut Random,
    names: &Names,
    (service, chance): (usize, bool),
    nat: &mut String,
    body: &mut String,
) {
    let protocol = random.pick(&["tcp", "udp"]);
    let (vip, port) = (random.pick(&names.vips), random.pick(&PORTS));
    let _ = writeln!(body, "-A SERVICES -d {vip} -p {protocol} --dport {port} -j SVC{service}");
    if random.chance(50) {
        let _ = writeln!(body, "-A SVC{service} ! -s {} -j MASQ", names.text("10.10.0.0/25"));
    }
    let count = if chance { 1 + random.below(3) } else { 1 };
    for endpoint in 0..count {
        let chain = format!("SEP{service}x{endpoint}");
        let _ = writeln!(nat, ":{chain} - [0:0]");
        let left = count - endpoint;
        let chance = if left > 1 {
            format!(" -m statistic --mode random --probability {:.11}", 1.0 / left as f64)
        } else {
            String::new()
        };
        let _ = writeln!(body, "-A SVC{service}{chance} -j {chain}");
        let address = random.pick(&names.endpoints);
        let _ = writeln!(body, "-A {chain} -s {address} -j MASQ");
        let port = if random.chance(70) { format!(":{}", random.pick(&PORTS)) } else { String::new() };
        let to = if names.is_v4 || port.is_empty() { format!("{address}{port}") } else { format!("[{address}]{port}") };
        let _ = writeln!(body, "-A {chain} -p {protocol} -j DNAT --to-destination {to}");
    }
}

fn other_destination(random: &mut Random, chance: bool) -> String {
    let port = random.pick(&PORTS);
    match random.below(9) {
        0 | 5 | 6 => format!(" -p tcp --dport {port} -j REDIRECT --to-ports 8080"),
        1 | 7 => format!(" -p udp --dport {port} -d 10.10.0.1 -j REDIRECT"),
        2 => " -d 10.96.0.0/24 -j NETMAP --to 10.20.5.0/24".to_owned(),
        3 if chance => format!(" -p tcp --dport {port} -j DNAT --to-destination 10.20.0.3-10.20.0.6"),
        _ => format!(" -p udp --dport {port} -j DNAT --to-destination :{}", random.pick(&PORTS)),
    }
}

fn source(random: &mut Random) -> String {
    match random.below(9) {
        7 | 8 => " -s 10.10.0.0/16 -o eth1 -j SNAT --to-source 10.20.0.1".to_owned(),
        5 | 6 => " -s 10.10.0.0/24 -o eth1 -j MASQUERADE".to_owned(),
        0 => " -s 10.10.1.0/24 -j SNAT --to-source 10.20.0.1".to_owned(),
        1 => " -p udp -o eth1 -j SNAT --to-source 10.20.0.1:40000-60000".to_owned(),
        2 => " -s 10.10.0.0/24 -o eth1 -j NETMAP --to 10.20.9.0/24".to_owned(),
        3 => " -p tcp -o eth0 -j MASQUERADE --to-ports 1024-65535".to_owned(),
        _ => " -s 10.10.2.0/24 -j ACCEPT".to_owned(),
    }
}

/// Filters that look at what translation did.
fn filter(random: &mut Random, names: &Names) -> String {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for _ in 0..8 {
        let test = match random.below(7) {
            0 => format!("-m conntrack --ctorigdst {}", random.pick(&names.vips)),
            1 => "-m conntrack ! --ctstate DNAT".to_owned(),
            2 => "-m mark --mark 0x4000/0x4000".to_owned(),
            3 => format!("-m conntrack --ctreplsrc {} --ctproto 6", random.pick(&names.endpoints)),
            4 => format!("-d {}", random.pick(&names.endpoints)),
            5 => format!("-p tcp -m conntrack --ctorigdstport {}", random.pick(&PORTS)),
            _ => "-m conntrack --ctstate NEW,RELATED --ctdir ORIGINAL".to_owned(),
        };
        let target =
            random.pick(&["ACCEPT", "DROP", "REJECT", "REJECT --reject-with icmp-host-prohibited", "RETURN", "LOG"]);
        let _ = writeln!(text, "-A {} {test} -j {target}", random.pick(&["INPUT", "FORWARD", "FORWARD"]));
    }
    text.push_str("COMMIT\n*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A FORWARD -j CONNMARK --save-mark\n-A POSTROUTING -m connmark --mark 0x4000/0x4000\nCOMMIT\n");
    text
}

/// The case's number makes the source port, so that connections stay apart whatever is translated.
pub fn packet(random: &mut Random, case: usize, family: Family) -> Probe {
    let names = Names::of(family);
    let from = *random.pick(&[Side::S, Side::S, Side::S, Side::D, Side::Node]);
    let (near, far) = if names.is_v4 { ("10.10.", "10.20.") } else { ("fd00:10:0:", "fd00:20:0:") };
    let source = match (from, random.below(4)) {
        (Side::Node, n) => own(names, n).to_owned(),
        (Side::D, n) => host(names, far, n / 2, 20 + random.below(200)),
        (Side::S, 3) => (*random.pick(&names.endpoints[2..4])).to_owned(),
        (Side::S, n) => host(names, near, n, 10 + random.below(200)),
    };
    let to = match random.below(6) {
        0 => (*random.pick(&names.endpoints)).to_owned(),
        1 if names.is_v4 => format!("10.96.0.{}", 1 + random.below(250)),
        1 => format!("fd96::{:x}", 1 + random.below(250)),
        _ => (*random.pick(&names.vips)).to_owned(),
    };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (source, to, own_port) = (address(&source), address(&to), 10_000 + case as u16);
    let port = *random.pick(&PORTS);
    let mut packet = match random.below(9) {
        0..=4 => Packet::tcp_syn((source, own_port), (to, port)),
        5..=7 => Packet::udp((source, own_port), (to, port)),
        _ => Packet::icmp_echo(source, to),
    };
    complete(&mut packet, 64, 0, 0);
    dressed(random, packet, from)
}

fn own(names: &Names, n: usize) -> &'static str {
    match (names.is_v4, n) {
        (true, 0) => "10.20.0.1",
        (true, _) => "10.10.0.1",
        (false, 0) => "fd00:20::1",
        (false, _) => "fd00:10::1",
    }
}

fn host(names: &Names, prefix: &str, net: usize, last: usize) -> String {
    if names.is_v4 { format!("{prefix}{net}.{last}") } else { format!("{prefix}{net}::{last:x}") }
}
