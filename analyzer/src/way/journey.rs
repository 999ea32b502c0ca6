//! The whole way of a packet: node after node, what lies between them, the end, and the way back.
//!
//! Every unknown and every chance splits the way, so that a journey gives all its courses ([`Flight`]s).

use std::sync::Arc;

use netpath::answer::{ClientSees, Decision, recognized, refusing, reply_to, stopped};
use netpath::conntrack::Connection;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::policy::Denial;
use netpath::protocol;
use netpath::walk::{Delivery, Entry, Outcome, Verdict, explore};

use super::answer::Direction;
use super::flight::{Arrival, Flight, Leg, Remark, Station, Trail};
use super::gate::{self, Gate};
use super::observed;
use super::world::{Place, World};
use crate::citation::Citation;
use crate::facts::node::sockets::Listening;

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

/// Where the packet is after a node let it go.
enum Next {
    Arrived(Arrival, End),
    Enters(Station),
}

/// Who has the packet at its end.
enum End {
    Process(Arc<str>),
    Pod(u32),
    /// Out of the first node, whose way alone was asked for, or out of what is known.
    Beyond {
        certain: bool,
    },
    /// An address of the pod network that no pod has.
    Nobody,
}

impl Journey<'_> {
    /// All courses; at least one.
    pub fn flights(&self) -> Vec<Flight> {
        let mut flights = Vec::new();
        let trail = Trail { probability: 1.0, ..Trail::default() };
        let from_outside = self.world.place_of(self.packet.source).is_none();
        let gates = if from_outside { self.groups(&self.packet) } else { Vec::new() };
        if let Some(trail) = self.through(gates, trail, &mut flights) {
            self.forward(self.start.clone(), trail, &mut flights);
        }
        flights
    }

    fn forward(&self, station: Station, trail: Trail, flights: &mut Vec<Flight>) {
        if flights.len() >= MOST_FLIGHTS || trail.legs.len() >= MOST_LEGS {
            return flights.push(cut(trail));
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
                    self.across(node, &station.node, &next, &outcome, Direction::Forward, trail, flights, &on);
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
        flights.push(ended(trail, Verdict::Drop, ClientSees::Timeout, what));
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
        let mut flight = ended(trail, Verdict::Accept, ClientSees::Depends, why.to_owned());
        flight.arrival = arrival;
        flight
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
        Flight { stopped_by_leg: true, ..ended(trail, outcome.verdict, sees, why) }
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
        let tunnel = from.and_then(|(from, interface)| from.link(interface?)).and_then(super::overlay::of);
        let inner = tunnel.and_then(|tunnel| node.links.iter().find(|link| super::overlay::of(link) == Some(tunnel)));
        if let Some(link) = inner {
            return Entry::Interface(link.name.clone());
        }
        let v6 = packet.destination.is_ipv6();
        let peer = self.world.address_of_node(sender, v6).unwrap_or(packet.source);
        node.interface_towards(peer).map_or_else(unknown, Entry::Interface)
    }

    /// What carries a packet from one node to the next: nothing but the wire, or an overlay whose outer packet has a
    /// way of its own through both nodes.
    #[allow(clippy::too_many_arguments)]
    fn across(
        &self,
        node: &Node,
        name: &Arc<str>,
        next: &Station,
        outcome: &Outcome,
        direction: Direction,
        trail: Trail,
        flights: &mut Vec<Flight>,
        go_on: &dyn Fn(Trail, &mut Vec<Flight>),
    ) {
        let out = match &outcome.delivery {
            Some(Delivery::Sent { interface: Some(interface), .. }) => node.link(interface),
            _ => None,
        };
        let forward = direction == Direction::Forward;
        let Some(tunnel) = out.and_then(super::overlay::of) else {
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
            let mut trail = trail;
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

    fn arrive(&self, station: &Station, arrival: Arrival, end: &End, trail: Trail, flights: &mut Vec<Flight>) {
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
                let flight = ended(trail.clone(), Verdict::Accept, ClientSees::Depends, what);
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

    /// Leads a packet through gates: nothing where one of them is surely closed. One of which that is not known splits the
    /// way.
    fn through(&self, gates: Vec<Gate>, mut trail: Trail, flights: &mut Vec<Flight>) -> Option<Trail> {
        for gate in gates {
            if self.world.has_opened(&gate.key) {
                continue;
            }
            let gate = Arc::new(gate);
            match gate.verdict {
                Decision::Accept => trail.remarks.extend(gate.remark(trail.legs.len())),
                Decision::Drop | Decision::Reject(_) => {
                    trail.remarks.extend(gate.remark(trail.legs.len()));
                    flights.push(closed(&gate, trail));
                    return None;
                }
                Decision::Depends => {
                    trail.assumptions.extend(gate.unknowns.iter().cloned());
                    flights.push(closed(&gate, trail.clone()));
                }
            }
        }
        Some(trail)
    }

    /// The policies of the pods at both ends. Where a host's own way was asked for, none.
    fn policies(&self, arrived: &Packet, trail: &Trail) -> Vec<Gate> {
        if self.one_node {
            return Vec::new();
        }
        let gates = gate::policies(self.world, &self.packet, arrived);
        gates.into_iter().map(|gate| gate.unless_let_pass(trail)).collect()
    }

    /// Where the rule that stopped a packet carries out policies: the policy that it carries out, which is what is to be
    /// changed.
    fn as_policies_say(&self, node: &Node, outcome: &Outcome, flight: Flight) -> Flight {
        let owner = refusing(node, outcome).filter(|owner| owner.enforces_policies() && !self.one_node);
        let Some(owner) = owner else { return flight };
        let gates = gate::policies(self.world, &self.packet, &outcome.skb.packet);
        let shut = |gate: &&Gate| matches!(gate.verdict, Decision::Drop | Decision::Reject(_));
        let Some(gate) = gates.iter().find(shut) else {
            let known = !gates.is_empty() && gates.iter().all(|gate| gate.verdict == Decision::Accept);
            let behind = format!(", though the policies let it pass: what {} wrote there is old", owner.name());
            return Flight { why: flight.why + if known { &behind } else { "" }, ..flight };
        };
        let mut flight = flight;
        flight.trail.remarks.extend(gate.remark(flight.trail.legs.len()));
        flight.cited = gate.cited.clone().map(|cited| (cited, Direction::Forward));
        flight.why = format!("{}; {}: {}", flight.why, gate.at, gate.why);
        flight.closed = Some(Arc::new(gate.clone()));
        flight
    }

    /// The security groups that a packet meets between machines.
    fn groups(&self, packet: &Packet) -> Vec<Gate> {
        if self.one_node { Vec::new() } else { gate::security_groups(self.world, packet) }
    }

    /// The next hop's neighbour entry may say that nobody answered there.
    fn unanswered_neighbour(&self, station: &Station, arrival: &Arrival, trail: &Trail) -> Option<Flight> {
        let node = self.world.node(&station.node)?;
        let Some(Delivery::Sent { next_hop, interface }) = &trail.legs.last()?.outcome.delivery else { return None };
        let failed = node.neighbours.iter().find(|neighbour| {
            neighbour.address == *next_hop && Some(&neighbour.interface) == interface.as_ref() && neighbour.failed()
        })?;
        let why = format!("nobody answers at {next_hop} on node {} (its neighbour entry is FAILED)", station.node);
        let flight = ended(trail.clone(), Verdict::Accept, ClientSees::Unreachable, why);
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
            Some(Listening::Yes(citation)) => Taker::Listens(Some(cited(&citation))),
            Some(Listening::Elsewhere(bound, citation)) => Taker::Refuses(
                format!("the packet arrives, but on {who} port {port} is only listened to at {bound}: refused"),
                cited(&citation),
            ),
            Some(Listening::Nobody(citation)) => Taker::Refuses(
                format!("the packet arrives, but nothing listens at {name} port {port} on {who}: refused"),
                cited(&citation),
            ),
        }
    }

    fn begin_reply(&self, station: &Station, arrival: &Arrival, end: &End, trail: Trail, flights: &mut Vec<Flight>) {
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
            return flights.push(cut(trail));
        }
        let Some(node) = self.world.node(&station.node) else {
            let mut trail = trail;
            let what =
                format!("whether node {}, whose rules the bundle does not hold, lets the answer pass", station.node);
            trail.assumptions.push(what.clone());
            return flights.push(ended(trail, Verdict::Accept, ClientSees::Depends, what));
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
                flights
                    .push(Flight { stopped_by_leg: true, ..ended(trail, Verdict::Accept, ClientSees::Timeout, why) });
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
            return self.across(node, &station.node, &next, outcome, Direction::Reply, trail, flights, &on);
        }
        if recognized(&self.packet, packet) {
            return flights.push(ended(trail, Verdict::Accept, ClientSees::Connected, String::new()));
        }
        let why = format!(
            "the packet passes, but its answer comes to {} from {}, so the client does not take it for the answer",
            packet.destination_text(),
            packet.source_text()
        );
        flights.push(Flight { stopped_by_leg: true, ..ended(trail, Verdict::Accept, ClientSees::Timeout, why) });
    }

    fn sent_by<'o>(&self, outcome: &'o Outcome) -> Option<&'o str> {
        match &outcome.delivery {
            Some(Delivery::Sent { interface, .. }) => interface.as_deref(),
            _ => None,
        }
    }

    /// Who has the packet's destination.
    pub fn who(&self, packet: &Packet) -> Option<String> {
        match self.world.place_of(packet.destination)? {
            Place::Pod(place) => Some(format!("pod/{}", self.world.pod(*place)?.full_name())),
            Place::Node(name) => Some(format!("node/{name}")),
        }
    }
}

/// Whether somebody takes what arrived.
enum Taker {
    Listens(Option<netpath::source::Cited>),
    Refuses(String, netpath::source::Cited),
    Unknown(String),
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

pub fn ended(trail: Trail, verdict: Verdict, sees: ClientSees, why: String) -> Flight {
    Flight { trail, verdict, sees, why, arrival: None, cited: None, stopped_by_leg: false, closed: None }
}

/// A packet that a gate does not let pass.
fn closed(gate: &Arc<Gate>, mut trail: Trail) -> Flight {
    let (verdict, sees) = match gate.denial {
        Denial::Drops => (Verdict::Drop, ClientSees::Timeout),
        Denial::Rejects(kind) => (Verdict::Reject(kind), ClientSees::of_refusal(kind)),
        Denial::Unknown => {
            trail.assumptions.push("whether what policies deny is dropped or refused there".to_owned());
            (Verdict::Drop, ClientSees::Depends)
        }
    };
    Flight {
        cited: gate.cited.clone().map(|cited| (cited, Direction::Forward)),
        closed: Some(gate.clone()),
        ..ended(trail, verdict, sees, format!("{}: {}", gate.at, gate.why))
    }
}

fn cut(mut trail: Trail) -> Flight {
    trail.doubts.push("more courses than are followed".to_owned());
    ended(trail, Verdict::Drop, ClientSees::Depends, "there are more courses than are followed".to_owned())
}

/// Nobody answers an overlay's outer packet that is stopped: whatever it carries is lost.
fn outer_lost(trail: Trail, node: &str, label: &str, direction: Direction) -> Flight {
    let whose = if direction == Direction::Forward { "the packet" } else { "the answer" };
    let why = format!("node {node} stops the {label} packet that carries {whose}");
    let verdict = if direction == Direction::Forward { Verdict::Drop } else { Verdict::Accept };
    Flight { stopped_by_leg: true, ..ended(trail, verdict, ClientSees::Timeout, why) }
}

fn remark(trail: &Trail, at: &str, line: netpath::source::Cited) -> Remark {
    Remark {
        after: trail.legs.len(),
        direction: Direction::Forward,
        at: at.to_owned(),
        effect: line.text.clone(),
        cited: Some(line),
    }
}

/// A citation of the analyzer, as netpath writes them.
pub fn cited(citation: &Citation) -> netpath::source::Cited {
    let line = citation.line.and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
    let origin = match &citation.pointer {
        Some(pointer) => netpath::source::Origin::json(&citation.path, line, pointer.as_str()),
        None => netpath::source::Origin::line(&citation.path, line),
    };
    netpath::source::Cited { origin, text: citation.text.clone() }
}
