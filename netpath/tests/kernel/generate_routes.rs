//! Random routes, routing rules and settings for R.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::pool::Pool;
use crate::random::Random;

fn prefix(random: &mut Random, pool: &Pool) -> String {
    match pool.address(random) {
        IpAddr::V4(addr) => {
            let length = *random.pick(&[8, 12, 16, 20, 24, 28, 32]);
            format!("{}/{length}", Ipv4Addr::from_bits(addr.to_bits() & (u32::MAX << (32 - length))))
        }
        IpAddr::V6(addr) => {
            let length = *random.pick(&[16, 32, 48, 62, 64, 112, 124, 128]);
            format!("{}/{length}", Ipv6Addr::from_bits(addr.to_bits() & (u128::MAX << (128 - length))))
        }
    }
}

/// The router's own networks.
const OWN_V4: [&str; 3] = ["10.10.0.1", "10.20.0.0/24", "10.10.0.0/16"];
const OWN_V6: [&str; 3] = ["fd00:10::5", "fd00:20::/124", "fd00:10::/32"];

/// Arguments of `ip` that add routes and rules; some are refused by the kernel, which is no harm.
pub fn routes(random: &mut Random, pool: &Pool) -> Vec<String> {
    let mut lines = Vec::new();
    let (near, far) = if pool.is_v4() { ("10.10.0.2", "10.20.0.2") } else { ("fd00:10::2", "fd00:20::2") };
    for _ in 0..12 {
        let table = random.pick(&["main", "100", "200"]);
        let to = prefix(random, pool);
        let tail = format!("{to} table {table} metric {}", random.below(3));
        lines.push(match random.below(10) {
            0 => format!("route add blackhole {tail}"),
            1 => format!("route add unreachable {tail}"),
            2 => format!("route add prohibit {tail}"),
            3 if *table != "main" => format!("route add throw {tail}"),
            // IPv6 routes have no TOS.
            4 if pool.is_v4() => format!("route add {tail} tos 0x10 via {near} dev eth0"),
            5 if random.chance(40) => format!("route add local {to} dev lo table local"),
            6..=7 => format!("route add {tail} via {near} dev eth0"),
            _ => format!("route add {tail} via {far} dev eth1"),
        });
    }
    for priority in 100..100 + random.below(6) {
        let not = if random.chance(15) { "not " } else { "" };
        let selector = match random.below(8) {
            0 => format!("from {}", prefix(random, pool)),
            // What the router itself says, its ICMP errors too, comes from these.
            7 => format!("from {}", random.pick(if pool.is_v4() { &OWN_V4 } else { &OWN_V6 })),
            1 => format!("to {}", prefix(random, pool)),
            2 => "fwmark 0x1/0x3".to_owned(),
            3 => "iif eth0".to_owned(),
            4 => format!("ipproto tcp dport {}", pool.port(random)),
            5 => "tos 0x10".to_owned(),
            _ => "from all".to_owned(),
        };
        let action = match random.below(9) {
            0 => "blackhole".to_owned(),
            1 => "unreachable".to_owned(),
            2 => "prohibit".to_owned(),
            3 => "lookup main suppress_prefixlength 0".to_owned(),
            4 => "goto 32766".to_owned(),
            _ => format!("lookup {}", random.pick(&["100", "200"])),
        };
        // `from` is written before the others, and an action of its own after all.
        let verb = if action.starts_with("lookup") || action.starts_with("goto") { "" } else { "type " };
        let action = if verb.is_empty() { action } else { format!("type {action}") };
        lines.push(format!("rule add {not}{selector} {action} prio {priority}"));
    }
    if !pool.is_v4() {
        lines.iter_mut().for_each(|line| line.insert_str(0, "-6 "));
    }
    lines
}

pub fn settings(random: &mut Random) -> String {
    let mut text = String::new();
    for (name, values) in [
        ("all.rp_filter", &["0", "0", "1", "2"][..]),
        ("eth0.rp_filter", &["0", "1", "1", "2"][..]),
        ("eth0.forwarding", &["1", "1", "1", "0"][..]),
        ("eth0.accept_local", &["0", "0", "1"][..]),
        ("eth0.src_valid_mark", &["0", "1"][..]),
        ("eth0.send_redirects", &["0"][..]),
    ] {
        text.push_str(&format!("net.ipv4.conf.{name}={}\n", random.pick(values)));
    }
    text
}

/// Marks some packets, so that rules by mark have something to decide.
pub const MARKING: &str = "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
    -A PREROUTING -p udp -j MARK --set-mark 1\nCOMMIT\n";
