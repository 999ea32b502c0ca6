//! Cluster-wide policies of `policy.networking.k8s.io`: AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1),
//! ClusterNetworkPolicy (v1alpha2, v1beta1). Their rules are ordered, and the first that matches decides.
//!
//! Semantics: the API's own comments, <https://network-policy-api.sigs.k8s.io/>. Pods on the host's network are neither
//! subjects nor peers. `networks` match every address, also that of a pod.

use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use super::endpoint::{Flow, Party, Pod, Side};
use super::label::Selector;
use super::peer::{network, unidentified};
use super::plugin::Plugin;
use super::port::{PortMatch, tier_port};
use crate::held::Held;
use crate::json::Place;
use crate::source::Cited;

/// Before or after NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Before.
    Admin,
    /// After, for pods that no NetworkPolicy isolates.
    Baseline,
}

/// The kind of a cluster-wide policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TierKind {
    Admin,
    BaselineAdmin,
    Cluster,
}

impl TierKind {
    /// The kind as its objects spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "AdminNetworkPolicy",
            Self::BaselineAdmin => "BaselineAdminNetworkPolicy",
            Self::Cluster => "ClusterNetworkPolicy",
        }
    }

    /// How its rules say that they allow.
    pub fn allow(self) -> &'static str {
        if self == Self::Cluster { "Accept" } else { "Allow" }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The flow passes this direction.
    Allow,
    /// The flow is dropped.
    Deny,
    /// The tier's other rules are skipped.
    Pass,
}

/// A cluster-wide policy.
#[derive(Clone, Debug)]
pub(super) struct TierPolicy {
    pub kind: TierKind,
    pub name: Arc<str>,
    pub cited: Cited,
    pub object: Arc<Value>,
    pub tier: Tier,
    /// Lower numbers come first; the baseline of v1alpha1, of which there is one, has none.
    pub priority: u32,
    subject: Subject,
    ingress: Vec<TierRule>,
    egress: Vec<TierRule>,
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct TierRule {
    pub cited: Cited,
    /// None where the action is not one that we know.
    pub action: Option<Action>,
    peers: Vec<TierPeer>,
    /// Empty: every port of every protocol.
    ports: Vec<PortMatch>,
    unreadable: Option<String>,
}

#[derive(Clone, Debug)]
enum Subject {
    Namespaces(Selector),
    Pods { namespaces: Selector, pods: Selector },
    Unreadable(String),
}

#[derive(Clone, Debug)]
enum TierPeer {
    Pods(Subject),
    Nodes(Selector),
    Networks(Vec<IpNet>),
    DomainNames(String),
    /// No field at all: the server cut away one that its definition does not know. Implementations then fail closed.
    Nothing,
    Unreadable(String),
}

/// How a rule relates to a flow.
pub(super) enum Hit {
    /// It does what its action says.
    Acts(Action, Held),
    /// It does something that we do not know.
    Unknown(Held),
}

impl TierPolicy {
    /// Reads an object of this kind; none where it lacks what every object of it has.
    pub fn parse(kind: TierKind, place: &Place<'_>) -> Option<Self> {
        let object = place.value();
        let name = object.get("metadata")?.get("name")?.as_str()?.into();
        let spec_value = object.get("spec")?;
        let tier = match (kind, spec_value.get("tier").and_then(Value::as_str)) {
            (TierKind::Admin, _) | (TierKind::Cluster, Some("Admin")) => Tier::Admin,
            (TierKind::BaselineAdmin, _) | (TierKind::Cluster, Some("Baseline")) => Tier::Baseline,
            (TierKind::Cluster, _) => return None,
        };
        let priority = match spec_value.get("priority") {
            None if kind == TierKind::BaselineAdmin => 0,
            None => return None,
            Some(priority) => u32::try_from(priority.as_u64()?).ok()?,
        };
        let subject = subject(spec_value.get("subject")?);
        let spec = place.member("spec")?;
        let ingress = tier_rules(&spec, Side::Ingress)?;
        let egress = tier_rules(&spec, Side::Egress)?;
        let cited = place.cited();
        Some(Self { kind, name, cited, object: Arc::new(object), tier, priority, subject, ingress, egress })
    }

    /// The rules of a direction, in their order.
    pub fn rules(&self, side: Side) -> &[TierRule] {
        match side {
            Side::Ingress => &self.ingress,
            Side::Egress => &self.egress,
        }
    }

    /// Whether it applies to a pod.
    pub fn selects(&self, pod: &Pod) -> Held {
        self.subject.selects(pod)
    }

    /// Its name as people say it.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }
}

impl Subject {
    fn selects(&self, pod: &Pod) -> Held {
        let labels = pod.namespace_labels.as_ref();
        match self {
            Self::Namespaces(selector) => selector.selects_namespace(&pod.namespace, labels),
            Self::Pods { namespaces, pods } => {
                namespaces.selects_namespace(&pod.namespace, labels).and(pods.selects(Some(&pod.labels), "the pod"))
            }
            Self::Unreadable(what) => Held::perhaps(format!("subject {what}"), format!("what is selected by {what}")),
        }
    }
}

impl TierRule {
    /// Whether the rule acts on a flow, and how.
    pub fn hits(&self, flow: &Flow, side: Side, plugin: Option<Plugin>) -> Hit {
        if self.peers.iter().any(|peer| matches!(peer, TierPeer::Nothing)) {
            // Fail closed: an Allow matches nothing, anything else denies everything.
            return match self.action {
                Some(Action::Allow) => Hit::Acts(Action::Allow, Held::No),
                Some(_) => Hit::Acts(Action::Deny, Held::Yes),
                None => Hit::Unknown(Held::Yes),
            };
        }
        let peers = Held::any(self.peers.iter().map(|peer| peer.matches(flow, side)));
        let ports = match self.ports.as_slice() {
            [] => Held::Yes,
            ports => Held::any(ports.iter().map(|port| port.matches(flow, plugin))),
        };
        let held = match &self.unreadable {
            Some(what) => {
                peers.and(ports).and(Held::perhaps(format!("rule {what}"), format!("what {what} of a rule means")))
            }
            None => peers.and(ports),
        };
        match self.action {
            Some(action) => Hit::Acts(action, held),
            None => Hit::Unknown(held),
        }
    }
}

impl TierPeer {
    fn matches(&self, flow: &Flow, side: Side) -> Held {
        let end = flow.peer(side);
        match self {
            Self::Pods(subject) => match &end.party {
                Party::Pod(pod) if pod.host_network || pod.ended => Held::No,
                Party::Pod(pod) => subject.selects(pod),
                Party::Node(_) | Party::Outside => Held::No,
                Party::Unidentified => unidentified(end),
            },
            Self::Nodes(selector) => match (end.as_node(), &end.party) {
                (Some((name, labels)), _) => selector.selects(labels, &format!("node {name}")),
                (None, Party::Unidentified) => unidentified(end),
                (None, _) => Held::No,
            },
            Self::Networks(networks) => networks.iter().any(|network| network.contains(&end.address)).into(),
            Self::DomainNames(names) => {
                let what = format!("whether {} is an address of {names}", end.address);
                Held::perhaps(what.clone(), what)
            }
            Self::Nothing => Held::No,
            Self::Unreadable(what) => Held::perhaps(format!("peer {what}"), format!("what a peer means: {what}")),
        }
    }
}

fn tier_rules(spec: &Place<'_>, side: Side) -> Option<Vec<TierRule>> {
    let Some(list) = spec.member(side.field()) else { return Some(Vec::new()) };
    match list.value() {
        Value::Null => Some(Vec::new()),
        Value::Array(_) => Some(list.elements().iter().map(|place| tier_rule(place, side)).collect()),
        _ => None,
    }
}

fn tier_rule(place: &Place<'_>, side: Side) -> TierRule {
    let value = place.value();
    let mut rule =
        TierRule { cited: place.cited(), action: None, peers: Vec::new(), ports: Vec::new(), unreadable: None };
    let Some(fields) = value.as_object() else {
        rule.unreadable = Some(value.to_string());
        return rule;
    };
    rule.action = match fields.get("action").and_then(Value::as_str) {
        Some("Allow" | "Accept") => Some(Action::Allow),
        Some("Deny") => Some(Action::Deny),
        Some("Pass") => Some(Action::Pass),
        _ => None,
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("name" | "action", _) | (_, Value::Null) => {}
            ("ports" | "protocols", Value::Array(ports)) => rule.ports = ports.iter().map(tier_port).collect(),
            (field, Value::Array(peers)) if field == side.peers() => rule.peers = peers.iter().map(tier_peer).collect(),
            _ => rule.unreadable = Some(name.clone()),
        }
    }
    if rule.peers.is_empty() && rule.unreadable.is_none() {
        // The field must hold one peer at least.
        rule.unreadable = Some(format!("a missing {}", side.peers()));
        rule.peers.push(TierPeer::Unreadable(value.to_string()));
    }
    rule
}

fn tier_peer(value: &Value) -> TierPeer {
    let bad = || TierPeer::Unreadable(value.to_string());
    let Some(fields) = value.as_object() else { return bad() };
    let mut set = fields.iter().filter(|(_, value)| !value.is_null());
    let (Some((field, inner)), None) = (set.next(), set.next()) else {
        return if fields.values().all(Value::is_null) { TierPeer::Nothing } else { bad() };
    };
    match field.as_str() {
        "namespaces" | "pods" => TierPeer::Pods(subject(value)),
        "nodes" => TierPeer::Nodes(Selector::parse(inner)),
        "networks" => match inner.as_array().map(|list| list.iter().map(network).collect::<Option<Vec<_>>>()) {
            Some(Some(networks)) => TierPeer::Networks(networks),
            _ => bad(),
        },
        "domainNames" => TierPeer::DomainNames(inner.to_string()),
        _ => bad(),
    }
}

/// `{"namespaces": SELECTOR}` or `{"pods": {"namespaceSelector": SELECTOR, "podSelector": SELECTOR}}`.
fn subject(value: &Value) -> Subject {
    let bad = || Subject::Unreadable(value.to_string());
    let Some(fields) = value.as_object().filter(|fields| fields.len() == 1) else { return bad() };
    if let Some(selector) = fields.get("namespaces") {
        return Subject::Namespaces(Selector::parse(selector));
    }
    let Some(pods) = fields.get("pods").and_then(Value::as_object) else { return bad() };
    if pods.keys().any(|key| !matches!(key.as_str(), "namespaceSelector" | "podSelector")) {
        return bad();
    }
    // Both fields are no pointers: absent is the empty selector.
    let selector = |key: &str| pods.get(key).map_or_else(|| Selector::parse(&serde_json::json!({})), Selector::parse);
    Subject::Pods { namespaces: selector("namespaceSelector"), pods: selector("podSelector") }
}
