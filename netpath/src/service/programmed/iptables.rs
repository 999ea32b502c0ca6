//! The chains of kube-proxy's iptables mode.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use crate::address::{AddrRange, Family};
use crate::iptables::{Chain, NoteKind, Rule, Ruleset, Table};
use crate::matches::Match;
use crate::node::Node;
use crate::port::PortRange;
use crate::service::programmed::{ChainView, Key, Line, Programmed, To};
use crate::targets::Target;

/// Chains of one Service or endpoint. `KUBE-XLB-` is what `KUBE-EXT-` and `KUBE-SVL-` were before 1.24.
const OF_SERVICES: [&str; 6] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-", "KUBE-SEP-"];

/// Jumps without which no Service works: table, chain, target (pkg/proxy/iptables/proxier.go, `iptablesJumpChains`).
const JUMPS: [(&str, &str, &str); 5] = [
    ("nat", "PREROUTING", "KUBE-SERVICES"),
    ("nat", "OUTPUT", "KUBE-SERVICES"),
    ("nat", "POSTROUTING", "KUBE-POSTROUTING"),
    ("filter", "FORWARD", "KUBE-FORWARD"),
    ("filter", "OUTPUT", "KUBE-SERVICES"),
];

fn is_of_service(chain: &str) -> bool {
    OF_SERVICES.iter().any(|prefix| chain.starts_with(prefix))
}

fn service_chains(ruleset: &Ruleset) -> usize {
    ruleset.table("nat").map_or(0, |nat| nat.chains.iter().filter(|chain| is_of_service(&chain.name)).count())
}

/// The rule set of a family that kube-proxy writes to: of two backends the one that has more of its chains.
fn ruleset(node: &Node, family: Family) -> Option<&Ruleset> {
    let of_family = node.rulesets.iter().filter(|ruleset| ruleset.family == family);
    let has_services = |ruleset: &Ruleset| ruleset.table("nat").is_some_and(|nat| nat.chain("KUBE-SERVICES").is_some());
    of_family.map(AsRef::as_ref).max_by_key(|ruleset| (service_chains(ruleset), has_services(ruleset)))
}

/// Whether chains of this mode are there. IPVS mode has KUBE-SERVICES too, with no chains of Services.
pub(super) fn has_chains(node: &Node, family: Family) -> bool {
    ruleset(node, family).is_some_and(|ruleset| service_chains(ruleset) > 0)
}

/// Reads what is there; `None` where no rule set of the family was collected.
pub(in crate::service) fn read(node: &Node, family: Family) -> Option<Programmed<'_>> {
    let ruleset = ruleset(node, family)?;
    let mut programmed = Programmed {
        leads: HashMap::new(),
        chains: BTreeMap::new(),
        firewalled: HashSet::new(),
        health_checks: Some(HashSet::new()),
        base_missing: Vec::new(),
        old_layout: false,
        doubts: doubts(ruleset),
    };
    let chain = |table: &str, name: &str| ruleset.table(table).and_then(|table| table.chain(name));
    for (table, from, to) in JUMPS {
        if !chain(table, from).is_some_and(|chain| chain.rules.iter().any(|rule| jump(rule) == Some(to))) {
            programmed.base_missing.push(format!("the jump from {from} to {to} in the table {table}"));
        }
    }
    for name in ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"] {
        if chain("nat", name).is_none() {
            programmed.base_missing.push(format!("the chain {name} in the table nat"));
        }
    }
    if let Some(nat) = ruleset.table("nat") {
        read_nat(&mut programmed, ruleset, nat);
    }
    for name in ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"] {
        for rule in chain("filter", name).into_iter().flat_map(|chain| &chain.rules) {
            let refuses = matches!(rule.target, Target::Reject(_) | Target::Drop);
            if let Some(key) = key(rule).filter(|_| refuses) {
                programmed.lead(key, To::Refused, Line::Rule(ruleset, rule));
            }
        }
    }
    let rules = |name: &str| chain("filter", name).into_iter().flat_map(|chain| &chain.rules);
    programmed.firewalled =
        rules("KUBE-PROXY-FIREWALL").filter(|rule| rule.target == Target::Drop).filter_map(key).collect();
    let accepted = rules("KUBE-NODEPORTS").filter(|rule| rule.target == Target::Accept);
    programmed.health_checks = Some(accepted.filter_map(destination_port).collect());
    Some(programmed)
}

fn doubts(ruleset: &Ruleset) -> Vec<String> {
    let file = &ruleset.file;
    let doubt = |kind: &NoteKind| match kind {
        NoteKind::IncompatibleTable(name) if matches!(&**name, "nat" | "filter") => {
            Some(format!("{file} does not show the table {name}"))
        }
        NoteKind::Truncated => Some(format!("{file} ends in the middle of a table")),
        _ => None,
    };
    ruleset.notes.iter().filter_map(|note| doubt(&note.kind)).collect()
}

fn read_nat<'a>(programmed: &mut Programmed<'a>, ruleset: &'a Ruleset, nat: &'a Table) {
    for chain in &nat.chains {
        match &*chain.name {
            "KUBE-SERVICES" => {
                let leads_on = chain.rules.iter().any(|rule| jump(rule) == Some("KUBE-NODEPORTS"));
                if !leads_on {
                    programmed
                        .base_missing
                        .push("the jump from KUBE-SERVICES to KUBE-NODEPORTS in the table nat".into());
                }
                frontends(programmed, ruleset, chain);
            }
            "KUBE-NODEPORTS" => frontends(programmed, ruleset, chain),
            name if is_of_service(name) => {
                programmed.old_layout |= name.starts_with("KUBE-XLB-");
                programmed.chains.insert(name, view(ruleset, chain));
            }
            _ => {}
        }
    }
}

/// Rules that lead to a chain of a Service, by the address and port they name.
fn frontends<'a>(programmed: &mut Programmed<'a>, ruleset: &'a Ruleset, chain: &'a Chain) {
    for rule in &chain.rules {
        let to = jump(rule).filter(|to| is_of_service(to));
        if let (Some(to), Some(key)) = (to, key(rule)) {
            programmed.lead(key, To::Chain(to), Line::Rule(ruleset, rule));
        }
    }
}

fn jump(rule: &Rule) -> Option<&str> {
    match &rule.target {
        Target::Jump { chain, .. } => Some(chain),
        _ => None,
    }
}

/// What a rule asks of the destination. One for a network (`-d 127.0.0.0/8`, which only counts) is no frontend.
fn key(rule: &Rule) -> Option<Key> {
    let header = &rule.header;
    let protocol = header.protocol.as_ref().filter(|protocol| !protocol.negated)?.value.number?;
    let address = match &header.destination {
        None => None,
        Some(to) if !to.negated && to.value.first() == to.value.last() => Some(to.value.first()),
        Some(_) => return None,
    };
    Some((address, protocol, destination_port(rule)?))
}

fn destination_port(rule: &Rule) -> Option<u16> {
    let single = |range: &PortRange| range.is_single().then_some(range.first);
    rule.matches.iter().find_map(|module| match module {
        Match::Tcp(tcp) => tcp.destination.as_ref().filter(|port| !port.negated).and_then(|port| single(&port.value)),
        Match::Ports(ports) => {
            ports.destination.as_ref().filter(|port| !port.negated).and_then(|port| single(&port.value))
        }
        _ => None,
    })
}

fn view<'a>(ruleset: &'a Ruleset, chain: &'a Chain) -> ChainView<'a> {
    let line = Line::Chain(ruleset, chain);
    let mut view = ChainView { line, jumps: Vec::new(), endpoints: Vec::new(), sources: Vec::new() };
    for rule in &chain.rules {
        let line = Line::Rule(ruleset, rule);
        match &rule.target {
            Target::Jump { chain: to, .. } if is_of_service(to) => {
                view.jumps.push((to, line));
                if let Some(from) = rule.header.source.as_ref().filter(|from| !from.negated) {
                    view.sources.push(AddrRange { first: from.value.first(), last: from.value.last() });
                }
            }
            Target::Dnat(nat) => {
                let address = nat.addresses.filter(AddrRange::is_single);
                let port = nat.ports.filter(PortRange::is_single);
                if let (Some(address), Some(port)) = (address, port) {
                    view.endpoints.push((SocketAddr::new(address.first, port.first), line));
                }
            }
            _ => {}
        }
    }
    view
}
