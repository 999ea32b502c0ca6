//! Routing of IPv4 packets that come in, and of packets of either family that the node sends itself.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::address::Family;
use crate::node::GapKind;
use crate::route::{Flow as RouteFlow, Found, Lookup, RouteType};
use crate::source::Cited;
use crate::targets::RejectKind;
use crate::unknown::Unknown;
use crate::walk::event::Verdict;
use crate::walk::source_check::{Refused, is_zero_net};
use crate::walk::source_v6;
use crate::walk::walker::Walker;

/// Where routing sends a packet.
pub(super) enum Routed {
    /// To the node's own sockets.
    Local,
    /// Out of an interface.
    Forward { interface: Option<Arc<str>>, next_hop: IpAddr },
    /// Nowhere.
    Refused(Verdict),
}

/// A lookup's outcome without borrowing the walker.
pub(super) struct Decided {
    pub kind: RouteType,
    pub interface: Option<Arc<str>>,
    pub next_hop: IpAddr,
    pub cited: Option<Cited>,
    /// Whether a routing rule answered, without any route.
    pub by_rule: bool,
}

impl Decided {
    /// A rule's `unreachable` is an unreachable network, a route's an unreachable host (fib4_rule_action, fib_props).
    fn unreachable(&self) -> RejectKind {
        if self.by_rule { RejectKind::NetUnreachable } else { RejectKind::HostUnreachable }
    }
}

impl Walker<'_> {
    /// Routes a packet that came in by `device`.
    pub(super) fn route_input(&mut self, device: &Arc<str>) -> Routed {
        if self.node.is_routeless(self.skb.packet.family()) {
            return self.route_without_table();
        }
        match self.skb.packet.destination {
            IpAddr::V4(destination) => self.route_input_v4(device, destination),
            IpAddr::V6(destination) => self.route_input_v6(device, destination),
        }
    }

    /// Without any route the addresses of the interfaces tell at least what is local.
    fn route_without_table(&mut self) -> Routed {
        let destination = self.skb.packet.destination;
        let own = self.node.links.iter().flat_map(|link| &link.addresses).any(|address| address.local == destination);
        let unknown = Unknown::deterministic(
            format!("local {destination}"),
            format!("whether {destination} is an address of the node (no routing table was collected)"),
        );
        if own || self.decide(&unknown) {
            return Routed::Local;
        }
        self.doubt("the routes of the node, which were not collected".to_owned());
        Routed::Forward { interface: None, next_hop: destination }
    }

    fn route_input_v4(&mut self, device: &Arc<str>, destination: Ipv4Addr) -> Routed {
        let source = self.skb.packet.source;
        if let Some(refused) = self.martian(device, source, destination) {
            return self.refuse(refused);
        }
        if destination.is_broadcast() {
            return self.local_broadcast(device);
        }
        if destination.is_multicast() {
            let what = format!("whether the node listens to the group {destination} on {device}");
            let member =
                destination == Ipv4Addr::new(224, 0, 0, 1) || self.decide(&Unknown::deterministic(what.clone(), what));
            return if member { Routed::Local } else { Routed::Refused(Verdict::Drop) };
        }
        let decided = self.find_route(device);
        match decided {
            None => self.unroutable(device, RejectKind::NetUnreachable, "no route", None),
            Some(found) => match found.kind {
                RouteType::Local => match self.check_source(device, None, Some(destination.into())) {
                    Ok(()) => self.local(found.cited),
                    Err(refused) => self.refuse(refused),
                },
                RouteType::Broadcast => self.local_broadcast(device),
                RouteType::Unreachable => {
                    let kind = found.unreachable();
                    self.unroutable(device, kind, "unreachable route", found.cited)
                }
                RouteType::Prohibit => {
                    self.unroutable(device, RejectKind::AdminProhibited, "prohibit route", found.cited)
                }
                RouteType::Unicast => self.forward_v4(device, found),
                kind => self.refuse(Refused {
                    what: "route",
                    detail: format!("the route to {destination} is of type {kind:?}"),
                    cited: found.cited,
                }),
            },
        }
    }

    pub(super) fn local(&mut self, cited: Option<Cited>) -> Routed {
        let detail = format!("{} is an address of the node", self.skb.packet.destination);
        self.kernel("route", detail, cited);
        Routed::Local
    }

    fn forward_v4(&mut self, device: &Arc<str>, found: Decided) -> Routed {
        let (forwarding, name) = self.interface_setting("ipv4", device, "forwarding", &[1, 0]);
        if forwarding == 0 {
            let cited = self.cite_setting(&name).or_else(|| self.cite_setting("net.ipv4.ip_forward"));
            let detail = format!("{name} is 0, so what comes in by {device} is not forwarded");
            return self.refuse(Refused { what: "forwarding", detail, cited });
        }
        if let Err(refused) = self.check_source(device, found.interface.as_ref(), Some(self.skb.packet.destination)) {
            return self.refuse(refused);
        }
        let way = found.interface.as_deref().unwrap_or("an unknown interface");
        self.kernel(
            "route",
            format!("{} leaves by {way}, next hop {}", self.skb.packet.destination, found.next_hop),
            found.cited,
        );
        Routed::Forward { interface: found.interface, next_hop: found.next_hop }
    }

    /// Sources and destinations that are refused before any lookup.
    fn martian(&mut self, device: &Arc<str>, source: IpAddr, destination: Ipv4Addr) -> Option<Refused> {
        let refused = |what, detail| Some(Refused { what, detail, cited: None });
        let IpAddr::V4(from) = source else { return None };
        if from.is_multicast() || from.is_broadcast() {
            return refused("martian source", format!("{from} cannot be a source"));
        }
        let both_unset = from.is_unspecified() && destination.is_unspecified();
        if destination.is_broadcast() || both_unset {
            return None;
        }
        if is_zero_net(source) {
            return refused("martian source", format!("{from} cannot be a source"));
        }
        if is_zero_net(destination.into()) {
            return refused("martian destination", format!("{destination} cannot be a destination"));
        }
        if from.is_loopback() || destination.is_loopback() {
            let all = self.setting("net.ipv4.conf.all.route_localnet", &[0, 1]);
            let (own, name) = self.interface_setting("ipv4", device, "route_localnet", &[0, 1]);
            if all == 0 && own == 0 {
                let cited = self.cite_setting(&name);
                let detail = format!("{name} is 0, so loopback addresses are not taken from {device}");
                return Some(Refused { what: "route_localnet", detail, cited });
            }
        }
        None
    }

    fn local_broadcast(&mut self, device: &Arc<str>) -> Routed {
        if !is_zero_net(self.skb.packet.source)
            && let Err(refused) = self.check_source(device, None, None)
        {
            return self.refuse(refused);
        }
        Routed::Local
    }

    pub(super) fn refuse(&mut self, refused: Refused) -> Routed {
        self.kernel(refused.what, refused.detail, refused.cited);
        Routed::Refused(Verdict::Drop)
    }

    /// A packet that cannot be routed is answered, but only where the incoming interface forwards (ip_error).
    fn unroutable(&mut self, device: &Arc<str>, kind: RejectKind, what: &'static str, cited: Option<Cited>) -> Routed {
        let destination = self.skb.packet.destination;
        self.kernel(what, format!("{what} to {destination}"), cited);
        let (forwarding, _) = self.interface_setting("ipv4", device, "forwarding", &[1, 0]);
        Routed::Refused(if forwarding == 0 { Verdict::Drop } else { Verdict::Reject(kind) })
    }

    /// The route of the packet as it is now, coming in by `device`.
    pub(super) fn find_route(&mut self, device: &Arc<str>) -> Option<Decided> {
        let packet = &self.skb.packet;
        let flow = RouteFlow {
            destination: packet.destination,
            source: (!self.unbound).then_some(packet.source),
            in_interface: Arc::clone(device),
            out_interface: None,
            mark: self.skb.mark,
            tos: packet.tos,
            transport: Some((packet.protocol, packet.ports())),
            user: packet.owner.map(|owner| owner.uid),
        };
        self.find(&flow)
    }

    fn find(&mut self, flow: &RouteFlow) -> Option<Decided> {
        let node = self.node;
        self.proposed_source = None;
        for gap in node.gaps_of(GapKind::RoutingRules, Family::of(flow.destination)) {
            self.doubt(format!("whether a routing rule leads elsewhere: {}", gap.what));
        }
        loop {
            let choices = &*self.choices;
            match node.lookup(flow, &|unknown| choices.settled(unknown)) {
                Lookup::NoRoute => return None,
                Lookup::Unknown(unknown) => {
                    self.decide(&unknown);
                }
                Lookup::Found(found) => return Some(self.pick_hop(found, flow.destination)),
            }
        }
    }

    /// Among several next hops the kernel picks by a hash that the evidence does not hold.
    fn pick_hop(&mut self, found: Found<'_>, destination: IpAddr) -> Decided {
        let at = match found.hops.len() {
            0 | 1 => 0,
            count => {
                let what = format!("which of the {count} next hops to {destination} is taken");
                self.choose(&Unknown::deterministic(what.clone(), what), &vec![1.0; count])
            }
        };
        self.proposed_source = found.route.and_then(|route| route.source);
        let hop = found.hops.get(at);
        Decided {
            kind: found.kind,
            interface: hop.and_then(|hop| hop.interface.clone()),
            next_hop: hop.and_then(|hop| hop.gateway).unwrap_or(destination),
            by_rule: found.route.is_none(),
            cited: found.cited,
        }
    }

    /// Routes a packet of the node itself. An error is what the sending socket gets.
    pub(super) fn route_output(&mut self) -> Routed {
        let destination = self.skb.packet.destination;
        if self.node.is_routeless(self.skb.packet.family()) {
            self.doubt("the routes of the node, which were not collected".to_owned());
            return Routed::Forward { interface: None, next_hop: destination };
        }
        let lo: Arc<str> = Arc::from("lo");
        let Some(found) = self.find_route(&lo) else {
            self.kernel("no route", format!("no route to {destination}"), None);
            return Routed::Refused(Verdict::Reject(RejectKind::NetUnreachable));
        };
        match found.kind {
            // An IPv6 node's own anycast addresses are reached by loopback like its others (ip6_rt_get_dev_rcu).
            RouteType::Local | RouteType::Anycast => {
                self.local(found.cited);
                Routed::Forward { interface: Some(lo), next_hop: destination }
            }
            RouteType::Unicast | RouteType::Broadcast | RouteType::Multicast => {
                let way = found.interface.as_deref().unwrap_or("an unknown interface");
                self.kernel(
                    "route",
                    format!("{destination} leaves by {way}, next hop {}", found.next_hop),
                    found.cited,
                );
                Routed::Forward { interface: found.interface, next_hop: found.next_hop }
            }
            kind => {
                let unreachable = found.unreachable();
                self.kernel("route", format!("the route to {destination} is of type {kind:?}"), found.cited);
                Routed::Refused(match kind {
                    RouteType::Prohibit => Verdict::Reject(RejectKind::AdminProhibited),
                    RouteType::Unreachable => Verdict::Reject(unreachable),
                    _ => Verdict::Drop,
                })
            }
        }
    }

    /// The source address that the kernel gives to a packet of its own.
    pub(super) fn choose_source(&self, interface: Option<&str>, next_hop: IpAddr) -> Option<IpAddr> {
        // To its own address the node speaks from that address, unless the route says otherwise.
        let preferred = self.proposed_source.or((interface == Some("lo")).then_some(next_hop));
        if preferred.is_some() {
            return preferred;
        }
        if let IpAddr::V6(destination) = self.skb.packet.destination {
            return source_v6::select(self.node, interface, destination).map(IpAddr::V6);
        }
        self.node.link(interface?)?.source_for(next_hop)
    }
}
