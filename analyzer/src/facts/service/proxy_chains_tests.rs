//! Real Services, EndpointSlices and dumps of real kube-proxy 1.34 on the node n1 (netpath/tests/data/kube-proxy).
#![allow(clippy::unwrap_used)]

use minijinja::Value;
use serde_json::{Value as Json, json};

use crate::fact::citations;
use crate::facts::node_root;
use crate::facts::sample::{COLLECTED, Sample, at};
use crate::shape::agreement::check;

const SERVICES: &str = include_str!("../../../../netpath/tests/data/kube-proxy/services.json");
const SLICES: &str = include_str!("../../../../netpath/tests/data/kube-proxy/endpointslices.json");
const IPTABLES: &str = include_str!("../../../../netpath/tests/data/kube-proxy/iptables.v4");
const NFTABLES: &str = include_str!("../../../../netpath/tests/data/kube-proxy/nftables.json");

const LINKS: &str = r#"[{"ifname":"eth0","flags":["UP","LOWER_UP"],"link_type":"ether","addr_info":[{"local":"10.10.0.12","prefixlen":24,"scope":"global"}]}]"#;

/// What the API lists, created an hour before the collection.
fn items(list: &str) -> Vec<Json> {
    let mut items = serde_json::from_str::<Json>(list).unwrap()["items"].as_array().unwrap().clone();
    items.iter_mut().for_each(|item| item["metadata"]["creationTimestamp"] = json!("2026-11-21T09:00:00Z"));
    items
}

fn named<'j>(items: &'j mut [Json], name: &str) -> &'j mut Json {
    items.iter_mut().find(|item| item["metadata"]["name"].as_str().unwrap().starts_with(name)).unwrap()
}

fn node() -> Json {
    json!([{"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}, "status": {}}])
}

fn sample(services: Vec<Json>, slices: Vec<Json>) -> Sample {
    Sample::new()
        .list("api.nodes", "cluster/core/nodes.json", node())
        .list("api.services", "cluster/core/services.json", Json::Array(services))
        .list("api.endpointslices", "cluster/discovery.k8s.io/endpointslices.json", Json::Array(slices))
        .on_node("n1", "node.ip.addr4", "net/addr4.json", LINKS)
}

fn fact(sample: Sample) -> Value {
    let facts = sample.facts();
    let root = node_root::value(&facts, &"n1".into());
    root.get_attr("proxy_chains").unwrap()
}

fn with_iptables(services: Vec<Json>, slices: Vec<Json>) -> Value {
    fact(sample(services, slices).on_node("n1", "node.iptables.nft-v4", "firewall/iptables-nft.v4", IPTABLES))
}

fn number(fact: &Value, path: &str) -> u64 {
    u64::try_from(at(fact, path)).unwrap()
}

fn outline(fact: &Value) -> Vec<u64> {
    ["judged", "present", "missing", "partial", "stale", "wrong", "recent"].map(|name| number(fact, name)).to_vec()
}

#[test]
fn a_node_that_serves_everything() {
    let found = with_iptables(items(SERVICES), items(SLICES));
    assert_eq!(found.len(), Some(1), "IPv6 was not dumped");
    let found = at(&found, "0");
    assert_eq!(outline(&found), [26, 26, 0, 0, 0, 0, 0]);
    assert_eq!((at(&found, "mode").to_string(), number(&found, "family")), ("iptables".to_owned(), 4));
    assert_eq!((number(&found, "leftover"), at(&found, "base").len()), (0, Some(0)));

    let nft = sample(items(SERVICES), items(SLICES)).on_node("n1", "node.nft.ruleset", "firewall/nft.json", NFTABLES);
    let found = fact(nft);
    assert_eq!(outline(&at(&found, "0")), [26, 26, 0, 0, 0, 0, 0]);
    assert_eq!(outline(&at(&found, "1")), [5, 5, 0, 0, 0, 0, 0]);
    assert_eq!(at(&found, "1.mode").to_string(), "nftables");
}

#[test]
fn a_stale_endpoint_is_cited_and_what_changed_just_now_is_not_judged() {
    let mut slices = items(SLICES);
    named(&mut slices, "single-")["endpoints"] = json!([]);
    let found = at(&with_iptables(items(SERVICES), slices.clone()), "0");
    assert_eq!(outline(&found), [26, 25, 0, 0, 0, 1, 0]);
    let port = at(&found, "differing.0");
    check(&super::SHAPE, std::slice::from_ref(&found));
    check(&super::PORT, std::slice::from_ref(&port));
    assert_eq!(at(&port, "name").to_string(), "demo/single:https");
    assert_eq!(at(&port, "service.name").to_string(), "single");
    let cited = citations(&at(&port, "differences.0"));
    assert!(cited[0].path.ends_with("firewall/iptables-nft.v4") && cited[0].line.is_some(), "{cited:?}");

    named(&mut slices, "single-")["metadata"]["managedFields"] = json!([{"manager": "m", "time": COLLECTED}]);
    let found = at(&with_iptables(items(SERVICES), slices), "0");
    assert_eq!(outline(&found), [25, 25, 0, 0, 0, 0, 1]);
}

#[test]
fn nothing_is_said_without_lists_or_dumps() {
    let without_slices = Sample::new()
        .list("api.services", "cluster/core/services.json", Json::Array(items(SERVICES)))
        .on_node("n1", "node.ip.addr4", "net/addr4.json", LINKS)
        .on_node("n1", "node.iptables.nft-v4", "firewall/iptables-nft.v4", IPTABLES);
    assert!(fact(without_slices).is_undefined());
    assert_eq!(fact(sample(items(SERVICES), items(SLICES))).len(), Some(0));
}

#[test]
fn without_traces_the_mode_is_what_a_ready_kube_proxy_was_told() {
    let proxy = json!([{"metadata": {"name": "kube-proxy-x", "namespace": "kube-system", "labels": {"k8s-app": "kube-proxy"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "kube-proxy", "image": "kube-proxy:v1.34.4"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}]);
    let empty = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n";
    let flushed = || {
        sample(items(SERVICES), items(SLICES)).on_node("n1", "node.iptables.nft-v4", "firewall/iptables-nft.v4", empty)
    };
    assert_eq!(fact(flushed()).len(), Some(0), "nobody says that kube-proxy runs here");
    let found = at(&fact(flushed().list("api.pods", "cluster/core/pods.json", proxy)), "0");
    assert_eq!(outline(&found), [26, 0, 26, 0, 0, 0, 0]);
    assert!(!at(&found, "traces").is_true());
}
