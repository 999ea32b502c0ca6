//! Small clusters and policies that cover the axes: which pods, which namespaces, peers by selectors and blocks, ports
//! by number, range, name and protocol, directions, empty and absent lists, tiers and their actions.

use serde_json::{Value, json};

use super::naive::End;
use super::random::Random;

pub const PORTS: [u16; 5] = [53, 80, 81, 8080, 8085];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const NODES: [&str; 2] = ["n1", "n2"];

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn namespace_labels(name: &str, random: &mut Random) -> Vec<(String, String)> {
    let mut labels = owned(&[("kubernetes.io/metadata.name", name)]);
    if random.chance(60) {
        labels.push(("team".into(), (*random.pick(&["a", "b"])).into()));
    }
    labels
}

/// Nine pods of three namespaces, of which some are on the host's network or have ended, two nodes, two addresses
/// outside.
pub fn ends(random: &mut Random) -> Vec<End> {
    let mut ends = Vec::new();
    let node_labels = [owned(&[("role", "edge")]), owned(&[("role", "core")])];
    for (at, namespace) in NAMESPACES.iter().enumerate() {
        let labels_of_namespace = namespace_labels(namespace, random);
        for (place, app) in ["a", "b", "c"].iter().enumerate() {
            let node = random.below(2);
            let host_network = random.chance(8);
            let mut labels = owned(&[("app", app)]);
            if random.chance(50) {
                labels.push(("tier".into(), (*random.pick(&["web", "db"])).into()));
            }
            let mut ports = vec![("http".to_owned(), *random.pick(&[80, 8080]), "TCP".to_owned())];
            if random.chance(50) {
                ports.push(("dns".into(), 53, (*random.pick(&["TCP", "UDP", "SCTP"])).into()));
            }
            ends.push(End {
                namespace: Some((*namespace).into()),
                name: (*app).into(),
                labels,
                namespace_labels: labels_of_namespace.clone(),
                address: if host_network { [192, 0, 2, node as u8 + 1] } else { [10, 244, at as u8, place as u8 + 4] },
                node: Some(NODES[node].into()),
                host_network,
                ended: random.chance(5),
                ports,
                node_labels: node_labels[node].clone(),
            });
        }
    }
    let bare = |name: &str, address, node: Option<&str>, node_labels| End {
        namespace: None,
        name: name.into(),
        labels: Vec::new(),
        namespace_labels: Vec::new(),
        address,
        node: node.map(str::to_owned),
        host_network: false,
        ended: false,
        ports: Vec::new(),
        node_labels,
    };
    ends.push(bare("n1", [192, 0, 2, 1], Some("n1"), node_labels[0].clone()));
    ends.push(bare("n2", [192, 0, 2, 2], Some("n2"), node_labels[1].clone()));
    ends.push(bare("out", [198, 51, 100, 7], None, Vec::new()));
    ends.push(bare("far", [203, 0, 113, 128], None, Vec::new()));
    ends
}

fn expression(key: &str, values: &[&str], random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({"key": key, "operator": "In", "values": [random.pick(values)]}),
        1 => json!({"key": key, "operator": "NotIn", "values": [random.pick(values)]}),
        2 => json!({"key": key, "operator": "Exists"}),
        _ => json!({"key": key, "operator": "DoesNotExist"}),
    }
}

fn pod_selector(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!({}),
        1 => json!({"matchLabels": {}, "matchExpressions": []}),
        2 => json!({"matchLabels": {"app": random.pick(&["a", "b", "c"])}}),
        3 => json!({"matchExpressions": [expression("tier", &["web", "db"], random)]}),
        4 => json!({"matchLabels": {"app": random.pick(&["a", "b"])},
            "matchExpressions": [expression("tier", &["web", "db"], random)]}),
        _ => json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "c"]}]}),
    }
}

fn namespace_selector(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({}),
        1 => json!({"matchLabels": {"kubernetes.io/metadata.name": random.pick(&NAMESPACES)}}),
        2 => json!({"matchLabels": {"team": random.pick(&["a", "b"])}}),
        _ => json!({"matchExpressions": [expression("team", &["a", "b"], random)]}),
    }
}

const CIDRS: [&str; 8] = [
    "0.0.0.0/0",
    "10.244.0.0/16",
    "10.244.1.7/24",
    "10.244.0.4/32",
    "192.0.2.0/24",
    "192.0.2.2/32",
    "198.51.100.0/24",
    "203.0.113.128/25",
];

fn peer(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!({"podSelector": pod_selector(random)}),
        1 => json!({"namespaceSelector": namespace_selector(random)}),
        2 | 3 => json!({"namespaceSelector": namespace_selector(random), "podSelector": pod_selector(random)}),
        4 => json!({"ipBlock": {"cidr": random.pick(&CIDRS)}}),
        _ => json!({"ipBlock": {"cidr": random.pick(&CIDRS[..2]), "except": [random.pick(&CIDRS[2..])]}}),
    }
}

fn port(random: &mut Random) -> Value {
    let mut port = json!({});
    if random.chance(70) {
        port["protocol"] = json!(random.pick(&["TCP", "UDP", "SCTP"]));
    }
    match random.below(5) {
        0 => {}
        1 => port["port"] = json!(random.pick(&["http", "dns", "nobody"])),
        2 => {
            port["port"] = json!(random.pick(&[53, 80]));
            port["endPort"] = json!(random.pick(&[80, 81, 8080]));
        }
        _ => port["port"] = json!(random.pick(&PORTS)),
    }
    port
}

fn some<T>(random: &mut Random, most: usize, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
    (0..random.below(most + 1)).map(|_| make(random)).collect()
}

fn rule(peers: &str, random: &mut Random) -> Value {
    let mut rule = json!({});
    if random.chance(80) {
        rule[peers] = json!(some(random, 2, peer));
    }
    if random.chance(70) {
        rule["ports"] = json!(some(random, 2, port));
    }
    rule
}

pub fn network_policies(random: &mut Random) -> Vec<Value> {
    let count = 1 + random.below(6);
    let one = |number: usize, random: &mut Random| {
        let mut spec = json!({"podSelector": pod_selector(random)});
        if random.chance(75) {
            let types = [json!(["Ingress"]), json!(["Egress"]), json!(["Ingress", "Egress"]), json!([])];
            spec["policyTypes"] = random.pick(&types).clone();
        }
        for (field, peers) in [("ingress", "from"), ("egress", "to")] {
            match random.below(5) {
                0 => {}
                1 => spec[field] = Value::Null,
                _ => spec[field] = json!(some(random, 3, |random| rule(peers, random))),
            }
        }
        json!({"metadata": {"name": format!("p{number}"), "namespace": random.pick(&NAMESPACES)}, "spec": spec})
    };
    (0..count).map(|number| one(number, random)).collect()
}

fn tier_subject(random: &mut Random) -> Value {
    if random.chance(50) {
        json!({"namespaces": namespace_selector(random)})
    } else {
        json!({"pods": {"namespaceSelector": namespace_selector(random), "podSelector": pod_selector(random)}})
    }
}

fn tier_peer(egress: bool, random: &mut Random) -> Value {
    match random.below(if egress { 4 } else { 2 }) {
        0 | 1 => tier_subject(random),
        2 => json!({"networks": [random.pick(&CIDRS), random.pick(&CIDRS)]}),
        _ => {
            json!({"nodes": if random.chance(30) { json!({}) } else { json!({"matchLabels": {"role": random.pick(&["edge", "core"])}}) }})
        }
    }
}

fn tier_port(cluster: bool, random: &mut Random) -> Value {
    let number = *random.pick(&PORTS);
    let protocol = *random.pick(&["TCP", "UDP", "SCTP"]);
    match (cluster, random.below(4)) {
        (false, 0) => json!({"portRange": {"protocol": protocol, "start": 53, "end": number.max(54)}}),
        (false, 1) => json!({"namedPort": random.pick(&["http", "dns"])}),
        (false, 2) => json!({"portNumber": {"port": number}}),
        (false, _) => json!({"portNumber": {"protocol": protocol, "port": number}}),
        (true, 0) => json!({"destinationNamedPort": random.pick(&["http", "dns"])}),
        (true, 1) => {
            json!({protocol.to_lowercase(): {"destinationPort": {"range": {"start": 53, "end": number.max(54)}}}})
        }
        (true, 2) => json!({protocol.to_lowercase(): {}}),
        (true, _) => json!({protocol.to_lowercase(): {"destinationPort": {"number": number}}}),
    }
}

/// Policies of one version, with unique priorities: at most one baseline in v1alpha1.
pub fn tier_policies(cluster: bool, random: &mut Random) -> Vec<Value> {
    let count = 1 + random.below(4);
    let one = |number: usize, random: &mut Random| {
        let baseline = if cluster { random.chance(40) } else { number == 0 };
        let mut spec = json!({"subject": tier_subject(random)});
        for (field, peers, egress) in [("ingress", "from", false), ("egress", "to", true)] {
            let rules = some(random, 4, |random| {
                let action = match (random.below(3), cluster) {
                    (0, true) => "Accept",
                    (0, false) => "Allow",
                    (1, _) => "Deny",
                    (_, false) if baseline => "Deny",
                    _ => "Pass",
                };
                let first = tier_peer(egress, random);
                let mut rule = json!({"action": action, peers: [first]});
                if random.chance(40) {
                    let second = tier_peer(egress, random);
                    rule[peers].as_array_mut().unwrap().push(second);
                }
                if random.chance(70) {
                    let field = if cluster { "protocols" } else { "ports" };
                    let ports = [tier_port(cluster, random), tier_port(cluster, random)];
                    rule[field] = json!(&ports[..1 + random.below(2)]);
                }
                rule
            });
            if random.chance(85) {
                spec[field] = json!(rules);
            }
        }
        let kind = match (cluster, baseline) {
            (true, _) => "ClusterNetworkPolicy",
            (false, true) => "BaselineAdminNetworkPolicy",
            (false, false) => "AdminNetworkPolicy",
        };
        if cluster {
            spec["tier"] = json!(if baseline { "Baseline" } else { "Admin" });
        }
        if kind != "BaselineAdminNetworkPolicy" {
            spec["priority"] = json!((number * 37) % 101);
        }
        json!({"kind": kind, "metadata": {"name": format!("t{number}")}, "spec": spec})
    };
    (0..count).map(|number| one(number, random)).collect()
}
