//! The fields of `node` that come from its folder, and the joins with the cluster's facts.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::Value;

use super::addresses::ApiAddresses;
use super::default_route::DEFAULT_ROUTES;
use super::parts::NodeFacts;
use super::resolver::RESOLVER;
use super::store::STORE;
use super::sysctl::{SYSCTL, SysctlMap};
use super::sysctl_chain::SYSCTL_FILES;
use super::{
    CITED_LINE, cni, conntrack, default_route, firewall, forwarding, kubelet, link, sandbox, sysctl_chain, system,
};
use crate::facts::pod::{self, Pod};
use crate::facts::{Facts, component, event, log};
use crate::finding::NodeAddresses;
use crate::shape::{Field, Shape};

/// The fields of `node` that come from its folder. Each is undefined where its evidence is missing.
pub const FIELDS: &[Field] = &[
    Field {
        name: "collected",
        shape: Shape::Scalar,
        doc: "Whether the bundle has any item that was gathered on the node itself.",
    },
    Field {
        name: "is_kubernetes",
        shape: Shape::Scalar,
        doc: "Whether it is a node of Kubernetes: the API knows it, or a kubelet or its configuration is there. Undefined where nobody could look.",
    },
    Field {
        name: "sysctls",
        shape: Shape::Map(&Shape::Record(&SYSCTL)),
        doc: "Live values below /proc/sys, by name: sysctls[\"net.ipv4.ip_forward\"].",
    },
    Field {
        name: "forwarding",
        shape: Shape::List(&Shape::Record(&forwarding::FORWARDING)),
        doc: "Whether each interface forwards what comes in by it (net.ipv4.conf.<interface>.forwarding).",
    },
    Field {
        name: "sysctl_files",
        shape: Shape::Record(&SYSCTL_FILES),
        doc: "The sysctl.d chain, as it is applied at boot.",
    },
    Field { name: "conntrack", shape: Shape::Record(&conntrack::CONNTRACK), doc: "The connection tracking table." },
    Field { name: "kubelet", shape: Shape::Record(&kubelet::KUBELET), doc: "What the kubelet was told." },
    Field { name: "resolver", shape: Shape::Record(&RESOLVER), doc: "Whom the node asks for names." },
    Field { name: "cni", shape: Shape::Record(&cni::CNI), doc: "The CNI configuration." },
    Field {
        name: "stores",
        shape: Shape::List(&Shape::Record(&STORE)),
        doc: "The address managers' stores on the node; undefined where none was looked for.",
    },
    Field {
        name: "pod_events",
        shape: Shape::List(&Shape::Record(&event::SHAPE)),
        doc: "Events about the pods that are bound to the node, the oldest first.",
    },
    Field {
        name: "sandboxes",
        shape: Shape::List(&Shape::Record(&sandbox::SANDBOX)),
        doc: "The container runtime's pod sandboxes, in any state.",
    },
    Field {
        name: "links",
        shape: Shape::List(&Shape::Record(&link::LINK)),
        doc: "Network interfaces with their addresses.",
    },
    Field {
        name: "routes",
        shape: Shape::List(&Shape::Record(&link::ROUTE)),
        doc: "Routes of both families and all tables.",
    },
    Field {
        name: "default_routes",
        shape: Shape::Record(&DEFAULT_ROUTES),
        doc: "Its default routes, and whether other nodes have one.",
    },
    Field { name: "os", shape: Shape::Record(&system::OS), doc: "The distribution." },
    Field { name: "modules", shape: Shape::Map(&Shape::Record(&CITED_LINE)), doc: "Loaded kernel modules, by name." },
    Field {
        name: "units",
        shape: Shape::Map(&Shape::Record(&system::UNIT)),
        doc: "Services of systemd, by name without .service.",
    },
    Field { name: "firewall", shape: Shape::Record(&firewall::FIREWALL), doc: "Which firewalls the node has." },
    Field {
        name: "logs",
        shape: Shape::List(&Shape::Record(&log::SHAPE)),
        doc: "Logs that were read on the node: of its kernel, units and components.",
    },
];

impl NodeFacts {
    /// Whether it is a node of Kubernetes: a collector also runs on hosts that are none.
    fn is_kubernetes(&self, facts: &Facts) -> Option<bool> {
        if facts.node_object(self.node()).is_some() || self.kubelet().value().is_some() {
            return Some(true);
        }
        self.folder.entry("node.kubelet.processes").map(|_| false)
    }

    /// A field of `node` that comes from the folder, one of [`FIELDS`]. Joins with the cluster's facts go through
    /// `facts`.
    pub fn field(&self, facts: &Facts, name: &str) -> Option<Value> {
        match name {
            "collected" => Some(Value::from(self.folder.is_collected())),
            "is_kubernetes" => self.is_kubernetes(facts).map(Value::from),
            "sysctls" => self.sysctls().map(|sysctls| Value::from_object(SysctlMap(sysctls.clone()))),
            "forwarding" => Some(forwarding::value(self.sysctls()?, self.links(), self.routes())),
            "sysctl_files" => self
                .sysctl_files()
                .map(|chain| sysctl_chain::value(&chain.files, chain.citation.clone(), chain.complete)),
            "conntrack" => conntrack::value(self.conntrack_limits(), self.conntrack_counters()),
            "kubelet" => self.kubelet().value(),
            "resolver" => Some(self.resolver().value(facts.resolvers())),
            "cni" => self.cni().map(|cni| cni.value(components(facts, self.node()).as_ref())),
            "stores" => self.store_values(&api_addresses(facts, self.node())),
            "pod_events" => Some(pod_events(facts, self.node())),
            "sandboxes" => self.sandboxes().map(|all| Value::from(all.values())),
            "links" => self.links().map(|all| all.iter().map(link::Link::value).collect()),
            "routes" => self.routes().map(|all| all.iter().map(link::Route::value).collect()),
            "default_routes" => {
                Some(default_route::value(self.node(), self.routes()?, facts.nodes_with_default_route()))
            }
            "os" => {
                let entry = self.folder.entry("node.system.os-release")?;
                Some(system::parse_os_release(&entry.path, &entry.bytes))
            }
            "modules" => self.modules().map(system::modules_value),
            "units" => self.units().map(system::units_value),
            "firewall" => Some(firewall::value(&self.folder)),
            "logs" => Some(logs(facts, self.node())),
            _ => None,
        }
    }
}

/// The logs that were read on a node.
fn logs(facts: &Facts, node: &str) -> Value {
    let own = |log: &&log::LogFile| matches!(log.scope(), bundle::Scope::Node(name) if name == node);
    facts.logs().iter().filter(own).map(log::LogFile::value).collect()
}

/// The report's table: for each node its addresses in all books that keep them. A node of which no book is known has
/// no line.
pub fn address_table(facts: &Facts) -> Vec<NodeAddresses> {
    let line = |name: &Arc<str>| {
        let line = facts.node_files(name)?.addresses(&api_addresses(facts, name));
        let known = line.nnc_assigned.is_some() || line.store.is_some() || line.running_pods.is_some();
        known.then_some(line)
    };
    facts.node_names().iter().filter_map(line).collect()
}

/// What the API says of a node's addresses; only of lists that were collected.
pub fn api_addresses(facts: &Facts, node: &str) -> ApiAddresses {
    let pods: Option<Vec<&Pod>> =
        is_known(facts, pod::EVIDENCE).then(|| facts.networked_pods(node).map(|(_, pod)| pod).collect());
    let nnc = facts.node_network_configs().iter().find(|nnc| *nnc.name == *node);
    ApiAddresses {
        requested: nnc.and_then(|nnc| u64::try_from(nnc.requested).ok()),
        assigned: nnc.and_then(|nnc| u64::try_from(nnc.assigned).ok()),
        pod_ips: pods.as_ref().map(|pods| pods.iter().flat_map(|pod| pod.addresses()).collect()),
        running_pods: pods.and_then(|pods| u64::try_from(pods.len()).ok()),
        pod_cidrs: facts.node_object(node).map(|object| object.pod_networks().collect()).unwrap_or_default(),
    }
}

/// The events about the pods that are bound to a node.
fn pod_events(facts: &Facts, node: &str) -> Value {
    let pods = facts.pods();
    let bound = pods.on_node(node).iter().filter_map(|place| pods.get(*place));
    event::values_about_pods(facts, bound)
}

/// The components that run on a node as pods, by name; none where the pods were not collected.
fn components(facts: &Facts, node: &str) -> Option<BTreeSet<&'static str>> {
    let pods = facts.pods();
    let of_place = |place: &u32| pods.get(*place).filter(|pod| !pod.has_ended()).and_then(component::of_pod);
    is_known(facts, pod::EVIDENCE).then(|| pods.on_node(node).iter().filter_map(of_place).collect())
}

fn is_known(facts: &Facts, id: &str) -> bool {
    facts.evidence().need(id, &bundle::Scope::Cluster).is_ok()
}
