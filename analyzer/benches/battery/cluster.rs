//! A bundle of a cluster whose nodes are all collected. What a node's folder holds besides its rules is that of the
//! sample `healthy`, which a collector wrote, with the node's own addresses in it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use bundle::{Bundle, BundleWriter, ItemDraft, ItemEnd, ItemStatus, Limits, Scope, Source};

use crate::manifest::manifest;
use crate::rules;

/// What of the sample's node is taken over: all that a walk reads.
const TAKEN: [&str; 18] = [
    "node.ip.link",
    "node.ip.addr4",
    "node.ip.addr6",
    "node.ip.route4",
    "node.ip.route6",
    "node.ip.rule4",
    "node.ip.rule6",
    "node.ip.neigh",
    "node.sysctl",
    "node.sock.listening",
    "node.iptables.nft-v6",
    "node.iptables.legacy-v4",
    "node.iptables.legacy-v6",
    "node.ipset.sets",
    "node.ipvs.services",
    "node.ipvs.proc",
    "node.nft.tables",
    "node.xtables.backends",
];
/// The first node has the API server.
const API_SERVER: &str = r#""sockets": [
    {"address": "::", "family": 6, "inode": 1, "owners": [{"comm": "kube-apiserver", "pid": 1}], "port": 6443,
     "protocol": "tcp", "receive_queue": 0, "send_queue": 0, "state": "listen", "uid": 0},"#;
/// Pod networks are 10.244.1.0/24 to 10.244.240.0/24, nodes 10.240.0.11 to 10.240.0.250.
const MOST_NODES: usize = 240;
/// How many pods can be on a node.
const ADDRESSES: usize = 250;

/// Writes the bundle.
pub fn make(target: &Path, nodes: usize, services: usize) {
    assert!((1..=MOST_NODES).contains(&nodes), "there can be 1 to {MOST_NODES} nodes");
    assert!(services * 3 <= nodes * ADDRESSES, "a node has addresses for {ADDRESSES} pods");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/healthy.zip");
    let sample = Bundle::open(&sample, Limits::default()).expect("the sample can be opened");
    let writer = BundleWriter::create(target, "A bundle of a benchmark.\n").expect("the bundle can be begun");
    lists(&writer, nodes, services);
    for node in 0..nodes {
        folder(&writer, &sample, node, nodes, services);
    }
    writer.finish(manifest("benchmark", gathered())).expect("the bundle can be finished");
}

fn node_name(node: usize) -> String {
    format!("worker-{}", node + 1)
}

fn node_address(node: usize) -> String {
    format!("10.240.0.{}", node + 11)
}

/// The node of an endpoint, and the address there.
fn endpoint(nodes: usize, service: usize, place: usize) -> (usize, String) {
    let number = service * 3 + place;
    let node = number % nodes;
    (node, format!("10.244.{}.{}", node + 1, number / nodes + 2))
}

fn folder(writer: &BundleWriter, sample: &Bundle, node: usize, nodes: usize, services: usize) {
    let scope = Scope::Node(node_name(node));
    let of_sample = Scope::Node("worker-1".to_owned());
    let taken = |item: &&bundle::ItemRecord| item.scope == of_sample && TAKEN.contains(&item.id.as_str());
    for item in sample.manifest().items.iter().filter(taken) {
        let draft = draft(&item.id, scope.clone(), item.source.clone());
        let Some(path) = &item.path else {
            let end = ItemEnd::because(item.status, item.reason.clone().unwrap_or_default());
            writer.record(draft, end, gathered());
            continue;
        };
        let bytes = sample.read(path).expect("the sample's item can be read");
        let mut text = own(&String::from_utf8_lossy(&bytes), node, nodes);
        if node == 0 && item.id == "node.sock.listening" {
            text = text.replacen("\"sockets\": [", API_SERVER, 1);
        }
        let path = path.replace("nodes/worker-1/", &format!("nodes/{}/", node_name(node)));
        write(writer, draft, path, &text);
    }
    let dump = rules::dump(node, services, &|service, place| endpoint(nodes, service, place).1);
    let source = Source::Argv(["iptables-nft-save", "-c"].map(str::to_owned).to_vec());
    let path = format!("nodes/{}/firewall/iptables-nft.v4", node_name(node));
    write(writer, draft("node.iptables.nft-v4", scope, source), path, &dump);
}

/// The sample's text with the node's addresses, and a route to each other node's pods.
fn own(text: &str, node: usize, nodes: usize) -> String {
    let route = |number: usize| {
        format!(
            r#"{{"dst":"10.244.{number}.0/24","gateway":"10.244.{number}.0","dev":"flannel.1","flags":["onlink"]}},"#
        )
    };
    let peers: String = (0..nodes).filter(|peer| *peer != node).map(|peer| route(peer + 1)).collect();
    // The address of the sample's node is replaced before routes are added that look like its own.
    text.replace(&route(0), "\u{1}")
        .replace(&route(2), "")
        .replace("10.240.0.12", &node_address(node))
        .replace("10.244.1.", &format!("10.244.{}.", node + 1))
        .replace('\u{1}', &peers)
}

fn lists(writer: &BundleWriter, nodes: usize, services: usize) {
    let all = (0..services).flat_map(|service| (0..rules::endpoints_of(service)).map(move |place| (service, place)));
    let pods = all.map(|(service, place)| pod(nodes, service, place));
    let slices = (0..services).map(|service| slice(nodes, service));
    list(writer, "api.nodes", "core/nodes", (0..nodes).map(node_object));
    list(writer, "api.pods", "core/pods", pods);
    list(writer, "api.services", "core/services", (0..services).map(service_object).chain([kubernetes_service()]));
    list(writer, "api.endpointslices", "discovery.k8s.io/endpointslices", slices.chain([kubernetes_slice()]));
    list(writer, "api.netpol.networkpolicies", "networking.k8s.io/networkpolicies", std::iter::empty());
}

fn list(writer: &BundleWriter, id: &str, path: &str, objects: impl Iterator<Item = String>) {
    let objects: Vec<String> = objects.collect();
    let head = r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#;
    let text = format!("{head}{}]}}\n", objects.join(",\n"));
    let draft = draft(id, Scope::Cluster, Source::Computed("benchmark".to_owned()));
    write(writer, draft, format!("cluster/{path}.json"), &text);
}

fn draft(id: &str, scope: Scope, source: Source) -> ItemDraft {
    ItemDraft { id: id.to_owned(), scope, source, plan: id.to_owned() }
}

fn write(writer: &BundleWriter, draft: ItemDraft, path: String, text: &str) {
    let mut item = writer.begin(draft, path).expect("the item can be begun");
    item.write_all(text.as_bytes()).expect("the item can be written");
    item.end(ItemEnd::new(ItemStatus::Ok)).expect("the item can be ended");
}

fn node_object(node: usize) -> String {
    let (name, address, network) = (node_name(node), node_address(node), node + 1);
    format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"podCIDR":"10.244.{network}.0/24","podCIDRs":["10.244.{network}.0/24"]}},"status":{{"addresses":[{{"type":"InternalIP","address":"{address}"}},{{"type":"Hostname","address":"{name}"}}],"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
    )
}

fn pod(nodes: usize, service: usize, place: usize) -> String {
    let (namespace, name) = rules::name(service);
    let (node, address) = endpoint(nodes, service, place);
    let port = rules::ports_of(service).first().map_or(80, |(.., target)| *target);
    format!(
        r#"{{"metadata":{{"name":"{name}-{place}","namespace":"{namespace}","uid":"00000000-0000-4000-8000-{service:06}{place:06}","labels":{{"app":"{name}"}}}},"spec":{{"nodeName":"{}","containers":[{{"name":"app","image":"app:1","ports":[{{"containerPort":{port},"protocol":"TCP"}}]}}]}},"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}],"hostIP":"{}","podIP":"{address}","podIPs":[{{"ip":"{address}"}}]}}}}"#,
        node_name(node),
        node_address(node)
    )
}

fn service_object(service: usize) -> String {
    let (namespace, name) = rules::name(service);
    let address = rules::cluster_ip(service);
    let node_port = rules::node_port_of(service);
    let ports = rules::ports_of(service).iter().map(|(protocol, name, port, target)| {
        let own = node_port.map_or(String::new(), |number| format!(r#","nodePort":{number}"#));
        let protocol = protocol.to_uppercase();
        format!(r#"{{"name":"{name}","port":{port},"protocol":"{protocol}","targetPort":{target}{own}}}"#)
    });
    let (ports, kind) = (ports.collect::<Vec<_>>().join(","), node_port.map_or("ClusterIP", |_| "NodePort"));
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":{{"type":"{kind}","clusterIP":"{address}","clusterIPs":["{address}"],"selector":{{"app":"{name}"}},"ports":[{ports}]}}}}"#
    )
}

fn slice(nodes: usize, service: usize) -> String {
    let (namespace, name) = rules::name(service);
    let mut endpoints = String::new();
    for place in 0..rules::endpoints_of(service) {
        let (node, address) = endpoint(nodes, service, place);
        let comma = if place == 0 { "" } else { "," };
        let node = node_name(node);
        write!(endpoints, r#"{comma}{{"addresses":["{address}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"nodeName":"{node}"}}"#).ok();
    }
    let ports = rules::ports_of(service).iter().map(|(protocol, name, _, target)| {
        format!(r#"{{"name":"{name}","port":{target},"protocol":"{}"}}"#, protocol.to_uppercase())
    });
    format!(
        r#"{{"metadata":{{"name":"{name}-abcde","namespace":"{namespace}","labels":{{"kubernetes.io/service-name":"{name}"}}}},"addressType":"IPv4","endpoints":[{endpoints}],"ports":[{}]}}"#,
        ports.collect::<Vec<_>>().join(",")
    )
}

fn kubernetes_service() -> String {
    r#"{"metadata":{"name":"kubernetes","namespace":"default"},"spec":{"type":"ClusterIP","clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ports":[{"name":"https","port":443,"protocol":"TCP","targetPort":6443}]}}"#.to_owned()
}

fn kubernetes_slice() -> String {
    format!(
        r#"{{"metadata":{{"name":"kubernetes","namespace":"default","labels":{{"kubernetes.io/service-name":"kubernetes"}}}},"addressType":"IPv4","endpoints":[{{"addresses":["{}"],"conditions":{{"ready":true}}}}],"ports":[{{"name":"https","port":6443,"protocol":"TCP"}}]}}"#,
        node_address(0)
    )
}

fn gathered() -> jiff::Timestamp {
    "2026-11-21T10:00:00Z".parse().expect("a time")
}
