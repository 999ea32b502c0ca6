//! What the cloud's security groups of a node make of the packets that a cluster lives by, judged by netpath.
//!
//! A group sees what its machine sees: between nodes their own addresses; the addresses of pods where the cloud itself
//! routes them, which it does not where an overlay carries them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::Value;
use netpath::answer::Decision;
use netpath::cloud::{CloudFlow, CloudJudgement, Way};
use netpath::protocol;
use netpath::source::Cited;

use super::node::CITED_LINE;
use super::node_object::NodeObject;
use super::reach::walk;
use crate::fact::Record;
use crate::facts::Facts;
use crate::shape::{Field, RecordShape};

/// The shape of what groups make of a packet.
pub static SHAPE: RecordShape = RecordShape {
    name: "security group's verdict",
    doc: "What the cloud's security groups of a node make of a packet.",
    fields: &[
        Field::scalar("provider", "`azure` or `tencent`."),
        Field::scalar("purpose", "`kubelet`: TCP 10250 between nodes; `pods`: from a pod of another node to one here."),
        Field::scalar("peer", "The other node."),
        Field::scalar("from", "The source address."),
        Field::scalar("to", "The destination address."),
        Field::scalar("protocol", "`TCP` or `UDP`."),
        Field::scalar("port", "The destination port."),
        Field::scalar("way", "`inbound` or `outbound`, seen from this node."),
        Field::scalar("verdict", "`accept`, `drop` or `depends`."),
        Field::scalar("why", "Why, in a sentence."),
        Field::record("line", &CITED_LINE, "The rule that decides."),
        Field::record(
            "shadowed",
            &CITED_LINE,
            "The rule behind it that would allow the packet and never gets its turn.",
        ),
        Field::scalars("fix", "The commands that let it pass."),
        Field::scalar("fix_verified", "Whether judging again with them showed that it passes."),
        Field::scalars("unknowns", "What the verdict depends on."),
    ],
};

/// As many other nodes are asked about: of each network one, before others of the same.
const PEERS: usize = 8;

/// As many ports of a node's pods are asked about.
const PORTS: usize = 8;

/// The kubelet's port.
const KUBELET: u16 = 10250;

/// What the groups of a node make of its packets; none where no security group is known.
pub fn values(facts: &Facts, node: &NodeObject) -> Option<Value> {
    if facts.clouds().is_empty() {
        return None;
    }
    let Some(own) = node.internal_addresses().next() else { return Some(Vec::<Value>::new().into()) };
    let peers = peers(facts, node, own);
    let ports = pod_ports(facts, node);
    let mut all = Vec::new();
    for (peer, address) in peers {
        for way in [Way::Inbound, Way::Outbound] {
            let (source, destination) = if way == Way::Inbound { (address, own) } else { (own, address) };
            let flow = tcp(source, destination, KUBELET);
            all.extend(judged(facts, "kubelet", peer, &flow, way));
        }
        if let Some(pod) = pod_address(facts, peer, own) {
            let flows = ports.iter().map(|(protocol, port)| CloudFlow { protocol: *protocol, ..tcp(pod, own, *port) });
            all.extend(flows.flat_map(|flow| judged(facts, "pods", peer, &flow, Way::Inbound)));
        }
    }
    Some(all.into())
}

fn tcp(source: IpAddr, destination: IpAddr, port: u16) -> CloudFlow {
    CloudFlow { source, destination, protocol: protocol::TCP, source_port: None, port: Some(port) }
}

/// Other nodes with an address of the family.
fn peers<'a>(facts: &'a Facts, node: &NodeObject, own: IpAddr) -> Vec<(&'a NodeObject, IpAddr)> {
    let others = facts.node_objects().iter().filter(|other| other.name != node.name && !other.is_virtual());
    let others = others.filter_map(|other| {
        let same_family = |address: &IpAddr| address.is_ipv4() == own.is_ipv4();
        Some((other, other.internal_addresses().find(same_family)?))
    });
    let mut networks = BTreeSet::new();
    let (mut peers, more): (Vec<_>, Vec<_>) =
        others.partition(|(_, address)| networks.insert(IpNet::new(*address, 24).map(|network| network.trunc()).ok()));
    peers.truncate(PEERS);
    let left = PEERS.saturating_sub(peers.len());
    peers.extend(more.into_iter().take(left));
    peers
}

/// The address of a pod of a node, or one that a pod there could have.
fn pod_address(facts: &Facts, node: &NodeObject, like: IpAddr) -> Option<IpAddr> {
    let networks: Vec<IpNet> =
        node.pod_networks().filter(|network| network.addr().is_ipv4() == like.is_ipv4()).collect();
    let in_network = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
    let of_pod = facts.networked_pods(&node.name).flat_map(|(_, pod)| pod.addresses()).find(in_network);
    of_pod.or_else(|| networks.first()?.hosts().nth(1))
}

/// Ports that pods on a node declare, each once.
fn pod_ports(facts: &Facts, node: &NodeObject) -> Vec<(u8, u16)> {
    let containers = facts.networked_pods(&node.name).flat_map(|(_, pod)| pod.template.containers.iter());
    let ports = containers.flat_map(|container| container.ports.iter()).filter_map(|port| match &*port.protocol {
        "TCP" => Some((protocol::TCP, port.number)),
        "UDP" => Some((protocol::UDP, port.number)),
        _ => None,
    });
    ports.collect::<BTreeSet<_>>().into_iter().take(PORTS).collect()
}

fn judged(facts: &Facts, purpose: &str, peer: &NodeObject, flow: &CloudFlow, way: Way) -> Vec<Value> {
    let clouds = facts.clouds();
    let mut all = Vec::new();
    if !clouds.azure.is_empty() {
        let judgement = clouds.azure.judge(flow, way);
        let deny = judgement.deciding.as_ref().filter(|_| judgement.verdict == Decision::Drop);
        let shadowed = deny.and_then(|deny| clouds.azure.shadowed_by(deny, flow, way));
        all.push(value("azure", purpose, peer, flow, judgement, shadowed));
    }
    if !clouds.tencent.is_empty() {
        all.push(value("tencent", purpose, peer, flow, clouds.tencent.judge(flow, way), None));
    }
    all
}

fn value(
    provider: &str,
    purpose: &str,
    peer: &NodeObject,
    flow: &CloudFlow,
    judgement: CloudJudgement,
    shadowed: Option<Cited>,
) -> Value {
    let verdict = match judgement.verdict {
        Decision::Accept => "accept",
        Decision::Drop | Decision::Reject(_) => "drop",
        _ => "depends",
    };
    let record = match &judgement.deciding {
        Some(cited) => Record::cited(walk::cite(cited)),
        None => Record::derived(),
    };
    let verified = judgement.fix.as_ref().is_some_and(|fix| fix.verified);
    let changes = judgement.fix.map(|fix| fix.changes).unwrap_or_default();
    record
        .with("provider", provider)
        .with("purpose", purpose)
        .with("peer", peer.name.clone())
        .with("from", flow.source.to_string())
        .with("to", flow.destination.to_string())
        .with("protocol", if flow.protocol == protocol::UDP { "UDP" } else { "TCP" })
        .with_any("port", flow.port)
        .with("way", if judgement.way == Way::Inbound { "inbound" } else { "outbound" })
        .with("verdict", verdict)
        .with("why", judgement.why)
        .with_any("line", judgement.deciding.as_ref().map(walk::line))
        .with_any("shadowed", shadowed.as_ref().map(walk::line))
        .with("fix", changes.into_iter().map(|change| Value::from(change.command)).collect::<Value>())
        .with("fix_verified", verified)
        .with("unknowns", judgement.unknowns.into_iter().map(|unknown| Value::from(unknown.what)).collect::<Value>())
        .into_value()
}
