//! What the mutations change: rules, targets and tests of a recording's rule sets, its node, its cases.

use std::sync::Arc;

use netpath::interface::IfacePattern;
use netpath::iptables::{Negatable, Policy, Rule, Ruleset};
use netpath::matches::{Match, StateSet};
use netpath::node::Node;
use netpath::route::{Fib, Route, RouteType};
use netpath::source::{Cited, Origin};
use netpath::targets::{MarkSet, Reject, RejectKind, Target};

use crate::compare::{Case, Recording};

pub fn sets(recording: &mut Recording, change: impl Fn(&mut Ruleset)) {
    recording.node.rulesets.iter_mut().for_each(|ruleset| change(Arc::make_mut(ruleset)));
}

pub fn headers(recording: &mut Recording, change: impl Fn(&mut Rule)) {
    sets(recording, |set| {
        let chains = set.tables.iter_mut().flat_map(|table| &mut table.chains);
        chains.flat_map(|chain| &mut chain.rules).for_each(&change);
    });
}

pub fn targets(recording: &mut Recording, change: impl Fn(&mut Target)) {
    headers(recording, |rule| change(&mut rule.target));
}

pub fn matches(recording: &mut Recording, change: impl Fn(&mut Match)) {
    headers(recording, |rule| rule.matches.iter_mut().for_each(&change));
}

pub fn without(recording: &mut Recording, gone: impl Fn(&Match) -> bool) {
    headers(recording, |rule| rule.matches.retain(|m| !gone(m)));
}

/// Changes the rules that are meant.
pub fn rules(recording: &mut Recording, meant: impl Fn(&Rule) -> bool, change: impl Fn(&mut Rule)) {
    headers(recording, |rule| {
        if meant(rule) {
            change(rule);
        }
    });
}

/// As if the rule never matched.
pub fn drop_rule(rule: &mut Rule) {
    rule.target = Target::None;
}

pub fn flip<T>(test: &mut Option<Negatable<T>>) {
    if let Some(test) = test {
        test.negated = !test.negated;
    }
}

pub fn no_flags(m: &mut Match) {
    if let Match::Tcp(tcp) = m {
        tcp.flags = None;
    }
}

pub fn short_range(m: &mut Match) {
    let destination = match m {
        Match::Tcp(tcp) => &mut tcp.destination,
        Match::Ports(ports) => &mut ports.destination,
        _ => return,
    };
    if let Some(range) = destination
        && range.value.last > range.value.first
    {
        range.value.last -= 1;
    }
}

pub fn flip_multiport(m: &mut Match) {
    if let Match::Multiport(multiport) = m {
        multiport.negated = !multiport.negated;
    }
}

pub fn flip_set(m: &mut Match) {
    if let Match::Set(set) = m {
        set.negated = !set.negated;
    }
}

pub fn flip_mark(m: &mut Match) {
    if let Match::Mark(mark) = m {
        mark.negated = !mark.negated;
    }
}

pub fn untracked_is_new(m: &mut Match) {
    if let Match::Conntrack(conntrack) = m
        && let Some(state) = &mut conntrack.state
        && state.value.intersects(StateSet::UNTRACKED)
    {
        state.value = StateSet::NEW;
    }
}

pub fn policies(recording: &mut Recording, policy: Policy) {
    sets(recording, |set| {
        let filter = set.tables.iter_mut().filter(|table| &*table.name == "filter");
        filter.flat_map(|table| &mut table.chains).for_each(|chain| chain.policy = chain.policy.map(|_| policy));
    });
}

pub fn other_kind(target: &mut Target) {
    if let Target::Reject(reject) = target {
        let kind = if reject.kind == RejectKind::AdminProhibited {
            RejectKind::PortUnreachable
        } else {
            RejectKind::AdminProhibited
        };
        *target = Target::Reject(Reject { kind, family: reject.family });
    }
}

pub fn other_mark(target: &mut Target) {
    if let Target::Mark(set) = target {
        *target = Target::Mark(MarkSet { value: set.value ^ 0x4002, mask: set.mask });
    }
}

/// Filter's rules under the name of a table that is walked earlier, and the other way round.
pub fn swap_tables(set: &mut Ruleset) {
    for table in &mut set.tables {
        table.name = match &*table.name {
            "mangle" => "security".into(),
            "security" => "mangle".into(),
            other => other.into(),
        };
    }
}

/// As if an ICMP error quoted another packet.
pub fn other_quote(case: &mut Case) {
    if let Some(about) = &mut case.probe.packet.about {
        about.source_port = about.source_port.map(|port| port ^ 1);
        about.icmp = about.icmp.map(|(kind, code)| (kind, code ^ 1));
    }
}

pub fn forget_translation(case: &mut Case) {
    for known in &mut case.known {
        known.destination_translated = false;
        known.source_translated = false;
    }
}

pub fn set(recording: &mut Recording, name: &str, value: &str) {
    let origin = Origin { file: "mutation".into(), line: 1, pointer: None };
    recording.node.sysctls.set(name, value, Cited { origin, text: String::new() });
}

pub fn bridge_calls(recording: &mut Recording, value: &str) {
    set(recording, "net.bridge.bridge-nf-call-iptables", value);
    set(recording, "net.bridge.bridge-nf-call-ip6tables", value);
}

/// `-i br0` as if it said `-i eth0`.
pub fn rename(test: &mut Option<Negatable<IfacePattern>>) {
    if let Some(test) = test.as_mut().filter(|test| test.value.matches(Some("br0"))) {
        test.value = IfacePattern::parse("eth0");
    }
}

pub fn routes(recording: &mut Recording, kept: impl Fn(RouteType) -> bool) {
    let routes = recording.node.routes.routes().iter().filter(|route| kept(route.kind)).cloned().collect();
    recording.node.routes = Fib::new(routes);
}

pub fn metrics(node: &mut Node) {
    let routes =
        node.routes.routes().iter().cloned().map(|route| Route { metric: 1000 - route.metric.min(999), ..route });
    node.routes = Fib::new(routes.collect());
}
