//! What an outcome of the walk makes visible, beside what was seen.

use std::net::IpAddr;

use netpath::packet::Transport;
use netpath::walk::{Delivery, Effect, Event, Outcome, Verdict};

use crate::frames::Side;

/// One thing that was seen of a case, or that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seen {
    Packet(Side, IpAddr, IpAddr, Option<(u16, u16)>),
    Answer(Side, Option<(u8, u8)>, IpAddr, IpAddr),
}

/// The side that a way out of the router leads to; a bridge's host finds it by the next hop.
fn side_of(interface: Option<&str>, next_hop: IpAddr) -> Side {
    match (interface, next_hop) {
        (Some("br0"), IpAddr::V4(v4)) if v4.octets()[..2] == [10, 10] => Side::S,
        (Some("br0"), IpAddr::V6(v6)) if v6.segments()[1] == 0x10 => Side::S,
        (Some("br0"), _) => Side::D,
        (interface, _) => side(interface),
    }
}

/// The side that an interface of the router leads to.
pub fn side(interface: Option<&str>) -> Side {
    match interface {
        Some("eth0") => Side::S,
        Some("eth1") => Side::D,
        _ => Side::Node,
    }
}

/// What an outcome makes visible.
pub fn expected(outcome: &Outcome) -> Vec<Seen> {
    let packet = &outcome.skb.packet;
    let ports = packet.ports().filter(|_| matches!(packet.protocol, 6 | 17 | 132));
    let arrives = |at| match (packet.about, packet.transport) {
        (Some(_), Transport::Icmp { kind, code }) => {
            vec![Seen::Answer(at, Some((kind, code)), packet.source, packet.destination)]
        }
        _ => vec![Seen::Packet(at, packet.source, packet.destination, ports)],
    };
    match (outcome.verdict, &outcome.delivery) {
        (Verdict::Accept, Some(Delivery::Local)) => arrives(Side::Node),
        (Verdict::Accept, Some(Delivery::Sent { interface, next_hop })) => {
            arrives(side_of(interface.as_deref(), *next_hop))
        }
        (Verdict::Reject(kind), _) => {
            let Some(answer) = outcome.answer.as_ref().filter(|answer| answer.verdict == Verdict::Accept) else {
                return Vec::new();
            };
            let side = match &answer.delivery {
                Some(Delivery::Sent { interface, next_hop }) => side_of(interface.as_deref(), *next_hop),
                // The sender used one of the node's own addresses: the answer goes to the node.
                Some(Delivery::Local) => Side::Node,
                None => return Vec::new(),
            };
            let sent = &answer.skb.packet;
            vec![Seen::Answer(side, kind.icmp(packet.family()), sent.source, sent.destination)]
        }
        _ => Vec::new(),
    }
}

/// Whether what was seen is what the outcome says. A source port that NAT draws is any.
pub fn agrees(outcome: &Outcome, found: &[Seen]) -> bool {
    let expected = expected(outcome);
    let connection = &outcome.skb.connection;
    let drawn = connection.source_translated && connection.reply.destination_port.is_none();
    match (expected.as_slice(), found) {
        (
            [Seen::Packet(side, source, destination, Some((_, port)))],
            [Seen::Packet(side2, source2, destination2, Some((_, port2)))],
        ) if drawn => (side, source, destination, port) == (side2, source2, destination2, port2),
        // The kernel's own errors about routes are limited to a few a second for each source.
        ([Seen::Answer(..)], []) => outcome.verdict != Verdict::Accept && !refused_by_rule(outcome),
        (expected, found) => expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| same(e, f)),
    }
}

/// A socket that hears packets to any address does not tell to which.
fn same(expected: &Seen, found: &Seen) -> bool {
    match (expected, found) {
        (Seen::Packet(Side::Node, source, _, ports), Seen::Packet(Side::Node, from, to, heard))
            if to.is_unspecified() =>
        {
            (source, ports) == (from, heard)
        }
        (Seen::Answer(Side::Node, kind, source, _), Seen::Answer(Side::Node, said, from, to))
            if to.is_unspecified() =>
        {
            (kind, source) == (said, from)
        }
        _ => expected == found,
    }
}

pub fn refused_by_rule(outcome: &Outcome) -> bool {
    let refuses = |effect: &Effect| matches!(effect, Effect::Verdict(Verdict::Reject(_)));
    // The answer may be refused in turn, which is another matter.
    let mut own = outcome.events.iter().take_while(|event| !matches!(event, Event::Answer { .. }));
    own.any(|event| match event {
        Event::Rule { effect, .. } | Event::Native { effect, .. } => refuses(effect),
        _ => false,
    })
}

/// A RST that is refused in turn is answered again, which the walk does not follow.
pub fn refused_again(outcome: &Outcome) -> bool {
    outcome.answer.as_ref().is_some_and(|answer| matches!(answer.verdict, Verdict::Reject(_)))
}

/// A name for what became of a packet, to see that a run is not all of one kind.
pub fn fate(outcome: &Outcome) -> String {
    let translated = match (outcome.skb.connection.destination_translated, outcome.skb.connection.source_translated) {
        (false, false) => "",
        (true, false) => " with DNAT",
        (false, true) => " with SNAT",
        (true, true) => " with both",
    };
    match (outcome.verdict, &outcome.delivery) {
        (Verdict::Accept, Some(Delivery::Local)) => format!("delivered{translated}"),
        (Verdict::Accept, _) => format!("sent{translated}"),
        (Verdict::Drop, _) => "dropped".to_owned(),
        (Verdict::Reject(kind), _) => format!("rejected {kind:?}"),
    }
}
