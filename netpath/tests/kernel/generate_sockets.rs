//! Rule sets and connections for real sockets: every address that is spoken to has somebody who listens, so that only the
//! router decides what both ends see.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use netpath::address::Family;

use crate::frames::Side;
use crate::random::Random;
use crate::sockets::Attempt;

/// The addresses of one family.
pub struct Net {
    is_v4: bool,
    /// Hosts before the router, behind it, and the router's own.
    s: [&'static str; 4],
    d: [&'static str; 5],
    r: [&'static str; 3],
    /// Addresses of Services. What no rule translates is routed to D, which has them too.
    vips: [&'static str; 3],
    /// Prefixes that the router's routes refuse: unreachable, prohibit, blackhole.
    refused: [(&'static str, &'static str); 3],
    /// Prefixes of S' and D's hosts.
    networks: [&'static str; 2],
}

const V4: Net = Net {
    is_v4: true,
    s: ["10.10.7.1", "10.10.7.2", "10.10.7.3", "10.10.7.4"],
    d: ["10.20.7.1", "10.20.7.2", "10.20.7.3", "10.20.7.4", "10.20.7.5"],
    r: ["10.10.0.1", "10.10.0.5", "10.20.0.1"],
    vips: ["10.96.0.1", "10.96.0.10", "10.96.7.7"],
    refused: [("unreachable", "10.30.1.0/24"), ("prohibit", "10.30.2.0/24"), ("blackhole", "10.30.3.0/24")],
    networks: ["10.10.7.0/24", "10.20.7.0/24"],
};

const V6: Net = Net {
    is_v4: false,
    s: ["fd00:10:0:7::1", "fd00:10:0:7::2", "fd00:10:0:7::3", "fd00:10:0:7::4"],
    d: ["fd00:20:7::1", "fd00:20:7::2", "fd00:20:7::3", "fd00:20:7::4", "fd00:20:7::5"],
    r: ["fd00:10::1", "fd00:10::5", "fd00:20::1"],
    vips: ["fd96::1", "fd96::10", "fd96:7::7"],
    refused: [("unreachable", "fd30:1::/64"), ("prohibit", "fd30:2::/64"), ("blackhole", "fd30:3::/64")],
    networks: ["fd00:10:0:7::/64", "fd00:20:7::/64"],
};

/// What everybody listens on.
pub const PORTS: [u16; 5] = [53, 80, 443, 8080, 30000];

impl Net {
    pub fn of(family: Family) -> &'static Self {
        if family == Family::V4 { &V4 } else { &V6 }
    }

    fn bits(&self) -> u8 {
        if self.is_v4 { 32 } else { 128 }
    }

    /// Who has which addresses.
    pub fn owners(&self) -> [(Side, Vec<IpAddr>); 3] {
        let parse = |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        [
            (Side::S, parse(&self.s)),
            (Side::D, [parse(&self.d), parse(&self.vips)].concat()),
            (Side::Node, parse(&self.r)),
        ]
    }

    /// Arguments of `ip` that give S and D their addresses, and R its routes; each with its host.
    pub fn setup(&self) -> Vec<(&'static str, String)> {
        let (six, bits) = if self.is_v4 { ("", 32) } else { ("-6 ", 128) };
        let nodad = if self.is_v4 { "" } else { " nodad" };
        let mut lines = Vec::new();
        for (host, address) in self
            .s
            .iter()
            .map(|address| ("s", address))
            .chain(self.d.iter().chain(&self.vips).map(|address| ("d", address)))
        {
            lines.push((host, format!("addr add {address}/{bits} dev {host}0{nodad}")));
        }
        lines.extend(self.refused.iter().map(|(kind, prefix)| ("r", format!("{six}route add {kind} {prefix}"))));
        lines
    }

    fn target(&self, address: &str, port: u16) -> String {
        if self.is_v4 { format!("{address}:{port}") } else { format!("[{address}]:{port}") }
    }

    /// One test of a filter's or a mangle's rule.
    fn test(&self, random: &mut Random, chain: &str) -> String {
        let bang = if random.chance(20) { "! " } else { "" };
        match random.below(10) {
            0 => format!("{bang}-s {}", random.pick(&[self.s[0], self.s[1], self.d[0], self.networks[0]])),
            1 => format!("{bang}-d {}", random.pick(&[self.d[0], self.d[1], self.s[0], self.networks[1], self.r[0]])),
            2 => format!("-p tcp --dport {}", random.pick(&PORTS)),
            3 => format!("-p udp --dport {}", random.pick(&PORTS)),
            4 => format!("-p {} --sport {}", random.pick(&["tcp", "udp"]), random.pick(&PORTS)),
            5 => {
                let states = ["NEW", "ESTABLISHED,RELATED", "INVALID", "RELATED", "UNTRACKED", "DNAT", "SNAT"];
                format!("-m conntrack {bang}--ctstate {}", random.pick(&states))
            }
            6 => format!("-m conntrack --ctorigdst {}", random.pick(&self.vips)),
            7 => "-m mark --mark 0x1/0x1".to_owned(),
            8 if chain != "OUTPUT" && chain != "POSTROUTING" => format!("-i {}", random.pick(&["eth0", "eth1"])),
            8 => format!("-o {}", random.pick(&["eth0", "eth1", "lo"])),
            _ => format!("-p tcp -m tcp {bang}--tcp-flags SYN,ACK SYN"),
        }
    }

    fn refusal(&self, random: &mut Random, test: &str) -> String {
        if test.contains("-p tcp") && random.chance(40) {
            return "REJECT --reject-with tcp-reset".to_owned();
        }
        let kinds: &[&str] = if self.is_v4 {
            &[
                "icmp-port-unreachable",
                "icmp-host-unreachable",
                "icmp-net-unreachable",
                "icmp-proto-unreachable",
                "icmp-net-prohibited",
                "icmp-host-prohibited",
                "icmp-admin-prohibited",
            ]
        } else {
            &[
                "icmp6-port-unreachable",
                "icmp6-no-route",
                "icmp6-adm-prohibited",
                "icmp6-addr-unreachable",
                "icmp6-policy-fail",
                "icmp6-reject-route",
            ]
        };
        format!("REJECT --reject-with {}", random.pick(kinds))
    }

    fn filter(&self, random: &mut Random) -> String {
        let policy = |random: &mut Random| if random.chance(15) { "DROP" } else { "ACCEPT" };
        let (input, forward, output) = (policy(random), policy(random), policy(random));
        let mut text = format!("*filter\n:INPUT {input} [0:0]\n:FORWARD {forward} [0:0]\n:OUTPUT {output} [0:0]\n");
        for chain in ["INPUT", "FORWARD", "OUTPUT"] {
            if random.chance(60) {
                let _ = writeln!(text, "-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT");
            }
            for _ in 0..random.below(if chain == "OUTPUT" { 4 } else { 6 }) {
                let mut test = self.test(random, chain);
                if random.chance(40) {
                    // Two protocols in one rule are refused.
                    let other = self.test(random, chain);
                    if !(other.contains("-p ") || test.split(' ').any(|word| other.split(' ').any(|o| o == word))) {
                        test = format!("{test} {other}");
                    }
                }
                let target = match random.below(10) {
                    0..=2 => "ACCEPT".to_owned(),
                    3..=5 => "DROP".to_owned(),
                    _ => self.refusal(random, &test),
                };
                let _ = writeln!(text, "-A {chain} {test} -j {target}");
            }
        }
        text.push_str("COMMIT\n");
        text
    }

    fn mangle(&self, random: &mut Random) -> String {
        let mut text = String::from(
            "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n",
        );
        let _ = writeln!(text, "-A PREROUTING {} -j MARK --set-xmark 0x1/0x1", self.test(random, "PREROUTING"));
        for _ in 0..random.below(2) {
            let _ = writeln!(text, "-A POSTROUTING {} -j DROP", self.test(random, "POSTROUTING"));
        }
        text.push_str("COMMIT\n");
        text
    }

    fn raw(&self, random: &mut Random) -> String {
        let mut text = String::from("*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
        let chain = random.pick(&["PREROUTING", "OUTPUT"]);
        let protocol = random.pick(&["tcp", "udp"]);
        let _ = writeln!(text, "-A {chain} -p {protocol} --dport {} -j CT --notrack", random.pick(&PORTS));
        text.push_str("COMMIT\n");
        text
    }

    fn nat(&self, random: &mut Random) -> String {
        let mut text = String::from(
            "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:SVC - [0:0]\n",
        );
        text.push_str("-A PREROUTING -j SVC\n-A OUTPUT -j SVC\n");
        for _ in 0..3 + random.below(4) {
            let (protocol, port) = (random.pick(&["tcp", "udp"]), random.pick(&PORTS));
            let endpoint = match random.below(6) {
                0 => random.pick(&self.s),
                1 => random.pick(&self.r),
                _ => random.pick(&self.d),
            };
            let to =
                if random.chance(75) { self.target(endpoint, *random.pick(&PORTS)) } else { (*endpoint).to_owned() };
            let vip = random.pick(&self.vips);
            let _ = writeln!(
                text,
                "-A SVC -d {vip}/{} -p {protocol} -m {protocol} --dport {port} -j DNAT --to-destination {to}",
                self.bits()
            );
        }
        if random.chance(60) {
            let _ = writeln!(
                text,
                "-A PREROUTING -p {} --dport {} -j REDIRECT --to-ports 8080",
                random.pick(&["tcp", "udp"]),
                random.pick(&PORTS)
            );
        }
        if random.chance(30) {
            let _ = writeln!(text, "-A INPUT -s {} -j SNAT --to-source {}", self.networks[0], self.s[3]);
        }
        for _ in 0..random.below(4) {
            let source = match random.below(5) {
                0 => format!("-s {} -o eth1 -j MASQUERADE", self.networks[0]),
                1 => format!("-d {} -j MASQUERADE", random.pick(&self.d)),
                2 => format!("-s {} -o eth1 -j SNAT --to-source {}", self.s[0], self.r[2]),
                3 => format!("-p tcp -o eth1 -j SNAT --to-source {}", self.target(self.r[2], 40000) + "-60000"),
                _ => format!("-m conntrack --ctstate DNAT -j MASQUERADE{}", random.pick(&["", " --random-fully"])),
            };
            let _ = writeln!(text, "-A POSTROUTING {source}");
        }
        text.push_str("COMMIT\n");
        text
    }

    /// A rule set of several tables.
    pub fn rules(&self, random: &mut Random) -> String {
        let mut text = self.nat(random);
        if random.chance(60) {
            text.push_str(&self.mangle(random));
        }
        if random.chance(40) {
            text.push_str(&self.raw(random));
        }
        text.push_str(&self.filter(random));
        text
    }

    /// Settings of the router that decide without any rule.
    pub fn settings(&self, random: &mut Random) -> String {
        let eth1 = if random.chance(12) { 0 } else { 1 };
        format!("net.ipv4.conf.eth1.forwarding={eth1}\n")
    }

    /// Connections from everywhere to everything, each with a source port of its own.
    pub fn attempts(&self, random: &mut Random, count: u16, first_port: u16) -> Vec<Attempt> {
        let attempt = |number: u16| {
            let from = *random.pick(&[Side::S, Side::S, Side::S, Side::D, Side::Node]);
            let source = match from {
                Side::S => random.pick(&self.s),
                Side::D => random.pick(&self.d),
                Side::Node => random.pick(&self.r),
            };
            let destination = loop {
                let address = match random.below(10) {
                    0..=3 => (*random.pick(&self.vips)).to_owned(),
                    4..=6 => (*random.pick(&self.d)).to_owned(),
                    7 => (*random.pick(&self.r)).to_owned(),
                    8 => (*random.pick(&self.s)).to_owned(),
                    _ => self.unserved(random),
                };
                // What a host says to its own addresses never comes to the router.
                let own = match from {
                    Side::S => self.s.contains(&&*address),
                    Side::D => self.d.contains(&&*address) || self.vips.contains(&&*address),
                    Side::Node => false,
                };
                if !own {
                    break address;
                }
            };
            let socket = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
            Attempt {
                number,
                tcp: random.chance(60),
                from,
                source: socket(source, first_port + number),
                destination: socket(&destination, *random.pick(&PORTS)),
            }
        };
        (0..count).map(attempt).collect()
    }

    /// An address that the router's routes refuse.
    fn unserved(&self, random: &mut Random) -> String {
        let (_, prefix) = random.pick(&self.refused);
        let network = prefix.split('/').next().unwrap_or_default();
        if self.is_v4 { network.replacen(".0", ".9", 1) } else { format!("{network}9") }
    }
}
