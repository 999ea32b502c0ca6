//! What policies make of a flow on one of its sides.

use serde::Serialize;

use super::branch::{self, Because, Branch, End, Missed};
use super::endpoint::{Flow, Party, Side};
use super::fix::{self, PolicyFix};
use super::plugin::{Enforcement, Plugin, Question, ask};
use super::policies::Policies;
use super::tier::Tier;
use crate::answer::Decision;
use crate::held::{Held, add_all};
use crate::source::Cited;
use crate::unknown::Unknown;

/// A policy that isolates a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Isolating {
    /// `NetworkPolicy shop/default-deny`.
    pub policy: String,
    /// Where it stands.
    #[serde(flatten)]
    pub cited: Cited,
}

/// One way that a judgement can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Accept or drop.
    pub verdict: Decision,
    /// Why, in a sentence.
    pub why: String,
    /// The rule or policy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Cited>,
    /// What it assumes.
    pub unknowns: Vec<Unknown>,
}

/// What policies make of a flow on one of its sides.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// Accept, drop or depends. Policies never reject: a client sees a timeout.
    pub verdict: Decision,
    /// Which side was judged.
    pub side: Side,
    /// Why, in a sentence.
    pub why: String,
    /// The rule that decides; where no rule allows, the rule that is about the peer but not about the port, else the
    /// policy that isolates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Cited>,
    /// The policies that isolate the pod on this side.
    pub isolating: Vec<Isolating>,
    /// The rules that would have allowed it but for their peer or port.
    pub missed: Vec<Missed>,
    /// What the answer depends on.
    pub unknowns: Vec<Unknown>,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
    /// Every way it can go; one where everything is known.
    pub ways: Vec<Way>,
    /// The smallest change that turns a drop, tried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<PolicyFix>,
}

impl Policies {
    /// Judges a flow on one side. Both sides must accept for a connection to come about; its replies are then accepted.
    pub fn judge(&self, enforcement: &Enforcement, flow: &Flow, side: Side) -> Judgement {
        let mut judgement = self.verdict(enforcement, flow, side);
        if judgement.verdict == Decision::Drop {
            judgement.fix = fix::find(self, enforcement, flow, side);
        }
        judgement
    }

    /// The judgement without a remedy.
    pub(super) fn verdict(&self, enforcement: &Enforcement, flow: &Flow, side: Side) -> Judgement {
        let plugin = enforcement.plugin();
        let mut judgement = Judgement {
            verdict: Decision::Accept,
            side,
            why: String::new(),
            deciding: None,
            isolating: self.isolating(flow, side),
            missed: Vec::new(),
            unknowns: Vec::new(),
            notes: Vec::new(),
            ways: Vec::new(),
            fix: None,
        };
        if let Some(why) = exempt(flow, side) {
            judgement.why = why;
            self.weigh_foreign(&mut judgement, flow, side, enforcement);
            return judgement;
        }
        let subject = flow.subject(side);
        if subject.party == Party::Unidentified && !self.is_empty() {
            let what = format!("whose address {} is", subject.address);
            judgement.why = format!("{subject} may be a pod that policies select");
            judgement.depend_on(&[Unknown::deterministic(what.clone(), what)], "policies apply to pods alone");
            judgement.weigh_enforcement(enforcement);
            return judgement;
        }
        let ways = self.ways(flow, side, plugin, &mut judgement.notes);
        judgement.settle(ways, flow, side);
        self.weigh_foreign(&mut judgement, flow, side, enforcement);
        let blind = self.blind_spots(plugin);
        if !blind.is_empty() {
            judgement.depend_on(&blind, "not all policies could be read");
        }
        judgement.weigh_enforcement(enforcement);
        judgement
    }

    /// The ways through the tiers.
    fn ways(&self, flow: &Flow, side: Side, plugin: Option<Plugin>, notes: &mut Vec<String>) -> Vec<Branch> {
        let at = (flow, side, plugin);
        let network = branch::of_network_policies(self, flow, side, plugin);
        let without_tiers = || combine(&[Branch::nothing()], &network, &[Branch::nothing()]);
        let admin = branch::of_tier(self, Tier::Admin, at);
        let baseline = branch::of_tier(self, Tier::Baseline, at);
        let with_tiers = combine(&admin, &network, &baseline);
        let involved = [&admin, &baseline].iter().any(|ways| ways.iter().any(|way| way.end != End::Open));
        let mut ways = if involved {
            match ask(plugin, Question::AdminTiers) {
                Held::Yes => with_tiers,
                Held::No => {
                    notes.push(format!(
                        "{} does not implement cluster-wide policies of policy.networking.k8s.io",
                        plugin.map_or("the network plugin", Plugin::name)
                    ));
                    without_tiers()
                }
                // What ends alike with and without them does not depend on them.
                Held::Perhaps(unknowns) => {
                    let (with, without) = (with_tiers, without_tiers());
                    let same =
                        |ways: &[Branch]| ways.iter().all(|way| Some(way.end) == with.first().map(|way| way.end));
                    if same(&with) && same(&without) {
                        with
                    } else {
                        with.into_iter().chain(without).map(|way| way.under(&unknowns)).collect()
                    }
                }
            }
        } else {
            with_tiers
        };
        if side == Side::Egress && is_own_node(flow) {
            ways = soften(ways, &ask(plugin, Question::FiltersOwnNode), |_| true);
        }
        if !flow.has_defined_protocol() {
            ways = soften(ways, &ask(plugin, Question::FiltersOtherProtocols), |because| because.by_isolation);
        }
        ways
    }

    fn isolating(&self, flow: &Flow, side: Side) -> Vec<Isolating> {
        let Some(pod) = flow.subject(side).as_networked_pod() else { return Vec::new() };
        let own = self.network.get(&pod.namespace).into_iter().flatten();
        own.filter(|policy| policy.isolates(pod, side) == Held::Yes)
            .map(|policy| Isolating { policy: policy.title(), cited: policy.cited.clone() })
            .collect()
    }

    /// Policies of the plugins' own kinds make it depend on them.
    fn weigh_foreign(&self, judgement: &mut Judgement, flow: &Flow, side: Side, enforcement: &Enforcement) {
        if matches!(enforcement, Enforcement::No { .. }) || is_same_pod(flow) {
            return;
        }
        let (end, plugin) = (flow.subject(side), enforcement.plugin());
        let mut unknowns = Vec::new();
        for policy in &self.foreign {
            unknowns.extend(policy.unknown_for(end, side, plugin));
        }
        if !unknowns.is_empty() {
            judgement.depend_on(&unknowns, "policies of the network plugin's own kind select it");
        }
    }
}

impl Branch {
    fn nothing() -> Self {
        Self { end: End::Open, unknowns: Vec::new(), because: Because::default() }
    }
}

impl Judgement {
    fn settle(&mut self, ways: Vec<Branch>, flow: &Flow, side: Side) {
        for branch in &ways {
            let verdict = if branch.end == End::Deny { Decision::Drop } else { Decision::Accept };
            let why = match branch.because.text.as_str() {
                "" => format!("no policy is about the {} of {}", side.field(), flow.subject(side)),
                text => text.to_owned(),
            };
            let way = Way { verdict, why, deciding: branch.because.cited.clone(), unknowns: branch.unknowns.clone() };
            if !self.ways.contains(&way) {
                self.ways.push(way);
            }
        }
        let drop = ways.iter().find(|way| way.end == End::Deny);
        let passes = ways.iter().any(|way| way.end != End::Deny);
        self.missed = drop.map(|way| way.because.missed.clone()).unwrap_or_default();
        self.verdict = match (drop.is_some(), passes) {
            (true, true) => Decision::Depends,
            (true, false) => Decision::Drop,
            _ => Decision::Accept,
        };
        let verdict = if drop.is_some() { Decision::Drop } else { Decision::Accept };
        if let Some(telling) = self.ways.iter().find(|way| way.verdict == verdict) {
            self.why.clone_from(&telling.why);
            self.deciding.clone_from(&telling.deciding);
        }
        if self.verdict == Decision::Depends {
            let all: Vec<Unknown> = self.ways.iter().flat_map(|way| way.unknowns.clone()).collect();
            add_all(&mut self.unknowns, &all);
        }
    }

    fn depend_on(&mut self, unknowns: &[Unknown], why: &str) {
        self.verdict = Decision::Depends;
        add_all(&mut self.unknowns, unknowns);
        self.notes.push(why.to_owned());
    }

    fn weigh_enforcement(&mut self, enforcement: &Enforcement) {
        match enforcement {
            Enforcement::Yes { .. } => {}
            Enforcement::No { why } if self.verdict != Decision::Accept => {
                self.notes.push(format!("policies would have a say, but nothing enforces them: {why}"));
                self.notes.push(self.why.clone());
                self.why = format!("nothing enforces policies: {why}");
                self.verdict = Decision::Accept;
                self.unknowns.clear();
                self.deciding = None;
            }
            Enforcement::No { .. } => {}
            Enforcement::Unknown { why } if self.verdict != Decision::Accept => {
                let what = format!("whether anything enforces policies: {why}");
                self.depend_on(&[Unknown::deterministic("enforcement", what)], "what enforces policies is not known");
            }
            Enforcement::Unknown { .. } => {}
        }
    }
}

/// Admin before NetworkPolicy before baseline.
fn combine(admin: &[Branch], network: &[Branch], baseline: &[Branch]) -> Vec<Branch> {
    let then = |first: &Branch, second: &[Branch]| -> Vec<Branch> {
        match first.end {
            End::Allow | End::Deny => vec![first.clone()],
            End::Pass | End::Open => second.iter().map(|way| way.clone().under(&first.unknowns)).collect(),
        }
    };
    let after: Vec<Branch> = network.iter().flat_map(|way| then(way, baseline)).collect();
    admin.iter().flat_map(|way| then(way, &after)).collect()
}

/// Drops that the implementation may not make.
fn soften(ways: Vec<Branch>, filters: &Held, concerned: impl Fn(&Because) -> bool) -> Vec<Branch> {
    let soften_one = |way: Branch| {
        if way.end != End::Deny || !concerned(&way.because) {
            return vec![way];
        }
        match filters {
            Held::Yes => vec![way],
            Held::No => vec![Branch { end: End::Allow, ..way }],
            Held::Perhaps(unknowns) => {
                let dropped = way.clone().under(unknowns);
                vec![dropped, Branch { end: End::Allow, ..way }.under(unknowns)]
            }
        }
    };
    ways.into_iter().flat_map(soften_one).collect()
}

fn is_same_pod(flow: &Flow) -> bool {
    match (&flow.source.party, &flow.destination.party) {
        (Party::Pod(source), Party::Pod(destination)) => source.is(destination),
        _ => false,
    }
}

/// Whether the peer is the node that the subject runs on; the same for both sides.
fn is_own_node(flow: &Flow) -> bool {
    let own = |pod: &Party, end: &super::endpoint::Endpoint| match (pod, end.as_node()) {
        (Party::Pod(pod), Some((node, _))) => !pod.host_network && pod.node.as_deref() == Some(node),
        _ => false,
    };
    own(&flow.source.party, &flow.destination) || own(&flow.destination.party, &flow.source)
}

/// Why no policy of Kubernetes has a say, where that is so.
fn exempt(flow: &Flow, side: Side) -> Option<String> {
    let subject = flow.subject(side);
    if is_same_pod(flow) {
        return Some("a pod always reaches itself".to_owned());
    }
    match &subject.party {
        Party::Pod(pod) if pod.host_network => {
            return Some(format!("{subject} is on the host's network, where policies do not apply"));
        }
        Party::Pod(pod) if pod.ended => return Some(format!("{subject} has ended: policies do not apply to it")),
        Party::Pod(_) => {}
        Party::Node(_) => return Some(format!("{subject} is no pod: policies do not apply to it")),
        Party::Outside => return Some(format!("{subject} is outside the cluster: policies do not apply to it")),
        Party::Unidentified => return None,
    }
    (side == Side::Ingress && is_own_node(flow)).then(|| format!("{subject} always takes traffic from its own node"))
}
