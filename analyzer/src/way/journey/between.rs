//! From one node to the next: over nothing but the wire, or within an overlay, whose outer packet has a way of its own.

use std::sync::Arc;

use netpath::answer::ClientSees;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{Delivery, Entry, Outcome, Verdict, explore};

use super::Journey;
use crate::way::answer::Direction;
use crate::way::flight::{Flight, Station, Trail, Wire};
use crate::way::world::Place;
use crate::way::{observed, overlay};

/// A packet that one node let go, and the next that it enters.
pub(super) struct Crossing<'c> {
    /// The node that let it go.
    pub node: &'c Node,
    /// Its name.
    pub name: &'c Arc<str>,
    /// How it left there.
    pub outcome: &'c Outcome,
    /// Where it enters.
    pub next: &'c Station,
    /// Whose way.
    pub direction: Direction,
}

impl Journey<'_> {
    /// What carries a packet from one node to the next: nothing but the wire, or an overlay whose outer packet has a
    /// way of its own through both nodes.
    pub(super) fn across(
        &self,
        crossing: &Crossing<'_>,
        trail: Trail,
        flights: &mut Vec<Flight>,
        go_on: &dyn Fn(Trail, &mut Vec<Flight>),
    ) {
        let &Crossing { node, name, outcome, next, direction } = crossing;
        let out = match &outcome.delivery {
            Some(Delivery::Sent { interface: Some(interface), .. }) => node.link(interface),
            _ => None,
        };
        let forward = direction == Direction::Forward;
        let tunnel = out.and_then(overlay::of);
        let mut trail = trail;
        if !observed::passes(self.world, &self.packet, &next.node) {
            let what = tunnel.map_or_else(|| self.carried() + &self.detour(crossing), |tunnel| tunnel.to_string());
            trail.over(Wire { from: name.clone(), to: next.node.clone(), what });
        }
        let Some(tunnel) = tunnel else {
            // Security groups let the answers of what they let pass pass too.
            let gates = if forward { self.groups(&next.packet) } else { Vec::new() };
            if let Some(trail) = self.through(gates, trail, flights) {
                go_on(trail, flights);
            }
            return;
        };
        let v6 = next.packet.destination.is_ipv6();
        let ends = (self.world.address_of_node(name, v6), self.world.address_of_node(&next.node, v6));
        let (Some(source), Some(destination)) = ends else {
            trail.doubts.push(format!("the {tunnel} between {name} and {} (their addresses are not known)", next.node));
            return go_on(trail, flights);
        };
        let outer = tunnel.outer(source, destination);
        let sends = Station { node: name.clone(), entry: Entry::Local, packet: outer };
        let label = tunnel.to_string();
        for (trail, sent) in self.outer_leg(&sends, direction, &label, &trail) {
            let Some(sent) = sent else {
                flights.push(outer_lost(trail, name, &label, direction));
                continue;
            };
            let gates = if forward { self.groups(&sent) } else { Vec::new() };
            let Some(trail) = self.through(gates, trail, flights) else { continue };
            let Some(target) = self.world.node(&next.node) else {
                go_on(trail, flights);
                continue;
            };
            let interface = target.interface_towards(sent.source).unwrap_or_else(|| Arc::from("eth0"));
            let takes = Station { node: next.node.clone(), entry: Entry::Interface(interface), packet: sent };
            for (trail, taken) in self.outer_leg(&takes, direction, &label, &trail) {
                match taken {
                    Some(_) => go_on(trail, flights),
                    None => flights.push(outer_lost(trail, &next.node, &label, direction)),
                }
            }
        }
    }

    /// What a network without overlay carries for this way, the answer included.
    pub(super) fn carried(&self) -> String {
        let protocol = netpath::protocol::name(self.packet.protocol);
        match self.packet.destination_port() {
            Some(port) => format!("{protocol} port {port}"),
            None => protocol.to_string(),
        }
    }

    /// The gateway that a packet goes to first, which is not the next node and must know the way there.
    fn detour(&self, crossing: &Crossing<'_>) -> String {
        let Some(Delivery::Sent { next_hop, .. }) = &crossing.outcome.delivery else { return String::new() };
        let is_next = *next_hop == crossing.outcome.skb.packet.destination
            || matches!(self.world.place_of(*next_hop), Some(Place::Node(name)) if *name == crossing.next.node);
        if is_next { String::new() } else { format!(" by way of {next_hop}") }
    }

    /// An overlay's outer packet through one node: what went on, or nothing.
    fn outer_leg(
        &self,
        station: &Station,
        direction: Direction,
        label: &str,
        trail: &Trail,
    ) -> Vec<(Trail, Option<Packet>)> {
        let Some(node) = self.world.node(&station.node) else { return vec![(trail.clone(), None)] };
        let outcomes = explore(node, &station.packet, &station.entry, 0, &[]).outcomes;
        outcomes
            .into_iter()
            .map(|outcome| {
                let (trail, outcome) = self.with_leg(trail, station, direction, Some(label.to_owned()), outcome);
                let passed = (outcome.verdict == Verdict::Accept).then(|| outcome.skb.packet.clone());
                (trail, passed)
            })
            .collect()
    }
}

/// Nobody answers an overlay's outer packet that is stopped: whatever it carries is lost.
fn outer_lost(trail: Trail, node: &str, label: &str, direction: Direction) -> Flight {
    let whose = if direction == Direction::Forward { "the packet" } else { "the answer" };
    let why = format!("node {node} stops the {label} packet that carries {whose}");
    let verdict = if direction == Direction::Forward { Verdict::Drop } else { Verdict::Accept };
    Flight { stopped_by_leg: true, ..Flight::ended(trail, verdict, ClientSees::Timeout, why) }
}
