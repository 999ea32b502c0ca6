//! Policies of the plugins' own kinds: Calico's, Cilium's, Antrea's, OVN-Kubernetes'. They are recognized, not evaluated:
//! where one selects an end of a flow, or perhaps does, the answer depends on it.

use std::sync::Arc;

use serde_json::Value;

use super::calico_selector;
use super::endpoint::{Endpoint, Party, Pod, Side};
use super::label::{Labels, Selector};
use super::plugin::Plugin;
use super::policies::Kind;
use crate::held::Held;
use crate::json::Place;
use crate::source::Cited;
use crate::unknown::Unknown;

/// A policy of a plugin's own kind.
#[derive(Clone, Debug)]
pub(super) struct ForeignPolicy {
    kind: Kind,
    namespace: Option<Arc<str>>,
    name: Arc<str>,
    cited: Cited,
    spec: Value,
}

impl ForeignPolicy {
    /// Reads an object; none where it has no name.
    pub fn parse(kind: Kind, place: &Place<'_>) -> Option<Self> {
        let object = place.value();
        let metadata = object.get("metadata")?;
        let name: Arc<str> = metadata.get("name")?.as_str()?.into();
        let namespace = metadata.get("namespace").and_then(Value::as_str).map(Arc::from);
        // Cilium allows several specifications in one object.
        let spec = match (object.get("spec"), object.get("specs")) {
            (Some(spec), None) => Value::Array(vec![spec.clone()]),
            (None, Some(Value::Array(specs))) => Value::Array(specs.clone()),
            (one, several) => Value::Array(one.into_iter().chain(several).cloned().collect()),
        };
        Some(Self { kind, namespace, name, cited: place.cited(), spec })
    }

    /// Calico's copies of the policies that are evaluated as Kubernetes' own.
    pub fn is_copy(&self) -> bool {
        self.kind.plugin() == Some(Plugin::Calico)
            && ["knp.default.", "kanp.", "kbanp.", "kcnp."].iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// The unknown that this policy makes of the judgement of an end, if it is about it.
    pub fn unknown_for(&self, end: &Endpoint, side: Side, enforcing: Option<Plugin>) -> Option<Unknown> {
        // Objects that an earlier plugin left behind have no effect.
        let left_behind = enforcing.is_some_and(|plugin| plugin != Plugin::Other && Some(plugin) != self.kind.plugin());
        if left_behind || self.is_copy() {
            return None;
        }
        let specs = self.spec.as_array().map(Vec::as_slice).unwrap_or_default();
        let concerns = |spec: &Value| self.directed(spec, side).and(self.selects(spec, end));
        if Held::any(specs.iter().map(concerns)) == Held::No && !specs.is_empty() {
            return None;
        }
        let namespace = self.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let what = format!("what {} {namespace}{} ({}) does to it", self.kind.title(), self.name, self.cited.origin);
        Some(Unknown::deterministic(what.clone(), what))
    }

    fn directed(&self, spec: &Value, side: Side) -> Held {
        let has = |key: &str| spec.get(key).is_some_and(|value| !value.is_null());
        match self.kind {
            Kind::CalicoNetworkPolicy | Kind::CalicoGlobalNetworkPolicy => match spec.get("types") {
                Some(Value::Array(types)) if !types.is_empty() => {
                    let wanted = if side == Side::Ingress { "Ingress" } else { "Egress" };
                    types.iter().any(|one| one.as_str() == Some(wanted)).into()
                }
                // By default ingress, and egress where there are such rules; here both, which is never too little.
                _ => Held::Yes,
            },
            Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy => {
                (has(side.field()) || has(&format!("{}Deny", side.field()))).into()
            }
            Kind::OvnEgressFirewall => (side == Side::Egress).into(),
            _ => Held::Yes,
        }
    }

    fn selects(&self, spec: &Value, end: &Endpoint) -> Held {
        let perhaps = || {
            let what = format!("what {} {} selects", self.kind.title(), self.name);
            Held::perhaps(what.clone(), what)
        };
        match (&end.party, end.as_node()) {
            (_, Some((node, _))) => match self.kind {
                Kind::CalicoHostEndpoint => match spec.get("node").and_then(Value::as_str) {
                    Some(named) => (named == node).into(),
                    None => perhaps(),
                },
                Kind::CiliumClusterwideNetworkPolicy if spec.get("nodeSelector").is_some() => perhaps(),
                _ => Held::No,
            },
            (Party::Pod(pod), None) if pod.ended => Held::No,
            (Party::Pod(pod), None) => self.selects_pod(spec, pod).unwrap_or_else(perhaps),
            (Party::Outside, None) => Held::No,
            (Party::Unidentified | Party::Node(_), None) => perhaps(),
        }
    }

    /// None where that cannot be told.
    fn selects_pod(&self, spec: &Value, pod: &Pod) -> Option<Held> {
        if self.namespace.as_ref().is_some_and(|namespace| *namespace != pod.namespace) {
            return Some(Held::No);
        }
        let text = |key: &str| match spec.get(key) {
            None | Some(Value::Null) => Some("all()"),
            Some(value) => value.as_str(),
        };
        match self.kind {
            Kind::CalicoNetworkPolicy => calico_selector::selects_pod(text("selector")?, pod),
            Kind::CalicoGlobalNetworkPolicy => {
                let pods = calico_selector::selects_pod(text("selector")?, pod)?;
                Some(pods.and(calico_selector::selects_namespace(text("namespaceSelector")?, pod)?))
            }
            Kind::CalicoHostEndpoint => Some(Held::No),
            Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy => cilium_selects(spec, pod),
            Kind::OvnEgressFirewall => Some(Held::Yes),
            _ => None,
        }
    }
}

/// Cilium's labels carry their source (`k8s:app`, `any:app`), and the namespace's are among the pod's.
fn cilium_selects(spec: &Value, pod: &Pod) -> Option<Held> {
    if spec.get("nodeSelector").is_some_and(|selector| !selector.is_null()) {
        return Some(Held::No);
    }
    let selector = spec.get("endpointSelector")?.as_object()?;
    let mut plain = serde_json::Map::new();
    for (field, value) in selector {
        plain.insert(field.clone(), without_sources(value)?);
    }
    let mut labels: Labels = pod.labels.clone();
    labels.insert("io.kubernetes.pod.namespace".into(), Arc::clone(&pod.namespace));
    for (key, value) in pod.namespace_labels.iter().flatten() {
        labels.insert(format!("io.cilium.k8s.namespace.labels.{key}").into(), Arc::clone(value));
    }
    let asks_namespace = selector.iter().any(|(_, value)| value.to_string().contains("io.cilium.k8s.namespace.labels"));
    if asks_namespace && pod.namespace_labels.is_none() {
        return None;
    }
    Some(Selector::parse(&Value::Object(plain)).selects(Some(&labels), "the pod"))
}

fn without_sources(value: &Value) -> Option<Value> {
    let plain = |key: &str| {
        let key = key.strip_prefix("k8s:").or_else(|| key.strip_prefix("any:")).unwrap_or(key);
        let known = !key.contains(':') && !key.starts_with("io.cilium.k8s.policy");
        known.then(|| key.to_owned())
    };
    match value {
        Value::Object(labels) => {
            let pairs = labels.iter().map(|(key, value)| Some((plain(key)?, value.clone())));
            Some(Value::Object(pairs.collect::<Option<_>>()?))
        }
        Value::Array(expressions) => {
            let renamed = expressions.iter().map(|expression| {
                let mut expression = expression.as_object()?.clone();
                let key = plain(expression.get("key")?.as_str()?)?;
                expression.insert("key".to_owned(), Value::String(key));
                Some(Value::Object(expression))
            });
            Some(Value::Array(renamed.collect::<Option<_>>()?))
        }
        other => Some(other.clone()),
    }
}
