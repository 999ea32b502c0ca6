//! What follows a packet that arrived: its answer, and a later packet of the same connection.

use netpath::conntrack::CtState;
use netpath::node::Node;
use netpath::packet::{Owner, Packet, PacketKind, Transport, sctp_chunk, tcp_flag};
use netpath::walk::Outcome;

use crate::compare::{Arrived, Case};
use crate::expect::Seen;
use crate::frames::{Probe, Side, complete};

/// The answer of whoever got the packet, with the connection that the packet began.
pub fn answer(node: &Node, arrived: &Arrived) -> Option<Case> {
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
    dress(&mut packet, side, arrived.case.number);
    let mut known = Vec::new();
    if !matches!(arrived.outcome.skb.state, CtState::Invalid | CtState::Untracked) {
        let mut connection = arrived.outcome.skb.connection.clone();
        // The port that NAT drew is seen now.
        if connection.reply.destination_port.is_none() {
            connection.reply.destination_port = ports.map(|ports| ports.0);
        }
        known.push(connection);
    }
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
    let connection = if belongs { answered.skb.connection.clone() } else { return None };
    debug_assert_eq!(known.original, connection.original);
    Some(Case { number: first.case.number, probe, known: vec![connection] })
}

/// The fields that the wire will show.
fn dress(packet: &mut Packet, side: Side, number: u16) {
    let ttl = [64, 63, 10][usize::from(number % 3)];
    complete(packet, ttl, [0, 0x10][usize::from(number % 2)], 0);
    packet.mac_source = match side {
        Side::S => Some([2, 0, 0, 0, 0, 2]),
        Side::D => Some([2, 0, 0, 0, 0, 4]),
        Side::Node => None,
    };
    packet.kind = (side != Side::Node).then_some(PacketKind::Unicast);
    packet.owner = (side == Side::Node).then_some(Owner { uid: 0, gid: 0 });
}

fn is_own_of_sender(side: Side, addr: std::net::IpAddr) -> bool {
    let own: &[&str] = match side {
        Side::S => &["10.10.0.2", "fd00:10::2"],
        Side::D => &["10.20.0.2", "fd00:20::2"],
        Side::Node => &[],
    };
    own.contains(&addr.to_string().as_str())
}

/// Whether a packet can be sent to and from the address.
fn is_host(node: &Node, addr: std::net::IpAddr) -> bool {
    let broadcast = node
        .routes
        .routes()
        .iter()
        .any(|route| route.kind == netpath::route::RouteType::Broadcast && route.destination.first() == addr);
    !broadcast && !addr.is_multicast() && !addr.is_unspecified() && !addr.is_loopback()
}
