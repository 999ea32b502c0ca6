//! What real kube-proxy 1.34 wrote for the Services and EndpointSlices in `data/kube-proxy`, of a real API server, on the
//! node n1 in the zone a. Every difference is made by a test.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use netpath::address::Family;
use netpath::iptables::{self, Backend};
use netpath::node::Node;
use netpath::service::{
    Comparison, Difference, Endpoint, EndpointSlice, Mode, Place, Service, ServicePort, SlicePort, State, compare,
    detect,
};
use netpath::{ipset, ipvs, link, nft, protocol};
use serde_json::Value;

const SERVICES: &str = include_str!("data/kube-proxy/services.json");
const SLICES: &str = include_str!("data/kube-proxy/endpointslices.json");
const IPTABLES: [&str; 2] = [include_str!("data/kube-proxy/iptables.v4"), include_str!("data/kube-proxy/iptables.v6")];
const NFTABLES: &str = include_str!("data/kube-proxy/nftables.json");

const PLACE: Place<'_> = Place { node: "n1", zone: Some("a"), settled_before: Some(200) };
const BOTH: [Family; 2] = [Family::V4, Family::V6];

fn items(list: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(list).unwrap()["items"].as_array().unwrap().clone()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().trim().to_owned()).collect()
}

fn addresses(value: &Value) -> Vec<IpAddr> {
    texts(value).iter().filter_map(|text| text.parse().ok()).collect()
}

fn number(value: &Value) -> u16 {
    value.as_u64().unwrap_or_default() as u16
}

fn proto(value: &Value) -> u8 {
    protocol::number(value.as_str().unwrap_or("TCP")).unwrap()
}

fn text(value: &Value) -> Option<Arc<str>> {
    value.as_str().map(Arc::from)
}

fn slice(object: &Value) -> EndpointSlice {
    let hints = |value: &Value| -> Vec<Arc<str>> {
        value.as_array().into_iter().flatten().filter_map(|hint| text(&hint["name"])).collect()
    };
    let endpoint = |object: &Value| Endpoint {
        address: object["addresses"][0].as_str().unwrap().parse().unwrap(),
        ready: object["conditions"]["ready"].as_bool().unwrap_or(true),
        serving: object["conditions"]["serving"].as_bool().unwrap_or(true),
        terminating: object["conditions"]["terminating"].as_bool().unwrap_or(false),
        node: text(&object["nodeName"]),
        zone_hints: hints(&object["hints"]["forZones"]),
        node_hints: hints(&object["hints"]["forNodes"]),
    };
    let port = |object: &Value| SlicePort {
        name: text(&object["name"]),
        protocol: proto(&object["protocol"]),
        port: object["port"].as_u64().map(|port| port as u16),
    };
    EndpointSlice {
        ports: object["ports"].as_array().into_iter().flatten().map(port).collect(),
        endpoints: object["endpoints"].as_array().into_iter().flatten().map(endpoint).collect(),
    }
}

fn service(object: &Value, slices: &[Value]) -> Service {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let has_label = |key: &str| metadata["labels"].get(key).is_some();
    let own = slices.iter().filter(|slice| {
        slice["metadata"]["namespace"] == metadata["namespace"]
            && slice["metadata"]["labels"]["kubernetes.io/service-name"] == metadata["name"]
    });
    let port = |port: &Value| ServicePort {
        name: text(&port["name"]).unwrap_or_default(),
        protocol: proto(&port["protocol"]),
        port: number(&port["port"]),
        node_port: number(&port["nodePort"]),
    };
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    let vips = ingress.iter().filter(|one| one["ipMode"] != "Proxy");
    Service {
        namespace: text(&metadata["namespace"]).unwrap(),
        name: text(&metadata["name"]).unwrap(),
        proxied: spec["type"] != "ExternalName"
            && !has_label("service.kubernetes.io/service-proxy-name")
            && !has_label("service.kubernetes.io/headless"),
        cluster_ips: addresses(&spec["clusterIPs"]),
        ports: spec["ports"].as_array().into_iter().flatten().map(port).collect(),
        external_ips: addresses(&spec["externalIPs"]),
        load_balancer_ips: vips.filter_map(|one| one["ip"].as_str()?.parse().ok()).collect(),
        source_ranges: texts(&spec["loadBalancerSourceRanges"]).iter().map(|range| range.parse().unwrap()).collect(),
        internal_local: spec["internalTrafficPolicy"] == "Local",
        external_local: spec["externalTrafficPolicy"] == "Local",
        health_check_node_port: number(&spec["healthCheckNodePort"]),
        slices: own.map(slice).collect(),
        changed: Some(100),
    }
}

fn services() -> Vec<Service> {
    let slices = items(SLICES);
    items(SERVICES).iter().map(|object| service(object, &slices)).collect()
}

fn named<'s>(services: &'s mut [Service], name: &str) -> &'s mut Service {
    services.iter_mut().find(|service| &*service.name == name).unwrap()
}

fn with_iptables(v4: &str) -> Node {
    let rulesets = [(v4, Family::V4), (IPTABLES[1], Family::V6)];
    let parse =
        |(text, family): (&str, Family)| Arc::new(iptables::parse("iptables", text.as_bytes(), family, Backend::Nft));
    Node { rulesets: rulesets.into_iter().map(parse).collect(), ..Node::default() }
}

fn with_nftables(json: &str) -> Node {
    Node { nft: Some(nft::parse("nft.json", json.as_bytes()).unwrap()), ..Node::default() }
}

fn differing(comparison: &Comparison) -> Vec<String> {
    comparison.differing().map(|port| format!("{} {:?} {:?}", port.name, port.state, port.differences)).collect()
}

fn found(node: &Node, services: &[Service], mode: Mode, family: Family) -> Comparison {
    compare(node, services, PLACE, family, mode).unwrap()
}

fn state(comparison: &Comparison, name: &str) -> State {
    comparison.ports.iter().find(|port| port.name.to_string() == name).unwrap().state
}

fn differences(comparison: &Comparison, name: &str) -> Vec<String> {
    let port = comparison.ports.iter().find(|port| port.name.to_string() == name).unwrap();
    port.differences.iter().map(Difference::to_string).collect()
}

#[test]
fn what_kube_proxy_wrote_is_what_it_should_have_written() {
    let services = services();
    for (mode, node) in [(Mode::Iptables, with_iptables(IPTABLES[0])), (Mode::Nftables, with_nftables(NFTABLES))] {
        for (family, ports) in BOTH.into_iter().zip([26, 5]) {
            assert_eq!(detect(&node, family), Some(mode));
            let comparison = found(&node, &services, mode, family);
            assert_eq!(comparison.ports.len(), ports);
            assert_eq!(differing(&comparison), Vec::<String>::new(), "{mode:?} {family:?}");
            assert!(comparison.base.is_empty(), "{:?}", comparison.base);
            assert!(comparison.leftovers.is_empty(), "{:?}", comparison.leftovers);
            assert!(comparison.doubts.is_empty(), "{:?}", comparison.doubts);
        }
    }
}

/// The dump with the lines changed that `change` changes; `None` leaves a line out.
fn changed(dump: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut text: String = dump.lines().filter_map(change).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

fn without(dump: &str, word: &str) -> String {
    assert!(dump.contains(word), "{word}");
    changed(dump, |line| (!line.contains(word)).then(|| line.to_owned()))
}

#[test]
fn a_flushed_nat_table_lacks_everything() {
    let nat = IPTABLES[0].find("*nat").unwrap();
    let comparison = found(&with_iptables(&IPTABLES[0][..nat]), &services(), Mode::Iptables, Family::V4);
    // What has endpoints is missing; what has none is refused in the table filter, which is still there.
    assert_eq!((comparison.count(State::Missing), comparison.count(State::Present)), (19, 6));
    assert!(comparison.base.iter().any(|missing| missing.to_string().contains("PREROUTING to KUBE-SERVICES")));
    assert!(
        comparison
            .base
            .iter()
            .any(|missing| missing.to_string() == "the chain KUBE-SERVICES in the table nat is missing")
    );
    let comparison = found(&with_nftables(r#"{"nftables":[]}"#), &services(), Mode::Nftables, Family::V4);
    assert_eq!(comparison.count(State::Missing), 26);
    assert_eq!(comparison.base.len(), 1);
    assert!(compare(&Node::default(), &services(), PLACE, Family::V4, Mode::Iptables).is_none());
}

#[test]
fn an_endpoint_that_the_api_lost_is_stale_and_one_that_it_gained_is_missing() {
    for (mode, node) in [(Mode::Iptables, with_iptables(IPTABLES[0])), (Mode::Nftables, with_nftables(NFTABLES))] {
        let mut services = services();
        let endpoints = &mut named(&mut services, "web").slices[0].endpoints;
        let gone = endpoints.iter().position(|endpoint| endpoint.address.to_string() == "10.244.2.10").unwrap();
        endpoints.remove(gone);
        let comparison = found(&node, &services, mode, Family::V4);
        assert_eq!(comparison.differing().count(), 1);
        assert_eq!(state(&comparison, "demo/web"), State::Stale);
        let stale = &comparison.differing().next().unwrap().differences[0];
        assert!(stale.to_string().contains("leads to 10.244.2.10:8080, which is no endpoint any more"));
        let cited = stale.cited().unwrap();
        assert!(cited.origin.line > 0 && cited.text.contains("10.244.2.10"), "{cited:?}");

        let endpoints = &mut named(&mut services, "web").slices[0].endpoints;
        endpoints[0].address = "10.244.2.99".parse().unwrap();
        let comparison = found(&node, &services, mode, Family::V4);
        assert_eq!(state(&comparison, "demo/web"), State::Partial);
        named(&mut services, "web").changed = Some(200);
        let comparison = found(&node, &services, mode, Family::V4);
        assert_eq!(comparison.differing().count(), 0, "what changed just now proves nothing");
        assert_eq!(comparison.count(State::Partial), 0);
    }
}

#[test]
fn a_service_that_the_node_does_not_know_is_missing_and_one_that_is_gone_is_left_over() {
    for (mode, node) in [(Mode::Iptables, with_iptables(IPTABLES[0])), (Mode::Nftables, with_nftables(NFTABLES))] {
        let mut services = services();
        let mut new = named(&mut services, "sticky").clone();
        (new.name, new.cluster_ips) = (Arc::from("newer"), vec!["10.96.99.99".parse().unwrap()]);
        services.push(new);
        services.retain(|service| &*service.name != "web");
        let comparison = found(&node, &services, mode, Family::V4);
        assert_eq!(differing(&comparison).len(), 1);
        assert_eq!(state(&comparison, "demo/newer:http"), State::Missing);
        let left: Vec<&str> = comparison.leftovers.iter().map(|left| &*left.what).collect();
        assert!(left.contains(&"node port 30080/tcp") && left.len() == 4, "{left:?}");
        assert!(comparison.leftovers.iter().all(|left| left.reachable && left.cited.origin.line > 0));
        if mode == Mode::Iptables {
            let named = comparison.leftovers.iter().filter(|left| left.service.as_deref() == Some("demo/web"));
            assert_eq!(named.count(), 3);
        }
    }
}

#[test]
fn each_part_of_iptables_mode_is_missed() {
    let dump = IPTABLES[0];
    let check = |dump: &str, name: &str, wanted: State, words: &str| {
        let comparison = found(&with_iptables(dump), &services(), Mode::Iptables, Family::V4);
        assert_eq!(differing(&comparison).len(), 1, "{:?}", differing(&comparison));
        assert_eq!(state(&comparison, name), wanted);
        assert!(differences(&comparison, name).iter().any(|text| text.contains(words)), "{:?}", differing(&comparison));
    };
    // The rule of one endpoint, its translation, and a translation to elsewhere.
    let rule = without(dump, "demo/sticky:http -> 10.244.2.20:80");
    check(&rule, "demo/sticky:http", State::Partial, "does not lead to 10.244.2.20:80");
    let translation = without(dump, "-j DNAT --to-destination 10.244.2.94:8443");
    check(&translation, "demo/single:https", State::Partial, "does not lead to 10.244.2.94:8443");
    let elsewhere = dump.replace("--to-destination 10.244.2.94:8443", "--to-destination 10.244.2.95:8443");
    check(&elsewhere, "demo/single:https", State::Wrong, "leads to 10.244.2.95:8443");
    // The frontends of each kind.
    let cluster = without(dump, r#""demo/single:https cluster IP" -m tcp --dport 443 -j KUBE-SVC"#);
    check(&cluster, "demo/single:https", State::Missing, "nothing takes packets to 10.96.");
    let node_port = changed(dump, |line| {
        (!line.contains("-A KUBE-NODEPORTS -p tcp") || !line.contains("30080")).then(|| line.to_owned())
    });
    check(&node_port, "demo/web", State::Partial, "nothing takes packets to node port 30080/tcp");
    let external = without(dump, r#""demo/lb-cluster:http external IP""#);
    check(&external, "demo/lb-cluster:http", State::Partial, "192.0.2.9:80/tcp");
    let balanced = without(dump, r#""demo/lb-cluster:http loadbalancer IP""#);
    check(&balanced, "demo/lb-cluster:http", State::Partial, "203.0.113.9:80/tcp");
    // Refusals.
    let refusal = without(dump, r#""demo/not-ready:http has no endpoints""#);
    check(&refusal, "demo/not-ready:http", State::Missing, "nothing refuses packets");
    let dropped = without(dump, "-A KUBE-EXTERNAL-SERVICES -d 203.0.113.8/32");
    check(&dropped, "demo/lb-local-elsewhere:http", State::Partial, "203.0.113.8:80/tcp");
    // Source ranges, the rule that drops the rest, and health checks.
    let range = without(dump, "-A KUBE-FW-7HDJTYTIQWI4WLTR -s 198.51.100.0/24");
    check(&range, "demo/lb-restricted:http", State::Partial, "does not admit 198.51.100.0/24");
    let rest = without(dump, "-A KUBE-PROXY-FIREWALL -d 203.0.113.11/32");
    check(&rest, "demo/lb-restricted:http", State::Partial, "the check of 203.0.113.11:80/tcp");
    let health = without(dump, "--dport 30998 -j ACCEPT");
    check(&health, "demo/lb-local-elsewhere:http", State::Partial, "health check at port 30998");
    // The chain of packets from outside does not lead to the node's own endpoints.
    let local = without(dump, "-A KUBE-EXT-RFIRSHJ7FELU5G5Z -j KUBE-SVL");
    check(&local, "demo/lb-local:dns", State::Partial, "does not lead to KUBE-SVL-");
    // A port leads to the chain of another.
    let wrong = changed(dump, |line| {
        let other = line.replace("KUBE-SVC-TCOU7JCQXEZGVUNU", "KUBE-SVC-ERIFXISQEP7F7OF4");
        Some(if line.contains("-A KUBE-SERVICES") { other } else { line.to_owned() })
    });
    check(&wrong, "kube-system/kube-dns:dns", State::Wrong, "do not go to KUBE-SVC-TCOU7JCQXEZGVUNU");
}

#[test]
fn endpoints_that_come_and_go_turn_refusals_around() {
    for (mode, node) in [(Mode::Iptables, with_iptables(IPTABLES[0])), (Mode::Nftables, with_nftables(NFTABLES))] {
        let mut services = services();
        named(&mut services, "not-ready").slices[0].endpoints[0].ready = true;
        named(&mut services, "single").slices[0].endpoints[0].ready = false;
        let comparison = found(&node, &services, mode, Family::V4);
        assert_eq!(differing(&comparison).len(), 2);
        assert_eq!(state(&comparison, "demo/not-ready:http"), State::Wrong);
        assert_eq!(state(&comparison, "demo/single:https"), State::Wrong);
        let refused = comparison.ports.iter().flat_map(|port| &port.differences);
        assert!(refused.filter_map(Difference::cited).all(|cited| !cited.text.is_empty()));
    }
}

#[test]
fn kube_proxies_that_know_no_hints_or_no_last_resort_are_not_wrong() {
    let mut services = services();
    // As if the proxy had not looked at the hints to nodes, and had taken both of the zone's.
    let endpoints = &mut named(&mut services, "nodes").slices[0].endpoints;
    endpoints[0].node_hints = vec![Arc::from("n9")];
    endpoints[1].node_hints = vec![Arc::from("n1")];
    endpoints[1].zone_hints = vec![Arc::from("b")];
    // As if it had refused when only endpoints were left that are being deleted.
    named(&mut services, "not-ready").slices[0].endpoints[0].terminating = true;
    named(&mut services, "not-ready").slices[0].endpoints[0].serving = true;
    for (mode, node) in [(Mode::Iptables, with_iptables(IPTABLES[0])), (Mode::Nftables, with_nftables(NFTABLES))] {
        assert_eq!(differing(&found(&node, &services, mode, Family::V4)), Vec::<String>::new());
    }
}

#[test]
fn a_dump_that_is_cut_off_is_doubted() {
    let half = &IPTABLES[0][..IPTABLES[0].len() / 2];
    let comparison = found(&with_iptables(half), &services(), Mode::Iptables, Family::V4);
    assert_eq!(comparison.doubts.len(), 1);
    let broken = NFTABLES.replace(r#"{"goto": {"target": "external-WUFCSIHR-demo/web/tcp/"}}"#, r#"{"later": {}}"#);
    let comparison = found(&with_nftables(&broken), &services(), Mode::Nftables, Family::V4);
    assert!(!comparison.doubts.is_empty());
}

/// As `ipvsadm -Ln` prints it: the kernel of the machine where this was written has no IPVS, so the lines are written by
/// hand after pkg/proxy/ipvs/proxier.go and ipvsadm 1.2.1.
const IPVS: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.10.0.12:30080 rr
  -> 10.244.1.10:8080             Masq    1      0          0
  -> 10.244.2.10:8080             Masq    1      0          0
  -> 10.244.2.11:8080             Masq    1      0          0
TCP  10.96.1.1:80 rr
  -> 10.244.1.10:8080             Masq    1      0          0
  -> 10.244.2.10:8080             Masq    1      0          0
  -> 10.244.2.11:8080             Masq    1      0          0
  -> 10.244.2.9:8080              Masq    0      1          0
TCP  10.96.1.2:80 rr
TCP  10.96.1.3:80 rr persistent 900
  -> 10.244.1.20:80               Masq    1      0          0
  -> 10.244.2.20:80               Masq    1      0          0
";

const IPVS_LINKS: &str = r#"[{"ifname":"eth0","flags":["UP"],"addr_info":[{"local":"10.10.0.12","prefixlen":24}]},
{"ifname":"kube-ipvs0","flags":["BROADCAST"],"addr_info":[{"local":"10.96.1.1","prefixlen":32},{"local":"10.96.1.2","prefixlen":32},{"local":"10.96.1.3","prefixlen":32}]}]"#;

const IPVS_SETS: &str = "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536\n\
    add KUBE-CLUSTER-IP 10.96.1.1,tcp:80\nadd KUBE-CLUSTER-IP 10.96.1.2,tcp:80\nadd KUBE-CLUSTER-IP 10.96.1.3,tcp:80\n";

fn with_ipvs(servers: &str) -> Node {
    Node {
        ipvs: Some(ipvs::parse("ipvs", servers.as_bytes())),
        links: link::parse("addr", IPVS_LINKS.as_bytes()).unwrap(),
        ipsets: Some(ipset::parse("ipset", IPVS_SETS.as_bytes())),
        ..Node::default()
    }
}

#[test]
fn virtual_servers_of_ipvs() {
    let mut all = services();
    let ips = [("web", "10.96.1.1"), ("not-ready", "10.96.1.2"), ("sticky", "10.96.1.3")];
    all.retain(|service| ips.iter().any(|(name, _)| *name == &*service.name));
    ips.iter().for_each(|(name, ip)| named(&mut all, name).cluster_ips = vec![ip.parse().unwrap()]);
    let node = with_ipvs(IPVS);
    assert_eq!(detect(&node, Family::V4), Some(Mode::Ipvs));
    let comparison = found(&node, &all, Mode::Ipvs, Family::V4);
    assert_eq!(differing(&comparison), Vec::<String>::new());
    assert!(comparison.base.is_empty() && comparison.leftovers.is_empty() && comparison.doubts.is_empty());

    let check = |dump: &str, name: &str, wanted: State, words: &str| {
        let comparison = found(&with_ipvs(dump), &all, Mode::Ipvs, Family::V4);
        assert_eq!(state(&comparison, name), wanted, "{:?}", differing(&comparison));
        assert!(differences(&comparison, name).iter().any(|text| text.contains(words)), "{:?}", differing(&comparison));
    };
    check(&without(IPVS, "10.244.2.20"), "demo/sticky:http", State::Partial, "does not lead to 10.244.2.20:80");
    let drained = IPVS.replace("10.244.2.20:80               Masq    1", "10.244.2.20:80               Masq    0");
    check(&drained, "demo/sticky:http", State::Partial, "does not lead to 10.244.2.20:80");
    let stale = IPVS.replace("Masq    0      1", "Masq    1      1");
    check(&stale, "demo/web", State::Stale, "10.96.1.1:80/tcp leads to 10.244.2.9:8080");
    let gone = without(IPVS, "TCP  10.96.1.2:80");
    check(&gone, "demo/not-ready:http", State::Missing, "nothing takes packets to 10.96.1.2:80/tcp");
    let other = IPVS.replace("10.10.0.12:30080", "10.10.0.12:30081");
    check(&other, "demo/web", State::Partial, "node port 30080/tcp");
    let left = found(&with_ipvs(&other), &all, Mode::Ipvs, Family::V4).leftovers;
    assert_eq!(left.iter().map(|left| &*left.what).collect::<Vec<_>>(), ["10.10.0.12:30081/tcp"]);
    let mut unbound = with_ipvs(IPVS);
    unbound.links[1].addresses.remove(1);
    let comparison = found(&unbound, &all, Mode::Ipvs, Family::V4);
    assert!(differences(&comparison, "demo/not-ready:http")[0].contains("is not on kube-ipvs0"));
}
