//! The whole way of a packet: node after node, what lies between them, the end, and the way back.
//!
//! Every unknown and every chance splits the way, so that a journey gives all its courses ([`Flight`]s).
//!
//! ```text
//! forward.rs    node after node
//! between.rs    from one node to the next: the wire, or an overlay
//! gates.rs      policies and security groups on the way
//! arrival.rs    who takes the packet
//! back.rs       the answer's way
//! ```

mod arrival;
mod back;
mod between;
mod forward;
mod gates;

use std::sync::Arc;

use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{Entry, Outcome};

use super::answer::Direction;
use super::flight::{Flight, Leg, Station, Trail, Wire};
use super::overlay;
use super::world::{Place, World};

pub use back::bridge_ports;

/// More courses than this are not followed; what is left out is an unknown.
const MOST_FLIGHTS: usize = 512;
/// A packet that meets more nodes than this is taken to go round in circles.
const MOST_LEGS: usize = 12;

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// A pod of the pod network.
    Pod(u32),
    /// A process of a node, or a pod on a node's network.
    Process(Arc<str>),
    /// Somebody outside of what is known.
    Outside,
}

/// One packet to be followed.
pub struct Journey<'a> {
    /// Where.
    pub world: &'a World<'a>,
    /// The packet.
    pub packet: Packet,
    /// Where it begins.
    pub start: Station,
    /// Whether only the first node is walked: what leaves it has arrived.
    pub one_node: bool,
}

impl Journey<'_> {
    /// All courses; at least one.
    pub fn flights(&self) -> Vec<Flight> {
        let mut flights = Vec::new();
        let mut trail = Trail { probability: 1.0, ..Trail::default() };
        let from_outside = self.world.place_of(self.packet.source).is_none();
        if from_outside && !self.one_node {
            let from = Arc::from(self.packet.source.to_string());
            trail.over(Wire { from, to: self.start.node.clone(), what: self.carried() });
        }
        let gates = if from_outside { self.groups(&self.packet) } else { Vec::new() };
        if let Some(trail) = self.through(gates, trail, &mut flights) {
            self.forward(self.start.clone(), trail, &mut flights);
        }
        flights
    }

    fn with_leg(
        &self,
        trail: &Trail,
        station: &Station,
        direction: Direction,
        outer: Option<String>,
        outcome: Outcome,
    ) -> (Trail, Arc<Outcome>) {
        let outcome = Arc::new(outcome);
        let mut trail = trail.clone();
        trail.probability *= outcome.probability;
        let on_node = |what: &str| format!("node {}: {what}", station.node);
        let whats = |all: &mut Vec<String>, what: String| {
            if !all.contains(&what) {
                all.push(what);
            }
        };
        for assumption in &outcome.assumptions {
            whats(&mut trail.assumptions, on_node(&assumption.unknown.what));
        }
        for doubt in &outcome.doubts {
            whats(&mut trail.doubts, on_node(&doubt.what));
        }
        trail.legs.push(Leg {
            node: station.node.clone(),
            direction,
            outer,
            packet: station.packet.clone(),
            entry: station.entry.clone(),
            outcome: outcome.clone(),
        });
        (trail, outcome)
    }

    /// The node at which a packet between nodes enters, and by which interface.
    fn station_of(&self, packet: &Packet, from: Option<(&Node, Option<&str>)>, sender: &Arc<str>) -> Option<Station> {
        let destination = packet.destination;
        let node: Arc<str> = match self.world.place_of(destination) {
            Some(Place::Node(name)) => name.clone(),
            Some(Place::Pod(place)) => self.world.pod(*place)?.node.clone(),
            None => self.world.node_of_network(destination)?.clone(),
        };
        let mut packet = packet.clone();
        packet.mac_source = None;
        let entry = self.entry_between(&node, from, sender, &packet);
        Some(Station { node, entry, packet })
    }

    /// By which interface of a node what another node sends comes in: the overlay's where it went into one, else the one
    /// towards that node.
    fn entry_between(
        &self,
        target: &Arc<str>,
        from: Option<(&Node, Option<&str>)>,
        sender: &Arc<str>,
        packet: &Packet,
    ) -> Entry {
        let unknown = || Entry::Interface(Arc::from("eth0"));
        let Some(node) = self.world.node(target) else { return unknown() };
        let tunnel = from.and_then(|(from, interface)| from.link(interface?)).and_then(overlay::of);
        let inner = tunnel.and_then(|tunnel| node.links.iter().find(|link| overlay::of(link) == Some(tunnel)));
        if let Some(link) = inner {
            return Entry::Interface(link.name.clone());
        }
        let v6 = packet.destination.is_ipv6();
        let peer = self.world.address_of_node(sender, v6).unwrap_or(packet.source);
        node.interface_towards(peer).map_or_else(unknown, Entry::Interface)
    }

    /// Who has the packet's destination.
    pub fn who(&self, packet: &Packet) -> Option<String> {
        match self.world.place_of(packet.destination)? {
            Place::Pod(place) => Some(format!("pod/{}", self.world.pod(*place)?.full_name())),
            Place::Node(name) => Some(format!("node/{name}")),
        }
    }
}
