//! Connections as the kernel tracks them, as far as one packet and its answers need it.

use std::net::IpAddr;

use serde::Serialize;

use crate::packet::{Packet, Transport, sctp_chunk, tcp_flag};
use crate::protocol;

/// The state that rules see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CtState {
    /// No connection can begin with such a packet, or none fits.
    Invalid,
    /// The packet begins a connection, or belongs to one that no answer was seen of.
    New,
    /// An error about a connection.
    Related,
    /// Packets were seen in both directions.
    Established,
    /// Exempted from tracking by NOTRACK, or neighbour discovery.
    Untracked,
}

/// The two ends of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Tuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// Source port, for protocols that have ports; `None` too where NAT picks one freely.
    pub source_port: Option<u16>,
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Type and code, for ICMP and ICMPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp: Option<(u8, u8)>,
}

impl Tuple {
    /// The tuple of a packet.
    pub fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
            icmp: match packet.transport {
                Transport::Icmp { kind, code } => Some((kind, code)),
                _ => None,
            },
        }
    }

    /// The tuple of the answer.
    #[must_use]
    pub fn inverted(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
            icmp: self.icmp.map(|(kind, code)| (answering(self.protocol, kind), code)),
        }
    }
}

/// The ICMP type that answers another, which a request of the other direction has (nf_conntrack_proto_icmp.c, invmap).
fn answering(protocol: u8, kind: u8) -> u8 {
    match (protocol, kind) {
        (protocol::ICMP, 0) => 8,
        (protocol::ICMP, 8) => 0,
        (protocol::ICMP, 13 | 15 | 17) | (protocol::ICMPV6, 128 | 139) => kind + 1,
        (protocol::ICMP, 14 | 16 | 18) | (protocol::ICMPV6, 129 | 140) => kind - 1,
        _ => kind,
    }
}

/// One tracked connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Connection {
    /// The direction of the first packet, as it was before any translation.
    pub original: Tuple,
    /// The answers' direction, as they come in before translation is undone.
    pub reply: Tuple,
    /// The connection's mark.
    pub mark: u32,
    /// Whether the source was translated to something else.
    pub source_translated: bool,
    /// Whether the destination was translated to something else.
    pub destination_translated: bool,
    /// Whether the kernel has settled the source's translation (also to "none").
    pub source_settled: bool,
    /// Whether it has settled the destination's.
    pub destination_settled: bool,
    /// Whether an answer was seen.
    pub seen_reply: bool,
    /// Whether the first packet got through, so that the connection is in the table.
    pub confirmed: bool,
}

impl Connection {
    /// The connection that a packet would begin.
    pub fn begun_by(packet: &Packet) -> Self {
        let original = Tuple::of(packet);
        Self {
            original,
            reply: original.inverted(),
            mark: 0,
            source_translated: false,
            destination_translated: false,
            source_settled: false,
            destination_settled: false,
            seen_reply: false,
            confirmed: false,
        }
    }
}

/// The state of a packet for which no connection exists yet (nf_conntrack_proto_*.c, `…_new` and `…_error`).
///
/// `tcp_loose` is the sysctl `net.netfilter.nf_conntrack_tcp_loose`: whether a bare ACK begins a connection.
pub(crate) fn state_without_connection(packet: &Packet, tcp_loose: bool) -> CtState {
    match (packet.protocol, packet.transport) {
        (protocol::TCP, Transport::Tcp { flags, .. }) => tcp_state(flags, tcp_loose),
        (protocol::ICMP, Transport::Icmp { kind, .. }) => match kind {
            // Echo, timestamp, information and address mask requests begin something; answers and errors do not.
            8 | 13 | 15 | 17 => CtState::New,
            _ => CtState::Invalid,
        },
        (protocol::ICMPV6, Transport::Icmp { kind, .. }) => match kind {
            128 | 139 => CtState::New,
            // Multicast listener and neighbour discovery is never tracked.
            130..=136 | 143 => CtState::Untracked,
            _ => CtState::Invalid,
        },
        // Only INIT begins an association (sctp_new).
        (protocol::SCTP, Transport::Sctp { chunk, .. }) if chunk != sctp_chunk::INIT => CtState::Invalid,
        // A transport header that should be there and is not cannot be tracked.
        (protocol::TCP | protocol::UDP | protocol::ICMP | protocol::ICMPV6, Transport::Other) => CtState::Invalid,
        _ => CtState::New,
    }
}

fn tcp_state(flags: u8, tcp_loose: bool) -> CtState {
    use tcp_flag::{ACK, FIN, RST, SYN, URG};
    // PSH is ignored (nf_conntrack_proto_tcp.c, tcp_valid_flags).
    let flags = flags & (FIN | SYN | RST | ACK | URG);
    const VALID: [u8; 9] = [SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG];
    if !VALID.contains(&flags) {
        return CtState::Invalid;
    }
    let bare_ack = flags & (SYN | RST | FIN) == 0;
    let syn_alone = flags & (SYN | ACK) == SYN;
    if syn_alone || (bare_ack && tcp_loose) { CtState::New } else { CtState::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_syn_or_a_loose_ack_begins_a_tcp_connection() {
        assert_eq!(tcp_state(tcp_flag::SYN, true), CtState::New);
        assert_eq!(tcp_state(tcp_flag::SYN | tcp_flag::ACK, true), CtState::Invalid);
        assert_eq!(tcp_state(tcp_flag::ACK | tcp_flag::PSH, true), CtState::New);
        assert_eq!(tcp_state(tcp_flag::ACK, false), CtState::Invalid);
        assert_eq!(tcp_state(tcp_flag::RST, true), CtState::Invalid);
        assert_eq!(tcp_state(tcp_flag::SYN | tcp_flag::FIN, true), CtState::Invalid);
    }
}
