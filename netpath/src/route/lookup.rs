//! The route lookup: rules in order of priority, in each table the longest prefix.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Fib, NextHop, PolicyRule, Route, RouteType, RuleAction};
use crate::address::Family;
use crate::source::Cited;
use crate::unknown::{Truth, Unknown};

/// What is looked up (struct flowi).
#[derive(Clone, Debug)]
pub struct Flow {
    /// The destination.
    pub destination: IpAddr,
    /// The source, when it is settled.
    pub source: Option<IpAddr>,
    /// The incoming interface; `lo` for the node's own packets.
    pub in_interface: Arc<str>,
    /// The interface a socket is bound to.
    pub out_interface: Option<Arc<str>>,
    /// The mark.
    pub mark: u32,
    /// The TOS bits that routing looks at.
    pub tos: Option<u8>,
    /// Protocol and ports, when rules may look at them.
    pub transport: Option<(u8, Option<(u16, u16)>)>,
    /// The sending user.
    pub user: Option<u32>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The type of the route, or of the rule that answers itself.
    pub kind: RouteType,
    /// The route; `None` when a rule answered itself.
    pub route: Option<&'a Route>,
    /// The ways out that are alive.
    pub hops: Vec<&'a NextHop>,
    /// The line that decided.
    pub cited: Option<Cited>,
}

/// The outcome of a lookup.
#[derive(Clone, Debug)]
pub enum Lookup<'a> {
    /// A route.
    Found(Found<'a>),
    /// No route at all.
    NoRoute,
    /// Whether a rule applies is not known.
    Unknown(Unknown),
}

/// The name of local and main together: until somebody adds an IPv4 rule, the kernel keeps both in one trie, and the
/// longest prefix wins whichever of the two it is in (fib_lookup, fib_trie_unmerge).
pub(crate) const ONE_TRIE: &str = "local and main";

/// Looks up a flow among routes by rules that are sorted by priority.
///
/// `assumed` answers what an earlier question about an unknown selector was decided to be.
pub(crate) fn lookup<'a>(
    rules: &'a [PolicyRule],
    routes: &'a Fib,
    flow: &Flow,
    assumed: &dyn Fn(&Unknown) -> Option<bool>,
) -> Lookup<'a> {
    let mut skip_until = 0;
    for rule in rules.iter().filter(|rule| rule.family == Family::of(flow.destination)) {
        if rule.priority < skip_until {
            continue;
        }
        match applies(rule, flow) {
            Truth::No => continue,
            Truth::Yes => {}
            Truth::Unknown(unknown) => match assumed(&unknown) {
                Some(true) => {}
                Some(false) => continue,
                None => return Lookup::Unknown(unknown),
            },
        }
        let kind = match &rule.action {
            RuleAction::Table(table) => match in_table(routes, table, rule, flow) {
                Some(found) => return Lookup::Found(found),
                None => continue,
            },
            RuleAction::Goto(priority) => {
                // The kernel only allows jumps forward.
                skip_until = *priority;
                continue;
            }
            RuleAction::Nop => continue,
            RuleAction::Blackhole => RouteType::Blackhole,
            RuleAction::Unreachable => RouteType::Unreachable,
            RuleAction::Prohibit => RouteType::Prohibit,
            RuleAction::Unknown(action) => {
                let what = format!("what the routing rule of priority {} ({action}) does", rule.priority);
                return Lookup::Unknown(Unknown::deterministic(what.clone(), what));
            }
        };
        return Lookup::Found(Found { kind, route: None, hops: Vec::new(), cited: rule.cited.clone() });
    }
    Lookup::NoRoute
}

fn in_table<'a>(routes: &'a Fib, table: &str, rule: &PolicyRule, flow: &Flow) -> Option<Found<'a>> {
    // Longest prefix, then the TOS' own route, then the lowest metric; among equals the one that stands first.
    let mut best: Option<&Route> = None;
    let candidates: Box<dyn Iterator<Item = &Route>> = match table {
        ONE_TRIE => {
            Box::new(routes.covering("local", flow.destination).chain(routes.covering("main", flow.destination)))
        }
        _ => Box::new(routes.covering(table, flow.destination)),
    };
    for route in candidates {
        let for_tos = route.tos == 0 || flow.tos.is_some_and(|tos| tos & 0x1c == route.tos);
        if !for_tos || !usable(route, flow) {
            continue;
        }
        let rank = |route: &Route| {
            let length = std::cmp::Reverse(route.destination.prefix_len());
            (length, &*route.table != "local", std::cmp::Reverse(route.tos), route.metric)
        };
        if best.is_none_or(|best| rank(route) < rank(best)) {
            best = Some(route);
        }
    }
    let route = best?;
    if route.kind == RouteType::Throw {
        return None;
    }
    let length = route.destination.prefix_len().unwrap_or_default();
    if rule.suppress_prefix_len.is_some_and(|limit| length <= limit) {
        return None;
    }
    let hops = route.hops.iter().filter(|hop| !hop.dead && fits(hop, flow)).collect();
    Some(Found { kind: route.kind, route: Some(route), hops, cited: Some(route.cited.clone()) })
}

/// A unicast route needs a way out that is alive and, when the flow is bound to an interface, leaves by it.
fn usable(route: &Route, flow: &Flow) -> bool {
    match route.kind {
        RouteType::Blackhole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw => true,
        _ => route.hops.iter().any(|hop| !hop.dead && fits(hop, flow)),
    }
}

fn fits(hop: &NextHop, flow: &Flow) -> bool {
    flow.out_interface.is_none() || hop.interface.is_none() || hop.interface == flow.out_interface
}

fn applies(rule: &PolicyRule, flow: &Flow) -> Truth {
    let transport = flow.transport;
    let plain = rule.destination.is_none_or(|net| net.contains(flow.destination))
        && rule.source.is_none_or(|net| match flow.source {
            Some(source) => net.contains(source),
            // An unset source is 0.0.0.0 (::) to the kernel.
            None => net.contains(Family::of(flow.destination).address(0)),
        })
        && rule.in_interface.as_ref().is_none_or(|name| **name == *flow.in_interface)
        && rule
            .out_interface
            .as_ref()
            .is_none_or(|name| flow.out_interface.as_ref().is_some_and(|out| **out == **name))
        && rule.mark.is_none_or(|(mark, mask)| flow.mark & mask == mark & mask);
    let protocol = rule.protocol.is_none_or(|wanted| transport.is_some_and(|(protocol, _)| protocol == wanted));
    let ports = transport.and_then(|(_, ports)| ports);
    let source_port = rule.source_ports.is_none_or(|range| ports.is_some_and(|ports| range.contains(ports.0)));
    let target_port = rule.destination_ports.is_none_or(|range| ports.is_some_and(|ports| range.contains(ports.1)));
    let tos = match (rule.tos, flow.tos) {
        (None, _) => Truth::Yes,
        (Some(wanted), Some(tos)) => (tos & 0x1c == wanted).into(),
        (Some(_), None) => Truth::Unknown(Unknown::deterministic("routing tos", "the packet's TOS byte")),
    };
    let user = match (rule.users, flow.user) {
        (None, _) => Truth::Yes,
        (Some((first, last)), Some(user)) => (first <= user && user <= last).into(),
        (Some((first, last)), None) => Truth::Unknown(Unknown::deterministic(
            format!("routing user {first}-{last}"),
            format!("whether the sending user is in {first}-{last}"),
        )),
    };
    let unknown = match rule.unknown.first() {
        None => Truth::Yes,
        Some(selector) => Truth::Unknown(Unknown::deterministic(
            format!("routing rule {}", rule.priority),
            format!("whether the routing rule of priority {} applies (`{selector}`)", rule.priority),
        )),
    };
    Truth::from(plain && protocol && source_port && target_port)
        .and(tos)
        .and(user)
        .and(unknown)
        .negated_if(rule.inverted)
}
