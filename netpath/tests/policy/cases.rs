//! Cases that implementations and tools get wrong, by the checklist of the NetworkPolicy documentation.

use std::net::IpAddr;
use std::sync::Arc;

use netpath::answer::Decision;
use netpath::policy::{ContainerPort, Endpoint, Enforcement, Flow, Host, Kind, Plugin, Pod, Policies, Side};
use netpath::protocol::{ICMP, SCTP, TCP, UDP};
use serde_json::{Value, json};

const CALICO: Enforcement = Enforcement::Yes { plugin: Plugin::Calico, cited: None };
const OTHER: Enforcement = Enforcement::Yes { plugin: Plugin::Other, cited: None };

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(namespace: &str, app: &str) -> Pod {
    let named = |key: &str, value: &str| [(Arc::from(key), Arc::from(value))].into();
    Pod {
        namespace: namespace.into(),
        name: format!("{app}-1").into(),
        labels: named("app", app),
        namespace_labels: Some(named("kubernetes.io/metadata.name", namespace)),
        node: Some("n1".into()),
        ports: vec![ContainerPort { name: "http".into(), number: 8080, protocol: "TCP".into() }],
        ..Pod::default()
    }
}

fn web() -> Endpoint {
    Endpoint::pod(pod("shop", "web"), ip("10.244.1.5"))
}

fn dns() -> Endpoint {
    Endpoint::pod(pod("kube-system", "dns"), ip("10.244.2.9"))
}

fn flow(source: Endpoint, destination: Endpoint, protocol: u8, port: u16) -> Flow {
    let port = (protocol != ICMP).then_some(port);
    Flow { source, destination, service: None, protocol, port }
}

fn of(kind: Kind, specs: &[(&str, Value)]) -> Policies {
    let items: Vec<Value> = specs
        .iter()
        .map(|(name, spec)| json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec}))
        .collect();
    let mut policies = Policies::default();
    let list = json!({"kind": "List", "items": items});
    policies.add(kind, &Arc::from("list.json"), serde_json::to_string_pretty(&list).unwrap().as_bytes()).unwrap();
    policies
}

fn shop(specs: &[(&str, Value)]) -> Policies {
    of(Kind::NetworkPolicy, specs)
}

fn verdict(policies: &Policies, enforcement: &Enforcement, flow: &Flow, side: Side) -> Decision {
    policies.judge(enforcement, flow, side).verdict
}

#[test]
fn a_dns_policy_without_tcp_names_the_rule_and_its_fix_is_tried() {
    let rule = json!({"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "dns"}}}],
        "ports": [{"protocol": "UDP", "port": 53}]});
    let policies = shop(&[("dns", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}))]);
    assert_eq!(verdict(&policies, &OTHER, &flow(web(), dns(), UDP, 53), Side::Egress), Decision::Accept);
    let judged = policies.judge(&OTHER, &flow(web(), dns(), TCP, 53), Side::Egress);
    assert_eq!(judged.verdict, Decision::Drop);
    let deciding = judged.deciding.unwrap();
    assert_eq!(deciding.origin.pointer.as_deref(), Some("/items/0/spec/egress/0"));
    assert!(deciding.origin.line > 5 && deciding.text.contains("\"UDP\""), "{deciding:?}");
    assert_eq!(judged.isolating[0].policy, "NetworkPolicy shop/dns");
    assert_eq!(judged.missed[0].field, "port");
    let fix = judged.fix.unwrap();
    assert!(fix.verified);
    assert_eq!(
        fix.command,
        "kubectl patch networkpolicy dns -n shop --type=json -p \
         '[{\"op\":\"add\",\"path\":\"/spec/egress/0/ports/-\",\"value\":{\"port\":53,\"protocol\":\"TCP\"}}]'"
    );
}

#[test]
fn policy_types_default_to_ingress_and_to_egress_where_there_is_an_egress_rule() {
    let to_dns = flow(web(), dns(), TCP, 53);
    let from_dns = flow(dns(), web(), TCP, 8080);
    let cases = [
        (json!({"podSelector": {}}), Decision::Accept, Decision::Drop),
        (json!({"podSelector": {}, "egress": []}), Decision::Accept, Decision::Drop),
        (json!({"podSelector": {}, "egress": null, "ingress": [{}]}), Decision::Accept, Decision::Accept),
        (json!({"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]}), Decision::Drop, Decision::Drop),
        (json!({"podSelector": {}, "policyTypes": ["Egress"]}), Decision::Drop, Decision::Accept),
        (json!({"podSelector": {}, "policyTypes": []}), Decision::Accept, Decision::Drop),
        (json!({"podSelector": {"matchLabels": {"app": "api"}}}), Decision::Accept, Decision::Accept),
    ];
    for (spec, egress, ingress) in cases {
        let policies = shop(&[("p", spec.clone())]);
        assert_eq!(verdict(&policies, &OTHER, &to_dns, Side::Egress), egress, "{spec}");
        assert_eq!(verdict(&policies, &OTHER, &from_dns, Side::Ingress), ingress, "{spec}");
    }
}

#[test]
fn a_port_without_a_number_is_of_its_protocol_alone_and_names_are_the_destination_pods() {
    let ingress = |ports: Value| shop(&[("p", json!({"podSelector": {}, "ingress": [{"ports": ports}]}))]);
    let at = |protocol, port| flow(dns(), web(), protocol, port);
    let udp_only = ingress(json!([{"protocol": "UDP"}]));
    assert_eq!(verdict(&udp_only, &OTHER, &at(TCP, 8080), Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&udp_only, &OTHER, &at(UDP, 8080), Side::Ingress), Decision::Accept);
    let by_name = ingress(json!([{"port": "http"}]));
    assert_eq!(verdict(&by_name, &OTHER, &at(TCP, 8080), Side::Ingress), Decision::Accept);
    assert_eq!(verdict(&by_name, &OTHER, &at(TCP, 80), Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&by_name, &OTHER, &at(UDP, 8080), Side::Ingress), Decision::Drop);
    let outside = flow(web(), Endpoint::outside(ip("198.51.100.7")), TCP, 8080);
    let egress = shop(&[(
        "p",
        json!({"podSelector": {}, "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": "http"}]}]}),
    )]);
    assert_eq!(verdict(&egress, &OTHER, &outside, Side::Egress), Decision::Drop);
}

#[test]
fn ranges_and_sctp_hang_on_the_plugin() {
    let policies = shop(&[(
        "p",
        json!({"podSelector": {}, "ingress": [
        {"ports": [{"port": 8000, "endPort": 8100}, {"protocol": "SCTP", "port": 7}]}]}),
    )]);
    let at = |protocol, port| flow(dns(), web(), protocol, port);
    for (enforcement, protocol, port, expected) in [
        (&CALICO, TCP, 8100, Decision::Accept),
        (&CALICO, TCP, 8101, Decision::Drop),
        (&OTHER, TCP, 8000, Decision::Accept),
        (&OTHER, TCP, 8100, Decision::Depends),
        (&OTHER, SCTP, 7, Decision::Depends),
        (&CALICO, SCTP, 7, Decision::Accept),
        (&OTHER, SCTP, 8, Decision::Drop),
    ] {
        assert_eq!(verdict(&policies, enforcement, &at(protocol, port), Side::Ingress), expected, "{protocol} {port}");
    }
}

#[test]
fn two_dashes_are_or_and_one_is_and() {
    let both = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"app": "prometheus"}}});
    let one = shop(&[("p", json!({"podSelector": {}, "ingress": [{"from": [both.clone()]}]}))]);
    let two = shop(&[(
        "p",
        json!({"podSelector": {}, "ingress": [{"from": [
        {"namespaceSelector": both["namespaceSelector"]}, {"podSelector": both["podSelector"]}]}]}),
    )]);
    let from_dns = flow(dns(), web(), TCP, 8080);
    assert_eq!(verdict(&one, &OTHER, &from_dns, Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&two, &OTHER, &from_dns, Side::Ingress), Decision::Accept);
}

#[test]
fn a_block_and_a_pods_address_hang_on_the_plugin_and_an_exception_denies_nothing() {
    let policies = shop(&[(
        "p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.244.0.7/16", "except": ["10.244.2.0/24"]}}]},
        {"to": [{"ipBlock": {"cidr": "10.244.2.0/24"}}], "ports": [{"port": 53}]}]}),
    )]);
    let to_dns = |port| flow(web(), dns(), TCP, port);
    let cilium = Enforcement::Yes { plugin: Plugin::Cilium, cited: None };
    assert_eq!(verdict(&policies, &CALICO, &to_dns(53), Side::Egress), Decision::Accept);
    assert_eq!(verdict(&policies, &CALICO, &to_dns(80), Side::Egress), Decision::Drop);
    assert_eq!(verdict(&policies, &cilium, &to_dns(53), Side::Egress), Decision::Drop);
    let judged = policies.judge(&OTHER, &to_dns(53), Side::Egress);
    assert_eq!(judged.verdict, Decision::Depends);
    assert!(judged.unknowns[0].what.contains("ipBlock"), "{:?}", judged.unknowns);
}

#[test]
fn a_block_with_the_services_address_hangs_on_the_order_of_translation() {
    let policies = shop(&[(
        "p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.96.0.0/12"}}]}]}),
    )]);
    let flow = Flow { service: Some(ip("10.96.0.10")), ..flow(web(), dns(), TCP, 53) };
    assert_eq!(verdict(&policies, &CALICO, &flow, Side::Egress), Decision::Drop);
    assert_eq!(verdict(&policies, &OTHER, &flow, Side::Egress), Decision::Depends);
}

#[test]
fn nodes_host_network_pods_and_ended_ones() {
    let deny = shop(&[("deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))]);
    let node = |name: &str| Endpoint::node(Host { name: name.into(), labels: None }, ip("192.0.2.1"));
    assert_eq!(verdict(&deny, &CALICO, &flow(node("n1"), web(), TCP, 8080), Side::Ingress), Decision::Accept);
    assert_eq!(verdict(&deny, &CALICO, &flow(node("n2"), web(), TCP, 8080), Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&deny, &CALICO, &flow(web(), node("n1"), TCP, 53), Side::Egress), Decision::Depends);
    let npm = Enforcement::Yes { plugin: Plugin::AzureNpm, cited: None };
    assert_eq!(verdict(&deny, &npm, &flow(web(), node("n1"), TCP, 53), Side::Egress), Decision::Accept);
    assert_eq!(verdict(&deny, &npm, &flow(web(), node("n2"), TCP, 53), Side::Egress), Decision::Drop);
    let host = Endpoint::pod(Pod { host_network: true, ..pod("shop", "web") }, ip("192.0.2.1"));
    assert_eq!(verdict(&deny, &CALICO, &flow(dns(), host.clone(), TCP, 1), Side::Ingress), Decision::Accept);
    let allow_all_pods = shop(&[("p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}))]);
    let remote =
        Endpoint::pod(Pod { node: Some("n2".into()), host_network: true, ..pod("shop", "x") }, ip("192.0.2.2"));
    assert_eq!(verdict(&allow_all_pods, &CALICO, &flow(remote.clone(), web(), TCP, 1), Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&allow_all_pods, &OTHER, &flow(remote, web(), TCP, 1), Side::Ingress), Decision::Depends);
    let ended = Endpoint::pod(Pod { ended: true, ..pod("shop", "job") }, ip("10.244.2.9"));
    assert_eq!(verdict(&allow_all_pods, &CALICO, &flow(ended, web(), TCP, 1), Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&deny, &CALICO, &flow(web(), web(), TCP, 1), Side::Ingress), Decision::Accept);
}

#[test]
fn other_protocols_and_addresses_of_nobody() {
    let deny = shop(&[("deny", json!({"podSelector": {}}))]);
    let ping = flow(dns(), web(), ICMP, 0);
    assert_eq!(verdict(&deny, &CALICO, &ping, Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&deny, &OTHER, &ping, Side::Ingress), Decision::Depends);
    let all = shop(&[("all", json!({"podSelector": {}, "ingress": [{}]}))]);
    assert_eq!(verdict(&all, &OTHER, &ping, Side::Ingress), Decision::Accept);
    let nobody = Endpoint::unidentified(ip("10.244.9.9"));
    let from_pods = shop(&[("p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}))]);
    let judged = from_pods.judge(&CALICO, &flow(nobody.clone(), web(), TCP, 8080), Side::Ingress);
    assert_eq!((judged.verdict, &*judged.unknowns[0].what), (Decision::Depends, "whose address 10.244.9.9 is"));
    assert_eq!(verdict(&from_pods, &CALICO, &flow(web(), nobody, TCP, 80), Side::Ingress), Decision::Depends);
}

#[test]
fn without_enforcement_nothing_is_dropped() {
    let deny = shop(&[("deny", json!({"podSelector": {}}))]);
    let flow = flow(dns(), web(), TCP, 8080);
    let none = Enforcement::No { why: "flannel alone enforces no NetworkPolicy".into() };
    let judged = deny.judge(&none, &flow, Side::Ingress);
    assert_eq!(judged.verdict, Decision::Accept);
    assert!(judged.notes[0].contains("flannel"), "{:?}", judged.notes);
    let unknown = Enforcement::Unknown { why: "no DaemonSets".into() };
    assert_eq!(verdict(&deny, &unknown, &flow, Side::Ingress), Decision::Depends);
    let allow = shop(&[("all", json!({"podSelector": {}, "ingress": [{}]}))]);
    assert_eq!(verdict(&allow, &unknown, &flow, Side::Ingress), Decision::Accept);
}

#[test]
fn tiers_come_before_and_after_network_policies() {
    let ovn = Enforcement::Yes { plugin: Plugin::OvnKubernetes, cited: None };
    let flow = flow(dns(), web(), TCP, 8080);
    let rule = |action: &str| {
        json!({"action": action, "from": [{"namespaces": {}}],
        "ports": [{"portNumber": {"protocol": "TCP", "port": 8080}}]})
    };
    let anp = |priority: u32, action: &str| json!({"priority": priority, "subject": {"namespaces": {}}, "ingress": [rule(action)]});
    let admin = |specs: &[(&str, Value)]| of(Kind::AdminNetworkPolicy, specs);
    assert_eq!(
        verdict(&admin(&[("a", anp(5, "Deny")), ("b", anp(1, "Allow"))]), &ovn, &flow, Side::Ingress),
        Decision::Accept
    );
    assert_eq!(
        verdict(&admin(&[("a", anp(5, "Deny")), ("b", anp(9, "Allow"))]), &ovn, &flow, Side::Ingress),
        Decision::Drop
    );
    let tied = admin(&[("a", anp(5, "Deny")), ("b", anp(5, "Allow"))]).judge(&ovn, &flow, Side::Ingress);
    assert_eq!(tied.verdict, Decision::Depends);
    assert!(tied.unknowns[0].what.contains("priority 5"), "{:?}", tied.unknowns);
    let passed = admin(&[("a", anp(1, "Pass")), ("b", anp(5, "Deny"))]);
    assert_eq!(verdict(&passed, &ovn, &flow, Side::Ingress), Decision::Accept);
    assert_eq!(verdict(&admin(&[("a", anp(1, "Deny"))]), &OTHER, &flow, Side::Ingress), Decision::Depends);
    let judged = admin(&[("a", anp(1, "Deny"))]).judge(&ovn, &flow, Side::Ingress);
    assert_eq!(judged.deciding.unwrap().origin.pointer.as_deref(), Some("/items/0/spec/ingress/0"));
    let fix = judged.fix.unwrap();
    assert!(fix.verified && fix.command.starts_with("kubectl patch adminnetworkpolicy a "), "{fix:?}");
    let empty_peer = |action: &str| {
        admin(&[(
            "a",
            json!({"priority": 1, "subject": {"namespaces": {}},
        "ingress": [{"action": action, "from": [{}]}]}),
        )])
    };
    assert_eq!(verdict(&empty_peer("Pass"), &ovn, &flow, Side::Ingress), Decision::Drop);
    assert_eq!(verdict(&empty_peer("Allow"), &ovn, &flow, Side::Ingress), Decision::Accept);
    let baseline = of(
        Kind::ClusterNetworkPolicy,
        &[(
            "b",
            json!({"tier": "Baseline", "priority": 1,
        "subject": {"pods": {"podSelector": {"matchLabels": {"app": "web"}}}},
        "ingress": [{"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"tcp": {}}]}]}),
        )],
    );
    assert_eq!(verdict(&baseline, &ovn, &flow, Side::Ingress), Decision::Drop);
}

#[test]
fn egress_of_tiers_knows_networks_nodes_and_names() {
    let ovn = Enforcement::Yes { plugin: Plugin::OvnKubernetes, cited: None };
    let deny = |peer: Value| {
        of(
            Kind::ClusterNetworkPolicy,
            &[(
                "c",
                json!({"tier": "Admin", "priority": 1,
        "subject": {"namespaces": {}}, "egress": [{"action": "Deny", "to": [peer]}]}),
            )],
        )
    };
    let node =
        Endpoint::node(Host { name: "n2".into(), labels: Some([("role".into(), "x".into())].into()) }, ip("192.0.2.2"));
    let unlabelled = Endpoint::node(Host { name: "n2".into(), labels: None }, ip("192.0.2.2"));
    let networks = deny(json!({"networks": ["10.0.0.0/8"]}));
    assert_eq!(verdict(&networks, &ovn, &flow(web(), dns(), TCP, 53), Side::Egress), Decision::Drop);
    let nodes = deny(json!({"nodes": {"matchLabels": {"role": "x"}}}));
    assert_eq!(verdict(&nodes, &ovn, &flow(web(), node, TCP, 53), Side::Egress), Decision::Drop);
    assert_eq!(verdict(&nodes, &ovn, &flow(web(), unlabelled, TCP, 53), Side::Egress), Decision::Depends);
    assert_eq!(verdict(&nodes, &ovn, &flow(web(), dns(), TCP, 53), Side::Egress), Decision::Accept);
    let names = deny(json!({"domainNames": ["*.example.org"]}));
    let judged = names.judge(&ovn, &flow(web(), Endpoint::outside(ip("198.51.100.7")), TCP, 443), Side::Egress);
    assert!(judged.verdict == Decision::Depends && judged.unknowns[0].what.contains("*.example.org"));
}

#[test]
fn policies_of_the_plugins_own_kinds_make_it_depend() {
    let to_dns = flow(web(), dns(), TCP, 53);
    let calico = of(Kind::CalicoNetworkPolicy, &[("c", json!({"selector": "app == 'web'", "types": ["Egress"]}))]);
    let judged = calico.judge(&CALICO, &to_dns, Side::Egress);
    assert_eq!(judged.verdict, Decision::Depends);
    assert!(judged.unknowns[0].what.contains("Calico's NetworkPolicy shop/c (list.json:"), "{:?}", judged.unknowns);
    assert_eq!(verdict(&calico, &CALICO, &flow(dns(), web(), TCP, 1), Side::Ingress), Decision::Accept);
    let left_behind = Enforcement::Yes { plugin: Plugin::Cilium, cited: None };
    assert_eq!(verdict(&calico, &left_behind, &to_dns, Side::Egress), Decision::Accept);
    let cilium = |selector: Value| {
        of(Kind::CiliumNetworkPolicy, &[("c", json!({"endpointSelector": selector, "egress": [{}]}))])
    };
    let by = |selector: Value| verdict(&cilium(selector), &left_behind, &to_dns, Side::Egress);
    assert_eq!(by(json!({})), Decision::Depends);
    assert_eq!(by(json!({"matchLabels": {"k8s:app": "web"}})), Decision::Depends);
    assert_eq!(by(json!({"matchLabels": {"any:app": "api"}})), Decision::Accept);
    assert_eq!(by(json!({"matchLabels": {"reserved:init": ""}})), Decision::Depends);
    let host = of(Kind::CalicoHostEndpoint, &[("h", json!({"node": "n1", "interfaceName": "*"}))]);
    let node = Endpoint::node(Host { name: "n1".into(), labels: None }, ip("192.0.2.1"));
    assert_eq!(verdict(&host, &CALICO, &flow(dns(), node, TCP, 10250), Side::Ingress), Decision::Depends);
}

#[test]
fn what_is_missing_or_unreadable_is_an_unknown() {
    let mut policies = Policies::default();
    policies.missing(Kind::NetworkPolicy, "forbidden");
    let to_dns = flow(web(), dns(), TCP, 53);
    let judged = policies.judge(&CALICO, &to_dns, Side::Egress);
    assert_eq!(judged.verdict, Decision::Depends);
    assert_eq!(judged.unknowns[0].what, "which objects of NetworkPolicy there are: forbidden");
    let odd = [
        json!(null),
        json!(7),
        json!({}),
        json!({"metadata": {}}),
        json!({"metadata": {"name": 7}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": 7}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": "Egress"}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": [], "policyTypes": ["Egress"]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [7]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [{"via": []}]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [{"to": [{}]}]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "x"}}]}]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [{"ports": [{"port": -1}]}]}}),
        json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}, "egress": [{"ports": [{"port": 9, "endPort": 3}]}]}}),
    ];
    for object in odd {
        let mut policies = Policies::default();
        let list = json!({"items": [object.clone()]}).to_string();
        policies.add(Kind::NetworkPolicy, &Arc::from("list.json"), list.as_bytes()).unwrap();
        assert_eq!(policies.len(), 1);
        assert_eq!(verdict(&policies, &CALICO, &to_dns, Side::Egress), Decision::Depends, "{object}");
    }
    assert!(Policies::default().add(Kind::NetworkPolicy, &Arc::from("f"), b"\xff{").is_err());
}
