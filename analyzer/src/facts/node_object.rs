//! Node objects, as the API serves them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use minijinja::Value;
use serde::Deserialize;

use super::intern::Strings;
use super::json::{Seconds, Text, address, or_default, text_value};
use super::list::{self, Origin, Parser};
use super::metadata::{Labels, Metadata};
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::Record;
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape};

/// The evidence id of the list.
pub const EVIDENCE: &str = "api.nodes";

/// A Node object.
#[derive(Debug, Clone)]
pub struct NodeObject {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its name.
    pub name: Arc<str>,
    /// When it was created.
    pub created: Seconds,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations, as far as the collector takes them.
    pub annotations: Labels,
    /// Its addresses with their types, in the API's order.
    pub addresses: Vec<(String, String)>,
    /// `spec.podCIDRs`, or `spec.podCIDR`, as written.
    pub pod_cidrs: Vec<String>,
    /// Its taints: key, value, effect.
    pub taints: Vec<[String; 3]>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// `spec.providerID`.
    pub provider_id: String,
    /// Its conditions.
    pub conditions: Vec<NodeCondition>,
    /// `status.nodeInfo`: `kubeletVersion`, `kernelVersion` …
    pub info: BTreeMap<String, String>,
    /// `status.capacity`, quantities.
    pub capacity: BTreeMap<String, String>,
    /// `status.allocatable`, quantities.
    pub allocatable: BTreeMap<String, String>,
}

/// A condition of a node.
#[derive(Debug, Clone)]
pub struct NodeCondition {
    kind: String,
    status: String,
    reason: String,
    message: String,
    heartbeat: Seconds,
    since: Seconds,
}

/// The shape of a node's condition.
pub static CONDITION: RecordShape = RecordShape {
    name: "node condition",
    doc: "A condition of a node.",
    fields: &[
        Field::scalar("status", "`True`, `False`, `Unknown`."),
        Field::scalar("reason", "Its reason: `KubeletNotReady`, `FlannelIsUp` …"),
        Field::scalar("message", "Its message."),
        Field::scalar("heartbeat", "When it was reported last."),
        Field::scalar("since", "When its status changed last."),
    ],
};

/// The shape of a node's taint.
pub static TAINT: RecordShape = RecordShape {
    name: "taint",
    doc: "A taint of a node.",
    fields: &[
        Field::scalar("key", "Its key."),
        Field::scalar("value", "Its value."),
        Field::scalar("effect", "`NoSchedule`, `PreferNoSchedule`, `NoExecute`."),
    ],
};

/// The shape of a node's address.
pub static ADDRESS: RecordShape = RecordShape {
    name: "node address",
    doc: "An address that the API knows of a node.",
    fields: &[
        Field::scalar("type", "`InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS`, `ExternalDNS`."),
        Field::scalar("address", "The address or name."),
    ],
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    spec: SpecView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    status: StatusView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SpecView<'a> {
    #[serde(borrow, rename = "podCIDR")]
    pod_cidr: Text<'a>,
    #[serde(rename = "podCIDRs", deserialize_with = "or_default")]
    pod_cidrs: Vec<String>,
    #[serde(borrow, rename = "providerID")]
    provider_id: Text<'a>,
    unschedulable: bool,
    #[serde(borrow, deserialize_with = "or_default")]
    taints: Vec<TaintView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TaintView<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    effect: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    addresses: Vec<AddressView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    conditions: Vec<ConditionView<'a>>,
    #[serde(deserialize_with = "or_default")]
    node_info: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    capacity: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    allocatable: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AddressView<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    address: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ConditionView<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    last_heartbeat_time: Seconds,
    last_transition_time: Seconds,
}

/// Reads the list.
pub(super) fn read(evidence: &Evidence) -> (Vec<NodeObject>, Vec<Unreadable>) {
    let listed = list::read(evidence, EVIDENCE, NodeParser::default);
    (listed.items, listed.unreadable)
}

#[derive(Default)]
struct NodeParser(Strings);

impl Parser<NodeObject> for NodeParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<NodeObject>, serde_json::Error> {
        let NodeView { metadata, spec, status } = serde_json::from_slice(object)?;
        let text = |text: &Text| text.to_string();
        let pod_cidrs = match spec.pod_cidrs.is_empty() && !spec.pod_cidr.is_empty() {
            true => vec![text(&spec.pod_cidr)],
            false => spec.pod_cidrs,
        };
        let condition = |view: &ConditionView| NodeCondition {
            kind: text(&view.kind),
            status: text(&view.status),
            reason: text(&view.reason),
            message: text(&view.message),
            heartbeat: view.last_heartbeat_time,
            since: view.last_transition_time,
        };
        let info = status.node_info.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
        Ok(Some(NodeObject {
            origin,
            name: self.0.get(&metadata.name),
            created: metadata.creation_timestamp,
            labels: metadata.labels.to_labels(&mut self.0),
            annotations: metadata.annotations.to_labels(&mut self.0),
            addresses: status.addresses.iter().map(|view| (text(&view.kind), text(&view.address))).collect(),
            pod_cidrs,
            taints: spec.taints.iter().map(|view| [text(&view.key), text(&view.value), text(&view.effect)]).collect(),
            unschedulable: spec.unschedulable,
            provider_id: text(&spec.provider_id),
            conditions: status.conditions.iter().map(condition).collect(),
            info: info.collect(),
            capacity: status.capacity,
            allocatable: status.allocatable,
        }))
    }
}

impl NodeObject {
    /// Its internal addresses, in the API's order. The first is the node's; its name or an external address may stand
    /// before it in the list.
    pub fn internal_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter(|(kind, _)| kind == "InternalIP").filter_map(|(_, text)| address(text))
    }

    /// Its pod CIDRs, those that can be read.
    pub fn pod_networks(&self) -> impl Iterator<Item = IpNet> {
        self.pod_cidrs.iter().filter_map(|cidr| cidr.parse().ok())
    }

    /// The status of its condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&str> {
        self.conditions.iter().find(|condition| condition.kind == kind).map(|condition| condition.status.as_str())
    }

    /// Whether its condition `Ready` is true.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready") == Some("True")
    }

    /// Whether it is a virtual node, which runs no pods of DaemonSets and no network of the cluster.
    pub fn is_virtual(&self) -> bool {
        self.labels.get("type").is_some_and(|kind| &**kind == "virtual-kubelet")
            || self.taints.iter().any(|[key, _, _]| key == "virtual-kubelet.io/provider")
    }

    /// Its operating system, by its label: `linux`, `windows`.
    pub fn operating_system(&self) -> Option<&str> {
        self.labels.get("kubernetes.io/os").map(|os| &**os).or(self.info.get("operatingSystem").map(String::as_str))
    }

    /// A fact's field that comes from the object.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        let info = |key: &str| self.info.get(key).map(|text| Value::from(text.as_str()));
        match name {
            "created" => self.created.value(),
            "labels" => Some(self.labels.value()),
            "annotations" => Some(self.annotations.value()),
            "addresses" => Some(self.addresses.iter().enumerate().map(|entry| self.address_value(entry)).collect()),
            "internal_ip" => self.internal_addresses().next().map(|address| Value::from(address.to_string())),
            "internal_ips" => Some(self.internal_addresses().map(|address| Value::from(address.to_string())).collect()),
            "pod_cidrs" => Some(self.pod_cidrs.iter().map(|cidr| Value::from(cidr.as_str())).collect()),
            "taints" => Some(self.taints.iter().enumerate().map(|entry| self.taint_value(entry)).collect()),
            "unschedulable" => Some(Value::from(self.unschedulable)),
            "virtual" => Some(Value::from(self.is_virtual())),
            "provider_id" => text_value(&self.provider_id),
            "ready" => Some(Value::from(self.is_ready())),
            "conditions" => Some(self.conditions_value()),
            "operating_system" => self.operating_system().map(Value::from),
            "kubelet_version" => info("kubeletVersion"),
            "kernel_version" => info("kernelVersion"),
            "os_image" => info("osImage"),
            "container_runtime" => info("containerRuntimeVersion"),
            "architecture" => info("architecture"),
            "capacity" => Some(Value::from(self.capacity.clone())),
            "allocatable" => Some(Value::from(self.allocatable.clone())),
            _ => None,
        }
    }

    /// What a citation of the node as a whole shows.
    pub fn citation(&self) -> Citation {
        let ready = self.condition("Ready").unwrap_or("unknown");
        let addresses: Vec<String> = self.internal_addresses().map(|address| address.to_string()).collect();
        let cidrs = self.pod_cidrs.join(" ");
        let text = format!("node {}: Ready={ready}, InternalIP {}, podCIDRs {cidrs}", self.name, addresses.join(" "));
        self.origin.cite("", text.trim_end())
    }

    fn address_value(&self, (place, (kind, address)): (usize, &(String, String))) -> Value {
        let cited = self.origin.cite(&format!("/status/addresses/{place}"), &format!("{kind} {address}"));
        Record::cited(cited).with("type", kind.as_str()).with("address", address.as_str()).into_value()
    }

    fn taint_value(&self, (place, [key, value, effect]): (usize, &[String; 3])) -> Value {
        let cited = self.origin.cite(&format!("/spec/taints/{place}"), &format!("{key}={value}:{effect}"));
        Record::cited(cited)
            .with("key", key.as_str())
            .with("value", value.as_str())
            .with("effect", effect.as_str())
            .into_value()
    }

    fn conditions_value(&self) -> Value {
        let entry = |(place, condition): (usize, &NodeCondition)| {
            let NodeCondition { kind, status, reason, message, .. } = condition;
            let text = format!("{kind}={status} {reason}: {message}");
            let record = Record::cited(self.origin.cite(&format!("/status/conditions/{place}"), &text))
                .with("status", status.as_str())
                .with_any("reason", text_value(reason))
                .with_any("message", text_value(message))
                .with_any("heartbeat", condition.heartbeat.value())
                .with_any("since", condition.since.value());
            (kind.clone(), record.into_value())
        };
        Value::from(self.conditions.iter().enumerate().map(entry).collect::<BTreeMap<String, Value>>())
    }
}
