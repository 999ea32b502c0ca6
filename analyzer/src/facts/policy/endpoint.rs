//! Pods and nodes as ends of a flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use netpath::policy::{ContainerPort, Host, Labels as PolicyLabels, Pod as PolicyPod};

use crate::evidence::Evidence;
use crate::facts::Facts;
use crate::facts::intern::Strings;
use crate::facts::list::{self, Origin};
use crate::facts::metadata::{Labels, Metadata};
use crate::facts::pod::Pod;
use crate::finding::Unreadable;

/// The labels of the namespaces.
pub type Namespaces = BTreeMap<Arc<str>, PolicyLabels>;

#[derive(serde::Deserialize)]
struct NamespaceView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

/// Reads the list of namespaces.
pub(in crate::facts) fn read_namespaces(evidence: &Evidence) -> (Namespaces, Vec<Unreadable>) {
    let listed = list::read(evidence, "api.namespaces", || {
        let mut strings = Strings::default();
        move |_: Origin, object: &[u8]| {
            let view: NamespaceView<'_> = serde_json::from_slice(object)?;
            let labels = view.metadata.labels.to_labels(&mut strings);
            Ok(Some((strings.get(&view.metadata.name), as_policy_labels(&labels))))
        }
    });
    (listed.items.into_iter().collect(), listed.unreadable)
}

fn as_policy_labels(labels: &Labels) -> PolicyLabels {
    labels.0.iter().cloned().collect()
}

/// A pod as policies see it.
pub fn of_pod(facts: &Facts, pod: &Pod) -> PolicyPod {
    let template = &pod.template;
    let running = template.containers.iter().filter(|container| !container.init || container.sidecar);
    let ports = running.flat_map(|container| container.ports.iter()).map(|port| ContainerPort {
        name: port.name.clone(),
        number: port.number,
        protocol: port.protocol.clone(),
    });
    PolicyPod {
        namespace: pod.namespace.clone(),
        name: Arc::from(&*pod.name),
        labels: as_policy_labels(&pod.labels),
        namespace_labels: facts.namespaces().get(&pod.namespace).cloned(),
        node: (!pod.node.is_empty()).then(|| pod.node.clone()),
        node_labels: facts.node_object(&pod.node).map(|node| as_policy_labels(&node.labels)),
        host_network: template.host_network,
        ended: pod.has_ended(),
        ports: ports.collect(),
    }
}

/// A node as policies see it.
pub fn of_node(facts: &Facts, name: &str) -> Host {
    Host { name: Arc::from(name), labels: facts.node_object(name).map(|node| as_policy_labels(&node.labels)) }
}
