//! One element of a set, as `ipset save` writes it.

use super::Dimension;
use crate::address::{AddrMask, AddrRange, Family};
use crate::matches::{parse_mac, parse_number};
use crate::port::PortRange;
use crate::protocol;

/// One dimension of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// An address or a range of addresses.
    Range(AddrRange),
    /// A network.
    Net(AddrMask),
    /// A port with its protocol; `None` takes any (`bitmap:port`).
    Port(Option<u8>, PortRange),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// An interface's name; the flag tells a bridge port (`physdev:`).
    Iface {
        /// The name.
        name: Box<str>,
        /// Whether the bridge port is meant.
        physical: bool,
        /// Whether the name is a prefix (`wildcard`).
        wildcard: bool,
    },
    /// A mark.
    Mark(u32),
    /// The name of another set.
    Set(Box<str>),
}

/// Reads `10.0.0.1,tcp:80` by the set's dimensions.
pub(super) fn parse(text: &str, dimensions: &[Dimension], family: Family, netmask: Option<u8>) -> Option<Vec<Element>> {
    let parts: Vec<&str> = text.split(',').collect();
    // An optional last dimension (the mac of bitmap:ip,mac) may be missing.
    if parts.is_empty() || parts.len() > dimensions.len() {
        return None;
    }
    parts.iter().zip(dimensions).map(|(part, dimension)| parse_one(part, *dimension, family, netmask)).collect()
}

fn parse_one(text: &str, dimension: Dimension, family: Family, netmask: Option<u8>) -> Option<Element> {
    match dimension {
        Dimension::Ip => match netmask {
            Some(length) => Some(Element::Net(AddrMask::prefix(text.parse().ok()?, length))),
            None if text.contains('/') => Some(Element::Net(AddrMask::parse(text, family)?)),
            None => Some(Element::Range(AddrRange::parse(text)?)),
        },
        Dimension::Net if text.contains('-') => Some(Element::Range(AddrRange::parse(text)?)),
        Dimension::Net => Some(Element::Net(AddrMask::parse(text, family)?)),
        Dimension::Port => parse_port(text),
        Dimension::Mac => Some(Element::Mac(parse_mac(text)?)),
        Dimension::Iface => {
            let (name, physical) = match text.strip_prefix("physdev:") {
                Some(name) => (name, true),
                None => (text, false),
            };
            Some(Element::Iface { name: name.into(), physical, wildcard: false })
        }
        Dimension::Mark => Some(Element::Mark(parse_number(text)?)),
        Dimension::Set => Some(Element::Set(text.into())),
    }
}

/// `80`, `tcp:80`, `tcp:80-90`, `icmp:echo-request`, `icmp:8/0`, `47:0`.
fn parse_port(text: &str) -> Option<Element> {
    let Some((name, port)) = text.split_once(':') else {
        return Some(Element::Port(None, PortRange::parse(text, '-')?));
    };
    let number = protocol::number(name)?;
    if !matches!(number, protocol::ICMP | protocol::ICMPV6) {
        return Some(Element::Port(Some(number), PortRange::parse(port, '-')?));
    }
    // ICMP's type and code take the place of the port, type in the upper byte (ip_set_getport.c).
    let (kind, code) = match port.split_once('/') {
        Some((kind, code)) => (kind.parse::<u8>().ok()?, code.parse::<u8>().ok()?),
        None => {
            let (kind, code) = crate::matches::icmp_named(number == protocol::ICMPV6, port)?;
            (kind, code.unwrap_or(0))
        }
    };
    Some(Element::Port(Some(number), PortRange::single(u16::from_be_bytes([kind, code]))))
}
