//! From JSON to pods: borrowed views of the fields that are kept, and nothing else of the object.

use std::sync::Arc;

use serde::Deserialize;

use super::container::{ContainerStatus, ContainerTemplate, Ended, Port, Resources, State, Template};
use super::{Condition, Pod};
use crate::facts::intern::{Strings, Structures};
use crate::facts::json::{Seconds, Text, address, or_default};
use crate::facts::list::{Origin, Parser};
use crate::facts::metadata::{Labels, Owner, OwnerReference, Pairs, owner};

/// Bytes of a message that are kept; most of a long one repeats names that the pod has anyway.
const MESSAGE: usize = 300;

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodView<'a> {
    #[serde(borrow)]
    metadata: MetadataView<'a>,
    #[serde(borrow)]
    spec: SpecView<'a>,
    #[serde(borrow)]
    status: StatusView<'a>,
}

/// Less than [`super::super::metadata::Metadata`]: a hundred thousand times, what is not read is not paid for.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MetadataView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    creation_timestamp: Seconds,
    deletion_timestamp: Seconds,
    #[serde(borrow)]
    labels: Pairs<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    owner_references: Vec<OwnerReference<'a>>,
}

/// The pod's specification; also `spec.template.spec` of a workload.
#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
pub struct SpecView<'a> {
    #[serde(borrow)]
    node_name: Text<'a>,
    host_network: bool,
    #[serde(borrow)]
    dns_policy: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    dns_config: DnsConfigView<'a>,
    #[serde(borrow)]
    service_account_name: Text<'a>,
    #[serde(borrow)]
    runtime_class_name: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    containers: Vec<ContainerView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    init_containers: Vec<ContainerView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    readiness_gates: Vec<ReadinessGateView<'a>>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(default)]
struct DnsConfigView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    nameservers: Vec<Text<'a>>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct ReadinessGateView<'a> {
    #[serde(borrow)]
    condition_type: Text<'a>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct ContainerView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    restart_policy: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    ports: Vec<PortView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    resources: ResourcesView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    command: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    args: Vec<Text<'a>>,
    #[serde(deserialize_with = "is_there")]
    readiness_probe: bool,
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct PortView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    container_port: u16,
    host_port: u16,
    #[serde(borrow)]
    protocol: Text<'a>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(default)]
struct ResourcesView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    requests: QuantitiesView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    limits: QuantitiesView<'a>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(default)]
struct QuantitiesView<'a> {
    #[serde(borrow)]
    cpu: Text<'a>,
    #[serde(borrow)]
    memory: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Text<'a>,
    #[serde(borrow, rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIpView<'a>>,
    #[serde(borrow, rename = "hostIP")]
    host_ip: Text<'a>,
    start_time: Seconds,
    #[serde(borrow, deserialize_with = "or_default")]
    conditions: Vec<ConditionView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatusView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatusView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodIpView<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
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
    last_transition_time: Seconds,
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatusView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    ready: bool,
    restart_count: u32,
    #[serde(borrow, deserialize_with = "or_default")]
    state: StateView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    last_state: StateView<'a>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(default)]
struct StateView<'a> {
    #[serde(borrow)]
    waiting: Option<WaitingView<'a>>,
    #[serde(deserialize_with = "is_there")]
    running: bool,
    #[serde(borrow)]
    terminated: Option<TerminatedView<'a>>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(default)]
struct WaitingView<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct TerminatedView<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    exit_code: i32,
    finished_at: Seconds,
}

/// Whether a value is there, whatever it is: only that a container runs is of interest, not since when.
fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<serde::de::IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

/// One thread's parser, with what it has seen.
#[derive(Default)]
pub struct PodParser {
    strings: Strings,
    owners: Structures<Owner>,
    labels: Structures<Labels>,
    templates: Structures<Template>,
    statuses: Structures<[ContainerStatus]>,
    conditions: Structures<[Condition]>,
}

impl Parser<Pod> for PodParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<Pod>, serde_json::Error> {
        let view: PodView = serde_json::from_slice(object)?;
        let PodView { metadata, spec, status } = &view;
        let ready = status.conditions.iter().find(|condition| &*condition.kind == "Ready");
        let strings = &mut self.strings;
        Ok(Some(Pod {
            origin,
            name: Box::from(&*metadata.name),
            namespace: strings.get(&metadata.namespace),
            uid: uid(&metadata.uid),
            node: strings.get(&spec.node_name),
            phase: strings.get(&status.phase),
            reason: strings.get(&status.reason),
            addresses: addresses(status),
            host_address: address(&status.host_ip),
            created: metadata.creation_timestamp,
            deleted: metadata.deletion_timestamp,
            started: status.start_time,
            ready_since: ready.map_or(Seconds::default(), |condition| condition.last_transition_time),
            owner: owner(&metadata.owner_references, strings, &mut self.owners),
            labels: self.labels.get(&metadata.labels, || Arc::new(metadata.labels.to_labels(strings))),
            template: self.templates.get(&TemplateKey(spec), || Arc::new(template(spec, strings))),
            statuses: self.statuses.get(&StatusKey(status), || statuses(status, strings)),
            conditions: self.conditions.get(&ConditionsKey(&status.conditions), || conditions(status, strings)),
        }))
    }
}

/// Everything of a specification that a template keeps: not the node.
struct TemplateKey<'v, 'a>(&'v SpecView<'a>);

impl std::hash::Hash for TemplateKey<'_, '_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let SpecView { host_network, dns_policy, dns_config, service_account_name, runtime_class_name, .. } = self.0;
        (host_network, dns_policy, dns_config, service_account_name, runtime_class_name).hash(state);
        (&self.0.containers, &self.0.init_containers, &self.0.readiness_gates).hash(state);
    }
}

struct StatusKey<'v, 'a>(&'v StatusView<'a>);

impl std::hash::Hash for StatusKey<'_, '_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.0.init_container_statuses, &self.0.container_statuses).hash(state);
    }
}

struct ConditionsKey<'v, 'a>(&'v [ConditionView<'a>]);

impl std::hash::Hash for ConditionsKey<'_, '_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for condition in self.0 {
            (&condition.kind, &condition.status, &condition.reason, &condition.message).hash(state);
        }
    }
}

/// The number that a uid is, or 0.
fn uid(text: &str) -> u128 {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() == 32 { u128::from_str_radix(&digits, 16).unwrap_or_default() } else { 0 }
}

fn addresses(status: &StatusView) -> [Option<std::net::IpAddr>; 2] {
    let mut found = status.pod_ips.iter().filter_map(|entry| address(&entry.ip));
    let first = found.next().or_else(|| address(&status.pod_ip));
    [first, found.next()]
}

/// What is kept of a specification.
pub fn template(spec: &SpecView, strings: &mut Strings) -> Template {
    let init = spec.init_containers.iter().map(|container| (container, true));
    let running = spec.containers.iter().map(|container| (container, false));
    let containers =
        init.chain(running).map(|(container, init)| container_template(container, init, strings)).collect();
    let mut list = |texts: &mut dyn Iterator<Item = &Text>| texts.map(|text| strings.get(text)).collect::<Box<[_]>>();
    Template {
        containers,
        host_network: spec.host_network,
        nameservers: list(&mut spec.dns_config.nameservers.iter()),
        readiness_gates: list(&mut spec.readiness_gates.iter().map(|gate| &gate.condition_type)),
        dns_policy: strings.get(&spec.dns_policy),
        service_account: strings.get(&spec.service_account_name),
        runtime_class: strings.get(&spec.runtime_class_name),
    }
}

fn container_template(view: &ContainerView, init: bool, strings: &mut Strings) -> ContainerTemplate {
    let ports = view.ports.iter().map(|port| Port {
        name: strings.get(&port.name),
        number: port.container_port,
        protocol: strings.get(if port.protocol.is_empty() { "TCP" } else { &port.protocol }),
        host_port: port.host_port,
    });
    let ports = ports.collect();
    // What the collector stripped tells nothing.
    let told = |argument: &&Text| argument.starts_with('-') && !argument.ends_with("[stripped]");
    let arguments = view.command.iter().chain(&view.args).filter(told).map(|argument| strings.get(argument)).collect();
    ContainerTemplate {
        name: strings.get(&view.name),
        image: strings.get(&view.image),
        init,
        sidecar: init && &*view.restart_policy == "Always",
        ports,
        resources: Resources {
            cpu_request: strings.get(&view.resources.requests.cpu),
            cpu_limit: strings.get(&view.resources.limits.cpu),
            memory_request: strings.get(&view.resources.requests.memory),
            memory_limit: strings.get(&view.resources.limits.memory),
        },
        arguments,
        readiness_probe: view.readiness_probe,
    }
}

fn statuses(status: &StatusView, strings: &mut Strings) -> Arc<[ContainerStatus]> {
    let init = status.init_container_statuses.iter().zip(0..).map(|(view, place)| (view, place, true));
    let running = status.container_statuses.iter().zip(0..).map(|(view, place)| (view, place, false));
    let status = |(view, place, init): (&ContainerStatusView, u16, bool)| ContainerStatus {
        name: strings.get(&view.name),
        init,
        place,
        ready: view.ready,
        restarts: view.restart_count,
        state: state(&view.state, strings),
        last: view.last_state.terminated.as_ref().map(|last| Box::new(ended(last, strings))),
    };
    init.chain(running).map(status).collect()
}

fn state(view: &StateView, strings: &mut Strings) -> State {
    if let Some(waiting) = &view.waiting {
        let message = strings.get(clipped(&waiting.message));
        return State::Waiting { reason: strings.get(&waiting.reason), message };
    }
    if let Some(terminated) = &view.terminated {
        return State::Terminated(Box::new(ended(terminated, strings)));
    }
    if view.running { State::Running } else { State::Unknown }
}

fn ended(view: &TerminatedView, strings: &mut Strings) -> Ended {
    Ended { reason: strings.get(&view.reason), exit_code: view.exit_code, finished: view.finished_at }
}

fn conditions(status: &StatusView, strings: &mut Strings) -> Arc<[Condition]> {
    let condition = |view: &ConditionView| Condition {
        kind: strings.get(&view.kind),
        status: strings.get(&view.status),
        reason: strings.get(&view.reason),
        message: strings.get(clipped(&view.message)),
    };
    status.conditions.iter().map(condition).collect()
}

/// The beginning of a message, cut at a character.
fn clipped(text: &str) -> &str {
    let end = (0..=MESSAGE.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
