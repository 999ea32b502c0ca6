//! Packets drawn from the boundaries of what rules name.

use std::collections::HashSet;
use std::net::IpAddr;

use netpath::packet::{Owner, Packet, PacketKind, Transport, tcp_flag};

use crate::compare::OWNERS;
use crate::frames::{Probe, Side, complete};
use crate::pool::Pool;
use crate::random::Random;

/// Packets of different connections: a repeated one would meet the first one's entry in the kernel's table.
pub fn distinct(random: &mut Random, pool: &Pool, count: usize, sides: &[Side]) -> Vec<Probe> {
    let mut used = HashSet::new();
    let mut probes = Vec::with_capacity(count);
    for _ in 0..count * 4 {
        let from = *random.pick(sides);
        let probe = probe(random, pool, from);
        let packet = &probe.packet;
        // ICMP's identifier is the case's number and so differs anyway.
        let fresh = matches!(packet.protocol, 1 | 58) || {
            let (a, b) = packet.ports().unwrap_or_default();
            let key = (packet.protocol, packet.source, packet.destination, a, b);
            let back = (packet.protocol, packet.destination, packet.source, b, a);
            !used.contains(&back) && used.insert(key)
        };
        if fresh {
            probes.push(probe);
        }
        if probes.len() == count {
            break;
        }
    }
    probes
}

/// The flags of segments that begin nothing, or should not exist.
const ODD_FLAGS: [u8; 9] = [
    tcp_flag::ACK,
    tcp_flag::SYN | tcp_flag::ACK,
    tcp_flag::RST,
    tcp_flag::FIN | tcp_flag::ACK,
    tcp_flag::PSH | tcp_flag::ACK,
    0,
    tcp_flag::SYN | tcp_flag::FIN,
    0x3f,
    tcp_flag::RST | tcp_flag::ACK,
];

fn probe(random: &mut Random, pool: &Pool, from: Side) -> Probe {
    let (source, destination) = ends(random, pool, from);
    let ports = (pool.near_port(random), pool.near_port(random));
    let mut packet = match random.below(11) {
        0..=3 => {
            let mut packet = Packet::tcp_syn((source, ports.0), (destination, ports.1));
            if random.chance(40) {
                let flags = *random.pick(&ODD_FLAGS);
                packet.transport = Transport::Tcp { source: ports.0, destination: ports.1, flags };
            }
            packet
        }
        4..=6 => Packet::udp((source, ports.0), (destination, ports.1)),
        7 => Packet::sctp_init((source, ports.0), (destination, ports.1)),
        8 | 9 => {
            let mut packet = Packet::icmp_echo(source, destination);
            let kinds = if pool.is_v4() { [8, 8, 0, 13, 3, 11, 14] } else { [128, 128, 129, 1, 2, 3, 144] };
            packet.transport = Transport::Icmp { kind: *random.pick(&kinds), code: *random.pick(&[0, 0, 1, 2]) };
            packet
        }
        _ => Packet::other(source, destination, 47),
    };
    // What follows SCTP's chunk would have to be another chunk, or tracking takes the packet for invalid.
    let payload = if packet.protocol == 132 { 0 } else { *random.pick(&[0, 0, 1, 20, 140]) };
    complete(&mut packet, *random.pick(&[64, 64, 63, 10, 11]), *random.pick(&[0, 0, 0x10, 0x28]), payload);
    let mut probe = dressed(random, packet, from);
    if !pool.is_v4() && random.chance(8) {
        probe.options = true;
        probe.packet.length = probe.packet.length.map(|length| length + 8);
    }
    probe
}

/// The packet with what its way to the router adds.
pub fn dressed(random: &mut Random, mut packet: Packet, from: Side) -> Probe {
    match from {
        Side::S => packet.mac_source = Some([2, 0, 0, 0, 0, 2]),
        Side::D => packet.mac_source = Some([2, 0, 0, 0, 0, 4]),
        Side::Node => {
            let ids = random.pick(&OWNERS);
            packet.owner = Some(Owner { uid: ids.uid, gid: ids.gid });
        }
    }
    packet.kind = (from != Side::Node).then_some(PacketKind::Unicast);
    Probe::new(packet, from)
}

/// What the node itself speaks from.
const OWN: [&str; 6] = ["10.10.0.1", "10.10.0.5", "10.20.0.1", "fd00:10::1", "fd00:10::5", "fd00:20::1"];

fn ends(random: &mut Random, pool: &Pool, from: Side) -> (IpAddr, IpAddr) {
    let own: Vec<IpAddr> = OWN.iter().map(|text| text.parse().unwrap()).collect();
    let own: Vec<IpAddr> = own.into_iter().filter(|addr| addr.is_ipv4() == pool.is_v4()).collect();
    let source = match from {
        Side::Node => *random.pick(&own),
        _ => loop {
            let address = if random.chance(80) { pool.near(random) } else { pool.any(random) };
            // What answers a broadcast address also loops back to the sender, which the walk of one packet does not show.
            if !is_awkward(address) && !is_link_broadcast(address) {
                break address;
            }
        },
    };
    let destination = loop {
        let address = if random.chance(85) { pool.near(random) } else { pool.any(random) };
        let own = ["10.10.0.2", "fd00:10::2", "10.20.0.2", "fd00:20::2"].contains(&address.to_string().as_str());
        let broadcast = from != Side::S && is_link_broadcast(address);
        if !(is_awkward(address) || broadcast || own && from != Side::Node) {
            break address;
        }
    };
    (source, destination)
}

fn is_link_broadcast(address: IpAddr) -> bool {
    ["10.10.0.255", "10.20.0.255", "10.10.0.0", "10.20.0.0"].contains(&address.to_string().as_str())
}

/// Addresses that a raw socket cannot send to or from, or whose frames are not addressed to the router.
fn is_awkward(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 224 || v4.is_loopback(),
        IpAddr::V6(v6) => v6.segments()[0] == 0 || v6.segments()[0] >= 0xfe80,
    }
}
