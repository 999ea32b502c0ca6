//! What the sender attached, known by its content: lists of kubectl, answers of az and of tccli.
//!
//! An attachment serves as the evidence that it is, where the collector has none of its own: the collector's is of one
//! moment and known to be whole. Whether an attached list is everything cannot be seen, so its record says so; a list out of
//! one namespace serves nothing.

use std::collections::BTreeSet;

use bundle::{Bundle, ItemRecord, ItemStatus, Source};
use serde_json::Value;

/// Kinds of objects that kubectl lists, and the evidence id of their list; whether they lie in namespaces.
const KINDS: &[(&str, &str, bool)] = &[
    ("Node", "api.nodes", false),
    ("Namespace", "api.namespaces", false),
    ("Pod", "api.pods", true),
    ("Service", "api.services", true),
    ("Event", "api.events.core", true),
    ("EndpointSlice", "api.endpointslices", true),
    ("Deployment", "api.workloads.deployments", true),
    ("DaemonSet", "api.workloads.daemonsets", true),
    ("StatefulSet", "api.workloads.statefulsets", true),
    ("ReplicaSet", "api.workloads.replicasets", true),
    ("NetworkPolicy", "api.netpol.networkpolicies", true),
    ("Ingress", "api.ingresses", true),
    ("NodeNetworkConfig", "api.azure.nodenetworkconfigs", false),
    ("ClusterSubnetState", "api.azure.clustersubnetstates", false),
    ("ValidatingWebhookConfiguration", "api.webhooks.validating", false),
    ("MutatingWebhookConfiguration", "api.webhooks.mutating", false),
    ("APIService", "api.apiservices", false),
];

/// Types in the ids of Azure's resources, and the evidence id of what az says of them.
const AZURE: &[(&str, &str)] = &[
    ("microsoft.containerservice/managedclusters", "cloud.aks"),
    ("microsoft.network/networksecuritygroups", "cloud.nsg"),
    ("microsoft.compute/virtualmachinescalesets", "cloud.nsg"),
    ("microsoft.network/networkinterfaces", "cloud.nsg"),
    ("microsoft.network/routetables", "cloud.route"),
    ("microsoft.network/virtualnetworks", "cloud.vnet"),
    ("microsoft.network/privatednszones", "cloud.dnszone"),
    ("microsoft.network/loadbalancers", "cloud.lb"),
    ("microsoft.authorization/roleassignments", "cloud.identity"),
];

/// Members at the top of what tccli prints.
const TENCENT: &[&str] = &[
    "SecurityGroupPolicySet",
    "SecurityGroupSet",
    "InstanceSet",
    "AddressTemplateSet",
    "SubnetSet",
    "RouteSet",
    "RouteTableSet",
    "CcnSet",
    "CcnRouteTableSet",
    "LoadBalancerSet",
    "Listeners",
    "LoadBalancers",
    "Clusters",
    "ClusterExternalEndpoint",
    "ClusterIntranetEndpoint",
];

/// The records of a bundle, those of attachments under the id of the evidence that they are.
pub fn records(bundle: &Bundle) -> Vec<ItemRecord> {
    let items = &bundle.manifest().items;
    let known: BTreeSet<&str> =
        items.iter().filter(|item| item.status.is_known()).map(|item| item.id.as_str()).collect();
    items.iter().map(|item| named(bundle, item, &known).unwrap_or_else(|| item.clone())).collect()
}

/// An attachment's record under the id of what it is; nothing where it is none, or the collector has the same itself.
fn named(bundle: &Bundle, item: &ItemRecord, known: &BTreeSet<&str>) -> Option<ItemRecord> {
    let (Source::Attached(file), Some(path), true) = (&item.source, &item.path, item.status.is_known()) else {
        return None;
    };
    let id = recognize(&serde_json::from_slice(&bundle.read(path).ok()?).ok()?)?;
    if known.contains(id) {
        return None;
    }
    let reason = format!("attached by the sender ({file}); whether it is everything cannot be known");
    Some(ItemRecord { id: id.to_owned(), status: ItemStatus::Truncated, reason: Some(reason), ..item.clone() })
}

/// The evidence id of what a JSON document is.
fn recognize(document: &Value) -> Option<&'static str> {
    kubernetes(document).or_else(|| azure(document)).or_else(|| tencent(document))
}

fn kubernetes(document: &Value) -> Option<&'static str> {
    let items = document.get("items")?.as_array()?;
    document.get("kind")?.as_str()?.ends_with("List").then_some(())?;
    let of_list = document["kind"].as_str()?.trim_end_matches("List");
    let kind = items.first().and_then(|item| item["kind"].as_str()).unwrap_or(of_list);
    let (_, id, namespaced) = KINDS.iter().find(|(name, _, _)| *name == kind)?;
    let same = items.iter().all(|item| item["kind"].as_str().is_none_or(|other| other == kind));
    let namespaces: BTreeSet<&str> = items.iter().filter_map(|item| item["metadata"]["namespace"].as_str()).collect();
    (same && (!namespaced || namespaces.len() > 1)).then_some(*id)
}

fn azure(document: &Value) -> Option<&'static str> {
    let one = match document {
        Value::Array(all) => all.first()?,
        one => one,
    };
    let id = one.get("id")?.as_str()?.to_lowercase();
    if !id.starts_with("/subscriptions/") {
        return None;
    }
    // The innermost provider counts: a role assignment's id begins with the id of what it is for.
    let at = id.rfind("/providers/")?;
    let of = id.get(at + "/providers/".len()..)?;
    AZURE.iter().find(|(kind, _)| of.starts_with(kind)).map(|(_, id)| *id)
}

fn tencent(document: &Value) -> Option<&'static str> {
    let said = document.get("Response").unwrap_or(document).as_object()?;
    TENCENT.iter().any(|member| said.contains_key(*member)).then_some("cloud.tke")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::evidence_id::is_known;
    use serde_json::json;

    #[test]
    fn documents_are_known_by_their_content() {
        let nsg = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/n";
        let role = format!("{nsg}/providers/Microsoft.Authorization/roleAssignments/r");
        let pod = |namespace: &str| json!({"kind": "Pod", "metadata": {"namespace": namespace, "name": "p"}});
        for (document, id) in [
            (json!([{"id": nsg, "securityRules": []}]), Some("cloud.nsg")),
            (json!({"id": nsg.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")}), Some("cloud.nsg")),
            (json!([{"id": role}]), Some("cloud.identity")),
            (json!({"SecurityGroupPolicySet": {"Version": "12"}}), Some("cloud.tke")),
            (json!({"Response": {"LoadBalancerSet": []}}), Some("cloud.tke")),
            (json!({"Response": {"InstanceSet": []}}), Some("cloud.tke")),
            (json!({"AddressTemplateSet": []}), Some("cloud.tke")),
            (json!({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Node"}]}), Some("api.nodes")),
            (json!({"kind": "PodList", "items": [pod("a"), pod("b")]}), Some("api.pods")),
            (json!({"kind": "List", "items": [pod("a"), pod("a")]}), None),
            (json!({"kind": "List", "items": [pod("a"), {"kind": "Node"}]}), None),
            (json!([]), None),
            (json!({"id": "x"}), None),
        ] {
            assert_eq!(recognize(&document), id, "{document}");
        }
    }

    #[test]
    fn every_id_is_one_that_rules_may_need() {
        assert!(KINDS.iter().all(|(_, id, _)| is_known(id)) && AZURE.iter().all(|(_, id)| is_known(id)));
    }
}
