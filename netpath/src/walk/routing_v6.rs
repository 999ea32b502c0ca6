//! Routing of IPv6 packets that come in (ip6_rcv_finish, ip6_forward).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::route::RouteType;
use crate::targets::RejectKind;
use crate::unknown::Unknown;
use crate::walk::event::Verdict;
use crate::walk::routing::{Decided, Routed};
use crate::walk::source_check::Refused;
use crate::walk::walker::Walker;

impl Walker<'_> {
    /// What the kernel drops before any hook (ip6_rcv_core).
    pub(super) fn malformed_v6(&mut self, device: &str) -> bool {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (self.skb.packet.source, self.skb.packet.destination)
        else {
            return false;
        };
        let on_loopback = self.node.link(device).is_some_and(|link| link.loopback);
        let loops = (source.is_loopback() || destination.is_loopback()) && !on_loopback;
        let impossible = source.is_multicast() || source.to_ipv4_mapped().is_some() || destination.is_unspecified();
        if loops || impossible {
            let detail = format!("no packet from {source} to {destination} is taken from {device}");
            self.kernel("martian", detail, None);
        }
        loops || impossible
    }

    pub(super) fn route_input_v6(&mut self, device: &Arc<str>, destination: Ipv6Addr) -> Routed {
        if destination.is_multicast() {
            let what = format!("whether the node listens to the group {destination} on {device}");
            // All nodes and the solicited-node groups are always listened to, at least for the node's own addresses.
            let all_nodes = destination.segments()[7] == 1 && destination.segments()[0] & 0xff == 2;
            let member = all_nodes || self.decide(&Unknown::deterministic(what.clone(), what));
            return if member { Routed::Local } else { Routed::Refused(Verdict::Drop) };
        }
        let Some(found) = self.find_route(device) else {
            self.kernel("no route", format!("no route to {destination}"), None);
            return Routed::Refused(Verdict::Reject(RejectKind::NetUnreachable));
        };
        match found.kind {
            RouteType::Local | RouteType::Anycast => self.local(found.cited),
            RouteType::Unicast => self.forward_v6(device, found),
            kind => {
                self.kernel("route", format!("the route to {destination} is of type {kind:?}"), found.cited);
                Routed::Refused(match kind {
                    RouteType::Unreachable => Verdict::Reject(RejectKind::NetUnreachable),
                    RouteType::Prohibit => Verdict::Reject(RejectKind::AdminProhibited),
                    _ => Verdict::Drop,
                })
            }
        }
    }

    /// For forwarding `all` counts, or the interface's newer `force_forwarding`; the interface's `forwarding` does not.
    fn forward_v6(&mut self, device: &Arc<str>, found: Decided) -> Routed {
        let all = "net.ipv6.conf.all.forwarding";
        let force = crate::sysctl::interface_setting("ipv6", device, "force_forwarding");
        let forced = self.node.sysctls.number(&force).is_some_and(|value| value != 0);
        if !forced && self.setting(all, &[1, 0]) == 0 {
            let cited = self.cite_setting(all);
            let detail = format!("{all} is 0, so nothing is forwarded");
            return self.refuse(Refused { what: "forwarding", detail, cited });
        }
        let way = found.interface.as_deref().unwrap_or("an unknown interface");
        let detail = format!("{} leaves by {way}, next hop {}", self.skb.packet.destination, found.next_hop);
        self.kernel("route", detail, found.cited);
        Routed::Forward { interface: found.interface, next_hop: found.next_hop }
    }
}
