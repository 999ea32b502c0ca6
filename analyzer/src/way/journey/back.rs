//! The answer's way back.

use std::sync::Arc;

use netpath::answer::{ClientSees, recognized, reply_to};
use netpath::conntrack::Connection;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{Delivery, Entry, Outcome, Verdict, explore};

use super::arrival::End;
use super::between::Crossing;
use super::{Journey, MOST_FLIGHTS, MOST_LEGS};
use crate::way::answer::Direction;
use crate::way::flight::{Arrival, Flight, Station, Trail};

impl Journey<'_> {
    pub(super) fn begin_reply(
        &self,
        station: &Station,
        arrival: &Arrival,
        end: &End,
        trail: Trail,
        flights: &mut Vec<Flight>,
    ) {
        let reply = reply_to(&arrival.packet);
        let last = trail.legs.last().and_then(|leg| match &leg.outcome.delivery {
            Some(Delivery::Sent { interface, .. }) => interface.clone(),
            _ => None,
        });
        let entry = match (end, last, &station.entry) {
            (End::Process(_), _, _) | (_, None, _) => Entry::Local,
            (_, Some(_), Entry::Bridged { input, output }) => {
                Entry::Bridged { input: output.clone(), output: input.clone() }
            }
            (_, Some(interface), _) => {
                self.bridged_back(&station.node, &interface, &reply).unwrap_or(Entry::Interface(interface))
            }
        };
        self.back(Station { node: station.node.clone(), entry, packet: reply }, trail, flights);
    }

    /// A pod's answer to a pod of the same bridge goes through the bridge, not through routing.
    fn bridged_back(&self, node: &str, interface: &Arc<str>, reply: &Packet) -> Option<Entry> {
        let node = self.world.node(node)?;
        bridge_ports(node, interface, reply)
    }

    fn back(&self, station: Station, trail: Trail, flights: &mut Vec<Flight>) {
        if flights.len() >= MOST_FLIGHTS || trail.legs.len() >= 2 * MOST_LEGS {
            return flights.push(Flight::cut(trail));
        }
        let Some(node) = self.world.node(&station.node) else {
            let mut trail = trail;
            let what =
                format!("whether node {}, whose rules the bundle does not hold, lets the answer pass", station.node);
            trail.assumptions.push(what.clone());
            return flights.push(Flight::ended(trail, Verdict::Accept, ClientSees::Depends, what));
        };
        let known: Vec<Connection> = trail
            .legs
            .iter()
            .filter(|leg| leg.node == station.node)
            .filter_map(|leg| leg.connection().cloned())
            .collect();
        for outcome in explore(node, &station.packet, &station.entry, 0, &known).outcomes {
            let (trail, outcome) = self.with_leg(&trail, &station, Direction::Reply, None, outcome);
            if outcome.verdict != Verdict::Accept {
                let why = format!("the packet passes, but node {} stops its answer", station.node);
                flights.push(Flight {
                    stopped_by_leg: true,
                    ..Flight::ended(trail, Verdict::Accept, ClientSees::Timeout, why)
                });
                continue;
            }
            self.back_from(node, &station, &outcome, trail, flights);
        }
    }

    fn back_from(&self, node: &Node, station: &Station, outcome: &Outcome, trail: Trail, flights: &mut Vec<Flight>) {
        let packet = &outcome.skb.packet;
        let local = matches!(outcome.delivery, Some(Delivery::Local) | None);
        let elsewhere = (!local && !self.one_node)
            .then(|| self.station_of(packet, Some((node, self.sent_by(outcome))), &station.node))
            .flatten()
            .filter(|next| next.node != station.node && trail.legs.iter().any(|leg| leg.node == next.node));
        if let Some(next) = elsewhere {
            let on = |trail: Trail, flights: &mut Vec<Flight>| self.back(next.clone(), trail, flights);
            let crossing = Crossing { node, name: &station.node, outcome, next: &next, direction: Direction::Reply };
            return self.across(&crossing, trail, flights, &on);
        }
        if recognized(&self.packet, packet) {
            return flights.push(Flight::ended(trail, Verdict::Accept, ClientSees::Connected, String::new()));
        }
        let why = format!(
            "the packet passes, but its answer comes to {} from {}, so the client does not take it for the answer",
            packet.destination_text(),
            packet.source_text()
        );
        flights
            .push(Flight { stopped_by_leg: true, ..Flight::ended(trail, Verdict::Accept, ClientSees::Timeout, why) });
    }

    fn sent_by<'o>(&self, outcome: &'o Outcome) -> Option<&'o str> {
        match &outcome.delivery {
            Some(Delivery::Sent { interface, .. }) => interface.as_deref(),
            _ => None,
        }
    }
}

/// Two ports of one bridge, where both ends of a packet are on it: by the neighbours' MAC addresses the ports cannot be
/// told here, so any two stand for them; only rules that look at bridge ports could tell the difference.
pub fn bridge_ports(node: &Node, bridge: &str, packet: &Packet) -> Option<Entry> {
    let link = node.link(bridge).filter(|link| link.kind.as_deref() == Some("bridge"))?;
    let on_link = |at| link.addresses.iter().any(|address| address.network().contains(at));
    if !on_link(packet.source) || !on_link(packet.destination) || node.holds(packet.destination) {
        return None;
    }
    let mut ports = node.links.iter().filter(|port| port.master.as_deref() == Some(bridge)).map(|port| &port.name);
    let input = ports.next()?.clone();
    let output = ports.next().cloned().unwrap_or_else(|| input.clone());
    Some(Entry::Bridged { input, output })
}
