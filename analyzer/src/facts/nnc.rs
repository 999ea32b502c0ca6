//! NodeNetworkConfigs (`acn.azure.com/v1alpha`) and ClusterSubnetStates (`acn.azure.com/v1alpha1`): the books of
//! Azure's CNI. Fields are those of their CRDs in Azure/azure-container-networking, crd/nodenetworkconfig and
//! crd/clustersubnetstate.

use std::sync::Arc;

use minijinja::Value;
use serde::Deserialize;

use super::intern::Strings;
use super::json::{Seconds, Text, or_default, text_value};
use super::list::{self, Origin, Parser};
use super::metadata::Metadata;
use super::{Facts, node_root};
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::{Fact, Fields, Record};
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape, Shape};

/// The evidence id of the NodeNetworkConfigs.
pub const EVIDENCE: &str = "api.azure.nodenetworkconfigs";

/// The evidence id of the ClusterSubnetStates.
pub const SUBNETS: &str = "api.azure.clustersubnetstates";

/// The shape of `nnc`.
pub static SHAPE: RecordShape = RecordShape {
    name: "nnc",
    doc: "A NodeNetworkConfig: which addresses a node asked for and got.",
    fields: &[
        Field::scalar("name", "Its name, which is the node's."),
        Field::scalar("namespace", "Its namespace."),
        Field::record("node", &node_root::SHAPE, "The node, where the bundle knows it."),
        Field::scalar("created", "When it was created."),
        Field::scalar("requested_since", "When its specification was changed last, where the API server says so."),
        Field::scalar("assigned_since", "When its status was changed last, where the API server says so."),
        Field::scalar("requested", "`spec.requestedIPCount`: addresses that CNS asked for."),
        Field::scalar("assigned", "`status.assignedIPCount`: addresses that the node got."),
        Field::scalar("not_in_use", "How many addresses CNS gives back: `spec.ipsNotInUse`."),
        Field::scalar("status", "`Updating`, `Updated`, `Error`."),
        Field::scalar("batch", "`scaler.batchSize`: addresses are asked for in multiples of it."),
        Field::scalar("free_least", "Below so many free addresses CNS asks for a batch."),
        Field::scalar("free_most", "Above so many free addresses CNS gives a batch back."),
        Field::scalar("maximum", "`scaler.maxIPCount`: the most addresses that the node may have."),
        Field::scalar("pods", "Pods on the node that hold an address of the pod network."),
        Field::scalar("free", "Assigned addresses that no such pod holds; negative where pods outnumber them."),
        Field::scalar(
            "pooled",
            "Whether addresses are assigned one by one: dynamic mode, type vnet. An overlay has no such pool.",
        ),
        Field::of("containers", Shape::List(&Shape::Record(&CONTAINER)), "Its network containers."),
    ],
};

/// The shape of a network container.
pub static CONTAINER: RecordShape = RecordShape {
    name: "network container",
    doc: "A network container of a NodeNetworkConfig.",
    fields: &[
        Field::scalar("id", "Its id."),
        Field::scalar("mode", "`dynamic` or `static`."),
        Field::scalar("type", "`vnet`, `vnetblock`, `overlay`."),
        Field::scalar("status", "`NCUpdateSuccess`, `NCUpdateSubnetFullError` …; nothing where it says none."),
        Field::scalar("subnet", "The subnet's name."),
        Field::scalar("cidr", "The subnet's addresses."),
        Field::scalar("primary_ip", "Its own address, or its block."),
        Field::scalar("addresses", "How many addresses it lists."),
        Field::scalar("version", "Its version."),
    ],
};

/// The shape of a subnet's state.
pub static SUBNET: RecordShape = RecordShape {
    name: "subnet state",
    doc: "A ClusterSubnetState: whether a subnet has run out of addresses.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("exhausted", "Whether the subnet has run out of addresses."),
        Field::scalar("since", "When that was written."),
    ],
};

/// A NodeNetworkConfig.
#[derive(Debug, Clone)]
pub struct NodeNetworkConfig {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its name, which is the node's.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// When it was created.
    pub created: Seconds,
    /// When its specification was changed last.
    pub requested_since: Seconds,
    /// When its status was changed last.
    pub assigned_since: Seconds,
    /// Addresses asked for.
    pub requested: i64,
    /// Addresses got.
    pub assigned: i64,
    not_in_use: usize,
    status: String,
    scaler: ScalerView,
    containers: Vec<NetworkContainer>,
}

#[derive(Debug, Clone)]
struct NetworkContainer {
    id: String,
    mode: String,
    kind: String,
    status: String,
    subnet: String,
    cidr: String,
    primary_ip: String,
    addresses: usize,
    version: i64,
}

/// A ClusterSubnetState.
#[derive(Debug, Clone)]
pub struct SubnetState {
    origin: Origin,
    name: Arc<str>,
    exhausted: bool,
    since: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NncView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(deserialize_with = "or_default")]
    spec: SpecView,
    #[serde(borrow, deserialize_with = "or_default")]
    status: StatusView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SpecView {
    #[serde(rename = "requestedIPCount")]
    requested: i64,
    #[serde(rename = "ipsNotInUse", deserialize_with = "or_default")]
    not_in_use: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView<'a> {
    #[serde(rename = "assignedIPCount")]
    assigned: i64,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    scaler: ScalerView,
    #[serde(borrow, deserialize_with = "or_default")]
    network_containers: Vec<ContainerView<'a>>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ScalerView {
    batch_size: i64,
    request_threshold_percent: i64,
    release_threshold_percent: i64,
    #[serde(rename = "maxIPCount")]
    maximum: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerView<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    assignment_mode: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    subnet_name: Text<'a>,
    #[serde(borrow)]
    subnet_address_space: Text<'a>,
    #[serde(borrow, rename = "primaryIP")]
    primary_ip: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    ip_assignments: Vec<serde::de::IgnoredAny>,
    version: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SubnetView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    status: SubnetStatusView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SubnetStatusView<'a> {
    exhausted: bool,
    #[serde(borrow)]
    timestamp: Text<'a>,
}

#[derive(Default)]
struct NncParser(Strings);

impl Parser<NodeNetworkConfig> for NncParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<NodeNetworkConfig>, serde_json::Error> {
        let NncView { metadata, spec, status } = serde_json::from_slice(object)?;
        // The CRD's defaults, where an object does not say them.
        let or = |text: &Text, default: &str| if text.is_empty() { default.to_owned() } else { text.to_string() };
        let container = |view: &ContainerView| NetworkContainer {
            id: view.id.to_string(),
            mode: or(&view.assignment_mode, "dynamic"),
            kind: or(&view.kind, "vnet"),
            status: view.status.to_string(),
            subnet: view.subnet_name.to_string(),
            cidr: view.subnet_address_space.to_string(),
            primary_ip: view.primary_ip.to_string(),
            addresses: view.ip_assignments.len(),
            version: view.version,
        };
        Ok(Some(NodeNetworkConfig {
            origin,
            name: self.0.get(&metadata.name),
            namespace: self.0.get(&metadata.namespace),
            created: metadata.creation_timestamp,
            requested_since: metadata.changed(""),
            assigned_since: metadata.changed("status"),
            requested: spec.requested,
            assigned: status.assigned,
            not_in_use: spec.not_in_use.len(),
            status: status.status.to_string(),
            scaler: status.scaler,
            containers: status.network_containers.iter().map(container).collect(),
        }))
    }
}

/// Reads the NodeNetworkConfigs.
pub(super) fn read(evidence: &Evidence) -> (Vec<NodeNetworkConfig>, Vec<Unreadable>) {
    let listed = list::read(evidence, EVIDENCE, NncParser::default);
    (listed.items, listed.unreadable)
}

/// Reads the ClusterSubnetStates.
pub(super) fn read_subnets(evidence: &Evidence) -> (Vec<SubnetState>, Vec<Unreadable>) {
    let parser = || {
        |origin: Origin, object: &[u8]| {
            let SubnetView { metadata, status } = serde_json::from_slice(object)?;
            let name = Arc::from(&*metadata.name);
            Ok(Some(SubnetState { origin, name, exhausted: status.exhausted, since: status.timestamp.to_string() }))
        }
    };
    let listed = list::read(evidence, SUBNETS, parser);
    (listed.items, listed.unreadable)
}

impl SubnetState {
    /// As a value.
    pub fn value(&self) -> Value {
        let text = format!("clustersubnetstate {}: exhausted={} since {}", self.name, self.exhausted, self.since);
        Record::cited(self.origin.cite("/status", &text))
            .with("name", self.name.clone())
            .with("exhausted", self.exhausted)
            .with_any("since", text_value(&self.since))
            .into_value()
    }
}

impl NodeNetworkConfig {
    /// Free addresses below and above which CNS asks for a batch or gives one back.
    fn free_bounds(&self) -> Option<(f64, f64)> {
        let ScalerView { batch_size, request_threshold_percent, release_threshold_percent, .. } = self.scaler;
        if batch_size <= 0 {
            return None;
        }
        let of = |percent: i64| batch_size as f64 * percent as f64 / 100.0;
        Some((of(request_threshold_percent), of(release_threshold_percent)))
    }

    fn is_pooled(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(|c| c.mode == "dynamic" && c.kind == "vnet")
    }

    fn container_value(&self, (place, container): (usize, &NetworkContainer)) -> Value {
        let text = format!(
            "network container {}: {}/{}, status {}, subnet {} {}",
            container.id, container.mode, container.kind, container.status, container.subnet, container.cidr
        );
        Record::cited(self.origin.cite(&format!("/status/networkContainers/{place}"), text.trim_end()))
            .with("id", container.id.as_str())
            .with("mode", container.mode.as_str())
            .with("type", container.kind.as_str())
            .with_any("status", text_value(&container.status))
            .with_any("subnet", text_value(&container.subnet))
            .with_any("cidr", text_value(&container.cidr))
            .with_any("primary_ip", text_value(&container.primary_ip))
            .with("addresses", container.addresses)
            .with("version", container.version)
            .into_value()
    }
}

/// A NodeNetworkConfig as a value, by its place in the list.
pub fn value(facts: &Facts, place: usize) -> Value {
    Fact::value(NncFact { facts: facts.clone(), place })
}

/// The NodeNetworkConfig of a node.
pub fn of_node(facts: &Facts, node: &str) -> Option<Value> {
    let place = facts.node_network_configs().iter().position(|nnc| &*nnc.name == node)?;
    Some(value(facts, place))
}

#[derive(Debug)]
struct NncFact {
    facts: Facts,
    place: usize,
}

impl Fields for NncFact {
    fn field(&self, name: &str) -> Option<Value> {
        let nnc = self.facts.node_network_configs().get(self.place)?;
        let positive = |number: i64| (number > 0).then(|| Value::from(number));
        let pods = || i64::try_from(self.facts.networked_pods(&nnc.name).count()).unwrap_or(i64::MAX);
        match name {
            "name" => Some(Value::from(nnc.name.clone())),
            "namespace" => Some(Value::from(nnc.namespace.clone())),
            "node" => node_root::named(&self.facts, &nnc.name),
            "created" => nnc.created.value(),
            "requested_since" => nnc.requested_since.value(),
            "assigned_since" => nnc.assigned_since.value(),
            "requested" => Some(Value::from(nnc.requested)),
            "assigned" => Some(Value::from(nnc.assigned)),
            "not_in_use" => Some(Value::from(nnc.not_in_use)),
            "status" => text_value(&nnc.status),
            "batch" => positive(nnc.scaler.batch_size),
            "free_least" => nnc.free_bounds().map(|(least, _)| Value::from(least)),
            "free_most" => nnc.free_bounds().map(|(_, most)| Value::from(most)),
            "maximum" => positive(nnc.scaler.maximum),
            "pods" => Some(Value::from(pods())),
            "free" => Some(Value::from(nnc.assigned - pods())),
            "pooled" => Some(Value::from(nnc.is_pooled())),
            "containers" => Some(nnc.containers.iter().enumerate().map(|entry| nnc.container_value(entry)).collect()),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        let nnc = self.facts.node_network_configs().get(self.place)?;
        let text = format!(
            "nodenetworkconfig {}/{}: requestedIPCount {}, assignedIPCount {}, status {}",
            nnc.namespace, nnc.name, nnc.requested, nnc.assigned, nnc.status
        );
        Some(nnc.origin.cite("", &text))
    }
}
