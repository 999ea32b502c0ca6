//! Test packets: as the walk sees them, and as bytes. The number of a case stands in the IP id (IPv4) or the flow
//! label (IPv6), and for TCP also in the sequence and acknowledgement numbers, which a RST repeats.

use std::net::IpAddr;

use netpath::packet::{Packet, Transport, tcp_flag};

/// The window of test segments; an answer's RST has none.
pub const TEST_WINDOW: u16 = 0x4e50;

/// Puts the fields that the wire will have into a packet that was made without them.
pub fn complete(packet: &mut Packet, ttl: u8, tos: u8, payload: u16) {
    let header = if packet.source.is_ipv4() { 20 } else { 40 };
    packet.ttl = Some(ttl);
    packet.tos = Some(tos);
    packet.length = Some(header + transport_length(packet) + payload);
}

fn transport_length(packet: &Packet) -> u16 {
    match packet.transport {
        Transport::Tcp { .. } => 20,
        // An SCTP packet carries its INIT chunk.
        Transport::Ports { .. } if packet.protocol == 132 => 12 + 20,
        Transport::Ports { .. } | Transport::Icmp { .. } => 8,
        Transport::Other => 0,
    }
}

pub fn bytes(packet: &Packet, case: u16) -> Vec<u8> {
    let payload = transport(packet, case);
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
            out.extend((payload.len() as u16).to_be_bytes());
            out.extend([packet.protocol, packet.ttl.unwrap_or(64)]);
            out.extend(source.octets());
            out.extend(destination.octets());
            out.extend(payload);
            out
        }
        _ => unreachable!("a packet has one family"),
    }
}

fn transport(packet: &Packet, case: u16) -> Vec<u8> {
    let header = if packet.source.is_ipv4() { 20 } else { 40 };
    let length = usize::from(packet.length.unwrap_or(header).saturating_sub(header));
    let mut out = Vec::with_capacity(length);
    match packet.transport {
        Transport::Tcp { source, destination, flags } => {
            out.extend(source.to_be_bytes());
            out.extend(destination.to_be_bytes());
            // In the upper half, because a RST acknowledges what the segment held.
            out.extend((u32::from(case) << 16).to_be_bytes());
            out.extend((u32::from(case) << 16).to_be_bytes());
            out.extend([0x50, flags]);
            out.extend(TEST_WINDOW.to_be_bytes());
            out.extend([0; 4]);
        }
        Transport::Ports { source, destination } => {
            out.extend(source.to_be_bytes());
            out.extend(destination.to_be_bytes());
            if packet.protocol == 132 {
                // INIT has verification tag 0; then the chunk with its own tag, window, streams and TSN.
                out.extend([0; 8]);
                out.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
            } else {
                out.extend((length as u16).to_be_bytes());
                out.extend([0; 2]);
            }
        }
        Transport::Icmp { kind, code } => {
            out.extend([kind, code, 0, 0]);
            out.extend(case.to_be_bytes());
            out.extend([0, 1]);
        }
        Transport::Other => {}
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

/// What a received IPv4 packet is: a test packet of a case, or the answer to one.
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

pub fn read_v4(bytes: &[u8]) -> Option<Received> {
    let header = usize::from(bytes.first()? & 0x0f) * 4;
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    let (source, destination) = (address(12)?, address(16)?);
    let protocol = *bytes.get(9)?;
    let ports = matches!(protocol, 6 | 17 | 132).then(|| Some((word(header)?, word(header + 2)?))).flatten();
    match protocol {
        1 if matches!(bytes.get(header)?, 3 | 11 | 12 | 5) => {
            // An error that the router made holds the header of what it answers; a test packet's payload is empty.
            let inner = word(header + 8 + 4).unwrap_or(0);
            if inner != 0 {
                let kind = Some((*bytes.get(header)?, *bytes.get(header + 1)?));
                return Some(Received::Answer { case: inner, kind, source, destination });
            }
        }
        6 if bytes.get(header + 13)? & tcp_flag::RST != 0 && word(header + 14)? != TEST_WINDOW => {
            let acknowledges = bytes.get(header + 13)? & tcp_flag::ACK != 0;
            let number = if acknowledges { word(header + 8)? } else { word(header + 4)? };
            return Some(Received::Answer { case: number, kind: None, source, destination });
        }
        _ => {}
    }
    Some(Received::Packet { case: word(4)?, source, destination, ports })
}
