//! Ranges and addresses that collide. An overlap of two ranges is a hazard; it is a defect where both sides have really
//! given out what overlaps: the controller manager, for one, gives no pod CIDR within the Services' range.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::Value;

use super::range::{Purpose, Range};
use crate::citation::Citation;
use crate::fact::Record;
use crate::facts::Facts;
use crate::shape::{Field, RecordShape};

/// Bridges that other programs make with addresses of their own.
const BRIDGES: &[&str] =
    &["docker0", "docker_gwbridge", "virbr0", "lxcbr0", "lxdbr0", "podman0", "podman1", "cni-podman0"];

/// Two sides that want the same addresses.
#[derive(Debug, Clone)]
pub struct Overlap {
    /// Which two: `pods-nodes`, `pods-services`, `services-nodes`, `pods-bridge`, `nodes-bridge`, `services-bridge`.
    pub kind: &'static str,
    /// Whether addresses are really in use on both sides.
    pub actual: bool,
    /// One side, in words.
    pub first: String,
    /// The other.
    pub second: String,
    /// How many addresses or ranges of the other side lie in the first.
    pub count: usize,
    /// Where the sides are named.
    pub citations: [Citation; 2],
}

/// The shape of an overlap.
pub static SHAPE: RecordShape = RecordShape {
    name: "overlap",
    doc: "Two sides that want the same addresses.",
    fields: &[
        Field::scalar(
            "kind",
            "Which: `pods-nodes`, `pods-services`, `services-nodes`, `pods-bridge`, `nodes-bridge`, `services-bridge`.",
        ),
        Field::scalar("actual", "Whether addresses are in use on both sides; else only the ranges overlap."),
        Field::scalar("first", "One side, in words."),
        Field::scalar("second", "The other."),
        Field::scalar("count", "How many addresses or ranges of the other side lie in the first."),
        Field::record("other", &SIDE, "The other side, for citing."),
    ],
};

/// The shape of the other side.
pub static SIDE: RecordShape =
    RecordShape { name: "side", doc: "One side of an overlap.", fields: &[Field::scalar("text", "What it is.")] };

impl Overlap {
    /// As a value.
    pub fn value(&self) -> Value {
        let [first, second] = self.citations.clone();
        let other = Record::cited(second).with("text", self.second.as_str()).into_value();
        Record::cited(first)
            .with("kind", self.kind)
            .with("actual", self.actual)
            .with("first", self.first.as_str())
            .with("second", self.second.as_str())
            .with("count", self.count)
            .with("other", other)
            .into_value()
    }
}

/// Something that has one address, in words, with its place.
struct Holder {
    address: IpAddr,
    name: String,
    citation: Citation,
}

/// A pod CIDR that a node got.
struct Allocated {
    network: IpNet,
    node: String,
    /// Whether pods have addresses of it; some networks give addresses of their own, whatever the node got.
    used: bool,
    citation: Citation,
}

/// All overlaps, sorted; each pair of sides once.
pub fn all(facts: &Facts, ranges: &[Range]) -> Vec<Overlap> {
    let (nodes, services, allocated) = (nodes(facts), services(facts), allocated(facts));
    let mut overlaps = Vec::new();
    for cidr in &allocated {
        let side = format!("the pod CIDR {} of node {}", cidr.network, cidr.node);
        let actual = cidr.used;
        overlaps.extend(holders("pods-nodes", actual, &side, &cidr.citation, cidr.network, &nodes, "node"));
        overlaps.extend(holders("pods-services", actual, &side, &cidr.citation, cidr.network, &services, "Service"));
    }
    for range in ranges {
        let side = format!("the range {} of {} ({})", range.network, range.purpose.name(), range.source);
        let kind = if range.purpose == Purpose::Pods { "pods-nodes" } else { "services-nodes" };
        // The nodes within an allocated pod CIDR have been told of above.
        let told = |holder: &&Holder| !allocated.iter().any(|cidr| cidr.network.contains(&holder.address));
        let rest = nodes.iter().filter(|holder| range.purpose == Purpose::Services || told(holder));
        overlaps.extend(holders(kind, false, &side, &range.citation, range.network, rest, "node"));
    }
    overlaps.extend(configured(ranges));
    overlaps.extend(bridges(facts, &nodes, &allocated, &services));
    overlaps.sort_by(|a, b| (!a.actual, a.kind, &a.first, &a.second).cmp(&(!b.actual, b.kind, &b.first, &b.second)));
    overlaps.dedup_by(|a, b| (a.kind, &a.first, &a.second) == (b.kind, &b.first, &b.second));
    overlaps
}

/// The overlap of a range with those that hold an address in it, if any does.
fn holders<'h>(
    kind: &'static str,
    actual: bool,
    side: &str,
    cited: &Citation,
    network: IpNet,
    all: impl IntoIterator<Item = &'h Holder>,
    what: &str,
) -> Option<Overlap> {
    let mut within = all.into_iter().filter(|holder| network.contains(&holder.address));
    let example = within.next()?;
    let count = 1 + within.count();
    let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    Some(Overlap {
        kind,
        actual,
        first: side.to_owned(),
        second: format!("{what} {} with {}{more}", example.name, example.address),
        count,
        citations: [cited.clone(), example.citation.clone()],
    })
}

/// Pairs of a range of pods and one of Services that overlap.
fn configured(ranges: &[Range]) -> Vec<Overlap> {
    let of = |purpose: Purpose| ranges.iter().filter(move |range| range.purpose == purpose);
    let pairs = of(Purpose::Pods).flat_map(|pods| of(Purpose::Services).map(move |services| (pods, services)));
    let overlapping = pairs.filter(|(pods, services)| overlap(pods.network, services.network));
    let overlap = |(pods, services): (&Range, &Range)| Overlap {
        kind: "pods-services",
        actual: false,
        first: format!("the range {} of pods ({})", pods.network, pods.source),
        second: format!("the range {} of services ({})", services.network, services.source),
        count: 1,
        citations: [pods.citation.clone(), services.citation.clone()],
    };
    overlapping.map(overlap).collect()
}

/// Bridges of other programs, whose route shadows what they overlap. Equal bridges of many nodes are told of once.
fn bridges(facts: &Facts, nodes: &[Holder], allocated: &[Allocated], services: &[Holder]) -> Vec<Overlap> {
    let mut seen: BTreeMap<(String, IpNet), (String, usize, Citation)> = BTreeMap::new();
    for node in facts.node_names() {
        let links = facts.node_files(node).and_then(|files| files.links()).unwrap_or_default();
        for link in links.iter().filter(|link| BRIDGES.contains(&link.name.as_str())) {
            for address in &link.addresses {
                // A link-local network is on every interface.
                if matches!(address.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local()) {
                    continue;
                }
                let key = (link.name.clone(), address.trunc());
                seen.entry(key).or_insert_with(|| (node.to_string(), 0, link.citation.clone())).1 += 1;
            }
        }
    }
    let mut overlaps = Vec::new();
    for ((name, network), (node, count, cited)) in seen {
        let more = if count > 1 { format!(" and {} other nodes", count - 1) } else { String::new() };
        let side = format!("{name} {network} on {node}{more}");
        overlaps.extend(holders("nodes-bridge", true, &side, &cited, network, nodes, "node"));
        // A Service's address is translated before it is routed, so that a route seldom decides.
        overlaps.extend(holders("services-bridge", false, &side, &cited, network, services, "Service"));
        if let Some(cidr) = allocated.iter().find(|cidr| overlap(cidr.network, network)) {
            overlaps.push(Overlap {
                kind: "pods-bridge",
                actual: cidr.used,
                first: side,
                second: format!("the pod CIDR {} of node {}", cidr.network, cidr.node),
                count: allocated.iter().filter(|cidr| overlap(cidr.network, network)).count(),
                citations: [cited, cidr.citation.clone()],
            });
        }
    }
    overlaps
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn nodes(facts: &Facts) -> Vec<Holder> {
    let of = |node: &crate::facts::node_object::NodeObject| {
        let holder = |address: IpAddr| Holder { address, name: node.name.to_string(), citation: node.citation() };
        node.internal_addresses().map(holder).collect::<Vec<_>>()
    };
    facts.node_objects().iter().flat_map(of).collect()
}

fn services(facts: &Facts) -> Vec<Holder> {
    let of = |service: &crate::facts::service::Service| {
        let holder = |text: &String| {
            let citation =
                service.origin.cite("/spec/clusterIP", &format!("service {}: clusterIP {text}", service.full_name()));
            Some(Holder { address: text.parse().ok()?, name: service.full_name(), citation })
        };
        service.cluster_ips.iter().filter_map(holder).collect::<Vec<_>>()
    };
    facts.services().all.iter().flat_map(of).collect()
}

fn allocated(facts: &Facts) -> Vec<Allocated> {
    let mut all = Vec::new();
    for node in facts.node_objects() {
        for network in node.pod_networks() {
            let used = facts.networked_pods(&node.name).any(|(_, pod)| pod.addresses().any(|ip| network.contains(&ip)));
            let citation = node.origin.cite("/spec/podCIDRs", &format!("node {}: podCIDR {network}", node.name));
            all.push(Allocated { network, node: node.name.to_string(), used, citation });
        }
    }
    all
}

/// The overlaps as values.
pub fn values(facts: &Facts) -> Value {
    facts.overlaps().iter().map(Overlap::value).collect()
}
