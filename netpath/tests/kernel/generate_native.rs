//! Random native nft tables of the constructs that kube-proxy and firewalld use.

use std::fmt::Write;

use crate::pool::Pool;
use crate::random::Random;

const CHAINS: usize = 4;

pub fn rules(random: &mut Random, pool: &Pool) -> String {
    let own = if pool.is_v4() { "ip" } else { "ip6" };
    let family = *random.pick(&["inet", own]);
    let mut text = format!("table {family} probe {{\n");
    let _ = writeln!(text, "  set hosts {{ type ipv4_addr; elements = {{ {}, 1.2.3.4 }} }}", pool.address(random));
    let _ = writeln!(
        text,
        "  set nets {{ type ipv4_addr; flags interval; elements = {{ {}/{} }} }}",
        pool.address(random),
        8 + random.below(20)
    );
    let _ = writeln!(
        text,
        "  set flows {{ type ipv4_addr . inet_proto . inet_service; elements = {{ {} . tcp . {}, 10.10.0.1 . udp . 53 }} }}",
        pool.address(random),
        pool.port(random)
    );
    let _ = writeln!(
        text,
        "  map verdicts {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {} . tcp . {} : goto c3, 10.20.0.1 . udp . 53 : drop }} }}",
        pool.address(random),
        pool.port(random)
    );
    // Chains that are called stand before those that call them.
    for chain in (0..CHAINS).rev() {
        let _ = writeln!(text, "  chain c{chain} {{");
        for _ in 0..random.below(5) {
            let _ = writeln!(text, "    {}", rule(random, pool, chain + 1));
        }
        text.push_str("  }\n");
    }
    for (hook, priority) in
        [("prerouting", -150), ("input", 10), ("forward", 10), ("forward", -110), ("postrouting", 50), ("output", 10)]
    {
        let policy = if random.chance(20) && hook != "output" { "drop" } else { "accept" };
        let _ = writeln!(
            text,
            "  chain {hook}{} {{ type filter hook {hook} priority {priority}; policy {policy};",
            priority.to_string().replace('-', "m")
        );
        if hook != "output" {
            for _ in 0..random.below(5) {
                let _ = writeln!(text, "    {}", rule(random, pool, 0));
            }
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    if pool.is_v4() { text } else { as_v6(&text) }
}

/// The same words about IPv6.
fn as_v6(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [
        ("ipv4_addr", "ipv6_addr"),
        ("ip daddr", "ip6 daddr"),
        ("ip saddr", "ip6 saddr"),
        ("10.10.0.1 ", "fd00:10::1 "),
        ("10.20.0.1 ", "fd00:20::1 "),
        ("1.2.3.4", "2001:db8::4"),
        ("icmp type", "icmpv6 type"),
        ("ip protocol tcp", "meta l4proto tcp"),
        ("broadcast", "anycast"),
    ] {
        text = text.replace(from, to);
    }
    text
}

fn rule(random: &mut Random, pool: &Pool, first: usize) -> String {
    let mut text = String::new();
    // nft refuses a rule that asks for two protocols.
    let mut transport = false;
    for _ in 0..random.below(3) {
        let test = test(random, pool);
        let names = ["tcp", "udp", "icmp", "l4proto"].iter().any(|name| test.contains(name));
        if !(names && transport) {
            text.push_str(&test);
        }
        transport |= names;
    }
    let verdict = match random.below(12) {
        0 | 1 => "accept".to_owned(),
        2 | 3 => "drop".to_owned(),
        4 => "return".to_owned(),
        5 => "meta mark set meta mark | 0x1".to_owned(),
        6 => "meta mark set 0x2".to_owned(),
        7 => "counter".to_owned(),
        8 if first < CHAINS => "ip daddr . meta l4proto . th dport vmap @verdicts".to_owned(),
        _ if first < CHAINS => {
            format!("{} c{}", random.pick(&["jump", "jump", "goto"]), first + random.below(CHAINS - first))
        }
        _ => "accept".to_owned(),
    };
    format!("{text}{verdict}")
}

fn test(random: &mut Random, pool: &Pool) -> String {
    let not = if random.chance(25) { "!= " } else { "" };
    let (address, port) = (pool.address(random), pool.port(random));
    match random.below(14) {
        0 => format!("ip saddr {not}{address} "),
        1 => format!("ip daddr {not}{address}/{} ", pool.length(random)),
        2 => format!("ip daddr {{ {address}, 10.20.0.1 }} "),
        3 => format!("tcp dport {not}{port} "),
        4 => format!("udp dport {not}{{ {port}, 53-80 }} "),
        5 => format!("meta l4proto {not}{{ tcp, udp }} "),
        6 => {
            let way = random.pick(&["iifname", "iifname", "oifname"]);
            format!("{way} {not}\"{}\" ", random.pick(&["eth0", "eth1", "eth*", "lo"]))
        }
        7 => format!("ct state {} ", random.pick(&["new", "invalid", "established,related", "{ new, untracked }"])),
        8 => {
            let end = random.pick(&["saddr", "daddr", "daddr", "daddr . mark"]);
            format!("fib {end} type {not}{} ", random.pick(&["local", "unicast", "unicast", "broadcast"]))
        }
        9 => format!("meta mark & 0x1 {} 0x1 ", random.pick(&["==", "!="])),
        10 => format!("ip saddr {not}@{} ", random.pick(&["hosts", "nets"])),
        11 => format!("ip daddr . meta l4proto . th dport {not}@flows "),
        12 => format!("icmp type {} ", random.pick(&["echo-request", "{ echo-reply, destination-unreachable }"])),
        _ => "ip protocol tcp ".to_owned(),
    }
}
