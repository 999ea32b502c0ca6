//! What groups make of all packets from some clients to some ports: all accepted, none, or some.
//!
//! Between two of the addresses and ports that the groups name nothing changes, so that one packet at each is enough.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{CloudFlow, CloudJudgement};
use crate::address::AddrRange;
use crate::answer::Decision;
use crate::port::PortRange;

/// More packets than this are not tried.
const MOST: usize = 4096;

/// Who the clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Everybody in these networks.
    Networks(Vec<IpNet>),
    /// Everybody on the Internet, of IPv6 or of IPv4.
    Internet {
        /// Whether of IPv6.
        v6: bool,
    },
}

/// The packets that are asked about.
#[derive(Clone, Debug)]
pub struct Span {
    /// Who sends.
    pub clients: Clients,
    /// The destination, as the group's machine sees it.
    pub destination: IpAddr,
    /// The IP protocol's number.
    pub protocol: u8,
    /// The destination ports.
    pub ports: RangeInclusive<u16>,
}

/// The addresses and ports that groups name.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub(super) addresses: Vec<AddrRange>,
    pub(super) ports: Vec<PortRange>,
}

/// What becomes of the packets of a span: an example of each end.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// One that is accepted.
    pub accepted: Option<CloudFlow>,
    /// One that is dropped.
    pub dropped: Option<(CloudFlow, CloudJudgement)>,
    /// One of which it depends.
    pub open: Option<(CloudFlow, CloudJudgement)>,
    /// Whether not all could be tried.
    pub partial: bool,
}

impl Extent {
    /// Tries a span out.
    pub fn of(span: &Span, marks: &Marks, judge: impl Fn(&CloudFlow) -> CloudJudgement) -> Extent {
        let (sources, ports) = (sources(&span.clients, marks), ports(&span.ports, marks));
        let mut extent = Extent { partial: sources.len() * ports.len() > MOST, ..Extent::default() };
        let points = ports.iter().flat_map(|port| sources.iter().map(move |source| (*source, *port)));
        for (source, port) in points.take(MOST) {
            let flow = CloudFlow {
                source,
                destination: span.destination,
                protocol: span.protocol,
                source_port: None,
                port: Some(port),
            };
            let judgement = judge(&flow);
            match judgement.verdict {
                Decision::Accept => _ = extent.accepted.get_or_insert(flow),
                Decision::Drop | Decision::Reject(_) => _ = extent.dropped.get_or_insert((flow, judgement)),
                Decision::Depends => _ = extent.open.get_or_insert((flow, judgement)),
            }
            if extent.accepted.is_some() && extent.dropped.is_some() {
                break;
            }
        }
        extent
    }

    /// `all`, `none`, `some`, or `depends`.
    pub fn word(&self) -> &'static str {
        match (&self.accepted, &self.dropped, &self.open) {
            (Some(_), Some(_), _) => "some",
            _ if self.partial => "depends",
            (Some(_), None, None) => "all",
            (None, Some(_), None) => "none",
            _ => "depends",
        }
    }
}

/// The sources at which something may change, each client's first.
fn sources(clients: &Clients, marks: &Marks) -> Vec<IpAddr> {
    let ends = marks.addresses.iter().flat_map(|range| [Some(range.first), behind(range.last)]).flatten();
    let mut all = BTreeSet::new();
    match clients {
        Clients::Networks(networks) => {
            all.extend(networks.iter().map(|network| network.trunc().addr()));
            all.extend(ends.filter(|address| networks.iter().any(|network| network.contains(address))));
        }
        Clients::Internet { v6 } => {
            all.insert(stand_in(*v6));
            all.extend(ends.filter(|address| address.is_ipv6() == *v6 && is_public(*address)));
        }
    }
    all.into_iter().collect()
}

fn ports(range: &RangeInclusive<u16>, marks: &Marks) -> Vec<u16> {
    let ends = marks.ports.iter().flat_map(|marked| [Some(marked.first), marked.last.checked_add(1)]).flatten();
    let all: BTreeSet<u16> = ends.filter(|port| range.contains(port)).chain([*range.start()]).collect();
    all.into_iter().collect()
}

fn behind(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}

/// An address that stands for somebody on the Internet: of those that documents use (RFC 5737, RFC 3849), which no
/// network has.
pub fn stand_in(v6: bool) -> IpAddr {
    match v6 {
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10]),
        false => IpAddr::from([203, 0, 113, 10]),
    }
}

/// Whether somebody on the Internet may have an address: one that is assigned globally, not to a network of one's own
/// (RFC 1918, RFC 6598, RFC 4193), not to a host itself or to groups.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let reserved = first == 0 || first >= 224;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || reserved)
        }
        IpAddr::V6(v6) => (v6.segments()[0] & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Way;

    fn judged(verdict: Decision) -> CloudJudgement {
        let why = String::new();
        CloudJudgement { verdict, way: Way::Inbound, why, deciding: None, unknowns: Vec::new(), fix: None }
    }

    fn extent(span: &Span, marks: &Marks, accepts: impl Fn(&CloudFlow) -> bool) -> &'static str {
        let judge = |flow: &CloudFlow| judged(if accepts(flow) { Decision::Accept } else { Decision::Drop });
        Extent::of(span, marks, judge).word()
    }

    #[test]
    fn the_port_behind_a_range_is_tried_too() {
        let clients = Clients::Internet { v6: false };
        let destination = IpAddr::from([10, 0, 0, 4]);
        let span = Span { clients, destination, protocol: 6, ports: 30000..=32767 };
        let upto = |last: u16| {
            let marks = Marks { addresses: Vec::new(), ports: vec![PortRange { first: 30000, last }] };
            extent(&span, &marks, |flow| (30000..=last).contains(&flow.port.unwrap()))
        };
        assert_eq!([upto(32767), upto(32768), upto(32766), upto(30000)], ["all", "all", "some", "some"]);
        assert_eq!(extent(&span, &Marks::default(), |_| false), "none");
    }

    #[test]
    fn sources_are_tried_where_a_range_begins_and_behind_it() {
        let network: IpNet = "10.1.0.0/16".parse().unwrap();
        let clients = Clients::Networks(vec![network]);
        let span = Span { clients, destination: IpAddr::from([10, 0, 0, 4]), protocol: 6, ports: 80..=80 };
        let of = |text: &str| {
            let range: IpNet = text.parse().unwrap();
            let addresses = vec![AddrRange { first: range.network(), last: range.broadcast() }];
            extent(&span, &Marks { addresses, ports: Vec::new() }, |flow| range.contains(&flow.source))
        };
        assert_eq!(
            [of("10.0.0.0/8"), of("10.1.0.0/17"), of("10.1.128.0/17"), of("10.2.0.0/16")],
            ["all", "some", "some", "none"]
        );
    }

    #[test]
    fn somebody_on_the_internet_has_none_of_the_private_addresses() {
        for (text, public) in [
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("169.254.1.1", false),
            ("52.1.2.3", true),
            ("224.0.0.1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
        assert!(is_public(stand_in(true)) && is_public(stand_in(false)) && !is_public("fd00::1".parse().unwrap()));
    }
}
