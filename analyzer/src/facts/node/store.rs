//! Address stores of a node: what each of them says is given out, in one form for all kinds, and what of it leaked.
//!
//! One store is one family of one network: a dual-stack pod has an address in two, and is counted once in each.

use std::collections::BTreeSet;
use std::net::IpAddr;

use minijinja::Value;

use super::opt;
use super::sandbox::{KnownBy, Sandboxes};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// Addresses named one by one in a fact; the counts are complete.
const NAMED: usize = 20;

/// Which program keeps the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// azure-vnet-ipam of Azure's node-subnet mode.
    AzureVnetIpam,
    /// The endpoint state of Azure's CNS.
    AzureEndpoints,
    /// host-local of the CNI project's plugins.
    HostLocal,
}

impl StoreKind {
    /// The name, as expressions and reports show it.
    pub fn name(self) -> &'static str {
        match self {
            StoreKind::AzureVnetIpam => "azure-vnet-ipam",
            StoreKind::AzureEndpoints => "azure-endpoints",
            StoreKind::HostLocal => "host-local",
        }
    }
}

/// The addresses of one family that one store has given out for one network.
#[derive(Debug, Clone)]
pub struct Store {
    /// Who keeps it.
    pub kind: StoreKind,
    /// The network, or the pool.
    pub network: String,
    /// 4 or 6.
    pub family: u8,
    /// Addresses that are given out.
    pub allocations: Vec<Allocation>,
    /// Addresses that it can give in all; none where the store does not say.
    pub total: Option<u64>,
    /// The store as a whole.
    pub citation: Citation,
}

/// An address that is given out.
#[derive(Debug, Clone)]
pub struct Allocation {
    /// The address.
    pub address: IpAddr,
    /// To which sandbox.
    pub holder: Holder,
    /// The pod, namespace and name, where the store says it.
    pub pod: Option<(String, String)>,
    /// When it was given out (RFC 3339), where that is known.
    pub since: Option<String>,
    /// The place in the store.
    pub citation: Citation,
}

/// The sandbox that holds an address, as far as the store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Its whole id.
    Id(String),
    /// The beginning of its id; Azure keeps 8 characters.
    Prefix(String),
    /// The store does not say.
    Unknown,
}

impl Holder {
    fn text(&self) -> Option<&str> {
        match self {
            Holder::Id(id) | Holder::Prefix(id) => Some(id),
            Holder::Unknown => None,
        }
    }
}

/// What is known of a store's addresses when it is compared with sandboxes and pods.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The sandboxes there are; none where neither crictl nor the processes tell.
    pub sandboxes: Option<&'a Sandboxes>,
    /// Addresses of the node's pods that are not on the host's network and have not ended; none where the pods were
    /// not collected.
    pub pod_ips: Option<&'a BTreeSet<IpAddr>>,
    /// The network that the runtime gives to pods, by the first CNI configuration; none where that is unknown, or where
    /// multus hands on to networks that only the API knows.
    pub network: Option<&'a str>,
}

impl Store {
    /// Addresses that are given out.
    pub fn used(&self) -> u64 {
        u64::try_from(self.allocations.len()).unwrap_or(u64::MAX)
    }

    /// Addresses whose sandbox is gone and that no running pod has; none where that is unknown. An address whose holder
    /// the store does not say is never counted. Where only processes tell the sandboxes, the pods must be known too: a
    /// sandbox in a virtual machine has no process in its namespace.
    pub fn orphans<'s>(&'s self, against: Against<'_>) -> Option<Vec<&'s Allocation>> {
        let sandboxes = against.sandboxes?;
        if sandboxes.known_by == KnownBy::Processes && against.pod_ips.is_none() {
            return None;
        }
        let is_gone = |allocation: &&Allocation| match &allocation.holder {
            Holder::Id(id) => !sandboxes.contains(id),
            Holder::Prefix(prefix) => !sandboxes.contains_prefix(prefix),
            Holder::Unknown => false,
        };
        let is_held = |allocation: &Allocation| against.pod_ips.is_some_and(|ips| ips.contains(&allocation.address));
        Some(self.allocations.iter().filter(is_gone).filter(|allocation| !is_held(allocation)).collect())
    }

    /// Addresses that no running pod of the node has; none where the pods are unknown. Weaker than [`Store::orphans`]:
    /// a pod that ends keeps its address for a while, and pods of further networks have addresses that the API does
    /// not show.
    pub fn unheld<'s>(&'s self, pod_ips: Option<&BTreeSet<IpAddr>>) -> Option<Vec<&'s Allocation>> {
        let pod_ips = pod_ips?;
        Some(self.allocations.iter().filter(|allocation| !pod_ips.contains(&allocation.address)).collect())
    }

    /// What leaked: orphans where the sandboxes are known, otherwise what no pod holds.
    pub fn leaked(&self, against: Against<'_>) -> Option<u64> {
        let leaked = self.orphans(against).or_else(|| self.unheld(against.pod_ips))?;
        u64::try_from(leaked.len()).ok()
    }

    /// The fact, as expressions see it.
    pub fn value(&self, against: Against<'_>) -> Value {
        let orphans = self.orphans(against);
        let unheld = self.unheld(against.pod_ips);
        let free = self.total.map(|total| total.saturating_sub(self.used()));
        Record::cited(self.citation.clone())
            .with("kind", self.kind.name())
            .with("network", self.network.as_str())
            .with("family", self.family)
            .with(
                "current",
                opt(against.network.map(|network| self.kind != StoreKind::HostLocal || network == self.network)),
            )
            .with("used", self.used())
            .with("total", opt(self.total))
            .with("free", opt(free))
            .with("orphans_by", opt(against.sandboxes.filter(|_| orphans.is_some()).map(|all| all.known_by.name())))
            .with("orphans", opt(orphans.as_ref().map(Vec::len)))
            .with("orphans_named", opt(orphans.map(|all| named(&all))))
            .with("unheld", opt(unheld.as_ref().map(Vec::len)))
            .with("unheld_named", opt(unheld.map(|all| named(&all))))
            .into_value()
    }
}

fn named(allocations: &[&Allocation]) -> Vec<Value> {
    allocations.iter().take(NAMED).map(|allocation| allocation.value()).collect()
}

impl Allocation {
    fn value(&self) -> Value {
        let pod = self.pod.as_ref().map(|(namespace, name)| format!("{namespace}/{name}"));
        Record::cited(self.citation.clone())
            .with("address", self.address.to_string())
            .with("sandbox", opt(self.holder.text()))
            .with("pod", opt(pod))
            .with("since", opt(self.since.clone()))
            .into_value()
    }
}

/// The fields of an address that is given out.
pub static ALLOCATION: RecordShape = RecordShape {
    name: "allocation",
    doc: "An address that a store has given out.",
    fields: &[
        Field { name: "address", shape: Shape::Scalar, doc: "The address." },
        Field {
            name: "sandbox",
            shape: Shape::Scalar,
            doc: "The id of the sandbox that holds it, or its first 8 characters in Azure's stores.",
        },
        Field { name: "pod", shape: Shape::Scalar, doc: "The pod, as namespace/name, where the store says it." },
        Field { name: "since", shape: Shape::Scalar, doc: "When it was given out, where that is known." },
    ],
};

/// The fields of a store.
pub static STORE: RecordShape = RecordShape {
    name: "store",
    doc: "The addresses of one family that an address manager on the node has given out for one network.",
    fields: &[
        Field {
            name: "kind",
            shape: Shape::Scalar,
            doc: "Who keeps it: host-local, azure-vnet-ipam, azure-endpoints.",
        },
        Field { name: "network", shape: Shape::Scalar, doc: "The network, or the pool." },
        Field { name: "family", shape: Shape::Scalar, doc: "4 or 6." },
        Field {
            name: "current",
            shape: Shape::Scalar,
            doc: "Whether it serves the network of the first CNI configuration; a host-local store of another network is left over. Undefined where the configuration is unknown.",
        },
        Field { name: "used", shape: Shape::Scalar, doc: "Addresses that are given out." },
        Field {
            name: "total",
            shape: Shape::Scalar,
            doc: "Addresses that it can give in all; undefined where unknown.",
        },
        Field { name: "free", shape: Shape::Scalar, doc: "total less used." },
        Field {
            name: "orphans",
            shape: Shape::Scalar,
            doc: "Addresses whose sandbox is gone and that no running pod of the node has; undefined where that is unknown.",
        },
        Field {
            name: "orphans_by",
            shape: Shape::Scalar,
            doc: "Who tells the sandboxes: crictl, or processes where crictl is not there; undefined where nobody does.",
        },
        Field { name: "orphans_named", shape: Shape::List(&Shape::Record(&ALLOCATION)), doc: "The first 20 of them." },
        Field {
            name: "unheld",
            shape: Shape::Scalar,
            doc: "Addresses that no running pod of the node has; undefined without the pods. Ending pods are among them.",
        },
        Field { name: "unheld_named", shape: Shape::List(&Shape::Record(&ALLOCATION)), doc: "The first 20 of them." },
    ],
};

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
