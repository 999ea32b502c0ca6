//! NetworkPolicy (`networking.k8s.io/v1`): its objects and what they say of a flow.
//!
//! Semantics: <https://kubernetes.io/docs/concepts/services-networking/network-policies/> and the API reference. Policies
//! add up: a pod that one of them selects for a direction is isolated there, and what any rule of any of them allows is
//! allowed.

use std::sync::Arc;

use serde_json::Value;

use super::endpoint::{Flow, Pod, Side};
use super::label::Selector;
use super::peer::{Peer, peer};
use super::plugin::Plugin;
use super::port::{PortMatch, network_policy_port};
use crate::held::Held;
use crate::json::Place;
use crate::source::Cited;

/// A NetworkPolicy.
#[derive(Clone, Debug)]
pub(super) struct NetworkPolicy {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub cited: Cited,
    /// The object, so that a remedy can be tried on it.
    pub object: Arc<Value>,
    pods: Selector,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

/// A rule of `ingress` or `egress`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub cited: Cited,
    /// Empty: every peer.
    peers: Vec<Peer>,
    /// Empty: every port of every protocol.
    pub ports: Vec<PortMatch>,
    /// What the rule holds beside peers and ports that we know.
    unreadable: Option<String>,
}

/// Which of a rule's fields matched.
pub(super) struct RuleMatch {
    pub peer: Held,
    pub port: Held,
}

impl NetworkPolicy {
    /// Reads an object; none where it lacks what every NetworkPolicy has.
    pub fn parse(place: &Place<'_>) -> Option<Self> {
        let object = place.value();
        let metadata = object.get("metadata")?;
        let namespace = metadata.get("namespace")?.as_str()?.into();
        let name = metadata.get("name")?.as_str()?.into();
        let spec_value = object.get("spec").filter(|spec| spec.is_object())?;
        // The field is required; an absent one is the empty selector, as Go's types have it.
        let empty = serde_json::json!({});
        let selector = spec_value.get("podSelector").filter(|selector| !selector.is_null());
        let pods = Selector::parse(selector.unwrap_or(&empty));
        let spec = place.member("spec")?;
        let mut policy =
            Self { namespace, name, cited: place.cited(), pods, ingress: None, egress: None, object: Arc::new(object) };
        policy.read_rules(&spec)?;
        Some(policy)
    }

    /// Rules of the directions that `policyTypes` names. By default that is Ingress, and Egress where there is an egress
    /// rule at least.
    fn read_rules(&mut self, spec: &Place<'_>) -> Option<()> {
        let (ingress, egress) = (rules(spec, Side::Ingress)?, rules(spec, Side::Egress)?);
        let types: Option<Vec<String>> = match spec.member("policyTypes").map(|types| types.value()) {
            None | Some(Value::Null) => None,
            Some(types) => Some(serde_json::from_value(types).ok()?),
        };
        // The server's defaulting treats an empty list as an absent one.
        let types = types.filter(|types| !types.is_empty());
        let named = |name: &str| types.as_ref().map(|types| types.iter().any(|one| one == name));
        if named("Ingress").unwrap_or(true) {
            self.ingress = Some(ingress);
        }
        if named("Egress").unwrap_or(!egress.is_empty()) {
            self.egress = Some(egress);
        }
        Some(())
    }

    /// The rules of a direction; none where the policy is not about it.
    pub fn rules(&self, side: Side) -> Option<&[Rule]> {
        match side {
            Side::Ingress => self.ingress.as_deref(),
            Side::Egress => self.egress.as_deref(),
        }
    }

    /// Whether it isolates a pod in a direction. Pods on the host's network and pods that have ended are never selected;
    /// the caller sees to that.
    pub fn isolates(&self, pod: &Pod, side: Side) -> Held {
        if self.rules(side).is_none() || self.namespace != pod.namespace {
            return Held::No;
        }
        self.pods.selects(Some(&pod.labels), "the pod")
    }

    /// Its name as people and kubectl say it.
    pub fn title(&self) -> String {
        format!("NetworkPolicy {}/{}", self.namespace, self.name)
    }
}

impl Rule {
    /// Whether its peers and its ports match a flow.
    pub fn matches(&self, flow: &Flow, side: Side, namespace: &str, plugin: Option<Plugin>) -> RuleMatch {
        let peer = match self.peers.as_slice() {
            [] => Held::Yes,
            peers => Held::any(peers.iter().map(|peer| peer.matches(flow, side, namespace, plugin))),
        };
        let port = self.port_matches(flow, plugin);
        let peer = match &self.unreadable {
            Some(what) => peer.and(Held::perhaps(format!("rule {what}"), format!("what {what} of a rule means"))),
            None => peer,
        };
        RuleMatch { peer, port }
    }

    /// Whether its ports match a flow's.
    pub fn port_matches(&self, flow: &Flow, plugin: Option<Plugin>) -> Held {
        match self.ports.as_slice() {
            [] => Held::Yes,
            ports => Held::any(ports.iter().map(|port| port.matches(flow, plugin))),
        }
    }

    /// Whether it names no peer, and nothing that we do not know.
    pub fn is_about_everybody(&self) -> bool {
        self.peers.is_empty() && self.unreadable.is_none()
    }
}

/// The rules of a direction; none where the field is no list.
fn rules(spec: &Place<'_>, side: Side) -> Option<Vec<Rule>> {
    let Some(list) = spec.member(side.field()) else { return Some(Vec::new()) };
    match list.value() {
        Value::Null => Some(Vec::new()),
        Value::Array(_) => Some(list.elements().iter().map(|place| rule(place, side)).collect()),
        _ => None,
    }
}

fn rule(place: &Place<'_>, side: Side) -> Rule {
    let value = place.value();
    let mut rule = Rule { cited: place.cited(), peers: Vec::new(), ports: Vec::new(), unreadable: None };
    let Some(fields) = value.as_object() else {
        rule.unreadable = Some(value.to_string());
        return rule;
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("ports", Value::Array(ports)) => rule.ports = ports.iter().map(network_policy_port).collect(),
            (field, Value::Array(peers)) if field == side.peers() => rule.peers = peers.iter().map(peer).collect(),
            _ => rule.unreadable = Some(name.clone()),
        }
    }
    rule
}
