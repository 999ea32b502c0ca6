//! What enforces policies, by what runs; policies and ends of flows out of a bundle.

use bundle::ItemStatus;
use netpath::answer::Decision;
use netpath::policy::{Endpoint, Enforcement, Flow, Side};
use serde_json::{Value as Json, json};

use super::super::Facts;
use super::super::sample::{Sample, at};
use super::{SHAPE, endpoint, enforcement, value};
use crate::shape::agreement::check;

fn daemon_set(name: &str, labels: Json, image: &str, arguments: Json) -> Json {
    json!({"metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": image, "args": arguments}]}}},
        "status": {"desiredNumberScheduled": 1, "numberReady": 1}})
}

fn pod(namespace: &str, name: &str, node: &str, labels: Json, ip: &str) -> Json {
    json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
}

fn cluster(daemon_sets: Json, pods: Json) -> Facts {
    let policy = json!({"metadata": {"name": "dns", "namespace": "shop"}, "spec": {"podSelector": {},
        "policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}]}});
    let mut sample = Sample::new()
        .list("api.workloads.daemonsets", "cluster/apps/daemonsets.json", daemon_sets)
        .list("api.pods", "cluster/core/pods.json", pods)
        .list(
            "api.namespaces",
            "cluster/core/namespaces.json",
            json!([{"metadata": {"name": "shop", "labels": {"team": "a"}}}]),
        )
        .list("api.netpol.networkpolicies", "cluster/networking.k8s.io/networkpolicies.json", json!([policy]));
    for (_, id) in super::EVIDENCE.iter().filter(|(_, id)| *id != "api.netpol.networkpolicies") {
        sample = sample.lacking(id, ItemStatus::Absent);
    }
    let facts = sample.facts();
    facts.enforcer();
    facts
}

fn word(daemon_sets: Json) -> (String, String) {
    let facts = cluster(daemon_sets, json!([]));
    let enforcer = facts.enforcer();
    let more = enforcer.plugin_name().or(enforcer.why()).unwrap_or_default();
    (enforcer.word().to_owned(), more.to_owned())
}

#[test]
fn plugins_by_what_runs() {
    let one = |name: &str, label: &str, image: &str, arguments: Json| {
        word(json!([daemon_set(name, json!({"k8s-app": label}), image, arguments)]))
    };
    for (name, plugin) in [
        ("calico-node", "Calico"),
        ("canal", "Calico"),
        ("cilium", "Cilium"),
        ("kube-router", "kube-router"),
        ("azure-npm", "Azure NPM"),
        ("weave-net", "Weave Net"),
    ] {
        assert_eq!(one(name, name, "i:1", json!([])), ("yes".to_owned(), plugin.to_owned()), "{name}");
    }
    assert_eq!(one("kube-router", "kube-router", "i", json!(["--run-firewall=false"])).0, "no");
    assert_eq!(one("kindnet", "kindnet", "kindest/kindnetd:v20250214-acbabc1a", json!([])).0, "yes");
    assert_eq!(one("kindnet", "kindnet", "kindest/kindnetd:v20230511-dc714da8", json!([])).0, "no");
    assert_eq!(one("kindnet", "kindnet", "mine:1", json!([])).0, "unknown");
    let flannel = one("kube-flannel-ds", "flannel", "flannel:1", json!([]));
    assert_eq!(flannel, ("no".to_owned(), "flannel alone enforces no NetworkPolicy".to_owned()));
    assert_eq!(word(json!([])).0, "unknown");
    let both = json!([
        daemon_set("kube-flannel-ds", json!({"k8s-app": "flannel"}), "i", json!([])),
        daemon_set("azure-npm", json!({"k8s-app": "azure-npm"}), "i", json!([]))
    ]);
    assert_eq!(word(both).0, "yes");
}

#[test]
fn without_the_lists_it_is_unknown_and_the_fact_has_its_shape() {
    let facts = Sample::new().lacking("api.workloads.daemonsets", ItemStatus::Forbidden).facts();
    assert_eq!(facts.enforcer().word(), "unknown");
    let facts =
        cluster(json!([daemon_set("kube-flannel-ds", json!({"k8s-app": "flannel"}), "i", json!([]))]), json!([]));
    let fact = value(&facts);
    assert_eq!(at(&fact, "objects"), minijinja::Value::from(1));
    let calico =
        cluster(json!([daemon_set("calico-node", json!({"k8s-app": "calico-node"}), "i", json!([]))]), json!([]));
    check(&SHAPE, &[fact, value(&calico)]);
    let cited = crate::fact::citations(&value(&calico));
    assert_eq!(cited[0].pointer.as_deref(), Some("/items/0"));
}

#[test]
fn a_flow_is_judged_out_of_a_bundle_and_an_agent_must_be_on_the_node() {
    let agent = json!({"k8s-app": "calico-node"});
    let facts = cluster(
        json!([daemon_set("calico-node", agent.clone(), "i", json!([]))]),
        json!([
            pod("kube-system", "calico-node-x", "n1", agent, "192.0.2.1"),
            pod("shop", "web", "n1", json!({"app": "web"}), "10.244.1.5"),
            pod("shop", "api", "n2", json!({"app": "api"}), "10.244.2.5"),
        ]),
    );
    let pods = facts.pods();
    let end = |name: &str| {
        let pod = pods.get(pods.named("shop", name).unwrap()).unwrap();
        Endpoint::pod(endpoint::of_pod(&facts, pod), pod.addresses[0].unwrap())
    };
    let flow = Flow { source: end("web"), destination: end("api"), service: None, protocol: 6, port: Some(53) };
    let here = enforcement::on_node(&facts, "n1");
    let judged = facts.policies().judge(&here, &flow, Side::Egress);
    assert_eq!(judged.verdict, Decision::Drop);
    assert_eq!(&*judged.deciding.unwrap().origin.file, "cluster/networking.k8s.io/networkpolicies.json");
    assert!(matches!(enforcement::on_node(&facts, "n2"), Enforcement::Unknown { .. }));
    assert_eq!(facts.policies().judge(&here, &flow, Side::Ingress).verdict, Decision::Accept);
}

#[test]
fn access_to_a_service_has_the_fields_that_its_shapes_promise() {
    let service = json!([{"metadata": {"namespace": "shop", "name": "web"}, "spec": {"clusterIP": "10.96.1.1",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}}]);
    let slices = json!([{"metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.244.1.5"], "targetRef": {"kind": "Pod", "name": "web"}}]}]);
    let access = |ingress: Json, symptom: &str| {
        let policy = json!({"metadata": {"name": "p", "namespace": "shop"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": ingress}});
        let mut sample = Sample::new()
            .list("api.workloads.daemonsets", "cluster/apps/daemonsets.json", json!([]))
            .list("api.services", "cluster/core/services.json", service.clone())
            .list("api.endpointslices", "cluster/discovery.k8s.io/endpointslices.json", slices.clone())
            .list("api.netpol.networkpolicies", "cluster/networking.k8s.io/networkpolicies.json", json!([policy]))
            .list(
                "api.pods",
                "cluster/core/pods.json",
                json!([
                    pod("shop", "cart", "n1", json!({"app": "cart"}), "10.244.1.4"),
                    pod("shop", "web", "n1", json!({"app": "web"}), "10.244.1.5")
                ]),
            )
            .symptom(symptom);
        for (_, id) in super::EVIDENCE.iter().filter(|(_, id)| *id != "api.netpol.networkpolicies") {
            sample = sample.lacking(id, ItemStatus::Absent);
        }
        let facts = sample.facts();
        super::access::value(&facts, &facts.services().all[0])
    };
    let from_cart = json!([{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}], "ports": [{"port": 8080}]}]);
    let asked = access(from_cart, "from=pod/shop/cart,to=service/shop/web");
    let closed = access(json!([{"ports": [{"port": 80}]}]), "from=pod/shop/cart");
    let flows: Vec<minijinja::Value> = at(&asked, "flows").try_iter().unwrap().collect();
    assert_eq!(at(&flows[0], "verdict").as_str(), Some("drop"));
    crate::shape::agreement::check_except(&super::denied::SHAPE, &flows, &["also"]);
    check(&super::access::SHAPE, &[asked, closed.clone()]);
    let ports: Vec<minijinja::Value> = at(&closed, "closed").try_iter().unwrap().collect();
    assert!(at(&ports[0], "confused").is_true(), "the Service's port is allowed instead");
    check(&super::access::CLOSED, &ports);
}
