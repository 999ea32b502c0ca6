//! Overlays: what a packet between pods of two nodes is wrapped into, by the kind of the interface that it leaves by.

use std::fmt;
use std::net::IpAddr;

use netpath::link::Link;
use netpath::packet::Packet;

/// How an interface wraps what leaves by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// VXLAN (RFC 7348) to this UDP port. The kernel's own default is 8472, the port of RFC 7348 is 4789.
    Vxlan(u16),
    /// Geneve (RFC 8926), UDP 6081.
    Geneve,
    /// IP in IP (RFC 2003), protocol 4.
    IpInIp,
    /// GRE (RFC 2784), protocol 47.
    Gre,
}

/// A source port as VXLAN and Geneve draw it from the inner packet's hash (RFC 7348, 5: 49152 to 65535).
const FLOW_PORT: u16 = 50_000;

/// The tunnel of an interface, if it is one whose outer packet can be told.
pub fn of(link: &Link) -> Option<Tunnel> {
    match link.kind.as_deref()? {
        "vxlan" => Some(Tunnel::Vxlan(link.vxlan_port.unwrap_or(8472))),
        "geneve" => Some(Tunnel::Geneve),
        "ipip" => Some(Tunnel::IpInIp),
        "gre" => Some(Tunnel::Gre),
        _ => None,
    }
}

impl Tunnel {
    /// The packet that carries another between two nodes.
    pub fn outer(self, source: IpAddr, destination: IpAddr) -> Packet {
        match self {
            Tunnel::Vxlan(port) => Packet::udp((source, FLOW_PORT), (destination, port)),
            Tunnel::Geneve => Packet::udp((source, FLOW_PORT), (destination, 6081)),
            Tunnel::IpInIp => Packet::other(source, destination, 4),
            Tunnel::Gre => Packet::other(source, destination, 47),
        }
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tunnel::Vxlan(port) => write!(f, "VXLAN (UDP {port})"),
            Tunnel::Geneve => f.write_str("Geneve (UDP 6081)"),
            Tunnel::IpInIp => f.write_str("IPIP (protocol 4)"),
            Tunnel::Gre => f.write_str("GRE (protocol 47)"),
        }
    }
}
