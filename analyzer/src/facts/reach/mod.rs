//! What becomes on a node of the packets that a cluster lives by: walked through the node's own rules, routes and
//! settings by netpath, so that no rule has to look for a port in a text.
//!
//! ```text
//! parties.rs  who sends to a node: its peers, the API server, pods here and elsewhere
//! flows.rs    the packets
//! bounds.rs   addresses and ports that a node cannot tell apart
//! endpoints.rs  endpoints of Services that a node stops, of which one packet stands for those that it cannot tell apart
//! chains.rs   the chains of the node's rule sets, and whose they are
//! ufw.rs      what ufw says of itself, against what the kernel's rules do
//! walk.rs     a packet and what becomes of it, as expressions see it
//! ```
//!
//! Each walk is through one node alone, so the file of a single host suffices; what lies between nodes, and what
//! NetworkPolicies and clouds decide, is asked elsewhere.

pub mod bounds;
mod chains;
pub mod endpoints;
mod flows;
mod parties;
mod ufw;
pub mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use netpath::address::Family;
use netpath::node::Node;

use super::Facts;
use crate::citation::Citation;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape};
use parties::Parties;
use walk::Walked;

/// The shape of `node.reach`.
pub static SHAPE: RecordShape = RecordShape {
    name: "reach",
    doc: "What becomes on a node of the packets that a cluster lives by; undefined where its interfaces or routes are unknown.",
    fields: &[
        Field::of(
            "kubelet",
            walk::LIST,
            "TCP 10250 from the API server and from other nodes; one of those that the rules do not tell apart.",
        ),
        Field::of(
            "ports",
            walk::LIST,
            "What else other nodes send to it: the overlay, the proxy's health, NodePorts, ssh and BGP where something listens.",
        ),
        Field::of("forwarded", walk::LIST, "Between its pods and pods of other nodes, both ways."),
        Field::of("dns", walk::LIST, "From a pod on it to the cluster's DNS, UDP and TCP 53."),
        Field::of(
            "api",
            walk::LIST,
            "From a pod on it to the kubernetes Service, and from the node itself to the API server.",
        ),
        Field::of(
            "egress",
            walk::LIST,
            "From a pod on it to the other nodes and to an address outside of the cluster.",
        ),
        Field::of("all", walk::LIST, "All of these."),
        Field::scalar("pods", "Whether any pod, or any address that a pod could have, is known here."),
        Field::scalar(
            "complete",
            "Whether every rule set that the node may have could be read; without that, what passes may still be stopped.",
        ),
        Field::of(
            "chains",
            Shape::List(&Shape::Record(&chains::SHAPE)),
            "The chains of its iptables rule sets that somebody added.",
        ),
        Field::record(
            "ufw",
            &ufw::SHAPE,
            "What ufw says of itself, against the kernel's rules; undefined where nothing is known of ufw.",
        ),
        Field::scalar(
            "backends",
            "How many rule sets of IPv4 hold rules: two where legacy and nft are in use together.",
        ),
    ],
};

/// The walks of one node, each made when it is first asked for.
pub struct NodeReach {
    parties: Parties,
    walked: [OnceLock<Vec<Walked>>; flows::KINDS.len()],
}

impl NodeReach {
    fn new(facts: &Facts, name: &str) -> NodeReach {
        let node = facts.node_files(name).and_then(|files| files.kernel());
        let parties = node.map(|node| Parties::of(facts, name, node)).unwrap_or_default();
        NodeReach { parties, walked: Default::default() }
    }

    /// The walks of a kind.
    fn walks(&self, facts: &Facts, node: &Node, kind: usize) -> &[Walked] {
        let Some(cell) = self.walked.get(kind) else { return &[] };
        cell.get_or_init(|| {
            let Some((_, make)) = flows::KINDS.get(kind) else { return Vec::new() };
            make(facts, node, &self.parties).into_iter().map(|flow| Walked::new(node, flow)).collect()
        })
    }
}

/// The walks of all nodes. Nothing is walked yet.
pub fn all(facts: &Facts) -> BTreeMap<Arc<str>, OnceLock<NodeReach>> {
    facts.node_names().iter().map(|name| (name.clone(), OnceLock::new())).collect()
}

/// `node.reach`; none where no packet can be placed.
pub fn value(facts: &Facts, name: &Arc<str>) -> Option<Value> {
    facts.node_files(name)?.kernel()?;
    Some(Fact::value(ReachFact { facts: facts.clone(), name: name.clone() }))
}

fn of<'a>(facts: &'a Facts, name: &str) -> Option<&'a NodeReach> {
    Some(facts.reach().get(name)?.get_or_init(|| NodeReach::new(facts, name)))
}

#[derive(Debug)]
struct ReachFact {
    facts: Facts,
    name: Arc<str>,
}

impl Fields for ReachFact {
    fn field(&self, name: &str) -> Option<Value> {
        let reach = of(&self.facts, &self.name)?;
        let node = self.facts.node_files(&self.name)?.kernel()?;
        match name {
            "complete" => {
                Some(Value::from(node.gaps.iter().all(|gap| Some(gap.family) != reach.parties.own.map(Family::of))))
            }
            "chains" => Some(chains::values(node)),
            "ufw" => {
                let folder = &self.facts.node_files(&self.name)?.folder;
                ufw::value(folder, node, &reach.parties)
            }
            "pods" => Some(Value::from(reach.parties.pod.is_some())),
            "backends" => {
                let holds = |ruleset: &&Arc<netpath::iptables::Ruleset>| {
                    ruleset.family == Family::V4 && ruleset.rule_count() > 0
                };
                Some(Value::from(node.rulesets.iter().filter(holds).count()))
            }
            "all" => {
                let kinds = 0..flows::KINDS.len();
                Some(kinds.flat_map(|kind| reach.walks(&self.facts, node, kind)).map(Walked::value).collect())
            }
            _ => {
                let kind = flows::KINDS.iter().position(|(known, _)| *known == name)?;
                Some(reach.walks(&self.facts, node, kind).iter().map(Walked::value).collect())
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        None
    }
}
