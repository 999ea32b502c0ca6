//! What follows a packet that arrived: an error about it, its answer, and a later packet of the same connection.

use std::net::IpAddr;

use netpath::conntrack::{Connection, CtState, Tuple};
use netpath::node::Node;
use netpath::packet::{Owner, Packet, PacketKind, Transport, sctp_chunk, tcp_flag};
use netpath::walk::Outcome;

use crate::compare::{Arrived, Case};
use crate::expect::Seen;
use crate::frames::{Probe, Side, bytes, complete};

/// Whoever got a packet: where, and the packet's ends as they were seen there.
struct Receiver {
    side: Side,
    source: IpAddr,
    destination: IpAddr,
    ports: Option<(u16, u16)>,
}

/// The receiver of a packet, where it can answer.
fn receiver(node: &Node, arrived: &Arrived) -> Option<Receiver> {
    let Seen::Packet(side, source, destination, ports) = arrived.seen else { return None };
    // The node's own interfaces cannot be told apart when it speaks to itself, and a raw socket may not speak from or to a
    // broadcast address.
    let to_itself = side == Side::Node && arrived.case.probe.from == Side::Node;
    let own = |addr| is_own_of_sender(side, addr);
    // Of a packet between one end and itself nobody can tell which direction it goes.
    let one_end = source == destination && ports.is_none_or(|(source, destination)| source == destination);
    if to_itself || one_end || own(source) || !is_host(node, destination) || !is_host(node, source) {
        return None;
    }
    Some(Receiver { side, source, destination, ports })
}

/// The connection that a packet began, as its receiver knows it.
fn begun(arrived: &Arrived, ports: Option<(u16, u16)>) -> Vec<Connection> {
    if matches!(arrived.outcome.skb.state, CtState::Invalid | CtState::Untracked) {
        return Vec::new();
    }
    let mut connection = arrived.outcome.skb.connection.clone();
    // The port that NAT drew is seen now.
    if connection.reply.destination_port.is_none() {
        connection.reply.destination_port = ports.map(|ports| ports.0);
    }
    vec![connection]
}

/// ICMP errors that end nothing in the router.
const ERRORS_V4: [(u8, u8); 6] = [(3, 0), (3, 1), (3, 3), (3, 13), (11, 0), (12, 0)];
const ERRORS_V6: [(u8, u8); 5] = [(1, 0), (1, 3), (1, 4), (3, 0), (4, 1)];

/// An ICMP error about a packet that arrived: of its receiver, or of another host on the way, to the sender as it was seen.
/// Some are about a connection that does not exist.
pub fn error(node: &Node, arrived: &Arrived) -> Option<Case> {
    let number = arrived.case.number;
    let Receiver { side, source, destination, ports } = receiver(node, arrived).filter(|_| number.is_multiple_of(2))?;
    let mut quoted = arrived.outcome.skb.packet.clone();
    (quoted.source, quoted.destination) = (source, destination);
    if number % 10 == 8 {
        // Nobody speaks to these.
        let stranger = if source.is_ipv4() { "203.0.113.9" } else { "2001:db8:ffff::9" };
        quoted.destination = stranger.parse().unwrap();
    }
    match (&mut quoted.transport, ports) {
        (
            Transport::Tcp { source, destination, .. }
            | Transport::Ports { source, destination }
            | Transport::Sctp { source, destination, .. },
            Some(ports),
        ) => (*source, *destination) = ports,
        (Transport::Icmp { kind: 8 | 128, code: 0 }, None) => {}
        _ => return None,
    }
    let (header, errors) = if source.is_ipv4() { (20, &ERRORS_V4[..]) } else { (40, &ERRORS_V6[..]) };
    let (kind, code) = errors[usize::from(number / 2) % errors.len()];
    complete(&mut quoted, 60, 0, 0);
    let mut quotes = bytes(&Probe::new(quoted.clone(), side), number);
    quotes.truncate(header + 8);
    let reporter = match (side, number % 3, source.is_ipv4()) {
        (Side::S, 0, true) => "10.10.0.77".parse().unwrap(),
        (Side::D, 0, true) => "10.20.0.77".parse().unwrap(),
        (Side::S, 0, false) => "fd00:10::77".parse().unwrap(),
        (Side::D, 0, false) => "fd00:20::77".parse().unwrap(),
        _ => destination,
    };
    let mut packet = Packet::icmp_echo(reporter, source);
    packet.transport = Transport::Icmp { kind, code };
    packet.about = Some(Tuple::of(&quoted));
    dress(&mut packet, side, number, quotes.len() as u16);
    Some(Case { number, probe: Probe { quotes, ..Probe::new(packet, side) }, known: begun(arrived, ports) })
}

/// The answer of whoever got the packet, with the connection that the packet began.
pub fn answer(node: &Node, arrived: &Arrived) -> Option<Case> {
    let Receiver { side, source, destination, ports } = receiver(node, arrived)?;
    let first = &arrived.outcome.skb.packet;
    let mut packet = first.clone();
    (packet.source, packet.destination) = (destination, source);
    packet.transport = match first.transport {
        Transport::Tcp { flags: tcp_flag::SYN, .. } => {
            let (source, destination) = ports?;
            Transport::Tcp { source: destination, destination: source, flags: tcp_flag::SYN | tcp_flag::ACK }
        }
        Transport::Ports { .. } => {
            let (source, destination) = ports?;
            Transport::Ports { source: destination, destination: source }
        }
        Transport::Sctp { .. } => {
            let (source, destination) = ports?;
            Transport::Sctp { source: destination, destination: source, chunk: sctp_chunk::INIT_ACK }
        }
        Transport::Icmp { kind: 8, code: 0 } if first.protocol == 1 => Transport::Icmp { kind: 0, code: 0 },
        Transport::Icmp { kind: 128, code: 0 } if first.protocol == 58 => Transport::Icmp { kind: 129, code: 0 },
        _ => return None,
    };
    dress(&mut packet, side, arrived.case.number, 0);
    let known = begun(arrived, ports);
    Some(Case { number: arrived.case.number, probe: Probe::new(packet, side), known })
}

/// A packet that goes the first one's way once an answer was seen.
pub fn later(first: &Arrived, answer: &Case, answered: &Outcome) -> Option<Case> {
    let mut probe = first.case.probe.clone();
    let packet = &mut probe.packet;
    match &mut packet.transport {
        Transport::Tcp { flags, .. } => *flags = tcp_flag::ACK,
        Transport::Ports { .. } => {}
        // A second INIT would begin anew, and a second echo request is no different from the first.
        _ => return None,
    }
    // Without a connection, or with an answer that made another one, there is nothing to follow.
    let known = answer.known.first()?;
    let belongs = answered.skb.reply && !matches!(answered.skb.state, CtState::Invalid | CtState::Untracked);
    let mut connection = if belongs { answered.skb.connection.clone() } else { return None };
    // What refused the answer meets the rules with the same connection, and may mark it anew.
    if let Some(refusal) = &answered.answer {
        connection.mark = refusal.skb.connection.mark;
    }
    debug_assert_eq!(known.original, connection.original);
    Some(Case { number: first.case.number, probe, known: vec![connection] })
}

/// The fields that the wire will show.
fn dress(packet: &mut Packet, side: Side, number: u16, payload: u16) {
    let ttl = [64, 63, 10][usize::from(number % 3)];
    complete(packet, ttl, [0, 0x10][usize::from(number % 2)], payload);
    packet.mac_source = match side {
        Side::S => Some([2, 0, 0, 0, 0, 2]),
        Side::D => Some([2, 0, 0, 0, 0, 4]),
        Side::Node => None,
    };
    packet.kind = (side != Side::Node).then_some(PacketKind::Unicast);
    packet.owner = (side == Side::Node).then_some(Owner { uid: 0, gid: 0 });
}

fn is_own_of_sender(side: Side, addr: IpAddr) -> bool {
    let own: &[&str] = match side {
        Side::S => &["10.10.0.2", "fd00:10::2"],
        Side::D => &["10.20.0.2", "fd00:20::2"],
        Side::Node => &[],
    };
    own.contains(&addr.to_string().as_str())
}

/// Whether a packet can be sent to and from the address.
fn is_host(node: &Node, addr: IpAddr) -> bool {
    let broadcast = node
        .routes
        .routes()
        .iter()
        .any(|route| route.kind == netpath::route::RouteType::Broadcast && route.destination.first() == addr);
    !broadcast && !addr.is_multicast() && !addr.is_unspecified() && !addr.is_loopback()
}
