//! Test packets: as the walk sees them, and as bytes. The number of a case stands in the IP id (IPv4) or the flow
//! label (IPv6), and for TCP also in the sequence and acknowledgement numbers, which a RST repeats.

use std::net::IpAddr;

use netpath::packet::{Packet, Transport, sctp_chunk, tcp_flag};

use crate::wire::Heard;

/// The window of test segments; an answer's RST has none.
pub const TEST_WINDOW: u16 = 0x4e50;

/// Where a packet is sent or seen: before the router, behind it, or on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    S,
    D,
    Node,
}

/// Puts the fields that the wire will have into a packet that was made without them.
pub fn complete(packet: &mut Packet, ttl: u8, tos: u8, payload: u16) {
    let header = if packet.source.is_ipv4() { 20 } else { 40 };
    packet.ttl = Some(ttl);
    packet.tos = Some(tos);
    // What the node's own IPv6 sockets are given lacks the header, so that the case's number must stand inside.
    let least = match packet.transport {
        Transport::Ports { .. } if header == 40 => 2,
        Transport::Other if header == 40 => 6,
        _ => 0,
    };
    packet.length = Some(header + transport_length(packet) + payload.max(least));
}

fn transport_length(packet: &Packet) -> u16 {
    match packet.transport {
        Transport::Tcp { .. } => 20,
        // An SCTP packet carries its INIT chunk.
        Transport::Sctp { .. } => 12 + 20,
        Transport::Ports { .. } | Transport::Icmp { .. } => 8,
        Transport::Other => 0,
    }
}

/// One packet to send.
#[derive(Clone, Debug)]
pub struct Probe {
    pub packet: Packet,
    /// Where it is sent.
    pub from: Side,
    /// Whether an IPv6 header of destination options stands before the transport header.
    pub options: bool,
    /// What an ICMP error quotes: the beginning of the packet that it is about.
    pub quotes: Vec<u8>,
}

impl Probe {
    pub fn new(packet: Packet, from: Side) -> Self {
        Self { packet, from, options: false, quotes: Vec::new() }
    }
}

/// Destination options that only pad (RFC 8200): the next header comes in front.
const OPTIONS: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];

pub fn bytes(probe: &Probe, case: u16) -> Vec<u8> {
    let packet = &probe.packet;
    let payload = transport(probe, case);
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = 20 + payload.len() as u16;
            let mut out = vec![0x45, packet.tos.unwrap_or(0)];
            out.extend(total.to_be_bytes());
            out.extend(case.to_be_bytes());
            out.extend([0, 0, packet.ttl.unwrap_or(64), packet.protocol, 0, 0]);
            out.extend(source.octets());
            out.extend(destination.octets());
            let sum = checksum(&out, 0);
            out[10..12].copy_from_slice(&sum.to_be_bytes());
            out.extend(payload);
            out
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let first = 6u32 << 28 | u32::from(packet.tos.unwrap_or(0)) << 20 | u32::from(case);
            let mut out = first.to_be_bytes().to_vec();
            let extra = if probe.options { 8 } else { 0 };
            out.extend((payload.len() as u16 + extra).to_be_bytes());
            out.extend([if probe.options { 60 } else { packet.protocol }, packet.ttl.unwrap_or(64)]);
            out.extend(source.octets());
            out.extend(destination.octets());
            if probe.options {
                out.push(packet.protocol);
                out.extend(OPTIONS);
            }
            out.extend(payload);
            out
        }
        _ => unreachable!("a packet has one family"),
    }
}

fn transport(probe: &Probe, case: u16) -> Vec<u8> {
    let packet = &probe.packet;
    let header = if packet.source.is_ipv4() { 20 } else { 40 } + if probe.options { 8 } else { 0 };
    let length = usize::from(packet.length.unwrap_or(header).saturating_sub(header));
    let mut out = Vec::with_capacity(length);
    match packet.transport {
        Transport::Tcp { source, destination, flags } => {
            out.extend(source.to_be_bytes());
            out.extend(destination.to_be_bytes());
            // In the upper half, because a RST acknowledges what the segment held; the lower half fits a handshake.
            let begins = u32::from(flags & tcp_flag::SYN == 0);
            out.extend((u32::from(case) << 16 | begins).to_be_bytes());
            out.extend((u32::from(case) << 16 | 1).to_be_bytes());
            out.extend([0x50, flags]);
            out.extend(TEST_WINDOW.to_be_bytes());
            out.extend([0; 4]);
        }
        Transport::Ports { source, destination } => {
            out.extend(source.to_be_bytes());
            out.extend(destination.to_be_bytes());
            out.extend((length as u16).to_be_bytes());
            out.extend([0; 2]);
            out.extend(case.to_be_bytes());
        }
        Transport::Sctp { source, destination, chunk } => {
            out.extend(source.to_be_bytes());
            out.extend(destination.to_be_bytes());
            // INIT has verification tag 0, its answer the tag that INIT chose; then the chunk with its own tag, window,
            // streams and TSN.
            let tag = (1u32 << 16 | u32::from(case)).to_be_bytes();
            out.extend(if chunk == sctp_chunk::INIT { [0; 4] } else { tag });
            out.extend([0; 4]);
            out.extend([chunk, 0, 0, 20]);
            out.extend(tag);
            out.extend([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        }
        Transport::Icmp { kind, code } => {
            out.extend([kind, code, 0, 0]);
            out.extend(case.to_be_bytes());
            out.extend([0, 1]);
            out.extend(&probe.quotes);
        }
        Transport::Other => {
            // An empty GRE header of version 0 comes first.
            out.extend([0; 4]);
            out.extend(case.to_be_bytes());
        }
    }
    out.resize(length, 0);
    write_checksum(packet, &mut out);
    out
}

fn write_checksum(packet: &Packet, out: &mut [u8]) {
    let at = match packet.protocol {
        6 => 16,
        17 => 6,
        1 | 58 => 2,
        132 => {
            let crc = crc32c(out).to_le_bytes();
            if let Some(slot) = out.get_mut(8..12) {
                slot.copy_from_slice(&crc);
            }
            return;
        }
        _ => return,
    };
    let sum = if packet.protocol == 1 { checksum(out, 0) } else { checksum(out, pseudo_header(packet, out.len())) };
    if let Some(slot) = out.get_mut(at..at + 2) {
        slot.copy_from_slice(&sum.to_be_bytes());
    }
}

fn pseudo_header(packet: &Packet, length: usize) -> u32 {
    let mut sum = u32::from(packet.protocol) + length as u32;
    for addr in [packet.source, packet.destination] {
        let octets = match addr {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        sum += octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    }
    sum
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// CRC32c, which SCTP uses (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// What a received packet is: a test packet of a case, or the answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Packet {
        case: u16,
        source: IpAddr,
        destination: IpAddr,
        ports: Option<(u16, u16)>,
    },
    /// `kind` is the ICMP type and code, or `None` for a RST.
    Answer {
        case: u16,
        kind: Option<(u8, u8)>,
        source: IpAddr,
        destination: IpAddr,
    },
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Reads what a wire heard.
pub fn read(heard: &Heard<'_>) -> Option<Received> {
    match *heard {
        Heard::Inside(protocol, source, destination, inside) => {
            read_inside(protocol, source, destination, inside, None)
        }
        Heard::Whole(bytes) => match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes.first()? & 0x0f) * 4;
                let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
                let inside = bytes.get(header..)?;
                read_inside(*bytes.get(9)?, address(12)?, address(16)?, inside, word(bytes, 4))
            }
            _ => {
                let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
                let (mut protocol, mut inside) = (*bytes.get(6)?, bytes.get(40..)?);
                if protocol == 60 {
                    (protocol, inside) = (*inside.first()?, inside.get(8..)?);
                }
                read_inside(protocol, address(8)?, address(24)?, inside, word(bytes, 2))
            }
        },
    }
}

/// `number` is the case's number as the header tells it; without one it is looked for inside.
fn read_inside(
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    inside: &[u8],
    number: Option<u16>,
) -> Option<Received> {
    let ports = matches!(protocol, 6 | 17 | 132).then(|| Some((word(inside, 0)?, word(inside, 2)?))).flatten();
    match protocol {
        1 | 58 => {
            let (kind, code) = (*inside.first()?, *inside.get(1)?);
            let error = if protocol == 1 { matches!(kind, 3 | 5 | 11 | 12) } else { kind < 128 };
            // An error holds the header of what it is about; another test packet's payload is zeros.
            let quoted = match inside.get(8).map(|first| first >> 4) {
                Some(4) => word(inside, 12),
                Some(6) => word(inside, 10),
                _ => None,
            };
            if let Some(case) = quoted.filter(|_| error) {
                return Some(Received::Answer { case, kind: Some((kind, code)), source, destination });
            }
            // Neighbour discovery and the like is nobody's case.
            if protocol == 58 && matches!(kind, 130..=137 | 143) {
                return None;
            }
        }
        6 if inside.get(13)? & tcp_flag::RST != 0 && word(inside, 14)? != TEST_WINDOW => {
            let acknowledges = inside.get(13)? & tcp_flag::ACK != 0;
            let case = if acknowledges { word(inside, 8)? } else { word(inside, 4)? };
            return Some(Received::Answer { case, kind: None, source, destination });
        }
        _ => {}
    }
    let within = match protocol {
        6 | 1 | 58 => word(inside, 4),
        17 => word(inside, 8),
        132 => word(inside, 18),
        _ => word(inside, 4),
    };
    Some(Received::Packet { case: number.or(within)?, source, destination, ports })
}
