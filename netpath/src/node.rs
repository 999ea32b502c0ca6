//! A node, as far as a packet's way through it depends on it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Family;
use crate::ipset::{Direction, Sets};
use crate::iptables::Ruleset;
use crate::link::Link;
use crate::neighbour::Neighbour;
use crate::route::{Fib, Flow, Lookup, PolicyRule, RouteType, RuleAction};
use crate::sysctl::Sysctls;
use crate::unknown::{Truth, Unknown};
use crate::walk::Skb;

/// Everything that a walk needs of a node. What is left empty is not known, and the walk says so where it matters.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Interfaces with their addresses.
    pub links: Vec<Link>,
    /// The routes of all tables and both families.
    pub routes: Fib,
    /// The routing rules; a family without any is taken to have the kernel's three.
    pub rules: Vec<PolicyRule>,
    /// The neighbour table.
    pub neighbours: Vec<Neighbour>,
    /// Kernel settings.
    pub sysctls: Sysctls,
    /// iptables rule sets, of each family and backend at most one.
    pub rulesets: Vec<Arc<Ruleset>>,
    /// Native nft tables, when they were collected.
    pub nft: Option<crate::nft::Tables>,
    /// ipsets, when they were collected.
    pub ipsets: Option<Sets>,
    /// Virtual servers of IPVS, when they were collected.
    pub ipvs: Option<crate::ipvs::Servers>,
    /// What the evidence does not hold although the node may have it.
    pub gaps: Vec<Gap>,
}

/// Something that a node may have and that the evidence does not hold, so that no walk may take it for empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of which family.
    pub family: Family,
    /// What it is.
    pub kind: GapKind,
    /// The same in words, with the reason: `the rules of iptables-legacy (not collected: forbidden)`.
    pub what: String,
}

/// What is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// Rules of netfilter.
    Rules,
    /// Routes.
    Routes,
    /// Routing rules (`ip rule`).
    RoutingRules,
}

impl Node {
    /// What is not known of that kind and family.
    pub(crate) fn gaps_of(&self, kind: GapKind, family: Family) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(move |gap| gap.kind == kind && gap.family == family)
    }

    /// Whether nothing can be said of the family's routes.
    pub(crate) fn is_routeless(&self, family: Family) -> bool {
        self.routes.routes().is_empty() || self.gaps_of(GapKind::Routes, family).next().is_some()
    }

    /// The interface of that name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| &*link.name == name)
    }

    /// Whether an interface of the node has the address.
    pub fn holds(&self, addr: IpAddr) -> bool {
        self.links.iter().flat_map(|link| &link.addresses).any(|own| own.local == addr)
    }

    /// The interface by which the node's own packets to an address leave, so that what the address sends comes in there
    /// where the ways are symmetric. None where there is no route, where several are possible, or none is known.
    pub fn interface_towards(&self, addr: IpAddr) -> Option<Arc<str>> {
        match self.lookup(&self.plain_flow(addr), &|_| None) {
            Lookup::Found(found) => found.hops.first()?.interface.clone(),
            Lookup::NoRoute | Lookup::Unknown(_) => None,
        }
    }

    /// The source address that the node's own packets to an address get, where its routes tell.
    pub fn source_towards(&self, addr: IpAddr) -> Option<IpAddr> {
        let Lookup::Found(found) = self.lookup(&self.plain_flow(addr), &|_| None) else { return None };
        let hop = found.hops.first()?;
        let next_hop = hop.gateway.unwrap_or(addr);
        let by_route = found.route.and_then(|route| route.source);
        let to_itself = (found.kind == RouteType::Local).then_some(addr);
        by_route.or(to_itself).or_else(|| self.link(hop.interface.as_deref()?)?.source_for(next_hop))
    }

    /// Whether a packet's routing-table type is among `types`, as xt_addrtype decides it.
    ///
    /// For IPv4 only the table `local` is asked (net/ipv4/fib_frontend.c, `__inet_dev_addr_type`).
    pub(crate) fn address_type_is(&self, addr: IpAddr, device: Option<&str>, types: &[RouteType]) -> Truth {
        match addr {
            IpAddr::V4(v4) => {
                let kind = if v4.octets()[0] == 0 || v4.is_broadcast() {
                    RouteType::Broadcast
                } else if v4.is_multicast() {
                    RouteType::Multicast
                } else {
                    match self.local_type(addr, device) {
                        Some(kind) => kind,
                        None => return self.type_without_table(addr, types),
                    }
                };
                types.contains(&kind).into()
            }
            IpAddr::V6(v6) => self.address_type_is_v6(v6, device, types),
        }
    }

    /// The type that the table `local` gives; `None` when that table was not collected.
    fn local_type(&self, addr: IpAddr, device: Option<&str>) -> Option<RouteType> {
        if !self.routes.has_table("local", Family::of(addr)) {
            return None;
        }
        let route = self.routes.covering("local", addr).next().filter(|route| {
            // With both tables in one trie a longer prefix of main hides the local one.
            let main = || self.routes.covering("main", addr).next().and_then(|main| main.destination.prefix_len());
            let one_trie = addr.is_ipv4() && !self.has_custom_rules(Family::V4);
            !one_trie || main() <= route.destination.prefix_len()
        });
        let on_device = |route: &crate::route::Route| {
            device.is_none_or(|device| route.hops.iter().any(|hop| hop.interface.as_deref() == Some(device)))
        };
        Some(route.filter(|route| on_device(route)).map_or(RouteType::Unicast, |route| route.kind))
    }

    /// Without the table `local`, an address of an interface is surely local; any other may be (AnyIP).
    fn type_without_table(&self, addr: IpAddr, types: &[RouteType]) -> Truth {
        let own = self.links.iter().flat_map(|link| &link.addresses).any(|address| address.local == addr);
        if own || addr.is_loopback() {
            return types.contains(&RouteType::Local).into();
        }
        let what = format!("whether {addr} is an address of the node (its routing table `local` is missing)");
        let truth = Truth::Unknown(Unknown::deterministic(format!("local {addr}"), what));
        truth.negated_if(!types.contains(&RouteType::Local))
    }

    fn address_type_is_v6(&self, addr: std::net::Ipv6Addr, device: Option<&str>, types: &[RouteType]) -> Truth {
        let has = |kind: RouteType| types.contains(&kind);
        let multicast = addr.is_multicast();
        let unspecified = addr.is_unspecified();
        if (has(RouteType::Multicast) && !multicast)
            || (has(RouteType::Unicast) && (multicast || unspecified))
            || (has(RouteType::Unspec) && !unspecified)
        {
            return Truth::No;
        }
        let asked = [RouteType::Local, RouteType::Anycast, RouteType::Prohibit, RouteType::Unreachable];
        if !asked.iter().any(|kind| has(*kind)) {
            return Truth::Yes;
        }
        if !self.routes.has_table("local", Family::V6) {
            return self.type_without_table(addr.into(), types);
        }
        // A real lookup, bound to the interface if one is asked about (match_lookup_rt6).
        let flow = Flow { out_interface: device.map(Arc::from), ..self.plain_flow(addr.into()) };
        let found = match self.lookup(&flow, &|_| None) {
            Lookup::Unknown(unknown) => return Truth::Unknown(unknown),
            Lookup::NoRoute => return has(RouteType::Unreachable).into(),
            Lookup::Found(found) => found,
        };
        if matches!(found.kind, RouteType::Unreachable | RouteType::Prohibit | RouteType::Blackhole) {
            return has(RouteType::Unreachable).into();
        }
        let local = match device {
            None => found.kind == RouteType::Local,
            Some(device) => {
                let own = self.link(device).into_iter().flat_map(|link| &link.addresses);
                own.into_iter().any(|own| own.local == addr)
            }
        };
        let anycast = found.route.is_some_and(|route| route.is_anycast(addr));
        (has(RouteType::Local) && local || has(RouteType::Anycast) && anycast).into()
    }

    fn plain_flow(&self, destination: IpAddr) -> Flow {
        Flow {
            destination,
            source: None,
            in_interface: Arc::from("lo"),
            out_interface: None,
            mark: 0,
            tos: Some(0),
            transport: None,
            user: None,
        }
    }

    /// Looks up a route by this node's rules, or by the kernel's three when it has none of the family.
    pub(crate) fn lookup(&self, flow: &Flow, assumed: &dyn Fn(&Unknown) -> Option<bool>) -> Lookup<'_> {
        let family = Family::of(flow.destination);
        let rules = if self.has_custom_rules(family) { &self.rules } else { default_rules(family) };
        crate::route::lookup(rules, &self.routes, flow, assumed)
    }

    /// Whether somebody added routing rules to the kernel's own.
    pub(crate) fn has_custom_rules(&self, family: Family) -> bool {
        let own = |rule: &PolicyRule| {
            let table = match rule.priority {
                0 => "local",
                32766 => "main",
                32767 => "default",
                _ => return false,
            };
            rule.source.is_none() && rule.action == RuleAction::Table(table.into())
        };
        self.rules.iter().any(|rule| rule.family == family && !own(rule))
    }

    /// Whether an address is in an ipset.
    pub(crate) fn in_ipset(&self, set: &str, directions: &[Direction], skb: &Skb, reverse: bool) -> Truth {
        match &self.ipsets {
            Some(sets) => sets.test(set, directions, skb, reverse),
            None => Sets::default().test(set, directions, skb, reverse),
        }
    }
}

/// The kernel's own three rules, made once.
fn default_rules(family: Family) -> &'static [PolicyRule] {
    use std::sync::LazyLock;
    static V4: LazyLock<Vec<PolicyRule>> = LazyLock::new(|| PolicyRule::defaults(Family::V4));
    static V6: LazyLock<Vec<PolicyRule>> = LazyLock::new(|| PolicyRule::defaults(Family::V6));
    match family {
        Family::V4 => &V4,
        Family::V6 => &V6,
    }
}
