//! The table of kube-proxy's nftables mode.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::address::{AddrRange, Family};
use crate::nft::{
    Expression, Nat, NatKind, NativeChain, NativeSet, NativeTable, Operand, Statement, TableFamily, Value, VerdictWord,
};
use crate::node::Node;
use crate::port::PortRange;
use crate::protocol;
use crate::service::programmed::{ChainView, Key, Line, Programmed, To};

/// Jumps without which no Service works.
const JUMPS: [(&str, &str); 4] = [
    ("nat-prerouting", "services"),
    ("nat-output", "services"),
    ("nat-postrouting", "masquerading"),
    ("filter-forward", "service-endpoints-check"),
];

/// Maps from addresses and ports to what becomes of packets.
const MAPS: [&str; 5] =
    ["service-ips", "service-nodeports", "no-endpoint-services", "no-endpoint-nodeports", "firewall-ips"];

/// The table of a family.
pub(super) fn table(node: &Node, family: Family) -> Option<&NativeTable> {
    let wanted = if family == Family::V4 { TableFamily::Ip } else { TableFamily::Ip6 };
    node.nft.as_ref()?.tables.iter().find(|table| table.family == wanted && &*table.name == "kube-proxy")
}

/// Reads what is there; `None` where the tables were not collected.
pub(in crate::service) fn read(node: &Node, family: Family) -> Option<Programmed<'_>> {
    let tables = node.nft.as_ref()?;
    let mut programmed = Programmed {
        leads: HashMap::new(),
        chains: BTreeMap::new(),
        firewalled: HashSet::new(),
        health_checks: None,
        base_missing: Vec::new(),
        old_layout: false,
        doubts: Vec::new(),
    };
    if !tables.unread.is_empty() {
        programmed.doubts.push(format!("{} objects of the nftables dump could not be read", tables.unread.len()));
    }
    let Some(table) = table(node, family) else {
        programmed.base_missing.push("the nftables table kube-proxy".to_owned());
        return Some(programmed);
    };
    for (from, to) in JUMPS {
        let chain = table.chain_index(from).and_then(|at| table.chains.get(at));
        if !chain.is_some_and(|chain| chain.rules.iter().any(|rule| leads_to(&rule.statements).any(|name| name == to)))
        {
            programmed.base_missing.push(format!("the jump from {from} to {to}"));
        }
    }
    for name in MAPS {
        match table.set(name) {
            Some(map) => read_map(&mut programmed, map),
            None => programmed.base_missing.push(format!("the map {name}")),
        }
    }
    // The names of kube-proxy's own chains have no slash in them, those of Services have.
    for chain in table.chains.iter().filter(|chain| chain.name.contains('/')) {
        programmed.chains.insert(&chain.name, view(chain));
    }
    Some(programmed)
}

fn read_map<'a>(programmed: &mut Programmed<'a>, map: &'a NativeSet) {
    if !map.complete {
        programmed.doubts.push(format!("the map {} could not be read whole", map.name));
    }
    for ((element, verdict), place) in map.verdicts.iter().zip(&map.places) {
        let Some(key) = key(element) else {
            programmed.doubts.push(format!("an element of the map {} is not understood", map.name));
            continue;
        };
        match verdict {
            VerdictWord::Goto(_) | VerdictWord::Jump(_) if &*map.name == "firewall-ips" => {
                programmed.firewalled.insert(key);
            }
            VerdictWord::Goto(chain) | VerdictWord::Jump(chain) if chain.contains('/') => {
                programmed.lead(key, To::Chain(chain), Line::Cited(place));
            }
            // `goto reject-chain` and `drop`.
            _ => programmed.lead(key, To::Refused, Line::Cited(place)),
        }
    }
}

/// `10.96.0.10 . udp . 53`, or `tcp . 30080`.
fn key(element: &Operand) -> Option<Key> {
    let Operand::Concat(parts) = element else { return None };
    let (address, rest): (Option<IpAddr>, &[Operand]) = match parts.as_slice() {
        [Operand::Value(Value::Address(address)), rest @ ..] => (Some(*address), rest),
        rest => (None, rest),
    };
    let [Operand::Value(protocol), Operand::Value(Value::Number(port))] = rest else { return None };
    let protocol = match protocol {
        Value::Word(word) => protocol::number(word)?,
        Value::Number(number) => u8::try_from(*number).ok()?,
        _ => return None,
    };
    Some((address, protocol, u16::try_from(*port).ok()?))
}

/// The chains that a rule's statements lead to.
fn leads_to(statements: &[Statement]) -> impl Iterator<Item = &str> {
    let of = |word: &VerdictWord| matches!(word, VerdictWord::Jump(_) | VerdictWord::Goto(_));
    let words = statements.iter().flat_map(|statement| {
        let (one, many): (Option<&VerdictWord>, &[(Operand, VerdictWord)]) = match statement {
            Statement::Verdict(word) => (Some(word), &[]),
            Statement::VerdictMap(map) => (None, &map.elements),
            _ => (None, &[]),
        };
        one.into_iter().chain(many.iter().map(|(_, word)| word))
    });
    words.filter(move |word| of(word)).filter_map(|word| match word {
        VerdictWord::Jump(chain) | VerdictWord::Goto(chain) => Some(&**chain),
        _ => None,
    })
}

fn view(chain: &NativeChain) -> ChainView<'_> {
    let line = Line::Cited(&chain.cited);
    let mut view = ChainView { line, jumps: Vec::new(), endpoints: Vec::new(), sources: Vec::new() };
    for rule in &chain.rules {
        let line = Line::Native(rule);
        view.jumps.extend(leads_to(&rule.statements).filter(|to| to.contains('/')).map(|to| (to, line)));
        for statement in &rule.statements {
            match statement {
                Statement::Nat(Nat {
                    kind: NatKind::Destination, addresses: Some(address), ports: Some(port), ..
                }) if address.is_single() && PortRange::is_single(port) => {
                    view.endpoints.push((SocketAddr::new(address.first, port.first), line));
                }
                // `ip saddr != { … } drop`: who is in the set is admitted.
                Statement::Match { negated: true, left: Expression::Payload(_, field), right, .. }
                    if &**field == "saddr" =>
                {
                    view.sources.extend(ranges(right));
                }
                _ => {}
            }
        }
    }
    view
}

fn ranges(operand: &Operand) -> Vec<AddrRange> {
    match operand {
        Operand::Value(Value::Address(address)) => vec![AddrRange { first: *address, last: *address }],
        Operand::Prefix(net) => vec![AddrRange { first: net.first(), last: net.last() }],
        Operand::Range(Value::Address(first), Value::Address(last)) => vec![AddrRange { first: *first, last: *last }],
        Operand::Set(items) => items.iter().flat_map(ranges).collect(),
        _ => Vec::new(),
    }
}
