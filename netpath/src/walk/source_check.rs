//! The kernel's own check of a packet's source: martians and rp_filter (fib_validate_source).

use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Family;
use crate::route::{Flow as RouteFlow, Lookup, RouteType};
use crate::source::Cited;
use crate::walk::walker::Walker;

/// Why a source is refused.
pub(super) struct Refused {
    pub what: &'static str,
    pub detail: String,
    pub cited: Option<Cited>,
}

/// What the reverse lookup showed.
enum Reverse {
    /// The answer would leave by the incoming interface.
    SameInterface,
    /// It would leave by another.
    OtherInterface,
    /// It cannot be sent at all.
    NoRoute,
    /// The source is an address of the node itself; whether it is one of the incoming interface's.
    Own(bool, Option<Cited>),
    /// The source is a broadcast address, or the like.
    NotUnicast(RouteType, Option<Cited>),
}

impl Walker<'_> {
    /// Checks the source of a packet that came in by `device` and leaves by `out` (`None`: to the node itself).
    /// A broadcast has no `destination` that an answer could come from.
    pub(super) fn check_source(
        &mut self,
        device: &Arc<str>,
        out: Option<&Arc<str>>,
        destination: Option<IpAddr>,
    ) -> Result<(), Refused> {
        let reverse = self.reverse(device, out, destination);
        let source = self.skb.packet.source;
        match reverse {
            Reverse::SameInterface => Ok(()),
            Reverse::Own(same, cited) => {
                let all = self.setting("net.ipv4.conf.all.accept_local", &[0, 1]);
                let (own, _) = self.interface_setting("ipv4", device, "accept_local", &[0, 1]);
                if all == 0 && own == 0 {
                    let detail =
                        format!("{source} is an address of the node itself, and came from outside by {device}");
                    return Err(Refused { what: "martian source", detail, cited });
                }
                if same { Ok(()) } else { self.check_other_way(device, false) }
            }
            Reverse::NotUnicast(kind, cited) => {
                let (mode, _) = self.rp_filter(device);
                if mode == 0 && !self.full_check(device, out) {
                    return Ok(());
                }
                let detail = format!("the route to the source {source} is of type {kind:?}");
                Err(Refused { what: "martian source", detail, cited })
            }
            Reverse::OtherInterface => self.check_other_way(device, false),
            Reverse::NoRoute => self.check_other_way(device, true),
        }
    }

    /// The way back does not lead through the incoming interface: that is rp_filter's to decide.
    fn check_other_way(&mut self, device: &Arc<str>, no_route: bool) -> Result<(), Refused> {
        let source = self.skb.packet.source;
        let (mode, name) = self.rp_filter(device);
        if mode == 0 || (mode == 2 && !no_route && !self.has_no_address(device)) {
            return Ok(());
        }
        let why = if no_route {
            format!("there is no route back to {source}")
        } else {
            format!("the route back to {source} does not leave by {device}")
        };
        let detail = format!("{name} is {mode} and {why}");
        let cited = self.cite_setting(&name);
        Err(Refused { what: "rp_filter", detail, cited })
    }

    /// The effective mode, which is the larger of `all` and the interface's, and the setting that decides it.
    fn rp_filter(&mut self, device: &str) -> (i64, String) {
        let all = self.setting("net.ipv4.conf.all.rp_filter", &[0, 1, 2]);
        let (own, name) = self.interface_setting("ipv4", device, "rp_filter", &[0, 1, 2]);
        if all >= own { (all, "net.ipv4.conf.all.rp_filter".to_owned()) } else { (own, name) }
    }

    fn has_no_address(&self, device: &str) -> bool {
        self.node
            .link(device)
            .is_some_and(|link| !link.addresses.iter().any(|address| Family::of(address.local) == Family::V4))
    }

    /// Without rp_filter the kernel only looks whether the source is its own, unless there are rules or local routes of
    /// somebody's making, or the packet leaves as it came.
    fn full_check(&self, device: &Arc<str>, out: Option<&Arc<str>>) -> bool {
        let custom_rules = self.node.has_custom_rules(Family::V4);
        let custom_local = self
            .node
            .routes
            .routes()
            .iter()
            .any(|route| &*route.table == "local" && route.kind == RouteType::Local && !route.by_kernel);
        let redirects = ["all", &**device].iter().any(|name| {
            let setting = crate::sysctl::interface_setting("ipv4", name, "send_redirects");
            self.node.sysctls.number(&setting) != Some(0)
        });
        custom_rules || custom_local || (out == Some(device) && redirects)
    }

    fn reverse(&mut self, device: &Arc<str>, out: Option<&Arc<str>>, destination: Option<IpAddr>) -> Reverse {
        let packet = &self.skb.packet;
        let mark_counts = ["all", &**device].iter().any(|name| {
            let setting = crate::sysctl::interface_setting("ipv4", name, "src_valid_mark");
            self.node.sysctls.number(&setting).is_some_and(|value| value != 0)
        });
        let flow = RouteFlow {
            destination: packet.source,
            source: destination,
            in_interface: out.cloned().unwrap_or_else(|| Arc::from("lo")),
            out_interface: None,
            mark: if mark_counts { self.skb.mark } else { 0 },
            tos: packet.tos,
            // Rules that look at protocol or ports see the answer's (fib4_rules_early_flow_dissect).
            transport: Some((packet.protocol, packet.ports().map(|(source, destination)| (destination, source)))),
            user: None,
        };
        loop {
            let choices = &*self.choices;
            match self.node.lookup(&flow, &|unknown| choices.settled(unknown)) {
                Lookup::Unknown(unknown) => {
                    self.decide(&unknown);
                }
                Lookup::NoRoute => return Reverse::NoRoute,
                Lookup::Found(found) => {
                    return match found.kind {
                        RouteType::Unicast => {
                            let same = found.hops.iter().any(|hop| hop.interface.as_deref() == Some(&**device));
                            if same { Reverse::SameInterface } else { Reverse::OtherInterface }
                        }
                        RouteType::Blackhole | RouteType::Unreachable | RouteType::Prohibit => Reverse::NoRoute,
                        RouteType::Local => {
                            let same = found.hops.iter().any(|hop| hop.interface.as_deref() == Some(&**device));
                            Reverse::Own(same, found.cited)
                        }
                        kind => Reverse::NotUnicast(kind, found.cited),
                    };
                }
            }
        }
    }
}

/// Sources and destinations that no route makes acceptable (ip_route_input_slow).
pub(super) fn is_zero_net(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V4(v4) if v4.octets()[0] == 0)
}
