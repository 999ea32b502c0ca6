//! How much memory the tunnel's agents use, as metrics.k8s.io reported it at the time of collection.

use std::collections::HashMap;

use minijinja::Value;
use serde::Deserialize;

use crate::evidence::Evidence;
use crate::fact::Record;
use crate::facts::json::{Text, or_default};
use crate::facts::list::{self, Origin};
use crate::facts::metadata::Metadata;
use crate::facts::{Facts, component, quantity};
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape};

/// The evidence id of the pods' metrics.
pub const EVIDENCE: &str = "api.metrics.pods";

/// The shape of a container's memory.
pub static SHAPE: RecordShape = RecordShape {
    name: "container memory",
    doc: "The working set of a container, beside its limit.",
    fields: &[
        Field::scalar("pod", "The pod's name."),
        Field::scalar("container", "The container's name."),
        Field::scalar("used", "Its working set in bytes."),
        Field::scalar("limit", "Its limit in bytes, where it has one."),
        Field::scalar("share", "How much of the limit is used: 1 is all."),
    ],
};

/// The memory of the containers of known components.
pub type Usage = HashMap<(String, String), PodUsage>;

/// The memory of a pod's containers.
#[derive(Debug, Clone)]
pub struct PodUsage {
    origin: Origin,
    /// The containers' names and working sets in bytes.
    containers: Vec<(String, f64)>,
}

#[derive(Deserialize)]
struct MetricsView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    containers: Vec<ContainerView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContainerView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    usage: UsageView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UsageView<'a> {
    #[serde(borrow)]
    memory: Text<'a>,
}

/// Reads the metrics of pods; those of pods of no known component are left out.
pub(in crate::facts) fn read(evidence: &Evidence) -> (Usage, Vec<Unreadable>) {
    let parser = || {
        |origin: Origin, object: &[u8]| {
            let MetricsView { metadata, containers } = serde_json::from_slice(object)?;
            let labels = metadata.labels.to_labels(&mut Default::default());
            if component::of(&metadata.namespace, &metadata.name, &labels).is_none() {
                return Ok(None);
            }
            let memory = |view: &ContainerView| Some((view.name.to_string(), quantity::parse(&view.usage.memory)?));
            let containers = containers.iter().filter_map(memory).collect();
            let name = (metadata.namespace.to_string(), metadata.name.to_string());
            Ok(Some((name, PodUsage { origin, containers })))
        }
    };
    let listed = list::read(evidence, EVIDENCE, parser);
    (listed.items.into_iter().collect(), listed.unreadable)
}

/// The memory of these pods' containers.
pub fn values(facts: &Facts, pods: &[u32]) -> Value {
    let mut values = Vec::new();
    for pod in pods.iter().filter_map(|place| facts.pods().get(*place)) {
        let key = (pod.namespace.to_string(), pod.name.to_string());
        let Some(usage) = facts.usage().get(&key) else { continue };
        for (place, (container, used)) in usage.containers.iter().enumerate() {
            let template = pod.template.containers.iter().find(|template| *template.name == **container);
            let limit =
                template.and_then(|template| quantity::parse(&template.resources.memory_limit)).filter(|l| *l > 0.0);
            let mega = |bytes: f64| format!("{:.0} MiB", bytes / 1_048_576.0);
            let of = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("a limit of {}", mega(limit)));
            let text = format!("container {container} of pod {} uses {} of {of}", pod.name, mega(*used));
            let record = Record::cited(usage.origin.cite(&format!("/containers/{place}/usage/memory"), &text))
                .with("pod", &*pod.name)
                .with("container", container.as_str())
                .with("used", *used)
                .with_any("limit", limit)
                .with_any("share", limit.map(|limit| used / limit));
            values.push(record.into_value());
        }
    }
    Value::from(values)
}
