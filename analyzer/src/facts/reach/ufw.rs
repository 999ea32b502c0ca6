//! What ufw says of itself, against what the kernel's rules do. The kernel's rules are the truth; where `ufw status`
//! tells something else, whoever reads it is misled.

use std::net::IpAddr;

use minijinja::Value;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::ufw::{Row, Status, parse_status};
use netpath::walk::Entry;

use super::parties::{Parties, interface_towards};
use super::walk::{self, Flow, Walked};
use crate::fact::Record;
use crate::facts::node::folder::Folder;
use crate::facts::node::{CITED_LINE, firewall};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of what is known of ufw.
pub static SHAPE: RecordShape = RecordShape {
    name: "ufw",
    doc: "What ufw says of itself, against the kernel's rules.",
    fields: &[
        Field::record("line", &CITED_LINE, "The line of its status, or of its configuration where there is no status."),
        Field::scalar("active", "Whether its status says that it is active; undefined where nobody could ask."),
        Field::scalar("starts_at_boot", "Whether its configuration says that it is to start with the host."),
        Field::scalar("incoming", "Its default for what comes in: `deny`, `reject`, `allow`."),
        Field::scalar("routed", "Its default for what passes through."),
        Field::scalar("in_kernel", "How many rules its chains have in the kernel, both families."),
        Field::record("first_chain", &CITED_LINE, "The first of its chains that has rules."),
        Field::of(
            "contradicted",
            Shape::List(&Shape::Record(&CONTRADICTED)),
            "What its status says and the kernel's rules do not do.",
        ),
    ],
};

/// The shape of a contradiction.
pub static CONTRADICTED: RecordShape = RecordShape {
    name: "contradiction",
    doc: "A port for which ufw's status says something else than what the kernel's rules do.",
    fields: &[
        Field::scalar("port", "The port."),
        Field::scalar("protocol", "`tcp` or `udp`."),
        Field::scalar("says", "What the status says: `ALLOW`, `DENY`, `REJECT`, `LIMIT`, or its default."),
        Field::record("row", &CITED_LINE, "The row that says so; undefined where it is the default."),
        Field::record("walk", &walk::SHAPE, "What becomes of such a packet from outside."),
    ],
};

/// Ports about which the status is asked beside those of its rows: the kubelet's.
const ASKED: &[u16] = &[10250];
/// Rows beyond this are not compared.
const MOST: usize = 200;

/// What is known of ufw; none where nothing is.
pub fn value(folder: &Folder, node: &Node, parties: &Parties) -> Option<Value> {
    let status = folder.entry("node.ufw.status").map(|entry| parse_status(&entry.path, &entry.bytes));
    let program = firewall::ufw(folder)?;
    let active = status.as_ref().and_then(|status| status.active);
    let defaults = status.as_ref().and_then(|status| status.defaults.as_ref());
    let own = own_chains(node);
    let contradicted: Vec<Value> = match (&status, active) {
        (Some(status), Some(true)) => contradictions(status, node, parties),
        _ => Vec::new(),
    };
    Some(
        Record::cited(program.citation.clone())
            .with("line", crate::facts::node::cited_line(&program.citation))
            .with_any("active", active)
            .with("starts_at_boot", firewall::ufw_starts(folder))
            .with_any("incoming", defaults.map(|defaults| defaults.incoming.to_string()))
            .with_any("routed", defaults.map(|defaults| defaults.routed.to_string()))
            .with("in_kernel", own.iter().map(|(rules, _)| rules).sum::<usize>())
            .with_any("first_chain", own.into_iter().next().map(|(_, line)| line))
            .with("contradicted", contradicted)
            .into_value(),
    )
}

/// ufw's chains that have rules, with how many.
fn own_chains(node: &Node) -> Vec<(usize, Value)> {
    let mut all = Vec::new();
    for ruleset in &node.rulesets {
        for chain in ruleset.tables.iter().flat_map(|table| &table.chains) {
            if (chain.name.starts_with("ufw-") || chain.name.starts_with("ufw6-")) && !chain.rules.is_empty() {
                all.push((chain.rules.len(), walk::line(&ruleset.cite_chain(chain))));
            }
        }
    }
    all
}

/// Asks for each port that the status names whether the kernel's rules do what it says.
fn contradictions(status: &Status, node: &Node, parties: &Parties) -> Vec<Value> {
    let (Some(own), Some(peer)) = (parties.own, parties.peers.first()) else { return Vec::new() };
    let Some(interface) = interface_towards(node, peer.address) else { return Vec::new() };
    let mut ports: Vec<(u16, &str)> = ASKED.iter().map(|port| (*port, "tcp")).collect();
    for row in status.rows.iter().filter(|row| applies_here(row)).take(MOST) {
        let Some(Ports::One(port, protocol)) = ports_of(row) else { continue };
        let named = |name: &&str| protocol.as_deref().is_none_or(|protocol| protocol == *name);
        ports.extend(["tcp", "udp"].into_iter().filter(named).map(|name| (port, name)));
    }
    ports.sort_unstable();
    ports.dedup();
    let contradiction = |(port, protocol): (u16, &str)| {
        let (says, row) = claim(status, peer.address, port, protocol)?;
        let packet = match protocol {
            "udp" => Packet::udp((peer.address, 40_000), (own, port)),
            _ => Packet::tcp_syn((peer.address, 40_000), (own, port)),
        };
        let flow = Flow {
            purpose: "what ufw's status tells".to_owned(),
            sender: peer.name.clone(),
            packet,
            entry: Entry::Interface(interface.clone()),
            one_way: false,
        };
        let walked = Walked::new(node, flow);
        let allows = matches!(says.to_ascii_lowercase().as_str(), "allow" | "limit");
        let disagrees = if allows { walked.is_blocked() } else { walked.is_open() };
        disagrees.then(|| {
            let record = match row {
                Some(row) => Record::cited(walk::cite(&row.cited)),
                None => Record::derived(),
            };
            record
                .with("port", port)
                .with("protocol", protocol)
                .with("says", says)
                .with_any("row", row.map(|row| walk::line(&row.cited)))
                .with("walk", walked.value())
                .into_value()
        })
    };
    ports.into_iter().filter_map(contradiction).collect()
}

/// Rows about what comes in over IPv4.
fn applies_here(row: &Row) -> bool {
    &*row.direction == "IN" && !row.v6
}

/// What the status says of a packet: the first row that applies, else the default; none where a row before that cannot
/// be told.
fn claim<'a>(status: &'a Status, from: IpAddr, port: u16, protocol: &str) -> Option<(String, Option<&'a Row>)> {
    for row in status.rows.iter().filter(|row| applies_here(row)) {
        match (ports_of(row), source_of(row)) {
            (Some(ports), Some(source)) => {
                if ports.hold(port, protocol) && source.is_none_or(|network| network.contains(&from)) {
                    return Some((row.action.to_string(), Some(row)));
                }
            }
            _ => return None,
        }
    }
    Some((status.defaults.as_ref()?.incoming.to_string(), None))
}

/// The ports that a row's first column names.
enum Ports {
    All,
    One(u16, Option<String>),
    Range(u16, u16, Option<String>),
}

impl Ports {
    fn hold(&self, port: u16, protocol: &str) -> bool {
        let of = |named: &Option<String>| named.as_deref().is_none_or(|named| named == protocol);
        match self {
            Ports::All => true,
            Ports::One(number, named) => *number == port && of(named),
            Ports::Range(first, last, named) => (*first..=*last).contains(&port) && of(named),
        }
    }
}

/// `10250/tcp`, `10250`, `30000:32767/tcp`, `Anywhere`; none for what names an application, an address or an interface.
fn ports_of(row: &Row) -> Option<Ports> {
    let to = row.to.trim();
    if to == "Anywhere" {
        return Some(Ports::All);
    }
    let (numbers, protocol) = match to.split_once('/') {
        Some((numbers, protocol)) => (numbers, Some(protocol.to_owned())),
        None => (to, None),
    };
    if let Some((first, last)) = numbers.split_once(':') {
        return Some(Ports::Range(first.parse().ok()?, last.parse().ok()?, protocol));
    }
    Some(Ports::One(numbers.parse().ok()?, protocol))
}

/// The network of the row's last column: some none for anywhere, none where it cannot be told.
fn source_of(row: &Row) -> Option<Option<ipnet::IpNet>> {
    let from = row.from.trim();
    if from == "Anywhere" {
        return Some(None);
    }
    let network = from.parse::<ipnet::IpNet>().or_else(|_| from.parse::<IpAddr>().map(ipnet::IpNet::from));
    network.ok().map(Some)
}
