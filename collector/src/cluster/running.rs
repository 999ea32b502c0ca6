//! Which kubelets are tried, in which order, and by whose log: what the lists of nodes and pods show in passing.

use std::collections::{BTreeMap, BTreeSet};

use bundle::manifest::Symptom;
use serde::Deserialize;

use super::json::cursor::string_at;
use crate::symptom::Ends;

/// A node, as far as it is needed to choose and to order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// Whether its kubelet says that it is well.
    pub ready: bool,
    /// Its InternalIP.
    address: Option<String>,
}

impl Node {
    /// Reads a Node object.
    pub fn read(object: &[u8]) -> Option<Node> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
            #[serde(default)]
            status: Status,
        }
        #[derive(Deserialize)]
        struct Metadata {
            name: String,
        }
        #[derive(Default, Deserialize)]
        struct Status {
            #[serde(default)]
            conditions: Vec<Condition>,
            #[serde(default)]
            addresses: Vec<Address>,
        }
        #[derive(Deserialize)]
        struct Address {
            r#type: String,
            address: String,
        }
        #[derive(Deserialize)]
        struct Condition {
            r#type: String,
            status: String,
        }
        let node: Object = serde_json::from_slice(object).ok()?;
        let ready = node.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True");
        let address = node.status.addresses.into_iter().find(|address| address.r#type == "InternalIP");
        Some(Node { name: node.metadata.name, ready, address: address.map(|address| address.address) })
    }
}

/// For each node a container whose log can be asked for: that of the first pod that runs there. And the nodes of the pods
/// that the symptom names.
#[derive(Debug, Default)]
pub struct Running {
    /// The path of the request, by node.
    pub logs: BTreeMap<String, String>,
    ends: Ends,
    of_symptom: BTreeSet<String>,
}

impl Running {
    /// Nothing is seen yet.
    pub fn new(symptom: &Symptom) -> Running {
        Running { ends: Ends::of(symptom), ..Running::default() }
    }

    /// Looks at a pod; cheap for all but the first of a node.
    pub fn observe(&mut self, object: &[u8]) {
        let text = |path: &[&str]| string_at(object, path).and_then(|text| std::str::from_utf8(text).ok());
        let Some(node) = text(&["spec", "nodeName"]) else { return };
        if self.ends != Ends::default()
            && let (Some(namespace), Some(name)) = (text(&["metadata", "namespace"]), text(&["metadata", "name"]))
            && self.ends.has_pod(namespace, name, text(&["status", "podIP"]))
        {
            self.of_symptom.insert(node.to_owned());
        }
        if self.logs.contains_key(node) || text(&["status", "phase"]) != Some("Running") {
            return;
        }
        let (Some(namespace), Some(name)) = (text(&["metadata", "namespace"]), text(&["metadata", "name"])) else {
            return;
        };
        let Some(container) = first_container(object) else { return };
        let path =
            format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&tailLines=1&limitBytes=1024");
        self.logs.insert(node.to_owned(), path);
    }
}

fn first_container(object: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        containers: Vec<Container>,
    }
    #[derive(Deserialize)]
    struct Container {
        name: String,
    }
    let pod: Object = serde_json::from_slice(object).ok()?;
    pod.spec.containers.into_iter().next().map(|container| container.name)
}

/// Those that the symptom leads to first, then those that are not well.
pub fn order(running: &Running, nodes: &mut [Node]) {
    let leads_to = |node: &Node| {
        running.ends.has_node(&node.name, node.address.as_deref()) || running.of_symptom.contains(&node.name)
    };
    nodes.sort_by_key(|node| (!leads_to(node), node.ready));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_first_running_pod_of_a_node_lends_its_log() {
        let pod = |name: &str, node: &str, phase: &str| {
            format!(
                r#"{{"metadata":{{"namespace":"s","name":"{name}"}},"spec":{{"nodeName":"{node}","containers":[{{"name":"c"}}]}},"status":{{"phase":"{phase}"}}}}"#
            )
        };
        let mut running = Running::default();
        for object in
            [pod("a", "n1", "Pending"), pod("b", "n1", "Running"), pod("c", "n1", "Running"), pod("d", "", "Running")]
        {
            running.observe(object.as_bytes());
        }
        let path = running.logs.get("n1").unwrap();
        assert!(path.starts_with("/api/v1/namespaces/s/pods/b/log?container=c&tailLines=1"), "{path}");
    }

    #[test]
    fn the_nodes_that_the_symptom_leads_to_come_first_then_sick_ones() {
        let node =
            |name: &str, ready: bool, address: &str| Node { name: name.into(), ready, address: Some(address.into()) };
        let mut nodes = [
            node("a", true, "10.0.0.1"),
            node("b", false, "10.0.0.2"),
            node("c", true, "10.0.0.3"),
            node("d", true, "10.0.0.4"),
        ];
        let mut running = Running::new(&Symptom::inline("from=pod/shop/web,to=10.0.0.4:10250").unwrap());
        running.observe(br#"{"metadata":{"namespace":"shop","name":"web"},"spec":{"nodeName":"c","containers":[]},"status":{"phase":"Failed"}}"#);
        order(&running, &mut nodes);
        assert_eq!(nodes.map(|node| node.name), ["c", "d", "b", "a"]);
    }
}
