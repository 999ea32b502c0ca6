//! Policies: the objects, what enforces them, and the ends of flows as netpath judges them.
//!
//! ```text
//! enforcement.rs   what enforces policies, in the cluster and on a node
//! endpoint.rs      pods and nodes as ends of a flow
//! denied.rs        what policies deny a pod that it needs
//! access.rs        whom policies let in to a Service
//! ```

pub mod access;
pub mod denied;
pub mod endpoint;
pub mod enforcement;

use std::sync::Arc;

use bundle::{ItemStatus, Scope};
use minijinja::Value;
use netpath::policy::{Kind, Policies};

use super::Facts;
use crate::evidence::Evidence;
use crate::fact::Record;
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape};

/// The shape of `cluster.policy`.
pub static SHAPE: RecordShape = RecordShape {
    name: "policy",
    doc: "Network policies, and what enforces them.",
    fields: &[
        Field::scalar("enforced", "Whether anything enforces NetworkPolicies: `yes`, `no`, `unknown`."),
        Field::scalar("plugin", "Who does, where somebody does: `Calico`, `Cilium`, `kube-router` …"),
        Field::scalar("why", "Why nothing does, or what would tell."),
        Field::scalar("objects", "How many policies there are, of all kinds, those that cannot be read included."),
    ],
};

/// The kinds of policies, and the evidence ids of their lists.
const EVIDENCE: &[(Kind, &str)] = &[
    (Kind::NetworkPolicy, "api.netpol.networkpolicies"),
    (Kind::AdminNetworkPolicy, "api.netpol.adminnetworkpolicies"),
    (Kind::BaselineAdminNetworkPolicy, "api.netpol.baselineadminnetworkpolicies"),
    (Kind::ClusterNetworkPolicy, "api.netpol.clusternetworkpolicies"),
    (Kind::CalicoNetworkPolicy, "api.netpol.calico-networkpolicies"),
    (Kind::CalicoGlobalNetworkPolicy, "api.netpol.calico-globalnetworkpolicies"),
    (Kind::CalicoHostEndpoint, "api.netpol.calico-hostendpoints"),
    (Kind::CiliumNetworkPolicy, "api.netpol.ciliumnetworkpolicies"),
    (Kind::CiliumClusterwideNetworkPolicy, "api.netpol.ciliumclusterwidenetworkpolicies"),
    (Kind::AntreaNetworkPolicy, "api.antrea.networkpolicies"),
    (Kind::AntreaClusterNetworkPolicy, "api.antrea.clusternetworkpolicies"),
    (Kind::OvnEgressFirewall, "api.ovn.egressfirewalls"),
];

/// Reads the lists. A kind whose list is not there, or not whole, is missing: a judgement that rests on it depends on
/// it. A kind that is proved not to exist is not missing.
pub(super) fn read(evidence: &Evidence) -> (Policies, Vec<Unreadable>) {
    let (mut policies, mut unreadable) = (Policies::default(), Vec::new());
    for (kind, id) in EVIDENCE {
        if let Err(missing) = evidence.need(id, &Scope::Cluster) {
            policies.missing(*kind, &missing.reason.unwrap_or_else(|| "it was not collected".to_owned()));
        }
        for item in evidence.items(id, &Scope::Cluster) {
            let Some(path) = &item.path else { continue };
            if !matches!(item.status, ItemStatus::Ok | ItemStatus::Empty) {
                policies.missing(*kind, &format!("{path} is not whole"));
            }
            let read = evidence.bundle().read(path).map_err(|error| error.to_string());
            let file: Arc<str> = Arc::from(path.as_str());
            let added = read.and_then(|bytes| policies.add(*kind, &file, &bytes).map_err(|error| error.to_string()));
            if let Err(reason) = added {
                policies.missing(*kind, &reason);
                unreadable.push(Unreadable { path: path.clone(), reason });
            }
        }
    }
    (policies, unreadable)
}

/// The fact.
pub fn value(facts: &Facts) -> Value {
    let enforcer = facts.enforcer();
    let record = match enforcer.citation.clone() {
        Some(citation) => Record::cited(citation),
        None => Record::derived(),
    };
    record
        .with("enforced", enforcer.word())
        .with_any("plugin", enforcer.plugin_name())
        .with_any("why", enforcer.why())
        .with("objects", facts.policies().len())
        .into_value()
}

#[cfg(test)]
mod tests;
