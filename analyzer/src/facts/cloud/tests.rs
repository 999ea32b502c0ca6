//! What groups make of clients, peers and masters, over a cluster of TKE.

use minijinja::Value;
use serde_json::{Value as Json, json};

use super::super::Facts;
use super::super::sample::{Sample, at};
use super::{api_access, exposed, machine, peers};
use crate::shape::agreement::{check, check_except};

fn policies(ingress: Json) -> String {
    json!({"SecurityGroupPolicySet": {"Version": "1", "Ingress": ingress,
        "Egress": [{"PolicyIndex": 0, "Protocol": "ALL", "Port": "ALL", "CidrBlock": "0.0.0.0/0", "Action": "ACCEPT"}]}})
    .to_string()
}

fn accept(port: &str, network: &str) -> Json {
    json!([{"PolicyIndex": 0, "Protocol": "TCP", "Port": port, "CidrBlock": network, "Action": "ACCEPT"}])
}

/// An independent cluster of one master and one node, whose group accepts the VPC at 443 alone.
fn cluster(symptom: &str, acl: Json, instances: Json) -> Facts {
    let node = |name: &str, address: &str, labels: Json| {
        json!({"metadata": {"name": name, "labels": labels},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
    };
    let kubelb = json!({"metadata": {"namespace": "default", "name": "kubelb-internet"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 443, "nodePort": 31443, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}});
    let tke = "cloud.tke.x";
    Sample::new()
        .list(
            "api.nodes",
            "cluster/core/nodes.json",
            json!([node("m", "10.0.0.7", json!({"node-role.kubernetes.io/master": "true"})), node("n", "10.0.0.4", json!({}))]),
        )
        .list("api.services", "cluster/core/services.json", json!([kubelb]))
        .text(tke, "cloud/t/instances.json", &json!({"InstanceSet": instances}).to_string())
        .text(tke, "cloud/t/sg-a1.json", &policies(accept("443", "10.0.0.0/16")))
        .text(tke, "cloud/t/clusters.json", r#"{"Clusters": [{"ClusterId": "cls-1", "ClusterType": "INDEPENDENT_CLUSTER"}]}"#)
        .text(
            tke,
            "cloud/t/endpoints.json",
            &json!({"ClusterExternalEndpoint": "203.0.113.9", "ClusterIntranetEndpoint": "10.0.0.9", "SecurityGroup": "sg-a1",
                "ClusterExternalACL": acl, "ClusterIntranetSubnetId": "subnet-1"})
            .to_string(),
        )
        .text(
            tke,
            "cloud/t/balancers.json",
            r#"{"LoadBalancerSet": [{"LoadBalancerId": "lb-1", "LoadBalancerVips": ["203.0.113.9"], "SecureGroups": ["sg-a1"]}]}"#,
        )
        .text(
            tke,
            "cloud/t/routes.json",
            r#"{"RouteSet": [{"DestinationCidrBlock": "10.9.0.0/16", "InstanceType": "VPC", "Enabled": true}]}"#,
        )
        .symptom(symptom)
        .facts()
}

fn known() -> Json {
    json!([{"InstanceId": "ins-1", "PrivateIpAddresses": ["10.0.0.4"], "SecurityGroupIds": ["sg-a1"]},
        {"InstanceId": "ins-7", "PrivateIpAddresses": ["10.0.0.7"], "SecurityGroupIds": ["sg-a1"]}])
}

fn items(value: &Value, path: &str) -> Vec<Value> {
    at(value, path).try_iter().unwrap().collect()
}

#[test]
fn the_facts_have_the_fields_that_their_shapes_promise() {
    let first = cluster("from=198.51.100.7,to=203.0.113.9:443", json!(["198.51.100.0/24"]), known());
    let second = cluster("from=10.9.0.5,to=node/n:30080", json!(null), json!([]));
    let tke: Vec<Value> = [&first, &second].into_iter().filter_map(api_access::value).collect();
    check_except(&api_access::SHAPE, &tke, &["unclear"]);
    let peers: Vec<Value> = [&first, &second]
        .into_iter()
        .flat_map(|facts| peers::values(facts).try_iter().unwrap().collect::<Vec<_>>())
        .collect();
    check(&peers::SHAPE, &peers);
    let service = exposed::value(&first, &first.services().all[0]);
    check(&exposed::SHAPE, &[service]);
    let mut extents = items(&tke[0], "masters");
    extents.extend(items(&tke[1], "masters"));
    check(&machine::SHAPE, &extents);
    assert!(items(&tke[0], "nodes").iter().all(|extent| at(extent, "verdict").as_str() == Some("none")));
}

#[test]
fn a_symptom_s_client_is_asked_about_and_others_are_not() {
    let facts = cluster("from=198.51.100.7,to=203.0.113.9:443", json!(["198.51.100.0/24"]), known());
    let tke = api_access::value(&facts).unwrap();
    assert_eq!(at(&tke, "client").as_str(), Some("198.51.100.7"));
    assert!(at(&tke, "allowed_holds").is_true());
    assert_eq!(at(&items(&tke, "balancer_gate")[0], "verdict").as_str(), Some("none"));
    let facts = cluster("from=10.0.0.4,to=203.0.113.9:443", json!(null), known());
    let tke = api_access::value(&facts).unwrap();
    assert!(
        at(&tke, "client").is_undefined() && at(&tke, "lacks_client").as_str().unwrap().contains("not on the Internet")
    );
}

#[test]
fn nodes_whose_groups_are_not_known_are_one_class() {
    let facts = cluster("from=10.0.0.4,to=203.0.113.9:443", json!(null), json!([]));
    let classes = facts.group_classes();
    assert_eq!(classes.iter().map(|class| class.nodes.len()).collect::<Vec<_>>(), [2]);
    let service = exposed::value(&facts, &facts.services().all[0]);
    assert_eq!(at(&items(&service, "extents")[0], "verdict").as_str(), Some("depends"));
}
