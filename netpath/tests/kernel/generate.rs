//! Random rule sets in iptables-restore's language, and packets drawn from the rule set's own boundary values.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use netpath::packet::{Packet, Transport, tcp_flag};

use crate::frames::complete;
use crate::random::Random;

/// Addresses and ports that rules name and packets are drawn from.
pub struct Pool {
    pub addresses: Vec<Ipv4Addr>,
    pub ports: Vec<u16>,
}

const SETS: &str = "create ips hash:ip\ncreate nets hash:net\ncreate ipport hash:ip,port\ncreate netport hash:net,port\n\
    create ports bitmap:port range 0-65535\ncreate both list:set\ncreate pair hash:ip,port,ip\ncreate netiface hash:net,iface\n\
    create triple hash:ip,port,net\ncreate range bitmap:ip range 10.10.0.0-10.10.255.255\ncreate masked hash:ip netmask 24\n";

impl Pool {
    pub fn new(random: &mut Random) -> Self {
        let fixed = [
            "10.10.0.1",
            "10.10.0.5",
            "10.20.0.1",
            "10.20.0.2",
            "10.20.0.9",
            "10.10.0.2",
            "10.10.0.7",
            "10.10.0.255",
            "10.20.0.255",
            "127.0.0.1",
            "224.0.0.1",
        ];
        let mut addresses: Vec<Ipv4Addr> = fixed.iter().map(|text| text.parse().unwrap()).collect();
        for _ in 0..8 {
            let bits = random.next() as u32;
            let base = [0x0a0a_0000, 0x0a14_0000, 0xc0a8_0000, 0xac10_0000][random.below(4)];
            addresses.push(Ipv4Addr::from_bits(base | (bits & 0xffff)));
        }
        let mut ports = vec![22, 53, 80, 443, 10250, 30000, 32767, 1, 65535];
        ports.extend((0..6).map(|_| random.next() as u16 | 1));
        Self { addresses, ports }
    }

    /// A pool of given values.
    pub fn named(addresses: &[&str], ports: &[u16]) -> Self {
        Self { addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(), ports: ports.to_vec() }
    }

    pub fn address(&self, random: &mut Random) -> Ipv4Addr {
        *random.pick(&self.addresses)
    }

    pub fn port(&self, random: &mut Random) -> u16 {
        *random.pick(&self.ports)
    }

    /// An address at or beside one that rules name.
    fn near(&self, random: &mut Random) -> Ipv4Addr {
        let address = self.address(random).to_bits();
        Ipv4Addr::from_bits(match random.below(6) {
            0 => address.wrapping_add(1),
            1 => address.wrapping_sub(1),
            2 => address ^ (1 << random.below(16)),
            _ => address,
        })
    }

    fn near_port(&self, random: &mut Random) -> u16 {
        let port = self.port(random);
        match random.below(6) {
            0 => port.wrapping_add(1),
            1 => port.wrapping_sub(1),
            _ => port,
        }
    }

    /// Content for the sets that rules name, in `ipset restore`'s language.
    pub fn sets(&self, random: &mut Random) -> String {
        let mut text = SETS.to_owned();
        for _ in 0..6 {
            let (a, b) = (self.address(random), self.address(random));
            let (length, port) = (8 + random.below(25), self.port(random));
            let protocol = random.pick(&["tcp", "udp", "sctp"]);
            let nomatch = if random.chance(30) { " nomatch" } else { "" };
            let _ = write!(
                text,
                "add ips {a} -exist\nadd nets {b}/{length}{nomatch} -exist\n\
                add ipport {a},{protocol}:{port} -exist\nadd netport {b}/{length},{protocol}:{port}{nomatch} -exist\n\
                add ports {port} -exist\nadd pair {a},{protocol}:{port},{b} -exist\nadd netiface {a}/{length},eth0 -exist\n\
                add triple {a},{protocol}:{port},{b}/{length} -exist\nadd masked {b} -exist\n",
            );
            if a.octets()[..2] == [10, 10] {
                let _ = writeln!(text, "add range {a} -exist");
            }
        }
        text.push_str("add ipport 10.10.0.1,icmp:8/0 -exist\nadd both ips\nadd both nets\n");
        text
    }
}

/// Where a rule will stand, which limits what it may say.
#[derive(Clone, Copy)]
pub struct Place {
    pub table: &'static str,
    /// The built-in chain, or `None` in a user chain.
    pub hook: Option<&'static str>,
}

/// One rule's tests, as iptables takes them.
fn tests(random: &mut Random, pool: &Pool, place: Place) -> String {
    let mut text = String::new();
    let bang = |random: &mut Random| if random.chance(20) { "! " } else { "" };
    if random.chance(25) {
        let length = if random.chance(50) { 32 } else { 1 + random.below(32) };
        let _ = write!(text, " {}-s {}/{length}", bang(random), pool.address(random));
    }
    if random.chance(25) {
        let _ = match random.below(10) {
            0 => write!(text, " -d {}/255.0.255.0", pool.address(random)),
            1..=4 => write!(text, " {}-d {}/32", bang(random), pool.address(random)),
            _ => write!(text, " {}-d {}/{}", bang(random), pool.address(random), 1 + random.below(32)),
        };
    }
    let (may_in, may_out) = match place.hook {
        Some("PREROUTING" | "INPUT") => (true, false),
        Some("OUTPUT" | "POSTROUTING") => (false, true),
        _ => (true, true),
    };
    if may_in && random.chance(12) {
        let _ = write!(text, " {}-i {}", bang(random), random.pick(&["eth0", "eth1", "eth+", "lo", "docker0"]));
    }
    if may_out && random.chance(12) {
        let _ = write!(text, " {}-o {}", bang(random), random.pick(&["eth0", "eth1", "et+", "lo"]));
    }
    if random.chance(45) {
        text.push_str(&transport_test(random, pool));
    }
    for _ in 0..[0, 0, 1, 1, 2][random.below(5)] {
        text.push_str(&module(random, pool, place));
    }
    text
}

fn range(random: &mut Random, pool: &Pool) -> String {
    let (a, b) = (pool.port(random), pool.port(random));
    match random.below(4) {
        0 => format!("{}:{}", a.min(b), a.max(b)),
        1 => format!("{a}:"),
        _ => a.to_string(),
    }
}

fn transport_test(random: &mut Random, pool: &Pool) -> String {
    let bang = |random: &mut Random| if random.chance(20) { "! " } else { "" };
    let protocol = *random.pick(&["tcp", "tcp", "tcp", "udp", "udp", "sctp", "icmp", "47", "!tcp"]);
    match protocol {
        "47" => " -p 47".to_owned(),
        "!tcp" => " ! -p tcp".to_owned(),
        "icmp" => match random.below(4) {
            0 => " -p icmp".to_owned(),
            1 => {
                format!(" -p icmp -m icmp {}--icmp-type {}/{}", bang(random), random.pick(&[3, 8, 11]), random.below(3))
            }
            _ => format!(" -p icmp -m icmp {}--icmp-type {}", bang(random), random.pick(&[0, 3, 8, 13])),
        },
        _ => {
            let mut text = format!(" -p {protocol}");
            if random.chance(25) && protocol != "sctp" {
                let side = random.pick(&["sports", "dports", "ports"]);
                let list: Vec<String> = (0..1 + random.below(4))
                    .map(|_| {
                        let (a, b) = (pool.port(random), pool.port(random));
                        if random.chance(30) && a != b { format!("{}:{}", a.min(b), a.max(b)) } else { a.to_string() }
                    })
                    .collect();
                let _ = write!(text, " -m multiport {}--{side} {}", bang(random), list.join(","));
                return text;
            }
            let _ = write!(text, " -m {protocol}");
            if random.chance(20) {
                let _ = write!(text, " {}--sport {}", bang(random), range(random, pool));
            }
            if random.chance(70) {
                // iptables-nft 1.8.9 loads two inverted single ports as one test of the pair, unlike what it prints.
                let bang = if text.contains("! --sport") { "" } else { bang(random) };
                let _ = write!(text, " {bang}--dport {}", range(random, pool));
            }
            if protocol == "tcp" && random.chance(25) {
                let flags = random.pick(&[
                    "FIN,SYN,RST,ACK SYN",
                    "SYN,ACK ACK",
                    "FIN,SYN,RST,PSH,ACK,URG NONE",
                    "RST RST",
                    "SYN,RST,ACK SYN",
                ]);
                let _ = write!(text, " {}--tcp-flags {flags}", bang(random));
            }
            text
        }
    }
}

fn module(random: &mut Random, pool: &Pool, place: Place) -> String {
    let bang = if random.chance(25) { "! " } else { "" };
    match random.below(17) {
        0 => format!(
            " -m conntrack {bang}--ctstate {}",
            random.pick(&["NEW", "INVALID", "RELATED,ESTABLISHED", "NEW,UNTRACKED", "UNTRACKED", "DNAT", "SNAT,DNAT"])
        ),
        1 => format!(" -m state {bang}--state {}", random.pick(&["NEW", "INVALID", "RELATED,ESTABLISHED"])),
        2 => format!(" -m mark {bang}--mark {:#x}/{:#x}", random.below(4), random.pick(&[3, 1, 2])),
        3 => format!(" -m connmark {bang}--mark {:#x}/{:#x}", random.below(4), random.pick(&[3, 1, 2])),
        4 => {
            let (a, b) = (pool.address(random), pool.address(random));
            let side = random.pick(&["src", "dst"]);
            format!(" -m iprange {bang}--{side}-range {}-{}", a.min(b), a.max(b))
        }
        5 => format!(" -m length {bang}--length {}", random.pick(&["40", "28:60", "60:", "41:200", "28"])),
        6 => match random.below(3) {
            0 => format!(" -m ttl {bang}--ttl-eq {}", random.pick(&[63, 64, 10])),
            1 => format!(" -m ttl --ttl-lt {}", random.pick(&[64, 11])),
            _ => format!(" -m ttl --ttl-gt {}", random.pick(&[63, 9])),
        },
        7 => match random.below(2) {
            0 => format!(" -m tos {bang}--tos {}", random.pick(&["0x10/0x3f", "0x00/0xff", "0x28/0xfc"])),
            _ => format!(" -m dscp {bang}--dscp {}", random.pick(&["0x0a", "0x00", "0x04"])),
        },
        8 => format!(" -m pkttype {bang}--pkt-type {}", random.pick(&["unicast", "multicast", "broadcast"])),
        9 | 10 => {
            let limit = match place.hook {
                Some("PREROUTING" | "INPUT") if random.chance(20) => " --limit-iface-in",
                Some("POSTROUTING") if random.chance(20) => " --limit-iface-out",
                _ => "",
            };
            let side = random.pick(&["src", "dst"]);
            format!(
                " -m addrtype {bang}--{side}-type {}{limit}",
                random.pick(&["LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "LOCAL,BROADCAST", "LOCAL,MULTICAST"])
            )
        }
        11..=13 => {
            let (set, directions) = *random.pick(&[
                ("ips", "src"),
                ("ips", "dst"),
                ("nets", "src"),
                ("nets", "dst"),
                ("ipport", "dst,dst"),
                ("ipport", "src,dst"),
                ("netport", "dst,dst"),
                ("netport", "src,src"),
                ("ports", "dst"),
                ("both", "src"),
                ("both", "dst"),
                ("pair", "src,dst,dst"),
                ("netiface", "src,src"),
                ("triple", "src,dst,dst"),
                ("range", "src"),
                ("masked", "dst"),
            ]);
            let reverse = if random.chance(10) { " --return-nomatch" } else { "" };
            format!(" -m set {bang}--match-set {set} {directions}{reverse}")
        }
        14 if matches!(place.hook, Some("PREROUTING" | "INPUT" | "FORWARD")) => {
            format!(" -m mac {bang}--mac-source {}", random.pick(&["02:00:00:00:00:02", "02:00:00:00:00:04"]))
        }
        14 if place.hook == Some("OUTPUT") => {
            format!(
                " -m owner {bang}{}",
                random.pick(&["--uid-owner 0", "--gid-owner 0-5", "--uid-owner 1000", "--socket-exists"])
            )
        }
        15 if place.hook == Some("FORWARD") => {
            format!(
                " -m physdev {bang}{}",
                random.pick(&["--physdev-in eth0", "--physdev-is-bridged", "--physdev-is-in"])
            )
        }
        16 if place.hook == Some("PREROUTING") && matches!(place.table, "raw" | "mangle") => {
            format!(
                " -m rpfilter{}{}{}",
                ["", " --loose"][random.below(2)],
                ["", " --accept-local"][random.below(2)],
                ["", " --invert"][random.below(2)]
            )
        }
        _ => " -m comment --comment \"a -j DROP \\\"comment\\\"\"".to_owned(),
    }
}

fn target(random: &mut Random, place: Place, tcp: bool) -> String {
    let roll = random.below(100);
    match place.table {
        "raw" if roll < 25 => return " -j NOTRACK".to_owned(),
        "raw" if roll < 35 => return " -j CT --notrack".to_owned(),
        "mangle" if roll < 35 => {
            return format!(
                " -j MARK {}",
                random.pick(&[
                    "--set-xmark 0x1/0xffffffff",
                    "--or-mark 2",
                    "--and-mark 1",
                    "--xor-mark 3",
                    "--set-mark 0x2/0x3"
                ])
            );
        }
        "mangle" if roll < 50 => {
            return format!(
                " -j CONNMARK {}",
                random.pick(&[
                    "--set-mark 1",
                    "--save-mark",
                    "--restore-mark",
                    "--set-xmark 0x2/0x3",
                    "--restore-mark --nfmask 0x1 --ctmask 0x3"
                ])
            );
        }
        "mangle" if roll < 58 => {
            return format!(
                " -j {}",
                random.pick(&["DSCP --set-dscp 0x0a", "TTL --ttl-inc 1", "TOS --set-tos 0x10/0x3f"])
            );
        }
        "filter" if roll < 18 && place.hook != Some("OUTPUT") => {
            let kind = if tcp && random.chance(50) {
                "tcp-reset"
            } else {
                random.pick(&[
                    "icmp-port-unreachable",
                    "icmp-host-prohibited",
                    "icmp-admin-prohibited",
                    "icmp-net-unreachable",
                    "icmp-proto-unreachable",
                    "icmp-host-unreachable",
                    "icmp-net-prohibited",
                ])
            };
            return format!(" -j REJECT --reject-with {kind}");
        }
        _ => {}
    }
    match random.below(12) {
        0..=3 => " -j ACCEPT".to_owned(),
        4..=6 => " -j DROP".to_owned(),
        7 | 8 => " -j RETURN".to_owned(),
        9 => " -j LOG".to_owned(),
        _ => String::new(),
    }
}

const CHAINS: usize = 5;

/// A random rule set of the tables that do not translate.
pub fn filter_rules(random: &mut Random, pool: &Pool, rules: usize) -> String {
    let mut text = String::new();
    for (table, hooks) in [
        ("raw", &["PREROUTING", "OUTPUT"][..]),
        ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"][..]),
        ("filter", &["INPUT", "FORWARD", "OUTPUT"][..]),
        ("security", &["INPUT", "FORWARD", "OUTPUT"][..]),
    ] {
        let share = if table == "filter" { rules } else { rules / 4 };
        let _ = writeln!(text, "*{table}");
        for hook in hooks {
            let policy = if table == "filter" && random.chance(35) { "DROP" } else { "ACCEPT" };
            let _ = writeln!(text, ":{hook} {policy} [0:0]");
        }
        for chain in 0..CHAINS {
            let _ = writeln!(text, ":C{chain} - [0:0]");
        }
        for _ in 0..share {
            text.push_str(&rule(random, pool, table, hooks));
        }
        text.push_str("COMMIT\n");
    }
    text
}

fn rule(random: &mut Random, pool: &Pool, table: &'static str, hooks: &'static [&'static str]) -> String {
    // A user chain may call later ones only, so that no loop arises.
    let own = random.chance(50).then(|| random.below(CHAINS));
    let hook = own.is_none().then(|| *random.pick(hooks));
    let place = Place { table, hook };
    let name = own.map_or_else(|| hook.unwrap_or_default().to_owned(), |chain| format!("C{chain}"));
    let tests = tests(random, pool, place);
    let first = own.map_or(0, |chain| chain + 1);
    let may_jump = first < CHAINS && hook != Some("OUTPUT");
    let target = if may_jump && random.chance(30) {
        format!(" -{} C{}", if random.chance(25) { "g" } else { "j" }, first + random.below(CHAINS - first))
    } else {
        target(random, place, tests.contains(" -p tcp") && !tests.contains("! -p tcp"))
    };
    format!("-A {name}{tests}{target}\n")
}

/// A packet at the boundaries of what rules name.
pub fn packet(random: &mut Random, pool: &Pool) -> Packet {
    let source = IpAddr::V4(loop {
        let address = if random.chance(80) { pool.near(random) } else { Ipv4Addr::from_bits(random.next() as u32) };
        // What answers a broadcast address also loops back to the sender, which the walk of one packet does not show.
        let link_broadcast = [[10, 10, 0, 255], [10, 20, 0, 255]].contains(&address.octets());
        if !is_awkward(address) && !link_broadcast {
            break address;
        }
    });
    let destination = IpAddr::V4(loop {
        let address = if random.chance(85) { pool.near(random) } else { Ipv4Addr::from_bits(random.next() as u32) };
        if !is_awkward(address) && address != Ipv4Addr::new(10, 10, 0, 2) {
            break address;
        }
    });
    let ports = (pool.near_port(random), pool.near_port(random));
    let mut packet = match random.below(10) {
        0..=3 => {
            let mut packet = Packet::tcp_syn((source, ports.0), (destination, ports.1));
            if random.chance(40) {
                let flags = *random.pick(&[
                    tcp_flag::ACK,
                    tcp_flag::SYN | tcp_flag::ACK,
                    tcp_flag::RST,
                    tcp_flag::FIN | tcp_flag::ACK,
                    tcp_flag::PSH | tcp_flag::ACK,
                    0,
                    tcp_flag::SYN | tcp_flag::FIN,
                    0x3f,
                    tcp_flag::RST | tcp_flag::ACK,
                ]);
                packet.transport = Transport::Tcp { source: ports.0, destination: ports.1, flags };
            }
            packet
        }
        4..=6 => Packet::udp((source, ports.0), (destination, ports.1)),
        7 => Packet::sctp_init((source, ports.0), (destination, ports.1)),
        8 => {
            let mut packet = Packet::icmp_echo(source, destination);
            packet.transport =
                Transport::Icmp { kind: *random.pick(&[8, 8, 0, 13, 3, 11, 14]), code: *random.pick(&[0, 0, 1, 2]) };
            packet
        }
        _ => Packet::other(source, destination, 47),
    };
    // What follows SCTP's chunk would have to be another chunk, or tracking takes the packet for invalid.
    let payload = if packet.protocol == 132 { 0 } else { *random.pick(&[0, 0, 1, 20, 140]) };
    complete(&mut packet, *random.pick(&[64, 64, 63, 10, 11]), *random.pick(&[0, 0, 0x10, 0x28]), payload);
    packet.mac_source = Some([2, 0, 0, 0, 0, 2]);
    packet.kind = Some(netpath::packet::PacketKind::Unicast);
    packet
}

/// Addresses that a raw socket cannot send to or from, or whose frames are not addressed to the router.
fn is_awkward(address: Ipv4Addr) -> bool {
    address.is_multicast()
        || address.is_broadcast()
        || address.octets()[0] == 0
        || address.octets()[0] >= 224
        || address.is_loopback()
}
