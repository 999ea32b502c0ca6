//! Random rule sets in iptables-restore's language.

use crate::pool::Pool;
use crate::random::Random;
use std::fmt::Write;

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
        let _ = write!(text, " {}-s {}/{}", bang(random), pool.address(random), pool.length(random));
    }
    if random.chance(25) {
        let _ = match random.below(10) {
            0 if pool.is_v4() => write!(text, " -d {}/255.0.255.0", pool.address(random)),
            _ => write!(text, " {}-d {}/{}", bang(random), pool.address(random), pool.length(random)),
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
        let which = random.below(MODULES);
        text.push_str(&module(random, pool, place, which));
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

pub fn transport_test(random: &mut Random, pool: &Pool) -> String {
    let bang = |random: &mut Random| if random.chance(20) { "! " } else { "" };
    let protocol = *random.pick(&["tcp", "tcp", "tcp", "udp", "udp", "sctp", "sctp", "icmp", "icmp", "47", "!tcp"]);
    match protocol {
        "icmp" if !pool.is_v4() => match random.below(4) {
            0 => " -p ipv6-icmp".to_owned(),
            1 => {
                let (kind, code) = (random.pick(&[1, 128, 3]), random.below(3));
                format!(" -p ipv6-icmp -m icmp6 {}--icmpv6-type {kind}/{code}", bang(random))
            }
            _ => format!(" -p ipv6-icmp -m icmp6 {}--icmpv6-type {}", bang(random), random.pick(&[129, 1, 128, 2])),
        },
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

/// How many kinds of modules [`module`] knows.
pub const MODULES: usize = 17;

pub fn module(random: &mut Random, pool: &Pool, place: Place, which: usize) -> String {
    let bang = if random.chance(25) { "! " } else { "" };
    match which {
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
        6 => {
            let name = if pool.is_v4() { "ttl" } else { "hl" };
            match random.below(3) {
                0 => format!(" -m {name} {bang}--{name}-eq {}", random.pick(&[63, 64, 10])),
                1 => format!(" -m {name} --{name}-lt {}", random.pick(&[64, 11])),
                _ => format!(" -m {name} --{name}-gt {}", random.pick(&[63, 9])),
            }
        }
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
            // The IPv6 module refuses BROADCAST.
            let types = if pool.is_v4() {
                *random.pick(&["LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "LOCAL,BROADCAST", "LOCAL,MULTICAST"])
            } else {
                *random.pick(&["LOCAL", "UNICAST", "MULTICAST", "ANYCAST", "UNREACHABLE", "LOCAL"])
            };
            format!(" -m addrtype {bang}--{side}-type {types}{limit}")
        }
        11..=13 => {
            let (mut set, directions) = *random.pick(&[
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
            if set == "range" && !pool.is_v4() {
                set = "ips";
            }
            let reverse = if random.chance(10) { " --return-nomatch" } else { "" };
            format!(" -m set {bang}--match-set {set} {directions}{reverse}")
        }
        14 if matches!(place.hook, Some("PREROUTING" | "INPUT" | "FORWARD")) => {
            format!(" -m mac {bang}--mac-source {}", random.pick(&["02:00:00:00:00:02", "02:00:00:00:00:04"]))
        }
        14 if place.hook == Some("OUTPUT") => {
            format!(
                " -m owner {bang}{}",
                random.pick(&[
                    "--uid-owner 0",
                    "--gid-owner 0-5",
                    "--uid-owner 1000",
                    "--gid-owner 1000",
                    "--socket-exists"
                ])
            )
        }
        15 if place.hook == Some("FORWARD") => {
            let bang = if random.chance(60) { "! " } else { "" };
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

fn target(random: &mut Random, pool: &Pool, place: Place, tcp: bool) -> String {
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
                random.pick(&[
                    "DSCP --set-dscp 0x0a",
                    if pool.is_v4() { "TTL --ttl-inc 1" } else { "HL --hl-inc 1" },
                    "TOS --set-tos 0x10/0x3f"
                ])
            );
        }
        "filter" if roll < 18 && place.hook != Some("OUTPUT") => {
            let kind = if tcp && random.chance(50) {
                "tcp-reset"
            } else if !pool.is_v4() {
                random.pick(&[
                    "icmp6-no-route",
                    "icmp6-adm-prohibited",
                    "icmp6-addr-unreachable",
                    "icmp6-port-unreachable",
                    "icmp6-policy-fail",
                    "icmp6-reject-route",
                ])
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
        target(random, pool, place, tests.contains(" -p tcp") && !tests.contains("! -p tcp"))
    };
    format!("-A {name}{tests}{target}\n")
}
