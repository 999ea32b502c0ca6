//! The way of a packet through the stack: which hooks it meets, and what lies between them.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::address::Family;
use crate::conntrack::{Connection, CtState, Tuple};
use crate::packet::{Packet, PacketKind, Transport, tcp_flag};
use crate::protocol;
use crate::route::RouteType;
use crate::targets::RejectKind;
use crate::walk::bridge;
use crate::walk::event::{Delivery, Event, Verdict};
use crate::walk::routing::Routed;
use crate::walk::tables::is_icmp_error;
use crate::walk::walker::{Flow, Walker};
use crate::walk::{Entry, Hook, Socket};

/// How a packet's way ended.
pub(super) struct End {
    pub verdict: Verdict,
    pub delivery: Option<Delivery>,
}

impl Walker<'_> {
    /// Walks the packet from where it enters.
    pub(super) fn run(&mut self, entry: &Entry) -> End {
        let (flow, delivery) = match entry {
            Entry::Interface(_) => self.enter_by_interface(),
            Entry::Bridged { output, .. } => self.across_bridge(output),
            Entry::Local => self.leave_socket(),
        };
        match flow {
            ControlFlow::Break(verdict) => End { verdict, delivery: None },
            ControlFlow::Continue(()) => {
                self.confirm();
                End { verdict: Verdict::Accept, delivery }
            }
        }
    }

    /// The connection of a packet that got through is kept.
    fn confirm(&mut self) {
        let connection = &mut self.skb.connection;
        connection.confirmed = true;
        connection.source_settled = true;
        connection.destination_settled = true;
    }

    fn enter_by_interface(&mut self) -> (Flow, Option<Delivery>) {
        let Some(device) = self.skb.in_interface.clone() else { return self.leave_socket() };
        if self.malformed_v6(&device) {
            return (Flow::Break(Verdict::Drop), None);
        }
        if let stop @ ControlFlow::Break(_) = self.prerouting() {
            return (stop, None);
        }
        match self.route_input(&device) {
            Routed::Refused(verdict) => (Flow::Break(verdict), None),
            Routed::Local => (self.hook(Hook::Input), Some(Delivery::Local)),
            Routed::Forward { interface, next_hop } => self.forward(interface, next_hop),
        }
    }

    /// PREROUTING, and what a bridge calls before it hands a frame up to its host.
    fn prerouting(&mut self) -> Flow {
        if self.skb.physical_in.is_none() {
            return self.hook(Hook::Prerouting);
        }
        let within = self.bridge_calls_ip();
        self.bridge(Hook::Prerouting, bridge::BEFORE_PREROUTING)?;
        if within {
            self.hook(Hook::Prerouting)?;
        }
        self.bridge(Hook::Prerouting, bridge::AFTER_PREROUTING)?;
        self.bridge(Hook::Input, bridge::ALL)?;
        if within {
            return Flow::Continue(());
        }
        // Nobody remembers the port of a packet that the bridge did not call the IP hooks for.
        self.skb.physical_in = None;
        self.hook(Hook::Prerouting)
    }

    fn forward(&mut self, interface: Option<Arc<str>>, next_hop: IpAddr) -> (Flow, Option<Delivery>) {
        if let Some(ttl) = self.skb.packet.ttl {
            if ttl <= 1 {
                self.kernel("TTL", "the TTL ends here".to_owned(), None);
                return (Flow::Break(Verdict::Drop), None);
            }
            self.skb.packet.ttl = Some(ttl - 1);
        }
        self.next_hop = Some(next_hop);
        self.skb.out_interface = interface;
        if let stop @ ControlFlow::Break(_) = self.hook(Hook::Forward) {
            return (stop, None);
        }
        self.leave()
    }

    fn leave(&mut self) -> (Flow, Option<Delivery>) {
        let flow = self.postrouting();
        let next_hop = self.next_hop.unwrap_or(self.skb.packet.destination);
        (flow, Some(Delivery::Sent { interface: self.skb.out_interface.clone(), next_hop }))
    }

    /// POSTROUTING, and what a bridge calls for a frame of its host.
    fn postrouting(&mut self) -> Flow {
        self.hook(Hook::Postrouting)?;
        if self.leaves_by_bridge() {
            self.bridge(Hook::Output, bridge::ALL)?;
            self.bridge(Hook::Postrouting, bridge::ALL)?;
        }
        Flow::Continue(())
    }

    /// A packet of the node itself: routed before OUTPUT, and again when OUTPUT changed what routing looks at.
    fn leave_socket(&mut self) -> (Flow, Option<Delivery>) {
        let (interface, next_hop) = match self.route_output() {
            Routed::Refused(verdict) => return (Flow::Break(verdict), None),
            Routed::Local => (Some(Arc::from("lo")), self.skb.packet.destination),
            Routed::Forward { interface, next_hop } => (interface, next_hop),
        };
        self.unbound = false;
        self.skb.out_interface = interface;
        self.next_hop = Some(next_hop);
        self.skb.in_interface = None;
        let before = (self.skb.packet.destination, self.skb.packet.source, self.skb.mark, self.skb.packet.tos);
        if let stop @ ControlFlow::Break(_) = self.hook(Hook::Output) {
            return (stop, None);
        }
        let after = (self.skb.packet.destination, self.skb.packet.source, self.skb.mark, self.skb.packet.tos);
        if before != after {
            match self.route_output() {
                Routed::Refused(_) => return (Flow::Break(Verdict::Drop), None),
                Routed::Local => self.skb.out_interface = Some(Arc::from("lo")),
                Routed::Forward { interface, next_hop } => {
                    self.skb.out_interface = interface;
                    self.next_hop = Some(next_hop);
                }
            }
        }
        let (flow, delivery) = self.leave();
        if flow.is_break() || self.skb.out_interface.as_deref() != Some("lo") {
            return (flow, delivery);
        }
        self.loop_back()
    }

    /// What leaves by loopback comes in again, with its connection, and is not routed a second time.
    fn loop_back(&mut self) -> (Flow, Option<Delivery>) {
        self.confirm();
        // What was INVALID has no connection that it would keep.
        self.tracked &= self.skb.state != CtState::Invalid;
        self.skb.in_interface = self.skb.out_interface.take();
        self.skb.has_ethernet_header = false;
        if let stop @ ControlFlow::Break(_) = self.hook(Hook::Prerouting) {
            return (stop, None);
        }
        (self.hook(Hook::Input), Some(Delivery::Local))
    }

    /// A frame between two ports of one bridge: the IP hooks only see it when the bridge calls them.
    fn across_bridge(&mut self, output: &Arc<str>) -> (Flow, Option<Delivery>) {
        let name = self.skb.in_interface.clone();
        let setting = bridge::call_setting(self.skb.packet.family());
        let delivery = Delivery::Sent { interface: Some(Arc::clone(output)), next_hop: self.skb.packet.destination };
        let called = self.setting(setting, &[1, 0]) != 0;
        if !called {
            let cited = self.cite_setting(setting);
            self.kernel("bridge", format!("{setting} is 0, so no IP rule sees the frame"), cited);
        }
        let flow = self.frame(output, called.then_some(name));
        (flow, Some(delivery))
    }

    /// The hooks of a frame: the bridge's own, and within them those of IP where the bridge calls them.
    fn frame(&mut self, output: &Arc<str>, calls_ip_as: Option<Option<Arc<str>>>) -> Flow {
        self.bridge(Hook::Prerouting, bridge::BEFORE_PREROUTING)?;
        if calls_ip_as.is_some() {
            self.hook(Hook::Prerouting)?;
        }
        self.bridge(Hook::Prerouting, bridge::AFTER_PREROUTING)?;
        self.skb.physical_out = Some(Arc::clone(output));
        self.next_hop = Some(self.skb.packet.destination);
        self.bridge(Hook::Forward, bridge::BEFORE_FORWARD)?;
        if let Some(bridge) = &calls_ip_as {
            self.skb.out_interface.clone_from(bridge);
            self.hook(Hook::Forward)?;
        }
        self.bridge(Hook::Forward, bridge::AFTER_FORWARD)?;
        self.bridge(Hook::Postrouting, bridge::ALL)?;
        self.skb.in_interface = None;
        if calls_ip_as.is_some() { self.hook(Hook::Postrouting) } else { Flow::Continue(()) }
    }

    /// Sends a RST about a frame of a bridge's port back by that port, past every hook (nf_send_reset), provided that
    /// there is a route.
    pub(super) fn answer_by_port(&mut self, port: Arc<str>) -> End {
        let events = self.events.len();
        let routed = self.route_output();
        self.events.truncate(events);
        match routed {
            Routed::Refused(verdict) => End { verdict, delivery: None },
            _ => {
                let next_hop = self.skb.packet.destination;
                let detail = format!("the RST goes back by the bridge's port {port}, past every rule");
                self.kernel("bridge", detail, None);
                End { verdict: Verdict::Accept, delivery: Some(Delivery::Sent { interface: Some(port), next_hop }) }
            }
        }
    }

    /// Turns the walker to the answer that a refusal sends. `None` when the refusal is not answered at all.
    pub(super) fn turn_to_answer(&mut self, kind: RejectKind) -> Option<()> {
        let refused = self.skb.packet.clone();
        let fragment = refused.fragment_offset != 0;
        let reset_of_reset = matches!(refused.transport, Transport::Tcp { flags, .. } if flags & tcp_flag::RST != 0);
        let silent = match kind {
            RejectKind::TcpReset => reset_of_reset,
            _ => is_icmp_error(&refused) || self.names_no_single_node(refused.source),
        };
        if silent || fragment || self.is_to_many(refused.destination) {
            return None;
        }
        // An answer has no mark of its own, unless the kernel is told to reflect the refused packet's.
        let reflect = match refused.family() {
            Family::V4 => "net.ipv4.fwmark_reflect",
            Family::V6 => "net.ipv6.fwmark_reflect",
        };
        let mark = if self.node.sysctls.number(reflect).is_some_and(|value| value != 0) { self.skb.mark } else { 0 };
        self.skb.mark = mark;
        let answer = match kind.icmp(refused.family()) {
            None => reset_of(&refused),
            Some((icmp_kind, code)) => {
                Packet { about: Some(Tuple::of(&refused)), ..self.icmp_error(&refused, icmp_kind, code) }
            }
        };
        let attached = self.has_connection();
        self.past_exemption = self.skb.state == CtState::Untracked;
        self.events.push(Event::Answer { kind });
        self.skb.packet = Packet { kind: Some(PacketKind::Unicast), ..answer };
        self.skb.mark = mark;
        self.skb.in_interface = None;
        self.skb.out_interface = None;
        self.skb.physical_in = None;
        self.skb.physical_out = None;
        self.skb.socket = if kind == RejectKind::TcpReset { Socket::None } else { Socket::Kernel };
        self.skb.has_ethernet_header = false;
        // The answer belongs to the refused packet's connection (nf_ct_attach).
        self.tracked = attached;
        self.skb.state = if attached { CtState::Related } else { CtState::Invalid };
        self.skb.reply = attached && !self.skb.reply;
        if !attached {
            self.skb.connection = Connection::begun_by(&self.skb.packet);
        }
        Some(())
    }

    /// No IPv6 error goes to an address that is not one node's (RFC 4443, 2.4; icmp6_send, ipv6_anycast_destination).
    fn names_no_single_node(&self, addr: IpAddr) -> bool {
        let IpAddr::V6(v6) = addr else { return false };
        let routes = &self.node.routes;
        let mut covering = routes.covering("local", addr).chain(routes.covering("main", addr));
        v6.is_unspecified() || v6.is_multicast() || covering.next().is_some_and(|route| route.is_anycast(v6))
    }

    /// Nothing that was sent to many is answered. What passes between a bridge's ports was not routed, so that nobody has
    /// looked whether its destination is a broadcast address.
    fn is_to_many(&self, addr: IpAddr) -> bool {
        let mut local = self.node.routes.covering("local", addr).filter(|_| self.skb.physical_out.is_none());
        let broadcast = local.next().is_some_and(|route| route.kind == RouteType::Broadcast);
        broadcast || addr.is_multicast() || matches!(addr, IpAddr::V4(v4) if v4.is_broadcast())
    }

    /// An ICMP error: from the address that was asked for when it is the node's, else from the way it leaves by.
    fn icmp_error(&mut self, refused: &Packet, kind: u8, code: u8) -> Packet {
        let protocol = if refused.family() == Family::V4 { protocol::ICMP } else { protocol::ICMPV6 };
        let own = self.node.routes.covering("local", refused.destination).next();
        let local = own.is_some_and(|route| matches!(route.kind, RouteType::Local | RouteType::Anycast));
        let mut answer = Packet::other(refused.destination, refused.source, protocol);
        answer.transport = Transport::Icmp { kind, code };
        // Only IPv4 answers in the refused packet's class, with the precedence of routing (icmp_send; icmp6_send).
        answer.tos = match refused.family() {
            Family::V4 => refused.tos.map(|tos| (tos & 0x1e) | 0xc0),
            Family::V6 => Some(0),
        };
        answer.ttl = Some(64);
        // An error quotes what it is about, up to the size that every host takes (RFC 1812: 576, RFC 4443: 1280).
        let (header, most) = if refused.family() == Family::V4 { (28, 576) } else { (48, 1280) };
        answer.length = refused.length.map(|length| header + length.min(most - header));
        if !local {
            self.give_source(&mut answer);
        }
        answer
    }

    /// Gives an error that the node sends the source that the kernel chooses for it.
    fn give_source(&mut self, answer: &mut Packet) {
        // An IPv6 node answers from an address of the interface that the refused packet came in by (icmp6_send).
        let asked = self.skb.in_interface.clone().filter(|_| answer.family() == Family::V6);
        self.skb.packet = answer.clone();
        self.unbound = true;
        let events = self.events.len();
        let routed = self.route_output();
        self.events.truncate(events);
        let source = match routed {
            Routed::Forward { interface, next_hop } => {
                // It has that address before it is routed, so that rules by source see it, unless the route without a
                // source says which to take (icmpv6_rt_has_prefsrc).
                self.unbound = asked.is_none() || self.proposed_source.is_some();
                self.choose_source(asked.or(interface).as_deref(), next_hop)
            }
            // Where nothing leads to without a source, IPv6 asks again with one (ip6_dst_lookup_tail).
            _ if answer.family() == Family::V6 => {
                self.unbound = false;
                self.choose_source(asked.as_deref(), answer.destination)
            }
            _ => None,
        };
        answer.source = source.unwrap_or(answer.source);
    }
}

/// The RST that answers a segment (nf_send_reset).
fn reset_of(refused: &Packet) -> Packet {
    let (source, destination) = refused.ports().unwrap_or_default();
    let acknowledges = matches!(refused.transport, Transport::Tcp { flags, .. } if flags & tcp_flag::ACK == 0);
    let mut answer = Packet::tcp_syn((refused.destination, destination), (refused.source, source));
    let flags = if acknowledges { tcp_flag::RST | tcp_flag::ACK } else { tcp_flag::RST };
    answer.transport = Transport::Tcp { source: destination, destination: source, flags };
    answer.length = Some(if refused.family() == Family::V4 { 40 } else { 60 });
    answer.ttl = Some(64);
    answer.tos = Some(0);
    answer
}
