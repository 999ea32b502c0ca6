//! Which of its addresses an IPv6 node speaks from (RFC 6724, section 5; net/ipv6/addrconf.c, ipv6_dev_get_saddr).

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};

use crate::link::Address;
use crate::node::Node;

/// The address that the kernel takes for packets to `destination` that leave by, or concern, `device`.
///
/// Preferences by home address and temporary address are not known and not asked.
pub(super) fn select(node: &Node, device: Option<&str>, destination: Ipv6Addr) -> Option<Ipv6Addr> {
    let nearby = destination.is_multicast() || is_link_local(destination);
    let mut best: Option<(Rank, Ipv6Addr)> = None;
    for link in node.links.iter().filter(|link| link.up) {
        let outgoing = device == Some(&*link.name);
        if nearby && !outgoing {
            continue;
        }
        for address in &link.addresses {
            let IpAddr::V6(local) = address.local else { continue };
            let rank = rank(address, local, outgoing, destination);
            // Among equals the first stays, which is the one that was added last.
            if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                best = Some((rank, local));
            }
        }
    }
    best.map(|(_, address)| address)
}

/// Rules 1 (same address), 2 (scope), 3 (not deprecated), 5 (outgoing interface), 6 (label), 8 (longest prefix).
type Rank = (bool, (bool, Reverse<i16>), bool, bool, bool, u32);

fn rank(address: &Address, local: Ipv6Addr, outgoing: bool, destination: Ipv6Addr) -> Rank {
    let (own, wanted) = (scope(local), scope(destination));
    // The smallest scope that is large enough; where none is, the largest.
    let scope = if own >= wanted { (true, Reverse(own)) } else { (false, Reverse(-own)) };
    let common = (local.to_bits() ^ destination.to_bits()).leading_zeros().min(address.prefix_len.into());
    let same_label = label(local) == label(destination);
    (local == destination, scope, !address.deprecated, outgoing, same_label, common)
}

pub(super) fn is_link_local(addr: Ipv6Addr) -> bool {
    addr.segments()[0] & 0xffc0 == 0xfe80
}

/// The scope's number (RFC 4291, 2.7).
fn scope(addr: Ipv6Addr) -> i16 {
    match addr.segments()[0] {
        first if addr.is_multicast() => i16::try_from(first & 0xf).unwrap_or(14),
        _ if addr.is_loopback() || is_link_local(addr) => 2,
        first if first & 0xffc0 == 0xfec0 => 5,
        _ => 14,
    }
}

/// The kernel's table of labels (net/ipv6/addrlabel.c).
fn label(addr: Ipv6Addr) -> u8 {
    let segments = addr.segments();
    match segments {
        _ if addr.is_loopback() => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 6,
        [0x2001, second, ..] if second & 0xfff0 == 0x10 => 7,
        [0x3ffe, ..] => 12,
        [first, ..] if first & 0xffc0 == 0xfec0 => 11,
        [first, ..] if first & 0xfe00 == 0xfc00 => 5,
        _ => 1,
    }
}
