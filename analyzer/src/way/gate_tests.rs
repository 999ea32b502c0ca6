//! Policies and security groups as stages of a way, on small bundles of lists alone.

use bundle::ItemStatus;
use serde_json::{Value as Json, json};

use super::answer::{PathAnswer, Sees, Verdict};
use super::{Question, World};
use crate::facts::Facts;
use crate::facts::sample::Sample;

const OTHER_POLICIES: &[&str] = &[
    "api.netpol.adminnetworkpolicies",
    "api.netpol.baselineadminnetworkpolicies",
    "api.netpol.clusternetworkpolicies",
    "api.netpol.calico-networkpolicies",
    "api.netpol.calico-globalnetworkpolicies",
    "api.netpol.calico-hostendpoints",
    "api.netpol.ciliumnetworkpolicies",
    "api.netpol.ciliumclusterwidenetworkpolicies",
    "api.antrea.networkpolicies",
    "api.antrea.clusternetworkpolicies",
    "api.ovn.egressfirewalls",
];

fn pod(namespace: &str, name: &str, node: &str, labels: Json, ip: &str) -> Json {
    json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
}

fn node(name: &str, ip: &str, range: &str) -> Json {
    json!({"metadata": {"name": name}, "spec": {"podCIDR": range, "podCIDRs": [range]},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
}

/// Two nodes, DNS, and a pod whose egress is DNS over UDP alone; `agent` is the plugin whose pods run on both.
fn cluster(agent: &str) -> Sample {
    let labels = json!({"k8s-app": agent});
    let set = json!({"metadata": {"name": agent, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        "status": {"desiredNumberScheduled": 2, "numberReady": 2}});
    let policy = json!({"metadata": {"name": "dns", "namespace": "shop"}, "spec": {"podSelector": {},
        "policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}]}});
    let service = json!({"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {
        "type": "ClusterIP", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53}]}});
    let slice = json!({"metadata": {"name": "kube-dns-1", "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"}}, "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.244.2.2"], "conditions": {"ready": true, "serving": true}}]});
    let sample = Sample::new()
        .list("api.workloads.daemonsets", "cluster/apps/daemonsets.json", json!([set]))
        .list(
            "api.nodes",
            "cluster/core/nodes.json",
            json!([node("one", "10.0.0.11", "10.244.1.0/24"), node("two", "10.0.0.12", "10.244.2.0/24")]),
        )
        .list(
            "api.pods",
            "cluster/core/pods.json",
            json!([
                pod("kube-system", "agent-1", "one", json!({"k8s-app": agent}), "10.0.0.11"),
                pod("kube-system", "agent-2", "two", json!({"k8s-app": agent}), "10.0.0.12"),
                pod("kube-system", "dns", "two", json!({"k8s-app": "kube-dns"}), "10.244.2.2"),
                pod("shop", "cart", "one", json!({"app": "cart"}), "10.244.1.2")
            ]),
        )
        .list("api.namespaces", "cluster/core/namespaces.json", json!([{"metadata": {"name": "shop"}}]))
        .list("api.services", "cluster/core/services.json", json!([service]))
        .list("api.endpointslices", "cluster/discovery.k8s.io/endpointslices.json", json!([slice]))
        .list("api.netpol.networkpolicies", "cluster/networking.k8s.io/networkpolicies.json", json!([policy]));
    OTHER_POLICIES.iter().fold(sample, |sample, id| sample.lacking(id, ItemStatus::Absent))
}

fn read(facts: Facts) -> Facts {
    facts.enforcer();
    facts
}

fn ask(facts: &Facts, from: &str, to: &str) -> PathAnswer {
    let question =
        Question { from: from.parse().unwrap(), to: to.parse().unwrap(), protocol: None, via: None, interface: None };
    super::answer(&World::new(facts), &Question { protocol: Some(super::Protocol::Tcp), ..question }).unwrap()
}

#[test]
fn an_egress_policy_without_tcp_53_with_its_line_and_a_fix() {
    let facts = read(cluster("kube-router").facts());
    for to in ["service/kube-system/kube-dns:53", "pod/kube-system/dns:53"] {
        let answer = ask(&facts, "pod/shop/cart", to);
        // kube-router refuses what policies deny.
        assert_eq!((answer.verdict, answer.client_sees), (Verdict::Reject, Sees::Refused), "{to}: {}", answer.detail);
        let deciding = answer.deciding.unwrap();
        assert_eq!(deciding.file, "cluster/networking.k8s.io/networkpolicies.json", "{to}");
        let fix = answer.fix.unwrap();
        let [change, ..] = fix.changes.as_slice() else { panic!("{to}: no change") };
        assert_eq!((change.at.as_str(), change.owner.as_str()), ("cluster", "network-policy"));
        assert!(change.command.contains("kubectl") && change.command.contains("53"), "{}", change.command);
    }
}

#[test]
fn most_plugins_drop_what_policies_deny() {
    for agent in ["calico-node", "cilium"] {
        let answer = ask(&read(cluster(agent).facts()), "pod/shop/cart", "pod/kube-system/dns:53");
        assert_eq!((answer.verdict, answer.client_sees), (Verdict::Drop, Sees::Timeout), "{agent}: {}", answer.detail);
    }
}

#[test]
fn where_nothing_enforces_policies_none_of_them_stops_anything() {
    let facts = read(cluster("flannel").facts());
    let answer = ask(&facts, "pod/shop/cart", "pod/kube-system/dns:53");
    // What the nodes do is not known in a bundle of lists alone.
    assert_eq!(answer.verdict, Verdict::Depends, "{}", answer.detail);
    assert!(answer.unknowns.iter().all(|what| !what.contains("polic")), "{:?}", answer.unknowns);
}

#[test]
fn a_list_of_policies_that_could_not_be_had_is_an_unknown() {
    let facts = Sample::new()
        .list("api.nodes", "cluster/core/nodes.json", json!([node("one", "10.0.0.11", "10.244.1.0/24")]))
        .list(
            "api.pods",
            "cluster/core/pods.json",
            json!([
                pod("shop", "cart", "one", json!({}), "10.244.1.2"),
                pod("shop", "web", "one", json!({}), "10.244.1.3")
            ]),
        )
        .lacking("api.netpol.networkpolicies", ItemStatus::Forbidden)
        .facts();
    let answer = ask(&read(facts), "pod/shop/cart", "pod/shop/web:80");
    assert_eq!(answer.verdict, Verdict::Depends);
    assert!(answer.unknowns.iter().any(|what| what.contains("olic")), "{:?}", answer.unknowns);
}

const GROUPS: &str = "/subscriptions/s/resourceGroups/MC_rg/providers/Microsoft.Network";

/// What `az network nsg list` and `az vmss nic list` print of one machine whose group denies the kubelet's port; the
/// shape is that of Microsoft's documentation of the commands.
fn denying() -> (Json, Json) {
    let rule = json!({"name": "deny-kubelet", "priority": 300, "direction": "Inbound", "access": "Deny",
        "protocol": "Tcp", "sourceAddressPrefix": "*", "sourceAddressPrefixes": [], "sourcePortRange": "*",
        "sourcePortRanges": [], "destinationAddressPrefix": "*", "destinationAddressPrefixes": [],
        "destinationPortRange": "10250", "destinationPortRanges": []});
    let id = format!("{GROUPS}/networkSecurityGroups/nodes");
    let nic = |name: &str, ip: &str| {
        json!({"id": format!("{GROUPS}/networkInterfaces/{name}"), "name": name,
            "ipConfigurations": [{"privateIPAddress": ip, "subnet": {"id": format!("{GROUPS}/virtualNetworks/v/subnets/n")}}],
            "networkSecurityGroup": {"id": id}})
    };
    let group = json!({"id": id, "name": "nodes", "securityRules": [rule], "defaultSecurityRules": []});
    (json!([group]), json!([nic("nic-1", "10.0.0.11"), nic("nic-2", "10.0.0.12")]))
}

#[test]
fn a_security_group_that_denies_the_kubelets_port() {
    let (groups, nics) = denying();
    let facts = cluster("flannel")
        .text("cloud.nsg", "cloud/nsg.json", &groups.to_string())
        .text("cloud.nsg", "cloud/nics.json", &nics.to_string())
        .facts();
    let answer = ask(&read(facts), "10.0.0.200", "node/two:10250");
    assert_eq!((answer.verdict, answer.client_sees), (Verdict::Drop, Sees::Timeout), "{}", answer.detail);
    assert_eq!(answer.deciding.unwrap().file, "cloud/nsg.json");
    let fix = answer.fix.unwrap();
    assert!(fix.changes.iter().any(|change| change.owner == "security-group" && change.command.contains("az network")));
}
