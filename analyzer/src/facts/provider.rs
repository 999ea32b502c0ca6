//! Whose cluster it is: remedies differ, and some are not for the customer to apply.

use super::Facts;
use super::node_object::NodeObject;

/// What tells a provider: labels of its nodes, and what its kubelets' versions contain.
const PROVIDERS: &[(&str, &[&str], &[&str])] = &[
    ("aks", &["kubernetes.azure.com/cluster", "kubernetes.azure.com/agentpool"], &[]),
    ("eks", &["eks.amazonaws.com/nodegroup", "eks.amazonaws.com/compute-type"], &["-eks-"]),
    ("gke", &["cloud.google.com/gke-nodepool"], &["-gke."]),
    ("tke", &["cloud.tencent.com/node-instance-id", "node.tke.cloud.tencent.com/instance-id"], &["-tke."]),
    ("ack", &["alibabacloud.com/nodepool-id"], &["-aliyun."]),
    ("openshift", &["node.openshift.io/os_id"], &[]),
    ("rke2", &[], &["+rke2"]),
    ("k3s", &[], &["+k3s"]),
];

/// The provider, by its nodes; none where they do not tell.
pub fn of(facts: &Facts) -> Option<&'static str> {
    let nodes = facts.node_objects();
    PROVIDERS.iter().find(|provider| nodes.iter().any(|node| tells(node, provider))).map(|(name, _, _)| *name)
}

fn tells(node: &NodeObject, (_, labels, versions): &(&str, &[&str], &[&str])) -> bool {
    let version = node.info.get("kubeletVersion").map_or("", String::as_str);
    labels.iter().any(|label| node.labels.get(label).is_some()) || versions.iter().any(|part| version.contains(part))
}
