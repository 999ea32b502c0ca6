//! Networks beyond the cluster's own: other VPCs and data centres, by the routes of the VPC and by the symptom, and what
//! security groups make of packets between them and the cluster, on both sides.

use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::Value;
use netpath::cloud::Way;
use netpath::cloud::extent::{Clients, Span, is_public};
use netpath::protocol;

use super::machine::{self, Asked, Site};
use super::tke::RouteKind;
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::node::{CITED_LINE, cited_line};
use crate::facts::policy::endpoint;
use crate::facts::symptom::endpoint::{Port, Who};
use crate::facts::symptom::target;
use crate::shape::{Field, RecordShape};

/// The shape of a peer.
pub static SHAPE: RecordShape = RecordShape {
    name: "peer network",
    doc: "A network beyond the cluster's own, and what security groups make of packets between them.",
    fields: &[
        Field::scalar("network", "Its addresses."),
        Field::scalar("kind", "`peer` for another VPC, `data-centre`, or `unknown` where no route tells."),
        Field::scalar("by", "Who names it: `symptom` or `route`."),
        Field::record("route", &CITED_LINE, "The route that leads there."),
        Field::of("stopped", machine::LIST, "Where all is dropped, or what the symptom names."),
        Field::of("partly", machine::LIST, "Where some is dropped."),
        Field::of("open", machine::LIST, "Where it depends on what is not known."),
        Field::scalar(
            "judged",
            "How many groups' answers these are, those that accept all included; none where no group is known.",
        ),
    ],
};

/// As many networks are asked about.
const MOST: usize = 256;

/// All of them: the symptom's first.
pub fn values(facts: &Facts) -> Value {
    let mut all: Vec<Value> = of_symptom(facts).into_iter().collect();
    let mut routes: Vec<_> = facts.clouds().tke.routes.iter().collect();
    routes.sort_by_key(|route| route.network);
    routes.dedup_by_key(|route| route.network);
    for route in routes.into_iter().take(MOST) {
        let clients = Clients::Networks(vec![route.network]);
        let asked = facts.group_classes().iter().flat_map(|class| {
            let name = class.nodes.first().map_or("", |name| name);
            [Way::Inbound, Way::Outbound].map(|way| Asked {
                at: format!("node {name}"),
                site: Site::Machine(class.address),
                way,
                span: span(clients.clone(), class.address, protocol::TCP, None),
            })
        });
        let peer = Peer { network: route.network, kind: Some(route.kind), by: "route" };
        all.push(peer.value(facts, asked.collect()));
    }
    Value::from(all)
}

fn span(clients: Clients, destination: IpAddr, protocol: u8, port: Option<u16>) -> Span {
    let ports = port.map_or(1..=u16::MAX, |port| port..=port);
    Span { clients, destination, protocol, ports }
}

struct Peer {
    network: IpNet,
    kind: Option<RouteKind>,
    by: &'static str,
}

impl Peer {
    fn value(&self, facts: &Facts, asked: Vec<Asked<'_>>) -> Value {
        let answers: Vec<(&str, Value)> = asked
            .iter()
            .flat_map(|asked| asked.answers(facts).into_iter().map(move |(provider, extent)| (asked, provider, extent)))
            .map(|(asked, provider, extent)| (extent.word(), asked.value(provider, extent)))
            .collect();
        let of = |words: &[&str]| -> Value {
            let own = answers.iter().filter(|(word, _)| words.contains(word));
            own.map(|(_, value)| value.clone()).collect()
        };
        let route = facts.clouds().tke.route_to(self.network.addr());
        let record = Record::derived()
            .with("network", text(&self.network))
            .with(
                "kind",
                match self.kind {
                    Some(RouteKind::Peer) => "peer",
                    Some(RouteKind::DataCentre) => "data-centre",
                    None => "unknown",
                },
            )
            .with("by", self.by)
            .with_any("route", route.map(|route| cited_line(&route.citation)));
        record
            .with("stopped", of(&["none"]))
            .with("partly", of(&["some"]))
            .with("open", of(&["depends"]))
            .with("judged", answers.len())
            .into_value()
    }
}

fn text(network: &IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// The address outside of the cluster that the symptom names at one of its ends.
fn of_symptom(facts: &Facts) -> Option<Value> {
    let ends = facts.symptom_ends();
    let (sender, receiver) = (ends.sender()?, ends.receiver()?);
    let outside = |who: &Who| match who {
        Who::Address(address) if is_beyond(facts, *address) => Some(*address),
        _ => None,
    };
    let (address, asked) = match (outside(sender), outside(&receiver.who)) {
        (Some(from), None) => (from, entering(facts, from)),
        (None, Some(to)) => (to, leaving(facts, sender, to)),
        _ => return None,
    };
    let kind = facts.clouds().tke.route_to(address).map(|route| route.kind);
    let peer = Peer { network: IpNet::from(address), kind, by: "symptom" };
    Some(peer.value(facts, asked))
}

/// Whether an address is of a network that a VPC may be connected to, and nobody's in the cluster.
fn is_beyond(facts: &Facts, address: IpAddr) -> bool {
    !is_public(address)
        && target::service_at(facts, address).is_none()
        && endpoint::of_address(facts, address) == netpath::policy::Endpoint::outside(address)
}

/// From a peer to what the symptom names: at the nodes that it is on.
fn entering(facts: &Facts, from: IpAddr) -> Vec<Asked<'static>> {
    let mut all: Vec<Asked<'static>> = Vec::new();
    for target in target::machines(facts).into_iter().take(MOST) {
        let name = match &target.endpoint.party {
            netpath::policy::Party::Pod(pod) => pod.node.clone(),
            netpath::policy::Party::Node(node) => Some(node.name.clone()),
            _ => None,
        };
        let Some(node) = name.and_then(|name| facts.node_object(&name)) else { continue };
        let Some(machine) = own_address(node.internal_addresses(), from) else { continue };
        let clients = Clients::Networks(vec![IpNet::from(from)]);
        all.push(Asked {
            at: machine::of_node(node),
            site: Site::Machine(machine),
            way: Way::Inbound,
            span: span(clients, target.endpoint.address, target.protocol, target.port),
        });
    }
    all
}

/// From the cluster's end to a peer: at the sender's node, and at the peer where it is a known machine. There the pod's
/// address is seen, or its node's where the node masquerades.
fn leaving(facts: &Facts, sender: &Who, to: IpAddr) -> Vec<Asked<'static>> {
    let (pod, node) = match sender {
        Who::Pod(namespace, name) => {
            let pod = facts.pods().named(namespace, name).and_then(|place| facts.pods().get(place));
            (pod, pod.and_then(|pod| facts.node_object(&pod.node)))
        }
        Who::Node(name) => (None, facts.node_object(name)),
        Who::Address(_) | Who::Service(..) => (None, None),
    };
    let Some(node) = node else { return Vec::new() };
    let Some(machine) = own_address(node.internal_addresses(), to) else { return Vec::new() };
    let pod = pod.filter(|pod| pod.is_networked()).and_then(|pod| own_address(pod.addresses(), to));
    let port = match facts.symptom_ends().receiver().and_then(|end| end.port.clone()) {
        Some(Port::Number(number)) => Some(number),
        _ => None,
    };
    let number = facts.symptom_ends().protocol.and_then(protocol::number).unwrap_or(protocol::TCP);
    let peer = Clients::Networks(vec![IpNet::from(to)]);
    let leaves = Asked {
        at: machine::of_node(node),
        site: Site::Machine(machine),
        way: Way::Outbound,
        span: span(peer, pod.unwrap_or(machine), number, port),
    };
    let arrives = |source: IpAddr| Asked {
        at: to.to_string(),
        site: Site::Machine(to),
        way: Way::Inbound,
        span: span(Clients::Networks(vec![IpNet::from(source)]), to, number, port),
    };
    [Some(leaves), Some(arrives(pod.unwrap_or(machine)))].into_iter().flatten().collect()
}

fn own_address(mut all: impl Iterator<Item = IpAddr>, like: IpAddr) -> Option<IpAddr> {
    all.find(|own| own.is_ipv4() == like.is_ipv4())
}
