//! The packets that every cluster lives by, walked over the whole bundle: `dossier path --all`.
//!
//! What comes in to a node is asked of that node alone, one packet for each group of senders that it cannot tell apart;
//! what goes out is asked from each node once. So the cost grows with the number of nodes, and not with its square.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::Entry;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Deciding, Fix, Sees, Verdict};
use super::endpoint::{Endpoint, Port, Who};
use super::flight::Station;
use super::overlay;
use super::question::{Asked, CLIENT_PORT, Departure, Protocol, Question};
use super::verdict;
use super::world::World;
use crate::facts::Facts;
use crate::facts::reach::bounds::Bounds;
use crate::facts::service::Service;

/// NodePorts beyond this are not walked on each node.
const MOST_NODE_PORTS: usize = 32;
/// Groups of senders beyond this are not walked for each port.
const MOST_GROUPS: usize = 64;

/// The battery's answers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Battery {
    /// The checks, failing ones first.
    pub checks: Vec<Check>,
    /// What was not walked, and why.
    pub not_walked: Vec<String>,
}

/// One packet of the battery.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// What it is for: `the kubelet`, `cluster DNS` …
    pub purpose: String,
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// `tcp`, `udp`, or an overlay's protocol.
    pub protocol: String,
    /// The node that was walked, where the answer is of one node alone.
    pub via: Option<String>,
    /// How many senders it stands for, itself counted.
    pub stands_for: usize,
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// What the client sees.
    pub client_sees: Sees,
    /// The same in a sentence.
    pub detail: String,
    /// The line that decides.
    pub deciding: Option<Deciding>,
    /// What the answer depends on.
    pub unknowns: Vec<String>,
    /// The smallest change that lets it pass.
    pub fix: Option<Fix>,
}

/// A check that is to be walked.
struct Planned {
    purpose: String,
    stands_for: usize,
    /// Whether the answer's way is no matter: of an overlay's outer packet.
    one_way: bool,
    asked: Asked,
}

/// What is to be asked, and what cannot be.
#[derive(Default)]
struct Plan {
    checks: Vec<Planned>,
    not_walked: Vec<String>,
}

/// Who sends to nodes.
struct Senders {
    name: String,
    address: IpAddr,
}

/// Walks the battery.
pub fn run(world: &World<'_>) -> Battery {
    let facts = world.facts();
    let names = facts.node_names();
    // Parsing is most of the work, and each node's own.
    names.par_iter().for_each(|name| {
        world.node(name);
    });
    let shared = Shared::of(world);
    let plans: Vec<Plan> = names.par_iter().map(|name| plan(world, &shared, name)).collect();
    let mut not_walked = Vec::new();
    let mut checks = Vec::new();
    for plan in plans {
        not_walked.extend(plan.not_walked);
        checks.extend(plan.checks);
    }
    let mut done: Vec<Check> = checks.par_iter().map(|planned| walk(world, planned)).collect();
    done.sort_by_key(|check| (rank(check), check.purpose.clone()));
    Battery { checks: done, not_walked }
}

/// Failing ones first, then those that nobody can tell.
fn rank(check: &Check) -> u8 {
    match check.client_sees {
        Sees::Connected => 2,
        Sees::Depends => 1,
        _ => 0,
    }
}

fn walk(world: &World<'_>, planned: &Planned) -> Check {
    let mut answer = verdict::brief(world, &planned.asked);
    // Nobody answers an overlay's packet on the same ports.
    if planned.one_way && answer.verdict == Verdict::Accept {
        (answer.client_sees, answer.fix) = (Sees::Connected, None);
        "the packet arrives".clone_into(&mut answer.detail);
    }
    Check {
        purpose: planned.purpose.clone(),
        from: answer.question.from,
        to: answer.question.to,
        protocol: answer.question.protocol,
        via: answer.question.via,
        stands_for: planned.stands_for,
        verdict: answer.verdict,
        client_sees: answer.client_sees,
        detail: answer.detail,
        deciding: answer.deciding,
        unknowns: answer.unknowns,
        fix: answer.fix,
    }
}

/// What all nodes have in common.
struct Shared {
    nodes: Vec<(Arc<str>, IpAddr)>,
    api_servers: Vec<(IpAddr, u16)>,
    dns: Vec<(IpAddr, u16, Protocol, String)>,
    kubernetes: Vec<(IpAddr, u16)>,
    node_ports: Vec<(u16, Protocol, String)>,
    health_ports: Vec<(u16, String)>,
    webhooks: Vec<(String, IpAddr, u16)>,
}

impl Shared {
    fn of(world: &World<'_>) -> Shared {
        let facts = world.facts();
        let address = |name: &Arc<str>| {
            let found = world.address_of_node(name, false).or_else(|| world.address_of_node(name, true));
            Some((name.clone(), found?))
        };
        let exposed = || facts.services().all.iter().filter(|service| has_endpoints(facts, service));
        let node_ports = exposed().flat_map(|service| {
            let ports = service.ports.iter().filter(|port| port.node_port != 0);
            ports.map(|port| (port.node_port, Protocol::of_service(&port.protocol), service.full_name()))
        });
        let health = facts.services().all.iter().filter(|service| service.health_check_node_port != 0);
        Shared {
            nodes: facts.node_names().iter().filter_map(address).collect(),
            api_servers: world.api_servers().to_vec(),
            dns: dns(facts),
            kubernetes: service_addresses(facts, "default", "kubernetes", 443),
            node_ports: node_ports.collect(),
            health_ports: health.map(|service| (service.health_check_node_port, service.full_name())).collect(),
            webhooks: webhooks(facts),
        }
    }
}

fn has_endpoints(facts: &Facts, service: &Service) -> bool {
    let mut slices = facts.slices().of_service(&service.namespace, &service.name);
    slices.any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.ready))
}

fn service_addresses(facts: &Facts, namespace: &str, name: &str, port: u16) -> Vec<(IpAddr, u16)> {
    let found = facts.services().named(namespace, name);
    let addresses = found.into_iter().flat_map(|(_, service)| &service.cluster_ips);
    addresses.filter_map(|text| Some((text.parse().ok()?, port))).collect()
}

/// The DNS Service by its label, which kubeadm's and the providers' have (k8s-app=kube-dns).
fn dns(facts: &Facts) -> Vec<(IpAddr, u16, Protocol, String)> {
    let is_dns = |service: &&Service| {
        &*service.namespace == "kube-system"
            && (service.labels.get("k8s-app").is_some_and(|label| &**label == "kube-dns")
                || &*service.name == "kube-dns")
            && !service.is_headless()
    };
    let mut all = Vec::new();
    for service in facts.services().all.iter().filter(is_dns) {
        for address in service.cluster_ips.iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
            // Only what the Service offers: that it lacks a port is no matter of any way.
            for port in service.ports.iter().filter(|port| port.number == 53) {
                all.push((address, 53, Protocol::of_service(&port.protocol), service.full_name()));
            }
        }
    }
    all
}

/// The Services that webhooks are called at, with their first addresses.
fn webhooks(facts: &Facts) -> Vec<(String, IpAddr, u16)> {
    let mut found = BTreeSet::new();
    for id in ["api.webhooks.validating", "api.webhooks.mutating"] {
        for item in facts.evidence().items(id, &bundle::Scope::Cluster) {
            let Some(bytes) = item.path.as_deref().and_then(|path| facts.evidence().bundle().read(path).ok()) else {
                continue;
            };
            let Ok(list) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
            let configurations = list.get("items").and_then(|items| items.as_array()).into_iter().flatten();
            let hooks = configurations.filter_map(|one| one.get("webhooks")?.as_array()).flatten();
            for service in hooks.filter_map(|hook| hook.pointer("/clientConfig/service")) {
                let text = |key: &str| service.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
                let port = service.get("port").and_then(serde_json::Value::as_u64).unwrap_or(443);
                found.insert((text("namespace"), text("name"), u16::try_from(port).unwrap_or(443)));
            }
        }
    }
    let addressed = |(namespace, name, port): (String, String, u16)| {
        let (address, port) = service_addresses(facts, &namespace, &name, port).into_iter().next()?;
        Some((format!("{namespace}/{name}"), address, port))
    };
    found.into_iter().filter_map(addressed).collect()
}

fn plan(world: &World<'_>, shared: &Shared, name: &Arc<str>) -> Plan {
    let mut plan = Plan::default();
    let own = shared.nodes.iter().find(|(node, _)| node == name).map(|(_, address)| *address);
    let (Some(node), Some(own)) = (world.node(name), own) else {
        plan.not_walked.push(format!("node {name}: its interfaces, routes and rules are not in the bundle"));
        return plan;
    };
    incoming(world, shared, name, node, own, &mut plan);
    outgoing(world, shared, name, node, own, &mut plan);
    plan
}

/// What comes in: one packet for each group of senders.
fn incoming(world: &World<'_>, shared: &Shared, name: &Arc<str>, node: &Node, own: IpAddr, plan: &mut Plan) {
    let bounds = Bounds::of(node);
    let servers =
        shared.api_servers.iter().map(|(address, _)| Senders { name: address.to_string(), address: *address });
    let peers =
        || shared.nodes.iter().map(|(peer, address)| Senders { name: format!("node/{peer}"), address: *address });
    let not_own = |sender: &Senders| sender.address != own && sender.address.is_ipv6() == own.is_ipv6();
    let groups = grouped(&bounds, servers.chain(peers()).filter(not_own));
    if groups.len() > MOST_GROUPS {
        plan.not_walked.push(format!("node {name}: {} more groups of senders", groups.len() - MOST_GROUPS));
    }
    let tunnels: BTreeMap<String, overlay::Tunnel> = node
        .links
        .iter()
        .filter(|link| link.up)
        .filter_map(overlay::of)
        .map(|tunnel| (tunnel.to_string(), tunnel))
        .collect();
    let mut add = |purpose: &str, sender: &Senders, stands_for: usize, packet: Packet, one_way: bool| {
        let Some(interface) = node.interface_towards(sender.address) else {
            plan.not_walked.push(format!("node {name}: by which interface {} comes in", sender.name));
            return;
        };
        let port = packet.destination_port();
        let start = Station { node: name.clone(), entry: Entry::Interface(interface), packet: packet.clone() };
        let to = Endpoint { who: Who::Node(name.to_string()), port: port.map(Port::Number) };
        let asked = asked(&sender.name, to, packet, start, true);
        plan.checks.push(Planned { purpose: purpose.to_owned(), stands_for, one_way, asked });
    };
    for (sender, stands_for) in groups.iter().take(MOST_GROUPS) {
        let tcp = |port: u16| Packet::tcp_syn((sender.address, CLIENT_PORT), (own, port));
        add("the kubelet", sender, *stands_for, tcp(10250), false);
        for (label, tunnel) in &tunnels {
            add(label, sender, *stands_for, tunnel.outer(sender.address, own), true);
        }
    }
    let outside = Senders { name: outside(own).to_string(), address: outside(own) };
    let takes = |port: u16| {
        world.facts().node_files(name).and_then(|files| files.sockets()).is_some_and(|own| own.has_port("tcp", port))
    };
    let from_outside =
        |port: u16, protocol: Protocol| super::question::packet(protocol, outside.address, None, own, Some(port));
    if takes(10256) {
        add("kube-proxy's health check", &outside, 1, from_outside(10256, Protocol::Tcp), false);
    }
    for (port, service) in shared.health_ports.iter().filter(|(port, _)| takes(*port)) {
        let purpose = format!("health check of {service}");
        add(&purpose, &outside, 1, from_outside(*port, Protocol::Tcp), false);
    }
    for (port, protocol, service) in shared.node_ports.iter().take(MOST_NODE_PORTS) {
        add(&format!("NodePort of {service}"), &outside, 1, from_outside(*port, *protocol), false);
    }
    if shared.node_ports.len() > MOST_NODE_PORTS {
        plan.not_walked.push(format!("node {name}: {} more NodePorts", shared.node_ports.len() - MOST_NODE_PORTS));
    }
}

/// An address of nobody (RFC 5737, RFC 3849), for what lies outside of every network of the cluster.
fn outside(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([203, 0, 113, 10]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10]),
    }
}

/// The first of each group, with the number of its members.
fn grouped(bounds: &Bounds, senders: impl Iterator<Item = Senders>) -> Vec<(Senders, usize)> {
    let mut all: Vec<(Senders, usize)> = Vec::new();
    let mut places: BTreeMap<(u64, Option<IpAddr>), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for sender in senders {
        if !seen.insert(sender.address) {
            continue;
        }
        match places.get(&bounds.group(sender.address)).and_then(|place| all.get_mut(*place)) {
            Some((_, count)) => *count += 1,
            None => {
                places.insert(bounds.group(sender.address), all.len());
                all.push((sender, 1));
            }
        }
    }
    all
}

/// What goes out, from the node itself and from a pod on it.
fn outgoing(world: &World<'_>, shared: &Shared, name: &Arc<str>, node: &Node, own: IpAddr, plan: &mut Plan) {
    let own_name = format!("node/{name}");
    let mut by_node = |purpose: &str, to: IpAddr, port: u16| {
        if to.is_ipv6() != own.is_ipv6() || to == own {
            return;
        }
        let source = node.source_towards(to).unwrap_or(own);
        let packet = Packet::tcp_syn((source, CLIENT_PORT), (to, port));
        let start = Station { node: name.clone(), entry: Entry::Local, packet: packet.clone() };
        let target = Endpoint { who: Who::Address(to), port: Some(Port::Number(port)) };
        let asked = asked(&own_name, target, packet, start, !world.knows_pods());
        plan.checks.push(Planned { purpose: purpose.to_owned(), stands_for: 1, one_way: false, asked });
    };
    for (address, port) in &shared.api_servers {
        by_node("the API server", *address, *port);
    }
    if shared.api_servers.iter().any(|(address, _)| *address == own) {
        shared.webhooks.iter().for_each(|(service, to, port)| by_node(&format!("the webhook {service}"), *to, *port));
    }
    let Some((_, pod)) = world.facts().networked_pods(name).find(|(_, pod)| pod.is_ready()) else {
        let any = shared.dns.is_empty() && shared.kubernetes.is_empty();
        if !any {
            plan.not_walked.push(format!("node {name}: no pod of the pod network is ready on it"));
        }
        return;
    };
    let from = format!("pod/{}", pod.full_name());
    let mut by_pod = |purpose: String, to: IpAddr, port: u16, protocol: Protocol| {
        let Some(source) = pod.addresses().find(|address| address.is_ipv6() == to.is_ipv6()) else { return };
        let Some(interface) = node.interface_towards(source) else {
            plan.not_walked.push(format!("node {name}: by which interface pod {} comes in", pod.full_name()));
            return;
        };
        let packet = super::question::packet(protocol, source, None, to, Some(port));
        let start = Station { node: name.clone(), entry: Entry::Interface(interface), packet: packet.clone() };
        let target = Endpoint { who: Who::Address(to), port: Some(Port::Number(port)) };
        let asked = asked(&from, target, packet, start, false);
        plan.checks.push(Planned { purpose, stands_for: 1, one_way: false, asked });
    };
    for (address, port, protocol, service) in &shared.dns {
        by_pod(format!("cluster DNS ({service})"), *address, *port, *protocol);
    }
    for (address, port) in &shared.kubernetes {
        by_pod("the kubernetes Service".to_owned(), *address, *port, Protocol::Tcp);
    }
}

fn asked(from: &str, to: Endpoint, packet: Packet, start: Station, one_node: bool) -> Asked {
    let protocol = netpath::protocol::name(packet.protocol);
    let from = from.parse().unwrap_or(Endpoint { who: Who::Address(packet.source), port: None });
    let question = Question { from, to, protocol: None, via: None, interface: None };
    Asked { question, protocol, packets: vec![Departure { packet, start }], one_node }
}
