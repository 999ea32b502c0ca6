//! What decides about a packet beside the nodes that it passes: the policies of the pods at its ends, and the cloud's
//! security groups between machines.
//!
//! Both are judged by netpath and are stateful: the answers of what they let pass are let pass too.

use std::net::IpAddr;
use std::sync::Arc;

use netpath::answer::Decision;
use netpath::cloud::{CloudFlow, CloudJudgement, Way};
use netpath::packet::Packet;
use netpath::policy::{Denial, Endpoint, Flow, Judgement, Party, Plugin, Side};
use netpath::protocol;
use netpath::source::Cited;
use netpath::unknown::Unknown;

use super::answer::Direction;
use super::flight::{Leg, Remark, Trail};
use super::world::{Place, World};
use crate::facts::policy::{endpoint, enforcement};
use crate::facts::service::endpoints;

/// Something beside a node that lets a packet pass, or not.
#[derive(Debug, Clone)]
pub struct Gate {
    /// What tells it from all others, for this packet.
    pub key: String,
    /// Which it is: `egress policies of pod/shop/cart`.
    pub at: String,
    /// Where it is changed: `cluster`, `cloud`.
    pub place: &'static str,
    /// Who manages it: `network-policy`, `security-group`.
    pub owner: &'static str,
    /// Accept, drop or depends.
    pub verdict: Decision,
    /// What becomes of a packet that it does not let pass.
    pub denial: Denial,
    /// The program that closes it and the node where it does, where they are known.
    pub closer: Option<(Plugin, Arc<str>)>,
    /// Why, in a sentence.
    pub why: String,
    /// The line that decides.
    pub cited: Option<Cited>,
    /// What the verdict depends on.
    pub unknowns: Vec<String>,
    /// Commands that open it, with the lines that they answer.
    pub changes: Vec<(String, Option<Cited>)>,
    /// Whether judging again with the changes showed that it lets the packet pass.
    pub verified: bool,
}

impl Gate {
    /// kube-router closes gates with rules that the walk meets. Where those of its node are known and let the packet pass,
    /// they and the policies disagree: it has not heard of the policy yet, or bridged packets do not meet rules there.
    pub fn unless_let_pass(mut self, trail: &Trail) -> Gate {
        let Some((plugin @ Plugin::KubeRouter, node)) = &self.closer else { return self };
        let passed = |leg: &Leg| {
            let known = leg.outcome.assumptions.is_empty() && leg.outcome.doubts.is_empty();
            leg.node == *node && leg.outer.is_none() && leg.direction == Direction::Forward && known
        };
        if matches!(self.verdict, Decision::Drop | Decision::Reject(_)) && trail.legs.iter().any(passed) {
            self.verdict = Decision::Depends;
            self.unknowns.push(format!(
                "whether {} on node {node}, whose rules let the packet pass, will carry out the {}: {}",
                plugin.name(),
                self.at,
                self.why
            ));
        }
        self
    }

    /// What it did, as a step of the way; nothing where it had nothing to say.
    pub fn remark(&self, after: usize) -> Option<Remark> {
        if self.verdict == Decision::Accept && self.cited.is_none() {
            return None;
        }
        Some(Remark {
            after,
            direction: Direction::Forward,
            at: self.at.clone(),
            effect: self.why.clone(),
            cited: self.cited.clone(),
        })
    }
}

fn whats(unknowns: &[Unknown]) -> Vec<String> {
    unknowns.iter().map(|unknown| unknown.what.clone()).collect()
}

/// The policies that select the pods at both ends: at the source before its node masquerades, at the destination as the
/// packet arrives there.
pub fn policies(world: &World<'_>, sent: &Packet, arrived: &Packet) -> Vec<Gate> {
    let (from, to) = (end_of(world, sent.source), end_of(world, arrived.destination));
    let service = (sent.destination != arrived.destination).then_some(sent.destination);
    let flow = |source: Endpoint| Flow {
        source,
        destination: to.clone(),
        service,
        protocol: arrived.protocol,
        port: arrived.destination_port(),
    };
    let seen = if arrived.source == sent.source { from.clone() } else { end_of(world, arrived.source) };
    let sides = [(flow(from), Side::Egress), (flow(seen), Side::Ingress)];
    sides.into_iter().filter_map(|(flow, side)| policy_gate(world, &flow, side)).collect()
}

fn policy_gate(world: &World<'_>, flow: &Flow, side: Side) -> Option<Gate> {
    let Party::Pod(pod) = &flow.subject(side).party else { return None };
    let facts = world.facts();
    let enforced = match &pod.node {
        Some(node) => enforcement::on_node(facts, node),
        None => facts.enforcer().enforcement.clone(),
    };
    let Judgement { verdict, why, deciding, isolating, unknowns, fix, .. } =
        facts.policies().judge(&enforced, flow, side);
    let plugin = enforced.plugin();
    let word = if side == Side::Egress { "egress" } else { "ingress" };
    let at = format!("{word} policies of pod/{}", pod.full_name());
    let cited = deciding.or_else(|| isolating.first().map(|policy| policy.cited.clone()));
    let verified = fix.as_ref().is_some_and(|fix| fix.verified);
    Some(Gate {
        key: format!("{at}, {} to {} {:?}", flow.source.address, flow.destination.address, flow.port),
        at,
        place: "cluster",
        owner: "network-policy",
        verdict,
        denial: plugin.map_or(Denial::Unknown, Plugin::denial),
        closer: plugin.zip(pod.node.clone()),
        why,
        cited,
        unknowns: whats(&unknowns),
        changes: fix.map(|fix| (fix.command, fix.answers)).into_iter().collect(),
        verified,
    })
}

/// Who has an address, as policies see it.
fn end_of(world: &World<'_>, address: IpAddr) -> Endpoint {
    let facts = world.facts();
    match world.place_of(address) {
        Some(Place::Pod(place)) => match world.pod(*place) {
            Some(pod) => Endpoint::pod(endpoint::of_pod(facts, pod), address),
            None => Endpoint::unidentified(address),
        },
        Some(Place::Node(name)) => Endpoint::node(endpoint::of_node(facts, name), address),
        // An address of a pod network that no pod has any more may be a pod's that is not in the list yet.
        None if world.knows_pods() && world.node_of_network(address).is_none() => Endpoint::outside(address),
        None => Endpoint::unidentified(address),
    }
}

/// What a packet for a Service becomes: one packet for each of its ready endpoints, by the API. None where its
/// destination is no Service's.
pub fn translations(world: &World<'_>, packet: &Packet) -> Vec<Packet> {
    let facts = world.facts();
    let wanted = packet.destination.to_string();
    let service = facts.services().all.iter().find(|service| service.cluster_ips.contains(&wanted));
    let (Some(service), Some(number)) = (service, packet.destination_port()) else { return Vec::new() };
    let name = protocol::name(packet.protocol).to_ascii_uppercase();
    let Some(port) = service.ports.iter().find(|port| port.number == number && port.protocol == name) else {
        return Vec::new();
    };
    let ready = endpoints::ready(facts, service, port).into_iter();
    let same_family = ready.filter(|ready| ready.address.is_ipv4() == packet.destination.is_ipv4());
    same_family.map(|ready| packet.towards(ready.address, ready.port)).collect()
}

/// The security groups of the machines at both ends of a packet between them: an overlay's outer packet, where there is
/// one.
pub fn security_groups(world: &World<'_>, packet: &Packet) -> Vec<Gate> {
    let clouds = world.facts().clouds();
    if clouds.is_empty() || world.place_of(packet.source) == world.place_of(packet.destination) {
        return Vec::new();
    }
    let flow = CloudFlow {
        source: packet.source,
        destination: packet.destination,
        protocol: packet.protocol,
        source_port: packet.source_port(),
        port: packet.destination_port(),
    };
    let ends = [(Way::Outbound, packet.source), (Way::Inbound, packet.destination)];
    let mut all = Vec::new();
    for (way, own) in ends {
        // An address of nobody in the cluster has groups of its own, if any, elsewhere.
        let in_cluster = world.place_of(own).is_some();
        if !clouds.azure.is_empty() && (in_cluster || clouds.azure.machine_of(own).is_some()) {
            all.push(group_gate(&flow, own, clouds.azure.judge(&flow, way)));
        }
        if !clouds.tencent.is_empty() && (in_cluster || clouds.tencent.instance_of(own).is_some()) {
            all.push(group_gate(&flow, own, clouds.tencent.judge(&flow, way)));
        }
    }
    all
}

fn group_gate(flow: &CloudFlow, own: IpAddr, judgement: CloudJudgement) -> Gate {
    let way = if judgement.way == Way::Outbound { "outbound" } else { "inbound" };
    let at = format!("security groups of {own}, {way}");
    let verified = judgement.fix.as_ref().is_some_and(|fix| fix.verified);
    let changes = judgement.fix.map(|fix| fix.changes).unwrap_or_default();
    Gate {
        key: format!("{at}, {} to {} {:?}", flow.source, flow.destination, flow.port),
        at,
        place: "cloud",
        owner: "security-group",
        verdict: judgement.verdict,
        denial: Denial::Drops,
        closer: None,
        why: judgement.why,
        cited: judgement.deciding,
        unknowns: whats(&judgement.unknowns),
        changes: changes.into_iter().map(|change| (change.command, change.answers)).collect(),
        verified,
    }
}
