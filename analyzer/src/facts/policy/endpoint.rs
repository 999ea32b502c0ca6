//! Pods and nodes as ends of a flow.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use netpath::policy::{ContainerPort, Endpoint, Host, Labels as PolicyLabels, Pod as PolicyPod};

use crate::evidence::Evidence;
use crate::facts::Facts;
use crate::facts::intern::Strings;
use crate::facts::list::{self, Origin};
use crate::facts::metadata::{Labels, Metadata};
use crate::facts::pod::Pod;
use crate::facts::service::endpoints::ReadyEndpoint;
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

/// A Service's endpoint as policies see it: a pod that the bundle knows, else somebody outside.
pub fn of_ready(facts: &Facts, ready: &ReadyEndpoint<'_>) -> Endpoint {
    match ready.pod(facts) {
        Some(pod) => Endpoint::pod(of_pod(facts, pod), ready.address),
        None => Endpoint::outside(ready.address),
    }
}

/// Who has an address. This looks at every pod, so it is for single questions.
pub fn of_address(facts: &Facts, address: IpAddr) -> Endpoint {
    let has = |pod: &&Pod| pod.is_networked() && pod.addresses().any(|own| own == address);
    if let Some(pod) = facts.pods().all().iter().find(has) {
        return Endpoint::pod(of_pod(facts, pod), address);
    }
    let mut nodes = facts.node_objects().iter();
    if let Some(node) = nodes.find(|node| node.internal_addresses().any(|own| own == address)) {
        return Endpoint::node(of_node(facts, &node.name), address);
    }
    let in_network = facts.node_objects().iter().any(|node| node.pod_networks().any(|range| range.contains(&address)));
    // An address of a pod network that no pod has any more may be a pod's that is not in the list yet.
    if in_network { Endpoint::unidentified(address) } else { Endpoint::outside(address) }
}
