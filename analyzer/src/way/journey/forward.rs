//! A packet on its own way, node after node.

use netpath::answer::{ClientSees, stopped};
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{Delivery, Outcome, Verdict, explore};

use super::arrival::End;
use super::between::Crossing;
use super::{Journey, MOST_FLIGHTS, MOST_LEGS};
use crate::way::answer::Direction;
use crate::way::flight::{Arrival, Flight, Station, Trail};
use crate::way::gate;
use crate::way::world::Place;

/// Where the packet is after a node let it go.
enum Next {
    Arrived(Arrival, End),
    Enters(Station),
}

impl Journey<'_> {
    pub(super) fn forward(&self, station: Station, trail: Trail, flights: &mut Vec<Flight>) {
        if flights.len() >= MOST_FLIGHTS || trail.legs.len() >= MOST_LEGS {
            return flights.push(Flight::cut(trail));
        }
        let Some(node) = self.world.node(&station.node) else {
            return self.forward_blind(&station, trail, flights);
        };
        for outcome in explore(node, &station.packet, &station.entry, 0, &[]).outcomes {
            let (trail, outcome) = self.with_leg(&trail, &station, Direction::Forward, None, outcome);
            if outcome.verdict != Verdict::Accept {
                let stopped = self.stopped(&station, trail, &outcome);
                flights.push(self.as_policies_say(node, &outcome, stopped));
                continue;
            }
            match self.next(node, &station, &outcome) {
                Next::Arrived(arrival, end) => {
                    let leaves = matches!(end, End::Beyond { .. });
                    let gates = if leaves { self.groups(&arrival.packet) } else { Vec::new() };
                    let Some(trail) = self.through(gates, trail, flights) else { continue };
                    self.arrive(&station, arrival, &end, trail, flights);
                }
                Next::Enters(next) => {
                    let on = |trail: Trail, flights: &mut Vec<Flight>| self.forward(next.clone(), trail, flights);
                    let crossing = Crossing {
                        node,
                        name: &station.node,
                        outcome: &outcome,
                        next: &next,
                        direction: Direction::Forward,
                    };
                    self.across(&crossing, trail, flights, &on);
                }
            }
        }
    }

    /// A node that is not in the bundle may do anything: it lets the packet pass, as far as is known unchanged, or not.
    fn forward_blind(&self, station: &Station, trail: Trail, flights: &mut Vec<Flight>) {
        let what = format!("whether node {}, whose rules the bundle does not hold, lets the packet pass", station.node);
        let mut trail = trail;
        trail.assumptions.push(what.clone());
        let packet = &station.packet;
        if self.is_stopped_at_every_endpoint(packet, &trail, flights) {
            return;
        }
        let here = match self.world.place_of(packet.destination) {
            Some(Place::Node(name)) => *name == station.node,
            Some(Place::Pod(place)) => self.world.pod(*place).is_some_and(|pod| pod.node == station.node),
            None => self.world.node_of_network(packet.destination) == Some(&station.node),
        };
        if here || self.one_node {
            let arrival = Arrival { packet: packet.clone(), who: self.who(packet), interface: None };
            if let Some(trail) = self.through(self.policies(&arrival.packet, &trail), trail.clone(), flights) {
                flights.push(self.unknown_end(trail, Some(arrival), &what));
            }
        } else if let Some(next) = self.station_of(packet, None, &station.node) {
            self.forward(next, trail.clone(), flights);
        } else {
            // A Service's address is only turned into an endpoint by the node that is not there.
            flights.push(self.unknown_end(trail.clone(), None, &what));
        }
        flights.push(Flight::ended(trail, Verdict::Drop, ClientSees::Timeout, what));
    }

    /// Whether policies stop a packet, for a Service whichever of its endpoints is chosen, so that what nodes do with it
    /// does not matter.
    fn is_stopped_at_every_endpoint(&self, packet: &Packet, trail: &Trail, flights: &mut Vec<Flight>) -> bool {
        let mut packets = gate::translations(self.world, packet);
        if packets.is_empty() && self.world.place_of(packet.destination).is_some() {
            packets.push(packet.clone());
        }
        let mut stopped = Vec::new();
        let share = 1.0 / packets.len().max(1) as f64;
        for packet in &packets {
            let trail = Trail { probability: trail.probability * share, ..trail.clone() };
            if self.through(self.policies(packet, &trail), trail, &mut stopped).is_some() {
                return false;
            }
        }
        let all = !packets.is_empty();
        flights.extend(stopped);
        all
    }

    fn unknown_end(&self, trail: Trail, arrival: Option<Arrival>, why: &str) -> Flight {
        let mut flight = Flight::ended(trail, Verdict::Accept, ClientSees::Depends, why.to_owned());
        flight.arrival = arrival;
        flight
    }

    fn stopped(&self, station: &Station, trail: Trail, outcome: &Outcome) -> Flight {
        // Only the host that sends gets an error at once.
        let sees = stopped(&station.entry, station.packet.protocol, outcome);
        let why = match outcome.verdict {
            Verdict::Reject(kind) => {
                let word = kind.word(station.packet.family());
                format!("node {} refuses the packet ({word})", station.node)
            }
            _ => format!("node {} drops the packet", station.node),
        };
        Flight { stopped_by_leg: true, ..Flight::ended(trail, outcome.verdict, sees, why) }
    }

    /// Where a packet goes that a node let pass.
    fn next(&self, node: &Node, station: &Station, outcome: &Outcome) -> Next {
        let packet = outcome.skb.packet.clone();
        let interface = match &outcome.delivery {
            Some(Delivery::Sent { interface, .. }) => interface.as_deref().map(str::to_owned),
            _ => None,
        };
        let arrival = Arrival { who: self.who(&packet), interface: interface.clone(), packet: packet.clone() };
        if matches!(outcome.delivery, Some(Delivery::Local) | None) {
            return Next::Arrived(arrival, End::Process(station.node.clone()));
        }
        if self.one_node {
            return Next::Arrived(arrival, End::Beyond { certain: true });
        }
        match self.world.place_of(packet.destination) {
            Some(Place::Pod(place)) if self.world.pod(*place).is_some_and(|pod| pod.node == station.node) => {
                return Next::Arrived(arrival, End::Pod(*place));
            }
            Some(_) => {}
            None if self.world.node_of_network(packet.destination) == Some(&station.node) => {
                return Next::Arrived(arrival, End::Nobody);
            }
            None => {}
        }
        match self.station_of(&packet, Some((node, interface.as_deref())), &station.node) {
            Some(next) if next.node != station.node => Next::Enters(next),
            _ => Next::Arrived(arrival, End::Beyond { certain: !self.world.knows_pods() }),
        }
    }
}
