//! Routing against `ip route get`: the way that the kernel says it would take.

use netpath::address::Family;
use netpath::walk::{Delivery, Entry, Outcome, Verdict, explore};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

use crate::compare::Bench;
use crate::frames::{Probe, Side};
use crate::random::Random;
use crate::tally::Tally;

/// What the kernel says about a packet that comes in.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Local,
    Sent(String, IpAddr),
    Refused,
}

/// How many ways are asked for in one batch.
const ASKED: usize = 300;

/// Asks for the ways of some packets, each with a mark, and compares.
pub fn compare(bench: &Bench<'_>, random: &mut Random, probes: &[Probe], tally: &mut Tally) {
    let six = bench.family == Family::V6;
    let mut node = bench.node.clone();
    node.rulesets.clear();
    let asked: Vec<(&Probe, u32)> = probes.iter().take(ASKED).map(|probe| (probe, random.below(4) as u32)).collect();
    for (probe, mark) in asked {
        let packet = &probe.packet;
        let device = if probe.from == Side::D { "eth1" } else { "eth0" };
        let (source, destination) = (packet.source, packet.destination);
        let family = if six { "-6" } else { "-4" };
        let tos = packet.tos.unwrap_or(0);
        let mut line =
            format!("ip {family} -j route get {destination} from {source} iif {device} mark {mark} tos {tos:#x}");
        if let Some((sport, dport)) = packet.ports().filter(|_| matches!(packet.protocol, 6 | 17)) {
            let name = if packet.protocol == 6 { "tcp" } else { "udp" };
            line.push_str(&format!(" ipproto {name} sport {sport} dport {dport}"));
        }
        let kernel = way(bench.lab.in_r(&line));
        let walked = explore(&node, packet, &Entry::Interface(Arc::from(device)), mark, &[]);
        tally.comparisons += 1;
        if !walked.outcomes.iter().any(|outcome| taken(outcome) == kernel) {
            tally.differences += 1;
            let walk: Vec<_> = walked.outcomes.iter().map(|outcome| (taken(outcome), &outcome.events)).collect();
            println!("{line}\n  kernel {kernel:?}\n  walk {walk:?}");
        }
    }
}

fn taken(outcome: &Outcome) -> Way {
    match (outcome.verdict, &outcome.delivery) {
        (Verdict::Accept, Some(Delivery::Local)) => Way::Local,
        (Verdict::Accept, Some(Delivery::Sent { interface, next_hop })) => {
            Way::Sent(interface.as_deref().unwrap_or_default().to_owned(), *next_hop)
        }
        _ => Way::Refused,
    }
}

fn way(answer: Result<String, String>) -> Way {
    let Ok(text) = answer else { return Way::Refused };
    let routes: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    let route = &routes[0];
    match route["type"].as_str() {
        Some("local" | "broadcast" | "multicast" | "anycast") => Way::Local,
        None | Some("unicast") => {
            let hop = route["gateway"].as_str().or_else(|| route["dst"].as_str()).unwrap_or_default();
            let hop = hop.parse().unwrap_or_else(|why| panic!("{why}: {text}"));
            Way::Sent(route["dev"].as_str().unwrap_or_default().to_owned(), hop)
        }
        Some(_) => Way::Refused,
    }
}
