//! The smallest change of a policy that turns a drop: a rule or a port that is added, tried out on a copy.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::branch::{self, Spot};
use super::endpoint::{Endpoint, Flow, Pod, Side, protocol_name};
use super::label::NAMESPACE_NAME;
use super::plugin::Enforcement;
use super::policies::{Kind, Policies};
use super::tier::{Tier, TierKind};
use crate::answer::Decision;
use crate::source::Cited;

/// A change of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyFix {
    /// The policy: `NetworkPolicy shop/allow-dns`.
    pub policy: String,
    /// The command that makes the change.
    pub command: String,
    /// The operation of the command's JSON patch (RFC 6902): always `add`.
    pub patch: Value,
    /// The rule or policy that it answers.
    pub answers: Option<Cited>,
    /// Whether the judgement with the changed policy accepts.
    pub verified: bool,
}

/// Labels that name a workload, best first.
const NAMING: &[&str] = &["app.kubernetes.io/name", "k8s-app", "app", "name", "app.kubernetes.io/instance"];

/// Labels that controllers give to single pods or revisions: a rule must not name them.
const FLEETING: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
    "controller-uid",
    "job-name",
];

/// Finds the change for a flow that is dropped on a side.
pub(super) fn find(policies: &Policies, enforcement: &Enforcement, flow: &Flow, side: Side) -> Option<PolicyFix> {
    let plugin = enforcement.plugin();
    let admin = branch::of_tier(policies, Tier::Admin, (flow, side, plugin));
    let network = branch::of_network_policies(policies, flow, side, plugin);
    let baseline = branch::of_tier(policies, Tier::Baseline, (flow, side, plugin));
    let denying = [admin, network, baseline].into_iter().flatten().find(|way| way.because.spot.is_some())?;
    let accepts = |changed: &Policies| changed.verdict(enforcement, flow, side).verdict == Decision::Accept;
    at_spot(policies, flow, side, denying.because.spot.as_ref()?, denying.because.cited, accepts)
}

/// The change at a place, and whether the changed policies open the way as `opens` says.
pub(super) fn at_spot(
    policies: &Policies,
    flow: &Flow,
    side: Side,
    spot: &Spot,
    answers: Option<Cited>,
    opens: impl Fn(&Policies) -> bool,
) -> Option<PolicyFix> {
    let change = match spot {
        Spot::Network { namespace, place, near } => network_change(policies, flow, side, (namespace, *place, *near)),
        Spot::Tier { place, rule } => tier_change(policies, flow, side, (*place, *rule)),
    }?;
    let Change { policy, resource, patch, changed } = change;
    let command = format!("kubectl patch {resource} --type=json -p '{}'", json!([patch]));
    let verified = opens(&changed);
    Some(PolicyFix { policy, command, patch, answers, verified })
}

struct Change {
    policy: String,
    resource: String,
    patch: Value,
    changed: Policies,
}

/// A port more in the rule that is about the peer, or a rule more.
fn network_change(
    policies: &Policies,
    flow: &Flow,
    side: Side,
    at: (&Arc<str>, usize, Option<usize>),
) -> Option<Change> {
    let (namespace, place, near) = at;
    let policy = policies.network.get(namespace)?.get(place)?;
    let field = side.field();
    let ports = network_ports(flow);
    let patch = match (near, ports.first()) {
        (Some(rule), Some(port)) => {
            json!({"op": "add", "path": format!("/spec/{field}/{rule}/ports/-"), "value": port})
        }
        _ => {
            let mut rule = json!({side.peers(): [peer(flow.peer(side))]});
            if !ports.is_empty() {
                rule["ports"] = Value::Array(ports);
            }
            add_rule(&policy.object, field, None, rule)
        }
    };
    let mut changed = policies.clone();
    let object = patched(&policy.object, &patch)?;
    changed.network.get_mut(namespace)?.remove(place);
    changed.add(Kind::NetworkPolicy, &policy.cited.origin.file, object.to_string().as_bytes()).ok()?;
    let resource = format!("networkpolicy {} -n {}", policy.name, policy.namespace);
    Some(Change { policy: policy.title(), resource, patch, changed })
}

/// A rule that allows, before the one that denies.
fn tier_change(policies: &Policies, flow: &Flow, side: Side, at: (usize, usize)) -> Option<Change> {
    let (place, number) = at;
    let policy = policies.tiers.get(place)?;
    let port = tier_port(policy.kind, flow);
    let peers = [tier_peer(flow.peer(side), side)?];
    let mut rule = json!({"name": "allow-before-deny", "action": policy.kind.allow(), side.peers(): peers});
    if let Some(port) = port {
        let field = if policy.kind == TierKind::Cluster { "protocols" } else { "ports" };
        rule[field] = json!([port]);
    }
    let patch = add_rule(&policy.object, side.field(), Some(number), rule);
    let mut changed = policies.clone();
    let object = patched(&policy.object, &patch)?;
    changed.tiers.remove(place);
    let kind = match policy.kind {
        TierKind::Admin => Kind::AdminNetworkPolicy,
        TierKind::BaselineAdmin => Kind::BaselineAdminNetworkPolicy,
        TierKind::Cluster => Kind::ClusterNetworkPolicy,
    };
    changed.add(kind, &policy.cited.origin.file, object.to_string().as_bytes()).ok()?;
    let resource = format!("{} {}", policy.kind.name().to_ascii_lowercase(), policy.name);
    Some(Change { policy: policy.title(), resource, patch, changed })
}

/// The operation that adds a rule: at its place, at the end, or as the first of a list that is not there yet.
fn add_rule(object: &Value, field: &str, place: Option<usize>, rule: Value) -> Value {
    let there = object.get("spec").and_then(|spec| spec.get(field)).is_some_and(Value::is_array);
    match (there, place) {
        (true, Some(place)) => json!({"op": "add", "path": format!("/spec/{field}/{place}"), "value": rule}),
        (true, None) => json!({"op": "add", "path": format!("/spec/{field}/-"), "value": rule}),
        (false, _) => json!({"op": "add", "path": format!("/spec/{field}"), "value": [rule]}),
    }
}

/// The object after an `add` operation.
fn patched(object: &Value, patch: &Value) -> Option<Value> {
    let mut object = object.clone();
    let (parent, last) = patch.get("path")?.as_str()?.rsplit_once('/')?;
    let value = patch.get("value")?.clone();
    match object.pointer_mut(parent)? {
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let place: usize = last.parse().ok()?;
            if place > list.len() {
                return None;
            }
            list.insert(place, value);
        }
        Value::Object(fields) => {
            fields.insert(last.to_owned(), value);
        }
        _ => return None,
    }
    Some(object)
}

fn network_ports(flow: &Flow) -> Vec<Value> {
    match (protocol_name(flow.protocol), flow.port) {
        (Some(protocol), Some(port)) => vec![json!({"protocol": protocol, "port": port})],
        // Other protocols are allowed by rules without ports alone.
        _ => Vec::new(),
    }
}

fn tier_port(kind: TierKind, flow: &Flow) -> Option<Value> {
    let (protocol, port) = (protocol_name(flow.protocol)?, flow.port?);
    Some(if kind == TierKind::Cluster {
        json!({protocol.to_ascii_lowercase(): {"destinationPort": {"number": port}}})
    } else {
        json!({"portNumber": {"protocol": protocol, "port": port}})
    })
}

/// A peer of a NetworkPolicy. A Service's address would not help: policies see the endpoint's.
fn peer(end: &Endpoint) -> Value {
    if let Some(pod) = end.as_networked_pod() {
        return selectors_of(pod);
    }
    json!({"ipBlock": {"cidr": single(end.address)}})
}

fn selectors_of(pod: &Pod) -> Value {
    json!({
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: &*pod.namespace}},
        "podSelector": {"matchLabels": naming_labels(pod)},
    })
}

/// A peer of a cluster-wide policy; of ingress rules only pods can be named.
fn tier_peer(end: &Endpoint, side: Side) -> Option<Value> {
    match end.as_networked_pod() {
        Some(pod) => Some(json!({"pods": selectors_of(pod)})),
        None => (side == Side::Egress).then(|| json!({"networks": [single(end.address)]})),
    }
}

fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// The label that names the pod's workload, or all that are not a single pod's own.
fn naming_labels(pod: &Pod) -> Value {
    if let Some((key, value)) = NAMING.iter().find_map(|key| pod.labels.get_key_value(*key)) {
        return json!({&**key: &**value});
    }
    let lasting = pod.labels.iter().filter(|(key, _)| !FLEETING.contains(&&***key));
    Value::Object(lasting.map(|(key, value)| (key.to_string(), Value::String(value.to_string()))).collect())
}
