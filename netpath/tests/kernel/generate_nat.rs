//! Random rule sets that translate, in kube-proxy's shape and in others, and packets whose source ports are all
//! different, so that no two translated connections meet.

use std::fmt::Write;
use std::net::IpAddr;

use netpath::packet::{Packet, PacketKind};

use crate::frames::complete;
use crate::random::Random;

const VIPS: [&str; 4] = ["10.96.0.1", "10.96.0.10", "10.96.7.7", "10.10.0.5"];
const ENDPOINTS: [&str; 6] = ["10.20.0.7", "10.20.0.8", "10.20.0.9", "10.10.0.9", "10.10.0.1", "10.20.0.1"];
const PORTS: [u16; 5] = [53, 80, 443, 8080, 30000];

pub fn rules(random: &mut Random) -> String {
    let mut nat = String::from(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:SERVICES - [0:0]\n:MASQ - [0:0]\n",
    );
    let mut body = String::new();
    // Without chance every counter can be predicted.
    let chance = random.chance(50);
    for service in 0..4 {
        let _ = writeln!(nat, ":SVC{service} - [0:0]");
        service_rules(random, service, chance, &mut nat, &mut body);
    }
    let _ = writeln!(body, "-A PREROUTING -j SERVICES\n-A MASQ -j MARK --or-mark 0x4000");
    for _ in 0..random.below(4) {
        let _ = writeln!(body, "-A PREROUTING{}", other_destination(random, chance));
    }
    for _ in 0..random.below(3) {
        let _ = writeln!(
            body,
            "-A INPUT -p tcp --dport {} -j SNAT --to-source 10.10.0.{}",
            random.pick(&PORTS),
            20 + random.below(9)
        );
    }
    for _ in 0..random.below(4) {
        let _ = writeln!(body, "-A POSTROUTING{}", source(random));
    }
    let _ = writeln!(
        body,
        "-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A POSTROUTING -j MARK --xor-mark 0x4000\n-A POSTROUTING -j MASQUERADE{}",
        random.pick(&["", " --random-fully"])
    );
    format!("{nat}{body}COMMIT\n{}", filter(random))
}

fn service_rules(random: &mut Random, service: usize, chance: bool, nat: &mut String, body: &mut String) {
    let protocol = random.pick(&["tcp", "udp"]);
    let (vip, port) = (random.pick(&VIPS), random.pick(&PORTS));
    let _ = writeln!(body, "-A SERVICES -d {vip}/32 -p {protocol} --dport {port} -j SVC{service}");
    if random.chance(50) {
        let _ = writeln!(body, "-A SVC{service} ! -s 10.10.0.0/25 -j MASQ");
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
        let address = random.pick(&ENDPOINTS);
        let _ = writeln!(body, "-A {chain} -s {address}/32 -j MASQ");
        let port = if random.chance(70) { format!(":{}", random.pick(&PORTS)) } else { String::new() };
        let _ = writeln!(body, "-A {chain} -p {protocol} -j DNAT --to-destination {address}{port}");
    }
}

fn other_destination(random: &mut Random, chance: bool) -> String {
    let port = random.pick(&PORTS);
    match random.below(5) {
        0 => format!(" -p tcp --dport {port} -j REDIRECT --to-ports 8080"),
        1 => format!(" -p udp --dport {port} -d 10.10.0.1 -j REDIRECT"),
        2 => " -d 10.96.0.0/24 -j NETMAP --to 10.20.5.0/24".to_owned(),
        3 if chance => format!(" -p tcp --dport {port} -j DNAT --to-destination 10.20.0.3-10.20.0.6"),
        _ => format!(" -p udp --dport {port} -j DNAT --to-destination :{}", random.pick(&PORTS)),
    }
}

fn source(random: &mut Random) -> String {
    match random.below(5) {
        0 => " -s 10.10.1.0/24 -j SNAT --to-source 10.20.0.1".to_owned(),
        1 => " -p udp -o eth1 -j SNAT --to-source 10.20.0.1:40000-60000".to_owned(),
        2 => " -s 10.10.0.0/24 -o eth1 -j NETMAP --to 10.20.9.0/24".to_owned(),
        3 => " -p tcp -o eth0 -j MASQUERADE --to-ports 1024-65535".to_owned(),
        _ => " -s 10.10.2.0/24 -j ACCEPT".to_owned(),
    }
}

/// Filters that look at what translation did.
fn filter(random: &mut Random) -> String {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for _ in 0..8 {
        let test = match random.below(7) {
            0 => format!("-m conntrack --ctorigdst {}", random.pick(&VIPS)),
            1 => "-m conntrack ! --ctstate DNAT".to_owned(),
            2 => "-m mark --mark 0x4000/0x4000".to_owned(),
            3 => format!("-m conntrack --ctreplsrc {} --ctproto 6", random.pick(&ENDPOINTS)),
            4 => format!("-d {}", random.pick(&ENDPOINTS)),
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
pub fn packet(random: &mut Random, case: usize) -> Packet {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let from = match random.below(4) {
        0 => format!("10.10.0.{}", 10 + random.below(200)),
        1 => format!("10.10.1.{}", 1 + random.below(200)),
        2 => format!("10.10.2.{}", 1 + random.below(200)),
        _ => (*random.pick(&["10.20.0.9", "10.10.0.9", "192.168.3.4"])).to_owned(),
    };
    let to = match random.below(6) {
        0 => (*random.pick(&ENDPOINTS)).to_owned(),
        1 => format!("10.96.0.{}", 1 + random.below(250)),
        _ => (*random.pick(&VIPS)).to_owned(),
    };
    let source = 10_000 + case as u16;
    let port = *random.pick(&PORTS);
    let mut packet = match random.below(9) {
        0..=4 => Packet::tcp_syn((address(&from), source), (address(&to), port)),
        5..=7 => Packet::udp((address(&from), source), (address(&to), port)),
        _ => Packet::icmp_echo(address(&from), address(&to)),
    };
    complete(&mut packet, 64, 0, 0);
    packet.mac_source = Some([2, 0, 0, 0, 0, 2]);
    packet.kind = Some(PacketKind::Unicast);
    packet
}
