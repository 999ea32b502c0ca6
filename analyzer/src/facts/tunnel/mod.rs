//! The tunnel between control plane and nodes, where the control plane is elsewhere: konnectivity, or what AKS had
//! before it.
//!
//! ```text
//! ladder.rs   how many replicas the autoscaler of konnectivity-agent wants
//! usage.rs    how much memory its pods use
//! ```

pub mod ladder;
pub mod usage;

use std::collections::BTreeSet;

use ladder::{Parameters, Size};
use minijinja::Value;

use super::config_map::ConfigMap;
use super::json::Seconds;
use super::pod::Pod;
use super::{Facts, component, pod, quantity, workload};
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// Components that are a tunnel, the newest first, with the port that they need outwards.
const KINDS: &[(&str, &str, &str)] = &[
    ("konnectivity", "konnectivity-agent", "443/tcp"),
    ("aks-link", "aks-link", "1194/udp"),
    ("tunnel-front", "tunnelfront", "9000/tcp"),
];

/// The component that scales konnectivity-agent, and its ConfigMap.
const AUTOSCALER: &str = "konnectivity-agent-autoscaler";

/// The shape of the tunnel.
pub static SHAPE: RecordShape = RecordShape {
    name: "tunnel",
    doc: "What the API server reaches kubelets, Services and webhooks through. Many clusters have none.",
    fields: &[
        Field::scalar("kind", "`konnectivity`, `aks-link`, `tunnel-front`."),
        Field::scalar("port", "The port that it needs from the nodes to the API server."),
        Field::record("workload", &workload::SHAPE, "The Deployment of its agents."),
        Field::of("pods", Shape::List(&Shape::Record(&pod::fact::SHAPE)), "The pods of its agents, ended ones aside."),
        Field::scalar("desired", "How many agents there should be: by its Deployment, else as many as there are."),
        Field::scalar("ready", "How many of them are ready."),
        Field::scalars("nodes", "The nodes that ready agents run on."),
        Field::of(
            "memory",
            Shape::List(&Shape::Record(&usage::SHAPE)),
            "Memory of the agents' containers, where metrics were collected.",
        ),
    ],
};

/// The shape of the autoscaler.
pub static AUTOSCALER_SHAPE: RecordShape = RecordShape {
    name: "tunnel autoscaler",
    doc: "cluster-proportional-autoscaler of konnectivity-agent: its ConfigMap and what it wants.",
    fields: &[
        Field::scalar("running", "Whether its Deployment has a pod that is available."),
        Field::scalar("problem", "Why the ConfigMap cannot be used, where it cannot."),
        Field::scalars("doubts", "What is odd about it, though it can be used."),
        Field::scalar("mode", "`ladder` or `linear`."),
        Field::scalar("nodes", "How many nodes it counts."),
        Field::scalar("cores", "How many cores it counts."),
        Field::scalar("wanted", "How many agents it wants for them."),
        Field::scalar("newest_node", "When the youngest node joined: it may not have been counted yet."),
    ],
};

/// The tunnel, where there is one.
pub fn value(facts: &Facts) -> Option<Value> {
    let agents = |component: &str| -> Vec<u32> {
        let is = |(_, pod): &(u32, &Pod)| !pod.has_ended() && component::of_pod(pod) == Some(component);
        (0..).zip(facts.pods().all()).filter(is).map(|(place, _)| place).collect()
    };
    let found = KINDS.iter().map(|(kind, component, port)| {
        let workloads = facts.workloads().of_component(component);
        (*kind, *port, workloads.first().copied(), agents(component))
    });
    let (kind, port, workload, pods) =
        found.into_iter().find(|(_, _, workload, pods)| workload.is_some() || !pods.is_empty())?;
    let ready: Vec<&Pod> =
        pods.iter().filter_map(|place| facts.pods().get(*place)).filter(|pod| pod.is_ready()).collect();
    let nodes: BTreeSet<&str> = ready.iter().map(|pod| &*pod.node).collect();
    let desired =
        workload.and_then(|place| facts.workloads().get(place)).map_or(pods.len() as i64, |found| found.desired);
    let record = Record::derived()
        .with("kind", kind)
        .with("port", port)
        .with_any("workload", workload.map(|place| workload::value(facts, place)))
        .with("desired", desired)
        .with("ready", ready.len())
        .with("nodes", nodes.into_iter().map(Value::from).collect::<Value>())
        .with("memory", usage::values(facts, &pods));
    Some(record.with("pods", pod::fact::values(facts, pods)).into_value())
}

/// What scales konnectivity-agent: there where its ConfigMap is.
pub fn autoscaler(facts: &Facts) -> Option<Value> {
    let config_map = facts.config_map("kube-system", AUTOSCALER)?;
    let workloads = facts.workloads();
    let mut own = workloads.of_component(AUTOSCALER).into_iter().filter_map(|place| workloads.get(place));
    let running = own.any(|workload| workload.available > 0);
    let record = Record::cited(cited(config_map)).with("running", running);
    let parameters = match Parameters::parse(&config_map.data) {
        Ok(parameters) => parameters,
        Err(problem) => {
            let none: Vec<String> = Vec::new();
            return Some(record.with("problem", problem).with("doubts", none).into_value());
        }
    };
    let doubts = match &parameters {
        Parameters::Ladder { doubts, .. } => doubts.clone(),
        Parameters::Linear { .. } => Vec::new(),
    };
    let (size, newest) = size(facts, parameters.counts_unschedulable());
    let record = record
        .with("doubts", doubts)
        .with("mode", parameters.mode())
        .with("nodes", size.nodes)
        .with("cores", size.cores)
        .with("wanted", parameters.replicas(size));
    Some(record.with_any("newest_node", newest.value()).into_value())
}

fn cited(config_map: &ConfigMap) -> crate::citation::Citation {
    let only = config_map.data.keys().next().filter(|_| config_map.data.len() == 1);
    config_map.cite(only.map_or("", String::as_str))
}

/// What the autoscaler counts, and when the youngest of those nodes joined.
fn size(facts: &Facts, unschedulable: bool) -> (Size, Seconds) {
    let counted: Vec<_> = facts.node_objects().iter().filter(|node| unschedulable || !node.unschedulable).collect();
    let cores: f64 = counted.iter().filter_map(|node| quantity::parse(node.allocatable.get("cpu")?)).sum();
    // Thousandths are what quantities of CPU are made of.
    let cores = (cores * 1e3).round() / 1e3;
    let newest = facts.node_objects().iter().map(|node| node.created).max().unwrap_or_default();
    (Size { nodes: counted.len() as i64, cores }, newest)
}
