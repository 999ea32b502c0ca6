//! Whether a packet is in a set, as the kernel's set types decide it.

use std::collections::HashMap;
use std::net::IpAddr;

use super::entry::Element;
use super::{Dimension, Direction, Member, Set, Sets};
use crate::address::Family;
use crate::packet::Transport;
use crate::protocol;
use crate::unknown::{Truth, Unknown};
use crate::walk::Skb;

/// Members by the address of their first dimension, so that large sets need not be searched through.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    hosts: HashMap<IpAddr, Vec<u32>>,
    others: Vec<u32>,
}

impl Index {
    pub(super) fn of(set: &Set) -> Self {
        let mut index = Self::default();
        for (member, at) in set.elements.iter().flatten().zip(0u32..) {
            match member.element.first() {
                Some(Element::Range(range)) if range.is_single() => {
                    index.hosts.entry(range.first).or_default().push(at)
                }
                Some(Element::Net(net)) if net.first() == net.last() => {
                    index.hosts.entry(net.first()).or_default().push(at);
                }
                _ => index.others.push(at),
            }
        }
        index
    }
}

/// What a packet shows to one dimension.
enum Probe {
    Address(IpAddr),
    Port(u8, u16),
    Mac(Option<[u8; 6]>),
    Iface {
        name: Option<String>,
        physical: Option<String>,
    },
    Mark(u32),
    /// The packet has no such thing: no element can match.
    Nothing,
}

impl Sets {
    /// Whether the packet is in the set `name`. `reverse` is `--return-nomatch`.
    pub(crate) fn test(&self, name: &str, directions: &[Direction], skb: &Skb, reverse: bool) -> Truth {
        self.test_nested(name, directions, skb, reverse, 0)
    }

    fn test_nested(&self, name: &str, directions: &[Direction], skb: &Skb, reverse: bool, depth: u8) -> Truth {
        let Some(set) = self.by_name.get(name) else { return not_known(name, directions, skb) };
        let Some(elements) = set.elements.as_ref().filter(|_| set.unknown_options.is_empty()) else {
            return not_known(name, directions, skb);
        };
        if directions.len() < set.dimensions.len() {
            return Truth::No;
        }
        if set.dimensions.first() == Some(&Dimension::Set) {
            return self.test_list(elements, directions, skb, reverse, depth);
        }
        let unspecific = matches!(set.dimensions.as_slice(), [Dimension::Mac] | [Dimension::Port]);
        if !unspecific && set.family != skb.packet.family() {
            return Truth::No;
        }
        set.find(elements, directions, skb, reverse)
    }

    fn test_list(&self, elements: &[Member], directions: &[Direction], skb: &Skb, reverse: bool, depth: u8) -> Truth {
        // The kernel allows no list within a list; a damaged dump might.
        if depth > 0 {
            return Truth::Unknown(Unknown::deterministic("nested lists", "what a list of lists of sets holds"));
        }
        let mut unknown = None;
        for member in elements {
            let [Element::Set(name)] = member.element.as_slice() else { continue };
            match self.test_nested(name, directions, skb, reverse, depth + 1) {
                Truth::Yes => return Truth::Yes,
                Truth::No => {}
                Truth::Unknown(other) => unknown = Some(other),
            }
        }
        unknown.map_or(Truth::No, Truth::Unknown)
    }
}

fn not_known(name: &str, directions: &[Direction], skb: &Skb) -> Truth {
    let shown: Vec<String> = directions
        .iter()
        .map(|direction| match direction {
            Direction::Source => skb.packet.source_text(),
            Direction::Destination => skb.packet.destination_text(),
        })
        .collect();
    let what = format!("whether {} is in the ipset {name}", shown.join(","));
    Truth::Unknown(Unknown::deterministic(what.clone(), what))
}

impl Set {
    fn find(&self, elements: &[Member], directions: &[Direction], skb: &Skb, reverse: bool) -> Truth {
        let probes: Vec<Probe> = self
            .dimensions
            .iter()
            .zip(directions)
            .map(|(dimension, direction)| self.probe(*dimension, *direction, skb))
            .collect();
        let hosts = match probes.first() {
            Some(Probe::Address(addr)) => self.index.hosts.get(addr).map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        let mut best: Option<(Vec<u8>, bool)> = None;
        let mut unknown = None;
        for at in hosts.iter().chain(&self.index.others) {
            let Some(member) = elements.get(*at as usize) else { continue };
            match member_matches(member, &probes) {
                Truth::No => {}
                Truth::Unknown(other) => unknown = Some(other),
                Truth::Yes => {
                    let precision = member.element.iter().map(precision).collect();
                    if best.as_ref().is_none_or(|(known, _)| *known < precision) {
                        best = Some((precision, member.nomatch));
                    }
                }
            }
        }
        if let Some(unknown) = unknown {
            return Truth::Unknown(unknown);
        }
        // With --return-nomatch the sense is turned around, for the types that know exceptions (ip_set_core.c).
        let reverse = reverse && self.dimensions.contains(&Dimension::Net);
        best.is_some_and(|(_, nomatch)| nomatch == reverse).into()
    }

    fn probe(&self, dimension: Dimension, direction: Direction, skb: &Skb) -> Probe {
        let packet = &skb.packet;
        let source = direction == Direction::Source;
        match dimension {
            Dimension::Ip | Dimension::Net => Probe::Address(if source { packet.source } else { packet.destination }),
            Dimension::Port => self.probe_port(source, skb),
            Dimension::Mac if !skb.has_ethernet_header => Probe::Nothing,
            Dimension::Mac => Probe::Mac(packet.mac_source.filter(|_| source)),
            Dimension::Iface => {
                let (name, physical) = if source {
                    (&skb.in_interface, &skb.physical_in)
                } else {
                    (&skb.out_interface, &skb.physical_out)
                };
                Probe::Iface {
                    name: name.as_deref().map(str::to_owned),
                    physical: physical.as_deref().map(str::to_owned),
                }
            }
            Dimension::Mark => Probe::Mark(skb.mark & self.mark_mask.unwrap_or(u32::MAX)),
            Dimension::Set => Probe::Nothing,
        }
    }

    fn probe_port(&self, source: bool, skb: &Skb) -> Probe {
        let packet = &skb.packet;
        if packet.fragment_offset != 0 {
            return Probe::Nothing;
        }
        let alone = self.dimensions.len() == 1;
        match packet.transport {
            Transport::Icmp { kind, code } if !alone => Probe::Port(packet.protocol, u16::from_be_bytes([kind, code])),
            Transport::Tcp { .. } | Transport::Ports { .. } | Transport::Sctp { .. } => {
                // bitmap:port takes TCP and UDP alone; DCCP's ports are not looked at.
                if alone && !matches!(packet.protocol, protocol::TCP | protocol::UDP) {
                    return Probe::Nothing;
                }
                let (first, second) = packet.ports().unwrap_or_default();
                let port = if source { first } else { second };
                Probe::Port(packet.protocol, if packet.protocol == protocol::DCCP { 0 } else { port })
            }
            _ if alone => Probe::Nothing,
            _ => Probe::Port(packet.protocol, 0),
        }
    }
}

fn member_matches(member: &Member, probes: &[Probe]) -> Truth {
    let mut truth = Truth::Yes;
    for (at, probe) in probes.iter().enumerate() {
        let one = match (member.element.get(at), probe) {
            (_, Probe::Nothing) => Truth::No,
            (Some(Element::Range(range)), Probe::Address(addr)) => range.contains(*addr).into(),
            (Some(Element::Net(net)), Probe::Address(addr)) => net.contains(*addr).into(),
            (Some(Element::Port(None, range)), Probe::Port(_, port)) => range.contains(*port).into(),
            (Some(Element::Port(Some(wanted), range)), Probe::Port(protocol, port)) => {
                (wanted == protocol && range.contains(*port)).into()
            }
            (Some(Element::Mac(wanted)), Probe::Mac(Some(mac))) => (wanted == mac).into(),
            (Some(Element::Mac(_)) | None, Probe::Mac(_)) => {
                Truth::Unknown(Unknown::deterministic("frame address", "the Ethernet address of the frame"))
            }
            (Some(Element::Iface { name, physical: wanted, wildcard }), Probe::Iface { name: given, physical }) => {
                let given = if *wanted { physical.as_deref() } else { given.as_deref() };
                given.is_some_and(|given| if *wildcard { given.starts_with(&**name) } else { given == &**name }).into()
            }
            (Some(Element::Mark(wanted)), Probe::Mark(mark)) => (wanted == mark).into(),
            _ => Truth::No,
        };
        truth = truth.and(one);
    }
    truth
}

/// How narrow a dimension is: the kernel tries the longest prefixes first.
fn precision(element: &Element) -> u8 {
    match element {
        Element::Net(net) => net.prefix_len().unwrap_or_default(),
        Element::Range(range) if range.is_single() => Family::of(range.first).bits(),
        _ => 0,
    }
}
