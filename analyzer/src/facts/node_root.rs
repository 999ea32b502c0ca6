//! The root `node`: what the API says of the Node object, joined with what the node's folder says.

use std::collections::BTreeSet;
use std::sync::Arc;

use bundle::Scope;
use minijinja::Value;

use super::service::proxy_chains;
use super::{Facts, event, nnc, node, node_object, pod, reach, security_group, service_proxy};
use crate::citation::Citation;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape, joined};

/// The shape of `node`.
pub static SHAPE: RecordShape =
    RecordShape { name: "node", doc: "A node, from the API and from its folder in the bundle.", fields: &FIELDS };

/// Fields that come from the API and from joins.
static API: [Field; 33] = [
    Field::scalar("name", "Its name."),
    Field::scalar("known_to_api", "Whether the API's list has it; a bundle of one host has no such list."),
    Field::scalar("created", "When its object was created."),
    Field::map("labels", "Its labels."),
    Field::map("annotations", "Its annotations, as far as the collector takes them."),
    Field {
        name: "addresses",
        shape: Shape::List(&Shape::Record(&node_object::ADDRESS)),
        doc: "Its addresses in the API's order; the first may be its name.",
    },
    Field::scalar("internal_ip", "Its first InternalIP."),
    Field::scalars("internal_ips", "Its InternalIPs."),
    Field::scalars("pod_cidrs", "The CIDRs that its pods get addresses of, where the cluster allocates them."),
    Field { name: "taints", shape: Shape::List(&Shape::Record(&node_object::TAINT)), doc: "Its taints." },
    Field::scalar("unschedulable", "Whether it is cordoned."),
    Field::scalar("virtual", "Whether it is a virtual node, which runs no DaemonSets."),
    Field::scalar("provider_id", "The provider's name of it: `azure:///…`, `qcloud:///…`."),
    Field::scalar("ready", "Whether its condition Ready is true."),
    Field {
        name: "conditions",
        shape: Shape::Map(&Shape::Record(&node_object::CONDITION)),
        doc: "Its conditions, by type.",
    },
    Field::scalar("operating_system", "`linux` or `windows`."),
    Field::scalar("kubelet_version", "Its kubelet's version."),
    Field::scalar("kernel_version", "Its kernel's version."),
    Field::scalar("os_image", "Its operating system's name and version."),
    Field::scalar("container_runtime", "Its container runtime and its version."),
    Field::scalar("architecture", "Its architecture."),
    Field::map("capacity", "Its capacity, quantities by resource."),
    Field::map("allocatable", "What pods may use of it, quantities by resource."),
    Field {
        name: "pods",
        shape: Shape::List(&Shape::Record(&pod::fact::SHAPE)),
        doc: "The pods that are bound to it.",
    },
    Field {
        name: "net_pods",
        shape: Shape::List(&Shape::Record(&pod::fact::SHAPE)),
        doc: "The pods on it that hold an address of the pod network: not on the host's network, not ended.",
    },
    Field::record("service_proxy", &service_proxy::SHAPE, "Who turns Services into endpoints on it."),
    Field {
        name: "proxy_chains",
        shape: Shape::List(&Shape::Record(&proxy_chains::SHAPE)),
        doc: "What kube-proxy made of the Services on it, beside what the API says, in each family. Undefined where the lists or the dumps are missing.",
    },
    Field::record("reach", &reach::SHAPE, "What becomes on it of the packets that a cluster lives by."),
    Field::record("selftest", &node::selftest::SHAPE, "What the way from the API server to its kubelet came to."),
    Field::record(
        "kubelet_socket",
        &node::listener::SHAPE,
        "Whether its kubelet listens where the API server asks for it; undefined where its sockets or its address are not known.",
    ),
    Field {
        name: "security_groups",
        shape: Shape::List(&Shape::Record(&security_group::SHAPE)),
        doc: "What the cloud's security groups make of packets between it and other nodes; undefined where none is known.",
    },
    Field::record("nnc", &nnc::SHAPE, "Its NodeNetworkConfig."),
    Field {
        name: "events",
        shape: Shape::List(&Shape::Record(&event::SHAPE)),
        doc: "Events about it, the oldest first.",
    },
];

// The length stands as a number, because the shapes of these fields lead back here.
static FIELDS: [Field; 33 + node::FIELDS.len()] = joined(&API, node::FIELDS);

/// The names of all nodes, sorted.
pub(super) fn names(facts: &Facts) -> Vec<Arc<str>> {
    let manifest = facts.evidence().bundle().manifest();
    let hosts = manifest.hosts.iter().map(|host| host.node.as_str());
    let folders = manifest.items.iter().filter_map(|item| match &item.scope {
        Scope::Node(name) => Some(name.as_str()),
        _ => None,
    });
    let objects = facts.node_objects().iter().map(|node| &*node.name);
    let names: BTreeSet<&str> = hosts.chain(folders).chain(objects).collect();
    names.into_iter().map(Arc::from).collect()
}

/// The root variable of a node.
pub fn value(facts: &Facts, name: &Arc<str>) -> Value {
    Fact::value(NodeFact { facts: facts.clone(), name: name.clone() })
}

/// The node of this name, where the bundle knows it.
pub fn named(facts: &Facts, name: &str) -> Option<Value> {
    let names = facts.node_names();
    let place = names.binary_search_by(|known| (**known).cmp(name)).ok()?;
    names.get(place).map(|name| value(facts, name))
}

#[derive(Debug)]
struct NodeFact {
    facts: Facts,
    name: Arc<str>,
}

impl Fields for NodeFact {
    fn field(&self, name: &str) -> Option<Value> {
        let facts = &self.facts;
        match name {
            "name" => Some(Value::from(self.name.clone())),
            "known_to_api" => Some(Value::from(facts.node_object(&self.name).is_some())),
            "pods" => Some(pod::fact::values(facts, facts.pods().on_node(&self.name).iter().copied())),
            "net_pods" => Some(pod::fact::values(facts, facts.networked_pods(&self.name).map(|(place, _)| place))),
            "service_proxy" => facts.node_object(&self.name).map(|node| service_proxy::value(facts, node)),
            "proxy_chains" => {
                let checked = facts.node_files(&self.name)?.proxy_chains(facts)?;
                Some(checked.iter().map(|one| one.value(facts)).collect())
            }
            "reach" => reach::value(facts, &self.name),
            "selftest" => {
                let folder = &facts.node_files(&self.name)?.folder;
                let read =
                    |path: &Arc<str>, bytes: &[u8]| node::selftest::parse(bytes).map(|selftest| selftest.value(path));
                folder.parsed(node::selftest::EVIDENCE, read)
            }
            "kubelet_socket" => {
                let address = facts.node_object(&self.name)?.internal_addresses().next()?;
                node::listener::value(facts.node_files(&self.name)?, address)
            }
            "security_groups" => security_group::values(facts, facts.node_object(&self.name)?),
            "nnc" => nnc::of_node(facts, &self.name),
            "events" => Some(event::values_about(facts, "Node", "", &self.name)),
            _ if API.iter().any(|field| field.name == name) => facts.node_object(&self.name)?.field(name),
            _ => facts.node_files(&self.name)?.field(facts, name),
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        self.facts.node_object(&self.name).map(node_object::NodeObject::citation)
    }
}
