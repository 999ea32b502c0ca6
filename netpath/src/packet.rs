//! One concrete packet.

use std::net::IpAddr;

use serde::Serialize;

use crate::address::Family;
use crate::conntrack::Tuple;
use crate::protocol;

/// The flags byte of a TCP header (RFC 9293).
pub mod tcp_flag {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
    /// URG.
    pub const URG: u8 = 0x20;
}

/// Types of SCTP chunks (RFC 9260, 3.2).
pub mod sctp_chunk {
    /// INIT, which begins an association.
    pub const INIT: u8 = 1;
    /// INIT ACK, its answer.
    pub const INIT_ACK: u8 = 2;
}

/// What follows the IP header, as far as rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A protocol with ports: UDP, UDP-Lite, DCCP.
    Ports {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// SCTP.
    Sctp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// The type of the first chunk, see [`sctp_chunk`].
        chunk: u8,
    },
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// The flags byte, see [`tcp_flag`].
        flags: u8,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Anything else, and fragments without a transport header.
    Other,
}

/// A packet, as it is on the wire or as a socket sends it.
///
/// A field that is `None` was not given; a rule that looks at it makes the answer depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The transport header.
    pub transport: Transport,
    /// Length of the IP packet in bytes, header included.
    pub length: Option<u16>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// The TOS byte or traffic class.
    pub tos: Option<u8>,
    /// The fragment offset in units of 8 bytes; 0 for whole packets and first fragments.
    pub fragment_offset: u16,
    /// The source address of the Ethernet frame.
    pub mac_source: Option<[u8; 6]>,
    /// How the frame was addressed.
    pub kind: Option<PacketKind>,
    /// Who owns the sending socket, for packets of the node's own processes.
    pub owner: Option<Owner>,
    /// For an ICMP error: the ends of the packet that it is about, as its sender saw them. Without them the error belongs to
    /// no connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Tuple>,
}

/// How a frame was addressed on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PacketKind {
    /// To this host.
    Unicast,
    /// To all.
    Broadcast,
    /// To a group.
    Multicast,
}

/// The owner of a sending socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Packet {
    fn new(source: IpAddr, destination: IpAddr, protocol: u8, transport: Transport) -> Self {
        Self {
            source,
            destination,
            protocol,
            transport,
            length: None,
            ttl: None,
            tos: None,
            fragment_offset: 0,
            mac_source: None,
            kind: None,
            owner: None,
            about: None,
        }
    }

    /// The first packet of a TCP connection.
    pub fn tcp_syn(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let transport = Transport::Tcp { source: source.1, destination: destination.1, flags: tcp_flag::SYN };
        Self::new(source.0, destination.0, protocol::TCP, transport)
    }

    /// A UDP datagram.
    pub fn udp(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let transport = Transport::Ports { source: source.1, destination: destination.1 };
        Self::new(source.0, destination.0, protocol::UDP, transport)
    }

    /// The first chunk (INIT) of an SCTP association.
    pub fn sctp_init(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let transport = Transport::Sctp { source: source.1, destination: destination.1, chunk: sctp_chunk::INIT };
        Self::new(source.0, destination.0, protocol::SCTP, transport)
    }

    /// An echo request of the addresses' family.
    pub fn icmp_echo(source: IpAddr, destination: IpAddr) -> Self {
        let (protocol, kind) = match Family::of(source) {
            Family::V4 => (protocol::ICMP, 8),
            Family::V6 => (protocol::ICMPV6, 128),
        };
        Self::new(source, destination, protocol, Transport::Icmp { kind, code: 0 })
    }

    /// A packet of any protocol whose inside no rule can look at.
    pub fn other(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        Self::new(source, destination, protocol, Transport::Other)
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// Source and destination port, of protocols that have them.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.transport {
            Transport::Ports { source, destination }
            | Transport::Tcp { source, destination, .. }
            | Transport::Sctp { source, destination, .. } => Some((source, destination)),
            Transport::Icmp { .. } | Transport::Other => None,
        }
    }

    /// Whether the first four bytes after the IP header are a transport header's, as far as the packet tells.
    pub(crate) fn has_ports_or_type(&self) -> bool {
        let header = if self.family() == Family::V4 { 20 } else { 40 };
        self.fragment_offset == 0 && self.length.is_none_or(|length| length >= header + 4)
    }

    /// The source port, if the protocol has one.
    pub fn source_port(&self) -> Option<u16> {
        self.ports().map(|ports| ports.0)
    }

    /// The destination port, if the protocol has one.
    pub fn destination_port(&self) -> Option<u16> {
        self.ports().map(|ports| ports.1)
    }

    /// The same packet for another destination, as translation would make it.
    #[must_use]
    pub fn towards(&self, destination: IpAddr, port: u16) -> Self {
        let mut packet = self.clone();
        packet.destination = destination;
        packet.set_destination_port(port);
        packet
    }

    pub(crate) fn set_source_port(&mut self, port: u16) {
        if let Transport::Ports { source, .. } | Transport::Tcp { source, .. } | Transport::Sctp { source, .. } =
            &mut self.transport
        {
            *source = port;
        }
    }

    pub(crate) fn set_destination_port(&mut self, port: u16) {
        if let Transport::Ports { destination, .. }
        | Transport::Tcp { destination, .. }
        | Transport::Sctp { destination, .. } = &mut self.transport
        {
            *destination = port;
        }
    }

    /// The endpoint as people write it: `10.0.0.1:80`, `[fd00::1]:80`, or the address alone.
    pub fn destination_text(&self) -> String {
        endpoint(self.destination, self.destination_port())
    }

    /// The sender as people write it.
    pub fn source_text(&self) -> String {
        endpoint(self.source, self.source_port())
    }
}

fn endpoint(addr: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => std::net::SocketAddr::new(addr, port).to_string(),
        None => addr.to_string(),
    }
}
