//! Reverse path filtering: netfilter's `rpfilter` match.

use std::net::IpAddr;
use std::sync::Arc;

use crate::matches::Rpfilter;
use crate::node::Node;
use crate::packet::PacketKind;
use crate::route::{Flow, Lookup, RouteType};
use crate::unknown::Truth;
use crate::walk::Skb;

impl Node {
    /// Whether `-m rpfilter` matches (net/ipv4/netfilter/ipt_rpfilter.c, net/ipv6/netfilter/ip6t_rpfilter.c).
    pub(crate) fn reverse_path_match(&self, test: &Rpfilter, skb: &Skb) -> Truth {
        let Some(device) = skb.in_interface.clone() else { return Truth::from(!test.invert) };
        if self.link(&device).is_some_and(|link| link.loopback) {
            return Truth::from(!test.invert);
        }
        let source = skb.packet.source;
        let destination = skb.packet.destination;
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) {
            // Broadcasts without a source (DHCP) have no reverse path.
            let to_many = destination.is_multicast() || destination.is_broadcast();
            let unset = source.is_unspecified();
            let broadcast = skb.packet.kind == Some(PacketKind::Broadcast) || to_many;
            if unset && broadcast {
                return Truth::from(!test.invert);
            }
        }
        let flow = Flow {
            destination: source,
            source: match destination {
                IpAddr::V4(v4) if !v4.is_multicast() && !v4.is_broadcast() => Some(destination),
                IpAddr::V4(_) => None,
                IpAddr::V6(_) => Some(destination),
            },
            in_interface: Arc::from("lo"),
            out_interface: None,
            mark: if test.valid_mark { skb.mark } else { 0 },
            tos: skb.packet.tos,
            transport: None,
            user: None,
        };
        let plain = match self.lookup(&flow, &|_| None) {
            Lookup::Unknown(unknown) => return Truth::Unknown(unknown),
            Lookup::NoRoute => false,
            // IPv6 does not ask by which interface its own addresses come in (rpfilter_lookup_reverse6).
            Lookup::Found(found) if source.is_ipv6() && found.kind == RouteType::Local => test.accept_local,
            Lookup::Found(found) => {
                let known_type =
                    found.kind == RouteType::Unicast || (found.kind == RouteType::Local && test.accept_local);
                known_type && (test.loose || found.hops.iter().any(|hop| hop.interface.as_deref() == Some(&*device)))
            }
        };
        Truth::from(plain != test.invert)
    }
}
