//! The ways a judgement can go: one where everything is known, several under named unknowns otherwise.

use std::sync::Arc;

use serde::Serialize;

use super::endpoint::{Flow, Side};
use super::network_policy::NetworkPolicy;
use super::plugin::Plugin;
use super::policies::Policies;
use super::tier::{Action, Hit, Tier, TierKind, TierPolicy};
use crate::held::{Held, add_all};
use crate::source::Cited;
use crate::unknown::Unknown;

/// How a tier ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Allow,
    Deny,
    /// The tier's other policies are skipped.
    Pass,
    /// Nothing in it is about the flow.
    Open,
}

/// A rule that did not match, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// The policy.
    pub policy: String,
    /// The rule.
    pub rule: Cited,
    /// What of it did not match: `peer`, `port`, or `peer and port`.
    pub field: &'static str,
}

/// Where a rule can be put that would turn the judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// Into this NetworkPolicy: its namespace and place; a rule of it whose peers match already.
    Network { namespace: Arc<str>, place: usize, near: Option<usize> },
    /// Before this rule of this cluster-wide policy, by its place among all.
    Tier { place: usize, rule: usize },
}

/// Why a way ends as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Because {
    pub cited: Option<Cited>,
    pub text: String,
    pub missed: Vec<Missed>,
    pub spot: Option<Spot>,
    /// Whether a NetworkPolicy's isolation drops it, rather than a rule that says so.
    pub by_isolation: bool,
}

/// One way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub end: End,
    pub unknowns: Vec<Unknown>,
    pub because: Because,
}

impl Branch {
    fn open(unknowns: Vec<Unknown>) -> Self {
        Self { end: End::Open, unknowns, because: Because::default() }
    }

    /// The same way under further unknowns.
    pub fn under(mut self, unknowns: &[Unknown]) -> Self {
        let mut all = unknowns.to_vec();
        add_all(&mut all, &self.unknowns);
        self.unknowns = all;
        self
    }
}

/// The ways through the NetworkPolicies of the pod's namespace.
pub(super) fn of_network_policies(policies: &Policies, flow: &Flow, side: Side, plugin: Option<Plugin>) -> Vec<Branch> {
    let Some(pod) = flow.subject(side).as_networked_pod() else { return vec![Branch::open(Vec::new())] };
    let own = policies.network.get(&pod.namespace).map(Vec::as_slice).unwrap_or_default();
    let mut survey = Survey::default();
    for (place, policy) in own.iter().enumerate() {
        let isolates = policy.isolates(pod, side);
        if isolates == Held::No {
            continue;
        }
        survey.look_at(policy, place, &isolates, (flow, side, plugin));
        survey.isolated.push(isolates);
    }
    survey.branches(flow, side)
}

/// What the NetworkPolicies of a pod say together.
#[derive(Default)]
struct Survey {
    isolated: Vec<Held>,
    allowed: Vec<Held>,
    /// The rule that allows, or perhaps does.
    allowing: Option<Because>,
    first: Option<Because>,
    near: Option<Because>,
    missed: Vec<Missed>,
    titles: Vec<String>,
}

impl Survey {
    fn look_at(&mut self, policy: &NetworkPolicy, place: usize, isolates: &Held, at: (&Flow, Side, Option<Plugin>)) {
        let (flow, side, plugin) = at;
        let spot = |near| Spot::Network { namespace: Arc::clone(&policy.namespace), place, near };
        self.titles.push(policy.title());
        if self.first.is_none() {
            self.first =
                Some(Because { cited: Some(policy.cited.clone()), spot: Some(spot(None)), ..Because::default() });
        }
        for (number, rule) in policy.rules(side).unwrap_or_default().iter().enumerate() {
            let matched = rule.matches(flow, side, &policy.namespace, plugin);
            let field = match (&matched.peer, &matched.port) {
                (Held::No, Held::No) => Some("peer and port"),
                (Held::No, _) => Some("peer"),
                (_, Held::No) => Some("port"),
                _ => None,
            };
            if let Some(field) = field {
                self.missed.push(Missed { policy: policy.title(), rule: rule.cited.clone(), field });
                if field == "port" && matched.peer == Held::Yes && self.near.is_none() {
                    let (cited, spot) = (Some(rule.cited.clone()), Some(spot(Some(number))));
                    self.near = Some(Because { cited, spot, ..Because::default() });
                }
                continue;
            }
            let allowed = isolates.clone().and(matched.peer).and(matched.port);
            if self.allowing.is_none() || (allowed == Held::Yes && !self.allowed.contains(&Held::Yes)) {
                let text = format!("{}, {} rule {}, allows it", policy.title(), side.field(), number + 1);
                self.allowing = Some(Because { cited: Some(rule.cited.clone()), text, ..Because::default() });
            }
            self.allowed.push(allowed);
        }
    }

    fn branches(self, flow: &Flow, side: Side) -> Vec<Branch> {
        let (isolated, allowed) = (Held::any(self.isolated.clone()), Held::any(self.allowed.clone()));
        let denied = self.denial(flow, side);
        let allow = |unknowns| Branch { end: End::Allow, unknowns, because: self.allowing.clone().unwrap_or_default() };
        let deny = |unknowns| Branch { end: End::Deny, unknowns, because: denied.clone() };
        match (isolated, allowed) {
            (Held::No, _) => vec![Branch::open(Vec::new())],
            (_, Held::Yes) => vec![allow(Vec::new())],
            (Held::Yes, Held::No) => vec![deny(Vec::new())],
            (Held::Yes, Held::Perhaps(unknowns)) => vec![allow(unknowns.clone()), deny(unknowns)],
            (Held::Perhaps(unknowns), Held::No) => vec![Branch::open(unknowns.clone()), deny(unknowns)],
            (Held::Perhaps(isolation), Held::Perhaps(mut unknowns)) => {
                add_all(&mut unknowns, &isolation);
                vec![Branch::open(isolation), allow(unknowns.clone()), deny(unknowns)]
            }
        }
    }

    fn denial(&self, flow: &Flow, side: Side) -> Because {
        let base = self.near.clone().or_else(|| self.first.clone()).unwrap_or_default();
        let (subject, peer, what) = (flow.subject(side), flow.peer(side), flow.what());
        let direction = if side == Side::Egress { "to" } else { "from" };
        let mut text = format!(
            "{subject} is isolated for {} by {}, and no rule allows {what} {direction} {peer}",
            side.field(),
            self.titles.join(", "),
        );
        if let Some(Spot::Network { near: Some(rule), .. }) = &base.spot {
            text.push_str(&format!(": rule {} is about that peer, but not about that port", rule + 1));
        }
        Because { text, missed: self.missed.clone(), by_isolation: true, ..base }
    }
}

/// The ways through a tier of cluster-wide policies.
pub(super) fn of_tier(policies: &Policies, tier: Tier, at: (&Flow, Side, Option<Plugin>)) -> Vec<Branch> {
    // The kinds of the two versions know nothing of each other.
    let of = |kinds: &[TierKind]| {
        let places = policies.tiers.iter().enumerate();
        let own: Vec<(usize, &TierPolicy)> =
            places.filter(|(_, policy)| policy.tier == tier && kinds.contains(&policy.kind)).collect();
        by_priority(&own, at)
    };
    let earlier = of(&[TierKind::Admin, TierKind::BaselineAdmin]);
    let later = of(&[TierKind::Cluster]);
    contend(vec![earlier, later], "whether AdminNetworkPolicies or ClusterNetworkPolicies are applied first")
}

/// The policies of lower priority numbers first.
fn by_priority(policies: &[(usize, &TierPolicy)], at: (&Flow, Side, Option<Plugin>)) -> Vec<Branch> {
    let mut ways = Vec::new();
    let mut carried = Vec::new();
    for group in policies.chunk_by(|(_, a), (_, b)| a.priority == b.priority) {
        let ways_of_each = group.iter().map(|(place, policy)| of_policy(policy, *place, at)).collect();
        let names: Vec<String> = group.iter().map(|(_, policy)| policy.title()).collect();
        let priority = group.first().map_or(0, |(_, policy)| policy.priority);
        let order = format!("which of {} is applied first: all have priority {priority}", names.join(", "));
        let mut open = None;
        for way in contend(ways_of_each, &order) {
            if way.end == End::Open {
                open = Some(way.unknowns);
            } else {
                ways.push(way.under(&carried));
            }
        }
        let Some(unknowns) = open else { return ways };
        add_all(&mut carried, &unknowns);
    }
    ways.push(Branch::open(carried));
    ways
}

/// The ways of policies whose order is not defined.
fn contend(each: Vec<Vec<Branch>>, order: &str) -> Vec<Branch> {
    let closing = |ways: &Vec<Branch>| ways.iter().any(|way| way.end != End::Open);
    let mut ends: Vec<End> = Vec::new();
    for way in each.iter().flatten().filter(|way| way.end != End::Open) {
        if !ends.contains(&way.end) {
            ends.push(way.end);
        }
    }
    let disagree = each.iter().filter(|ways| closing(ways)).count() > 1 && ends.len() > 1;
    let unknown = [Unknown::deterministic(order, order)];
    let all_open = each.iter().all(|ways| ways.iter().any(|way| way.end == End::Open));
    let mut merged = Vec::new();
    let mut open = Vec::new();
    for way in each.into_iter().flatten() {
        match way.end {
            End::Open => add_all(&mut open, &way.unknowns),
            _ if disagree => merged.push(way.under(&unknown)),
            _ => merged.push(way),
        }
    }
    if all_open {
        merged.push(Branch::open(open));
    }
    // What surely ends it leaves no room for another's doubt about the same end.
    if !disagree
        && ends.len() == 1
        && let Some(sure) = merged.iter().find(|way| way.unknowns.is_empty() && way.end != End::Open)
    {
        return vec![sure.clone()];
    }
    merged
}

/// The ways through one policy: its rules in order.
fn of_policy(policy: &TierPolicy, place: usize, at: (&Flow, Side, Option<Plugin>)) -> Vec<Branch> {
    let (flow, side, plugin) = at;
    let Some(pod) = flow.subject(side).as_networked_pod() else { return vec![Branch::open(Vec::new())] };
    let mut carried = match policy.selects(pod) {
        Held::No => return vec![Branch::open(Vec::new())],
        Held::Yes => Vec::new(),
        Held::Perhaps(unknowns) => unknowns,
    };
    let selected_perhaps = (!carried.is_empty()).then(|| carried.clone());
    let mut ways = Vec::new();
    let mut ended = false;
    for (number, rule) in policy.rules(side).iter().enumerate() {
        let (ends, held) = match rule.hits(flow, side, plugin) {
            Hit::Acts(Action::Allow, held) => (vec![End::Allow], held),
            Hit::Acts(Action::Deny, held) => (vec![End::Deny], held),
            Hit::Acts(Action::Pass, held) => (vec![End::Pass], held),
            Hit::Unknown(held) => (vec![End::Allow, End::Deny, End::Pass], held),
        };
        let doubts = match &held {
            Held::No => continue,
            Held::Yes => Vec::new(),
            Held::Perhaps(unknowns) => unknowns.clone(),
        };
        let mut unknowns = carried.clone();
        add_all(&mut unknowns, &doubts);
        if ends.len() > 1 {
            let what = format!("what the action of {} means", rule.cited.origin);
            add_all(&mut unknowns, &[Unknown::deterministic(what.clone(), what)]);
        }
        for end in ends {
            let because = because_of_rule(policy, (place, number), rule.cited.clone(), end, side);
            ways.push(Branch { end, unknowns: unknowns.clone(), because });
        }
        if held == Held::Yes {
            ended = true;
            break;
        }
        add_all(&mut carried, &doubts);
    }
    if !ended {
        ways.push(Branch::open(carried));
    } else if let Some(unknowns) = selected_perhaps {
        ways.push(Branch::open(unknowns));
    }
    ways
}

fn because_of_rule(policy: &TierPolicy, at: (usize, usize), cited: Cited, end: End, side: Side) -> Because {
    let (place, number) = at;
    let does = match end {
        End::Allow => "allows it",
        End::Deny => "denies it",
        End::Pass | End::Open => "passes it on",
    };
    let text = format!("{}, {} rule {}, {does}", policy.title(), side.field(), number + 1);
    let spot = (end == End::Deny).then_some(Spot::Tier { place, rule: number });
    Because { cited: Some(cited), text, spot, ..Because::default() }
}
