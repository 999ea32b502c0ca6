//! Workloads: Deployments, DaemonSets, StatefulSets, ReplicaSets.

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::Value;
use serde::Deserialize;

use super::intern::{Strings, Structures};
use super::json::{Seconds, or_default, text_value};
use super::list::{self, Origin, Parser};
use super::metadata::{Labels, Metadata, Owner, Pairs, owner};
use super::pod::Pod;
use super::pod::container::Template;
use super::pod::parse::{SpecView, template};
use super::service::Service;
use super::{Facts, component, event, pod};
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::{Fact, Fields, Record};
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape, Shape};

/// The evidence id that the lists continue.
pub const EVIDENCE: &str = "api.workloads";

/// The lists, by the end of their evidence ids, with the kind of their objects: an object in a list does not say it.
const LISTS: &[(&str, &str)] = &[
    ("api.workloads.deployments", "Deployment"),
    ("api.workloads.daemonsets", "DaemonSet"),
    ("api.workloads.statefulsets", "StatefulSet"),
    ("api.workloads.replicasets", "ReplicaSet"),
];

/// The shape of `workload`.
pub static SHAPE: RecordShape = RecordShape {
    name: "workload",
    doc: "A Deployment, DaemonSet, StatefulSet or ReplicaSet.",
    fields: &[
        Field::scalar("kind", "Its kind."),
        Field::scalar("name", "Its name."),
        Field::scalar("namespace", "Its namespace."),
        Field::scalar("component", "The component that it is of, where it is a known one: `coredns`, `kube-proxy` …"),
        Field::scalar("created", "When it was created."),
        Field::scalar("changed", "When it was changed last, its status and scale aside."),
        Field::scalar("scaled", "When its scale was changed last, where it was."),
        Field::map("labels", "Its labels."),
        Field::map("selector", "The labels that its selector wants."),
        Field::scalar("owner_kind", "The kind of the object that controls it."),
        Field::scalar("owner_name", "The name of the object that controls it."),
        Field::scalar(
            "desired",
            "How many pods it wants: `spec.replicas`; of a DaemonSet `status.desiredNumberScheduled`.",
        ),
        Field::scalar("current", "How many pods it has."),
        Field::scalar("ready", "How many of them are ready."),
        Field::scalar("available", "How many of them are available."),
        Field::scalar("updated", "How many of them are of its newest template."),
        Field::scalar("observed", "Whether its controller has seen its newest specification."),
        Field::of("pods", Shape::List(&Shape::Record(&pod::fact::SHAPE)), "The pods that its selector selects."),
        Field::of(
            "containers",
            Shape::List(&Shape::Record(&pod::fact::CONTAINER)),
            "The containers of its template; nothing where the collector does not take templates.",
        ),
        Field::of("events", Shape::List(&Shape::Record(&event::SHAPE)), "Events about it, the oldest first."),
    ],
};

/// A workload.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// When it was created.
    pub created: Seconds,
    /// When it was changed last.
    pub changed: Seconds,
    /// When its scale was changed last.
    pub scaled: Seconds,
    /// Its labels.
    pub labels: Labels,
    /// `spec.selector.matchLabels`.
    pub selector: Labels,
    /// Who controls it.
    pub owner: Option<Arc<Owner>>,
    /// How many pods it wants.
    pub desired: i64,
    /// How many it has.
    pub current: i64,
    /// How many are ready.
    pub ready: i64,
    /// How many are available.
    pub available: i64,
    /// How many are of the newest template.
    pub updated: i64,
    /// Whether its controller has seen its newest specification.
    pub observed: bool,
    /// What its pods are made of; none where the collector does not take templates.
    pub template: Option<Arc<Template>>,
}

/// All workloads, with what finds them.
#[derive(Debug, Default)]
pub struct Workloads {
    all: Vec<Workload>,
    by_name: HashMap<(&'static str, Arc<str>, Arc<str>), u32>,
    by_namespace: HashMap<Arc<str>, Vec<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WorkloadView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    spec: WorkloadSpecView<'a>,
    #[serde(deserialize_with = "or_default")]
    status: StatusView,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WorkloadSpecView<'a> {
    replicas: Option<i64>,
    #[serde(borrow, deserialize_with = "or_default")]
    selector: SelectorView<'a>,
    #[serde(borrow)]
    template: Option<TemplateView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SelectorView<'a> {
    #[serde(borrow)]
    match_labels: Pairs<'a>,
}

#[derive(Deserialize)]
struct TemplateView<'a> {
    #[serde(borrow, default)]
    spec: Option<SpecView<'a>>,
}

/// Counts of all four kinds: each field has the name that one of them gives it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView {
    replicas: i64,
    ready_replicas: i64,
    available_replicas: i64,
    updated_replicas: i64,
    desired_number_scheduled: i64,
    current_number_scheduled: i64,
    number_ready: i64,
    number_available: i64,
    updated_number_scheduled: i64,
    observed_generation: i64,
}

struct WorkloadParser {
    kind: &'static str,
    strings: Strings,
    owners: Structures<Owner>,
}

impl Parser<Workload> for WorkloadParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<Workload>, serde_json::Error> {
        let WorkloadView { metadata, spec, status } = serde_json::from_slice(object)?;
        let strings = &mut self.strings;
        let daemons = self.kind == "DaemonSet";
        let count = |of_daemons: i64, of_others: i64| if daemons { of_daemons } else { of_others };
        let pod = spec.template.as_ref().and_then(|template| template.spec.as_ref());
        Ok(Some(Workload {
            origin,
            kind: self.kind,
            created: metadata.creation_timestamp,
            changed: metadata.changed(""),
            scaled: metadata.changed("scale"),
            owner: owner(&metadata.owner_references, strings, &mut self.owners),
            name: strings.get(&metadata.name),
            namespace: strings.get(&metadata.namespace),
            labels: metadata.labels.to_labels(strings),
            selector: spec.selector.match_labels.to_labels(strings),
            desired: if daemons { status.desired_number_scheduled } else { spec.replicas.unwrap_or(1) },
            current: count(status.current_number_scheduled, status.replicas),
            ready: count(status.number_ready, status.ready_replicas),
            available: count(status.number_available, status.available_replicas),
            updated: count(status.updated_number_scheduled, status.updated_replicas),
            observed: status.observed_generation >= metadata.generation,
            template: pod.map(|pod| Arc::new(template(pod, strings))),
        }))
    }
}

impl Workloads {
    /// Reads the lists.
    pub(super) fn read(evidence: &Evidence) -> (Workloads, Vec<Unreadable>) {
        let mut workloads = Workloads::default();
        let mut unreadable = Vec::new();
        for (id, kind) in LISTS {
            let parser = || WorkloadParser { kind, strings: Strings::default(), owners: Structures::default() };
            let listed = list::read(evidence, id, parser);
            workloads.all.extend(listed.items);
            unreadable.extend(listed.unreadable);
        }
        for (place, workload) in (0..).zip(&workloads.all) {
            let name = (workload.kind, workload.namespace.clone(), workload.name.clone());
            workloads.by_name.insert(name, place);
            workloads.by_namespace.entry(workload.namespace.clone()).or_default().push(place);
        }
        (workloads, unreadable)
    }

    /// All of them, by kind.
    pub fn all(&self) -> &[Workload] {
        &self.all
    }

    /// The workload at this place.
    pub fn get(&self, place: u32) -> Option<&Workload> {
        self.all.get(place as usize)
    }

    /// The place of the workload of this kind and name.
    pub fn named(&self, kind: &str, namespace: &str, name: &str) -> Option<u32> {
        let kind = LISTS.iter().map(|(_, known)| *known).find(|known| *known == kind)?;
        self.by_name.get(&(kind, Arc::from(namespace), Arc::from(name))).copied()
    }

    /// The places of the workloads of a component that nothing else controls.
    pub fn of_component(&self, component: &str) -> Vec<u32> {
        let places = (0..)
            .zip(&self.all)
            .filter(|(_, workload)| workload.owner.is_none() && workload.component() == Some(component));
        places.map(|(place, _)| place).collect()
    }

    /// The place of the workload that a pod belongs to: the Deployment rather than its ReplicaSet.
    pub fn of_pod(&self, pod: &Pod) -> Option<u32> {
        let owner = pod.owner.as_ref()?;
        let place = self.named(&owner.kind, &pod.namespace, &owner.name)?;
        let above = self.get(place)?.owner.as_ref();
        Some(above.and_then(|above| self.named(&above.kind, &pod.namespace, &above.name)).unwrap_or(place))
    }
}

impl Workload {
    /// The component that it is of, where it is a known one.
    pub fn component(&self) -> Option<&'static str> {
        component::of(&self.namespace, &self.name, &self.labels)
    }

    /// Its name, as subjects spell it: `kube-system/deployment/coredns`.
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind.to_lowercase(), self.name)
    }
}

/// A workload as a value, by its place.
pub fn value(facts: &Facts, place: u32) -> Value {
    Fact::value(WorkloadFact { facts: facts.clone(), place })
}

/// The workload that a pod belongs to.
pub fn of_pod(facts: &Facts, pod: &Pod) -> Option<Value> {
    facts.workloads().of_pod(pod).map(|place| value(facts, place))
}

/// Workloads of a Service's namespace that want no pods and whose selector agrees with the Service's: no label with
/// another value, and at least one label in common.
pub fn values_scaled_to_zero(facts: &Facts, service: &Service) -> Value {
    let workloads = facts.workloads();
    let agrees = |selector: &Labels| {
        let common = |(key, value): &(Arc<str>, Arc<str>)| selector.get(key).map(|other| other == value);
        let mut found = service.selector.0.iter().filter_map(common).peekable();
        found.peek().is_some() && found.all(|same| same)
    };
    let at_zero = |place: &&u32| {
        workloads.get(**place).is_some_and(|workload| {
            workload.desired == 0
                && workload.kind != "DaemonSet"
                && workload.owner.is_none()
                && agrees(&workload.selector)
        })
    };
    let places = workloads.by_namespace.get(&service.namespace).map_or(&[][..], Vec::as_slice);
    places.iter().filter(at_zero).map(|place| value(facts, *place)).collect()
}

#[derive(Debug)]
struct WorkloadFact {
    facts: Facts,
    place: u32,
}

impl Fields for WorkloadFact {
    fn field(&self, name: &str) -> Option<Value> {
        let workload = self.facts.workloads().get(self.place)?;
        match name {
            "kind" => Some(Value::from(workload.kind)),
            "name" => Some(Value::from(workload.name.clone())),
            "namespace" => Some(Value::from(workload.namespace.clone())),
            "component" => workload.component().map(Value::from),
            "created" => workload.created.value(),
            "changed" => workload.changed.value(),
            "scaled" => workload.scaled.value(),
            "labels" => Some(workload.labels.value()),
            "selector" => Some(workload.selector.value()),
            "owner_kind" => workload.owner.as_ref().map(|owner| Value::from(owner.kind.clone())),
            "owner_name" => workload.owner.as_ref().map(|owner| Value::from(owner.name.clone())),
            "desired" => Some(Value::from(workload.desired)),
            "current" => Some(Value::from(workload.current)),
            "ready" => Some(Value::from(workload.ready)),
            "available" => Some(Value::from(workload.available)),
            "updated" => Some(Value::from(workload.updated)),
            "observed" => Some(Value::from(workload.observed)),
            "pods" => {
                let places = self.facts.pods().selected(&workload.namespace, &workload.selector);
                Some(pod::fact::values(&self.facts, places))
            }
            "containers" => workload.template.as_ref().map(|template| workload.containers(template)),
            "events" => Some(event::values_about(&self.facts, workload.kind, &workload.namespace, &workload.name)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        let workload = self.facts.workloads().get(self.place)?;
        let Workload { kind, namespace, name, desired, current, ready, available, .. } = workload;
        let text = format!(
            "{kind} {namespace}/{name}: {desired} wanted, {current} there, {ready} ready, {available} available"
        );
        Some(workload.origin.cite("", &text))
    }
}

impl Workload {
    fn containers(&self, template: &Template) -> Value {
        let mut places = [0usize; 2];
        let value = |container: &pod::container::ContainerTemplate| {
            let list = if container.init { "initContainers" } else { "containers" };
            let place = places.get_mut(usize::from(container.init)).map(|place| std::mem::replace(place, *place + 1));
            let resources = &container.resources;
            let text = format!(
                "container {}: image {}, memory request {}, memory limit {}",
                container.name,
                container.image,
                text_value(&resources.memory_request).unwrap_or_else(|| Value::from("none")),
                text_value(&resources.memory_limit).unwrap_or_else(|| Value::from("none")),
            );
            let pointer = format!("/spec/template/spec/{list}/{}", place.unwrap_or_default());
            container.describe(Record::cited(self.origin.cite(&pointer, &text))).into_value()
        };
        template.containers.iter().map(value).collect()
    }
}
