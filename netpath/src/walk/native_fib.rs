//! nft's `fib` expression: what the routing tables say about an end of the packet.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::matches::Rpfilter;
use crate::nft::Value;
use crate::route::{Flow as RouteFlow, Lookup, RouteType};
use crate::unknown::Truth;
use crate::walk::Hook;
use crate::walk::walker::Walker;

impl Walker<'_> {
    /// `fib saddr type`, `fib saddr . iif oif`: the routing table's word about an end of the packet.
    pub(super) fn fib(&self, hook: Hook, result: &str, flags: &[Box<str>]) -> Value {
        let has = |flag: &str| flags.iter().any(|known| &**known == flag);
        if result == "oif" && has("saddr") && has("iif") {
            // A source of the node's own has no interface to be found here (nft_fib4_eval, nft_fib6_eval).
            let test = Rpfilter { loose: false, valid_mark: has("mark"), accept_local: false, invert: false };
            let context = self.context(hook);
            return match context.node.reverse_path_match(&test, context.skb) {
                Truth::Yes => Value::Number(1),
                Truth::No => Value::Number(0),
                Truth::Unknown(unknown) => Value::Unknown(unknown.what.into()),
            };
        }
        if result != "type" {
            return Value::Unknown(format!("fib {result}").into());
        }
        let device = match (has("iif"), has("oif")) {
            (true, _) => self.skb.in_interface.clone(),
            (_, true) => self.skb.out_interface.clone(),
            _ => None,
        };
        let packet = &self.skb.packet;
        let (addr, other) =
            if has("saddr") { (packet.source, packet.destination) } else { (packet.destination, packet.source) };
        match addr {
            IpAddr::V4(_) => self.fib_type_v4(addr, device.as_deref()),
            IpAddr::V6(v6) => {
                let mark = if has("mark") { self.skb.mark } else { 0 };
                self.fib_type_v6(v6, other, device.as_ref(), mark)
            }
        }
    }

    /// IPv4 only asks the table `local` (inet_dev_addr_type).
    fn fib_type_v4(&self, addr: IpAddr, device: Option<&str>) -> Value {
        for kind in [RouteType::Local, RouteType::Broadcast, RouteType::Multicast, RouteType::Anycast] {
            match self.node.address_type_is(addr, device, &[kind]) {
                Truth::Yes => return word(kind),
                Truth::No => {}
                Truth::Unknown(unknown) => return Value::Unknown(unknown.what.into()),
            }
        }
        word(RouteType::Unicast)
    }

    /// IPv6 makes a whole lookup, by rules and all tables (nft_fib6_eval_type).
    fn fib_type_v6(&self, addr: Ipv6Addr, other: IpAddr, device: Option<&Arc<str>>, mark: u32) -> Value {
        if let Truth::Unknown(unknown) = self.node.address_type_is(addr.into(), None, &[RouteType::Local]) {
            return Value::Unknown(unknown.what.into());
        }
        let flow = RouteFlow {
            destination: addr.into(),
            source: Some(other),
            in_interface: Arc::from("lo"),
            out_interface: None,
            mark,
            tos: self.skb.packet.tos,
            transport: Some((self.skb.packet.protocol, None)),
            user: self.skb.packet.owner.map(|owner| owner.uid),
        };
        let choices = &*self.choices;
        let found = match self.node.lookup(&flow, &|unknown| choices.settled(unknown)) {
            Lookup::Unknown(unknown) => return Value::Unknown(unknown.what.into()),
            Lookup::NoRoute => return word(RouteType::Unreachable),
            Lookup::Found(found) => found,
        };
        let refuses = [RouteType::Blackhole, RouteType::Prohibit, RouteType::Unreachable];
        if refuses.contains(&found.kind) {
            return word(found.kind);
        }
        let on_device = |device: &Arc<str>| {
            let own = self.node.link(device).into_iter().flat_map(|link| &link.addresses);
            own.into_iter().any(|own| own.local == IpAddr::V6(addr))
        };
        // With an interface only that interface's addresses are local, without one whatever the table says is.
        let local = device.map_or(found.kind == RouteType::Local, on_device);
        let anycast = found.route.is_some_and(|route| route.is_anycast(addr));
        word(match (anycast, local) {
            (true, _) => RouteType::Anycast,
            (_, true) => RouteType::Local,
            _ if addr.is_multicast() => RouteType::Multicast,
            _ if addr.is_unspecified() => RouteType::Unspec,
            _ => RouteType::Unicast,
        })
    }
}

/// A route type as nft writes it.
fn word(kind: RouteType) -> Value {
    Value::Word(
        match kind {
            RouteType::Unspec => "unspec",
            RouteType::Unicast => "unicast",
            RouteType::Local => "local",
            RouteType::Broadcast => "broadcast",
            RouteType::Anycast => "anycast",
            RouteType::Multicast => "multicast",
            RouteType::Blackhole => "blackhole",
            RouteType::Unreachable => "unreachable",
            RouteType::Prohibit => "prohibit",
            RouteType::Throw => "throw",
            RouteType::Nat => "nat",
        }
        .into(),
    )
}
