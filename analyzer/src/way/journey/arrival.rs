//! The end of a packet's own way: who takes it.

use std::sync::Arc;

use netpath::answer::ClientSees;
use netpath::protocol;
use netpath::source::Cited;
use netpath::walk::{Delivery, Verdict};

use super::Journey;
use crate::facts::node::sockets::Listening;
use crate::way::answer::Direction;
use crate::way::flight::{Arrival, Flight, Remark, Station, Trail};
use crate::way::observed;

/// Who has the packet at its end.
pub enum End {
    Process(Arc<str>),
    Pod(u32),
    /// Out of the first node, whose way alone was asked for, or out of what is known.
    Beyond {
        certain: bool,
    },
    /// An address of the pod network that no pod has.
    Nobody,
}

/// Whether somebody takes what arrived.
enum Taker {
    Listens(Option<Cited>),
    Refuses(String, Cited),
    Unknown(String),
}

impl Journey<'_> {
    pub(super) fn arrive(
        &self,
        station: &Station,
        arrival: Arrival,
        end: &End,
        trail: Trail,
        flights: &mut Vec<Flight>,
    ) {
        if let Some(flight) = self.unanswered_neighbour(station, &arrival, &trail) {
            return flights.push(flight);
        }
        let gates = self.policies(&arrival.packet, &trail);
        let Some(mut trail) = self.through(gates, trail, flights) else { return };
        let mut heard = ClientSees::Connected;
        let mut why = "the packet and its answer pass".to_owned();
        let mut cited = None;
        match self.taker(&arrival, end) {
            Taker::Listens(line) => trail.remarks.extend(line.map(|line| remark(&trail, "listener", line))),
            Taker::Refuses(text, line) => {
                heard = ClientSees::Refused;
                why = text;
                cited = Some((line, Direction::Forward));
            }
            Taker::Unknown(what) => {
                trail.assumptions.push(what.clone());
                let flight = Flight::ended(trail.clone(), Verdict::Accept, ClientSees::Depends, what);
                flights.push(Flight { arrival: Some(arrival.clone()), ..flight });
            }
        }
        if let End::Process(node) = end {
            flights.extend(observed::lost_on_the_way(self.world, &self.packet, node, &mut trail));
        }
        let before = flights.len();
        self.begin_reply(station, &arrival, end, trail, flights);
        for flight in flights.iter_mut().skip(before) {
            flight.arrival = Some(arrival.clone());
            if flight.is_connected() {
                flight.sees = heard;
                flight.why.clone_from(&why);
                flight.cited.clone_from(&cited);
            }
        }
    }

    /// The next hop's neighbour entry may say that nobody answered there.
    fn unanswered_neighbour(&self, station: &Station, arrival: &Arrival, trail: &Trail) -> Option<Flight> {
        let node = self.world.node(&station.node)?;
        let Some(Delivery::Sent { next_hop, interface }) = &trail.legs.last()?.outcome.delivery else { return None };
        let failed = node.neighbours.iter().find(|neighbour| {
            neighbour.address == *next_hop && Some(&neighbour.interface) == interface.as_ref() && neighbour.failed()
        })?;
        let why = format!("nobody answers at {next_hop} on node {} (its neighbour entry is FAILED)", station.node);
        let flight = Flight::ended(trail.clone(), Verdict::Accept, ClientSees::Unreachable, why);
        Some(Flight {
            arrival: Some(arrival.clone()),
            cited: Some((failed.cited.clone(), Direction::Forward)),
            ..flight
        })
    }

    /// Who takes the packet.
    fn taker(&self, arrival: &Arrival, end: &End) -> Taker {
        let packet = &arrival.packet;
        let name = protocol::name(packet.protocol).to_string();
        let Some(port) = packet.destination_port() else { return Taker::Listens(None) };
        let listening = match end {
            End::Process(node) => self.world.listening_on_node(node, &name, packet.destination, port),
            End::Pod(place) => {
                let pod = self.world.pod(*place);
                pod.and_then(|pod| self.world.listening_in_pod(pod, &name, packet.destination, port))
            }
            End::Beyond { certain: true } => return Taker::Listens(None),
            End::Beyond { certain: false } => {
                return Taker::Unknown(format!(
                    "whether {}, which is nobody's in the bundle, answers",
                    packet.destination_text()
                ));
            }
            End::Nobody => {
                return Taker::Unknown(format!("whether {}, which no pod has, answers", packet.destination));
            }
        };
        // The collector lists sockets of TCP and UDP alone.
        let known = listening.filter(|_| matches!(packet.protocol, protocol::TCP | protocol::UDP));
        let to = packet.destination_text();
        let who = arrival.who.clone().unwrap_or_else(|| "the host".to_owned());
        match known {
            None => {
                Taker::Unknown(format!("whether something listens at {to} ({name}; {who}'s sockets are not known)"))
            }
            Some(Listening::Yes(citation)) => Taker::Listens(Some(Cited::from(&citation))),
            Some(Listening::Elsewhere(bound, citation)) => Taker::Refuses(
                format!("the packet arrives, but on {who} port {port} is only listened to at {bound}: refused"),
                Cited::from(&citation),
            ),
            Some(Listening::Nobody(citation)) => Taker::Refuses(
                format!("the packet arrives, but nothing listens at {name} port {port} on {who}: refused"),
                Cited::from(&citation),
            ),
        }
    }
}

fn remark(trail: &Trail, at: &str, line: Cited) -> Remark {
    Remark {
        after: trail.legs.len(),
        direction: Direction::Forward,
        at: at.to_owned(),
        effect: line.text.clone(),
        cited: Some(line),
    }
}
