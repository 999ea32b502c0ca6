//! What the client of a connection would see.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::address::Family;
use crate::answer::{Direction, Trip};
use crate::packet::{Packet, Transport, sctp_chunk, tcp_flag};
use crate::protocol;
use crate::targets::RejectKind;
use crate::walk::{Entry, Event, Exploration, Hook, Outcome, Verdict};

/// What the client would see, provided that somebody listens and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientSees {
    /// The answer arrives.
    Connected,
    /// Nothing arrives.
    Timeout,
    /// A RST or a port unreachable.
    Refused,
    /// Another ICMP error, or an error at once on the host itself.
    Unreachable,
    /// That depends.
    Depends,
}

/// The packet that answers another: a TCP SYN with SYN and ACK, an echo request with an echo reply.
pub fn reply_to(packet: &Packet) -> Packet {
    let mut reply = packet.clone();
    (reply.source, reply.destination) = (packet.destination, packet.source);
    reply.transport = match packet.transport {
        Transport::Tcp { source, destination, .. } => {
            Transport::Tcp { source: destination, destination: source, flags: tcp_flag::SYN | tcp_flag::ACK }
        }
        Transport::Ports { source, destination } => Transport::Ports { source: destination, destination: source },
        Transport::Sctp { source, destination, .. } => {
            Transport::Sctp { source: destination, destination: source, chunk: sctp_chunk::INIT_ACK }
        }
        Transport::Icmp { kind: 8, .. } if packet.protocol == protocol::ICMP => Transport::Icmp { kind: 0, code: 0 },
        Transport::Icmp { kind: 128, .. } => Transport::Icmp { kind: 129, code: 0 },
        other => other,
    };
    reply.length = None;
    reply.ttl = None;
    reply.mac_source = None;
    reply.owner = None;
    reply
}

/// Whether the client takes an answer for one to its packet: the ends must be those it used.
pub fn recognized(packet: &Packet, answer: &Packet) -> bool {
    answer.source == packet.destination
        && answer.destination == packet.source
        && answer.source_port() == packet.destination_port()
        && answer.destination_port() == packet.source_port()
}

/// What one path makes the client see.
pub(super) fn fate(trip: &Trip, outcome: &Outcome, reply: Option<&Exploration>) -> ClientSees {
    match outcome.verdict {
        Verdict::Drop | Verdict::Reject(_) => stopped(&trip.entry, trip.packet.protocol, outcome),
        Verdict::Accept => {
            let Some(reply) = reply else { return ClientSees::Connected };
            let arrives =
                |outcome: &Outcome| outcome.verdict == Verdict::Accept && recognized(&trip.packet, &outcome.skb.packet);
            let (all, any) = (reply.outcomes.iter().all(arrives), reply.outcomes.iter().any(arrives));
            let doubtful = reply.cut || reply.outcomes.iter().any(|outcome| !outcome.doubts.is_empty());
            match (all, any) {
                _ if doubtful => ClientSees::Depends,
                (true, _) => ClientSees::Connected,
                (false, false) => ClientSees::Timeout,
                _ => ClientSees::Depends,
            }
        }
    }
}

/// What the sender of a packet sees that a node stopped: nothing, or the node's refusal where it gets out.
pub fn stopped(entry: &Entry, protocol: u8, outcome: &Outcome) -> ClientSees {
    match (own_error(entry, protocol, outcome), outcome.verdict) {
        (Some(_), _) => ClientSees::Unreachable,
        (None, Verdict::Reject(kind)) => refused(outcome, kind),
        (None, _) => ClientSees::Timeout,
    }
}

/// The error that a process of the node itself gets at once from the call that sends, if it gets one.
fn own_error(entry: &Entry, protocol: u8, outcome: &Outcome) -> Option<&'static str> {
    if *entry != Entry::Local {
        return None;
    }
    match (own_way(outcome).filter_map(hook_of).last(), outcome.verdict) {
        // No route leads there (fib_props, ip6_rt_type_to_error).
        (None, Verdict::Reject(RejectKind::AdminProhibited)) => Some("EACCES"),
        (None, Verdict::Reject(kind)) => Some(errno(kind, Family::V4)),
        (None, _) => Some("EINVAL"),
        // A rule on the way out that drops or refuses: datagrams fail (nf_hook_slow), TCP goes on trying.
        (Some(Hook::Output | Hook::Postrouting), _) if protocol != protocol::TCP => Some("EPERM"),
        _ => None,
    }
}

/// What happened to the packet itself, without the way of the answer to its refusal.
fn own_way(outcome: &Outcome) -> impl Iterator<Item = &Event> {
    outcome.events.iter().take_while(|event| !matches!(event, Event::Answer { .. }))
}

fn hook_of(event: &Event) -> Option<Hook> {
    match event {
        Event::Rule { hook, .. }
        | Event::Policy { hook, .. }
        | Event::Native { hook, .. }
        | Event::NativePolicy { hook, .. } => Some(*hook),
        _ => None,
    }
}

fn refused(outcome: &Outcome, kind: RejectKind) -> ClientSees {
    let arrives = outcome.answer.as_ref().is_some_and(|answer| answer.verdict == Verdict::Accept);
    if arrives { ClientSees::of_refusal(kind) } else { ClientSees::Timeout }
}

impl ClientSees {
    /// What a refusal that arrives is for the client.
    pub fn of_refusal(kind: RejectKind) -> ClientSees {
        match kind {
            RejectKind::TcpReset | RejectKind::PortUnreachable => ClientSees::Refused,
            _ => ClientSees::Unreachable,
        }
    }
}

/// What the client sees over all paths, and a sentence about it.
pub(super) fn sees(trip: &Trip) -> (ClientSees, String) {
    let fates: Vec<ClientSees> = trip
        .forward
        .outcomes
        .iter()
        .zip(&trip.replies)
        .map(|(outcome, reply)| fate(trip, outcome, reply.as_ref()))
        .collect();
    let doubtful = trip.forward.cut || trip.forward.outcomes.iter().any(|outcome| !outcome.doubts.is_empty());
    let same = fates.iter().all(|fate| Some(fate) == fates.first());
    match fates.first() {
        Some(fate) if same && !doubtful => (*fate, sentence(trip, *fate)),
        _ => (ClientSees::Depends, depends(trip)),
    }
}

fn sentence(trip: &Trip, fate: ClientSees) -> String {
    let direction = trip.telling().map(|(_, direction)| direction);
    let outcome = trip.forward.outcomes.first();
    match (fate, outcome.map(|outcome| outcome.verdict)) {
        (ClientSees::Connected, _) => "the packet and its answer pass".to_owned(),
        (ClientSees::Timeout, Some(Verdict::Reject(kind))) => {
            format!("the packet is refused ({kind:?}), but the refusal does not get out, so the client waits")
        }
        (ClientSees::Timeout, _) if direction == Some(Direction::Reply) => match trip.telling() {
            Some((reply, _)) if reply.verdict == Verdict::Accept => {
                "the packet passes; its answer comes back from another address or port, so the client does not take it"
                    .to_owned()
            }
            _ => "the packet passes, its answer does not".to_owned(),
        },
        (ClientSees::Timeout, _) => "the packet is dropped without an answer".to_owned(),
        (ClientSees::Refused, Some(Verdict::Reject(RejectKind::TcpReset))) => {
            "refused with a RST (ECONNREFUSED)".to_owned()
        }
        (ClientSees::Refused, _) => "refused with ICMP port unreachable (ECONNREFUSED)".to_owned(),
        (ClientSees::Unreachable, Some(verdict)) => {
            let own = outcome.and_then(|outcome| own_error(&trip.entry, trip.packet.protocol, outcome));
            match (own, verdict) {
                (Some(errno), _) => format!("the sending process gets an error at once ({errno})"),
                (None, Verdict::Reject(kind)) => {
                    format!("answered with {kind:?} ({})", errno(kind, trip.packet.family()))
                }
                _ => "not known".to_owned(),
            }
        }
        _ => "not known".to_owned(),
    }
}

/// The error that a socket reports of an ICMP error (icmp_err_convert in net/ipv4/icmp.c, tab_unreach in
/// net/ipv6/icmp.c).
fn errno(kind: RejectKind, family: Family) -> &'static str {
    match kind {
        RejectKind::NetUnreachable | RejectKind::NetProhibited => "ENETUNREACH",
        RejectKind::AdminProhibited if family == Family::V6 => "EACCES",
        RejectKind::HostUnreachable | RejectKind::HostProhibited | RejectKind::AdminProhibited => "EHOSTUNREACH",
        RejectKind::ProtocolUnreachable => "ENOPROTOOPT",
        RejectKind::PortUnreachable | RejectKind::TcpReset => "ECONNREFUSED",
        RejectKind::PolicyFail | RejectKind::RejectRoute => "EACCES",
    }
}

fn depends(trip: &Trip) -> String {
    let outcomes = &trip.forward.outcomes;
    let by_chance = outcomes.iter().any(|outcome| outcome.probability < 1.0)
        && outcomes.iter().all(|outcome| outcome.assumptions.is_empty() && outcome.doubts.is_empty());
    if by_chance { endpoints(trip) } else { "that depends on what is not known".to_owned() }
}

/// `1 of 3 endpoints fails`: the destinations among which chance chooses.
pub(super) fn endpoints(trip: &Trip) -> String {
    let (mut good, mut bad) = (BTreeSet::new(), BTreeSet::new());
    for (outcome, reply) in trip.forward.outcomes.iter().zip(&trip.replies) {
        let to = outcome.skb.packet.destination_text();
        match fate(trip, outcome, reply.as_ref()) {
            ClientSees::Connected => good.insert(to),
            _ => bad.insert(to),
        };
    }
    let all: BTreeSet<&String> = good.union(&bad).collect();
    let names: Vec<&str> = bad.iter().map(String::as_str).collect();
    format!("{} of {} endpoints fails ({})", bad.len(), all.len(), names.join(", "))
}
