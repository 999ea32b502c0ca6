//! Pods: as many as 150,000, so each is kept in some two hundred bytes, what repeats is kept once, and what no rule
//! could need is not kept.
//!
//! ```text
//! parse.rs       from JSON to pods
//! container.rs   containers: what the template says, what the status says
//! fact.rs        pods and containers as expressions see them
//! listening.rs   who listens in a pod where Services lead
//! ```

pub mod container;
pub mod fact;
pub mod listening;
pub(in crate::facts) mod parse;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use container::{ContainerStatus, Template};

use super::json::Seconds;
use super::list::{self, Listed, Origin};
use super::metadata::{Labels, Owner};
use crate::evidence::Evidence;

/// The evidence id of the list.
pub const EVIDENCE: &str = "api.pods";

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its uid as a number; 0 where it has none that is one.
    pub uid: u128,
    /// The node it is bound to; empty while it is not scheduled.
    pub node: Arc<str>,
    /// `status.phase`.
    pub phase: Arc<str>,
    /// `status.reason`: `Evicted`, `NodeLost`; empty mostly.
    pub reason: Arc<str>,
    /// Its first address of each family, in the API's order.
    pub addresses: [Option<IpAddr>; 2],
    /// The address of the host that it runs on.
    pub host_address: Option<IpAddr>,
    /// When it was created.
    pub created: Seconds,
    /// When its deletion is due, where it is being deleted.
    pub deleted: Seconds,
    /// When the kubelet took it on.
    pub started: Seconds,
    /// When its condition `Ready` changed last.
    pub ready_since: Seconds,
    /// Who controls it.
    pub owner: Option<Arc<Owner>>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// What its specification says, kept once for all pods of a workload.
    pub template: Arc<Template>,
    /// What its containers do, those of initialization first.
    pub statuses: Arc<[ContainerStatus]>,
    /// Its conditions.
    pub conditions: Arc<[Condition]>,
}

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Its type: `Ready`, `PodScheduled`, `PodReadyToStartContainers` …
    pub kind: Arc<str>,
    /// `True`, `False`, `Unknown`.
    pub status: Arc<str>,
    /// The reason, where it is not true.
    pub reason: Arc<str>,
    /// The message, where it is not true, at most 300 bytes.
    pub message: Arc<str>,
}

impl Pod {
    /// Whether its condition `Ready` is true.
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|condition| &*condition.kind == "Ready" && &*condition.status == "True")
    }

    /// Whether it has ended: such a pod is no endpoint and holds no address for long.
    pub fn has_ended(&self) -> bool {
        matches!(&*self.phase, "Succeeded" | "Failed")
    }

    /// Whether it holds an address of the pod network: not of the host's network, not ended, with an address.
    pub fn is_networked(&self) -> bool {
        !self.template.host_network && !self.has_ended() && self.addresses[0].is_some()
    }

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.into_iter().flatten()
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Labels, and the places of the pods of a namespace that have them.
type SameLabels = (Arc<Labels>, Vec<u32>);

/// All pods, with what finds them.
#[derive(Debug, Default)]
pub struct Pods {
    all: Vec<Pod>,
    by_name: Vec<u32>,
    by_node: HashMap<Arc<str>, Vec<u32>>,
    by_namespace: HashMap<Arc<str>, Vec<SameLabels>>,
}

impl Pods {
    /// Reads the list.
    pub(super) fn read(evidence: &Evidence) -> (Pods, Vec<crate::finding::Unreadable>) {
        let listed: Listed<Pod> = list::read(evidence, EVIDENCE, parse::PodParser::default);
        (Pods::new(listed.items), listed.unreadable)
    }

    fn new(all: Vec<Pod>) -> Pods {
        let mut pods = Pods { by_name: (0..).take(all.len()).collect(), ..Pods::default() };
        let key = |place: &u32| all.get(*place as usize).map(|pod| (pod.namespace.clone(), pod.name.clone()));
        // The API lists by namespace and name, so that this is a check rather than work.
        if !all.is_sorted_by(|a, b| (&a.namespace, &a.name) <= (&b.namespace, &b.name)) {
            pods.by_name.sort_by_cached_key(key);
        }
        let mut namespaces: HashMap<Arc<str>, HashMap<Arc<Labels>, Vec<u32>>> = HashMap::new();
        for (place, pod) in (0..).zip(&all) {
            if !pod.node.is_empty() {
                pods.by_node.entry(pod.node.clone()).or_default().push(place);
            }
            let sets = namespaces.entry(pod.namespace.clone()).or_default();
            sets.entry(pod.labels.clone()).or_default().push(place);
        }
        for (namespace, sets) in namespaces {
            let mut sets: Vec<_> = sets.into_iter().collect();
            sets.sort_by_key(|(_, places)| places.first().copied());
            pods.by_namespace.insert(namespace, sets);
        }
        Pods { all, ..pods }
    }

    /// All of them, in the API's order.
    pub fn all(&self) -> &[Pod] {
        &self.all
    }

    /// The pod at this place of the list.
    pub fn get(&self, place: u32) -> Option<&Pod> {
        self.all.get(place as usize)
    }

    /// The place of the pod of this name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<u32> {
        let compare = |place: &u32| {
            self.get(*place)
                .map_or(std::cmp::Ordering::Less, |pod| (&*pod.namespace, &*pod.name).cmp(&(namespace, name)))
        };
        self.by_name.binary_search_by(compare).ok().and_then(|found| self.by_name.get(found).copied())
    }

    /// The places of the pods that are bound to a node.
    pub fn on_node(&self, node: &str) -> &[u32] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// The places of the pods of a namespace that a selector of labels selects, in the API's order. An empty selector
    /// selects none, as that of a Service does.
    pub fn selected(&self, namespace: &str, selector: &Labels) -> Vec<u32> {
        if selector.is_empty() {
            return Vec::new();
        }
        let sets = self.by_namespace.get(namespace).into_iter().flatten();
        let mut places: Vec<u32> = sets
            .filter(|(labels, _)| labels.satisfy(selector))
            .flat_map(|(_, places)| places.iter().copied())
            .collect();
        places.sort_unstable();
        places
    }

    /// The label sets that pods of a namespace have, each once.
    pub fn label_sets(&self, namespace: &str) -> impl Iterator<Item = &Labels> {
        self.by_namespace.get(namespace).into_iter().flatten().map(|(labels, _)| &**labels)
    }

    /// The places of the pods of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<u32> {
        let sets = self.by_namespace.get(namespace).into_iter().flatten();
        let mut places: Vec<u32> = sets.flat_map(|(_, places)| places.iter().copied()).collect();
        places.sort_unstable();
        places
    }
}
