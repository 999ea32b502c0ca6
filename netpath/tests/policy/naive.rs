//! An evaluation of policies written from the API's documentation alone: it reads the JSON itself, shares no code with
//! the engine, and works the other way round. It spells out, for each policy and rule, the set of (peer, protocol,
//! port) that the rule admits among all ends and ports of the small cluster, and then looks the flow up.
//!
//! It speaks for a plugin that implements everything, matches pods' and nodes' addresses by ipBlock, and does not see
//! pods on the host's network as pods.

use std::collections::BTreeSet;

use serde_json::Value;

/// Somebody who sends or receives: a pod, a node, or an address outside.
#[derive(Clone, Debug)]
pub struct End {
    pub namespace: Option<String>,
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub namespace_labels: Vec<(String, String)>,
    pub address: [u8; 4],
    pub node: Option<String>,
    pub host_network: bool,
    pub ended: bool,
    pub ports: Vec<(String, u16, String)>,
    pub node_labels: Vec<(String, String)>,
}

/// What a rule admits: places of ends, protocols, destination ports.
pub type Admitted = BTreeSet<(usize, &'static str, u16)>;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// The small cluster.
pub struct World<'w> {
    pub ends: &'w [End],
    pub ports: &'w [u16],
    pub policies: &'w [Value],
    pub admin: &'w [Value],
}

pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

pub fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// "A label selector is a label query … The result of matchLabels and matchExpressions are ANDed. An empty label
/// selector matches all objects."
pub fn selector_takes(selector: &Value, labels: &[(String, String)]) -> bool {
    let value_of = |key: &str| labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if let Some(wanted) = selector["matchLabels"].as_object() {
        for (key, value) in wanted {
            if value_of(key) != value.as_str() {
                return false;
            }
        }
    }
    for expression in list(selector, "matchExpressions") {
        let have = value_of(text(expression, "key"));
        let listed = |value: &str| list(expression, "values").iter().any(|one| one == value);
        let holds = match text(expression, "operator") {
            "In" => have.map(listed) == Some(true),
            "NotIn" => have.map(listed) != Some(true),
            "Exists" => have.is_some(),
            "DoesNotExist" => have.is_none(),
            other => panic!("the generator made {other}"),
        };
        if !holds {
            return false;
        }
    }
    true
}

fn number(address: [u8; 4]) -> u32 {
    address.iter().fold(0, |number, byte| number * 256 + u32::from(*byte))
}

fn in_cidr(cidr: &str, address: [u8; 4]) -> bool {
    let (network, length) = cidr.split_once('/').unwrap();
    let bytes: Vec<u8> = network.split('.').map(|byte| byte.parse().unwrap()).collect();
    let length: u32 = length.parse().unwrap();
    let network = number([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let size = 1u64 << (32 - length);
    u64::from(network) / size == u64::from(number(address)) / size
}

impl World<'_> {
    fn is_pod(&self, at: usize) -> bool {
        let end = &self.ends[at];
        end.namespace.is_some() && !end.host_network && !end.ended
    }

    /// Whether a NetworkPolicyPeer takes an end.
    fn peer_takes(&self, peer: &Value, namespace: &str, at: usize) -> bool {
        let end = &self.ends[at];
        if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
            let excepted =
                list(&peer["ipBlock"], "except").iter().any(|cidr| in_cidr(cidr.as_str().unwrap(), end.address));
            return in_cidr(cidr, end.address) && !excepted;
        }
        if !self.is_pod(at) {
            return false;
        }
        let in_namespace = if peer["namespaceSelector"].is_null() {
            end.namespace.as_deref() == Some(namespace)
        } else {
            selector_takes(&peer["namespaceSelector"], &end.namespace_labels)
        };
        in_namespace && (peer["podSelector"].is_null() || selector_takes(&peer["podSelector"], &end.labels))
    }

    /// Protocols and ports of a NetworkPolicyPort, of which names are looked up in the pod that receives.
    fn port_takes(&self, port: &Value, protocol: &str, wanted: u16, receiver: usize) -> bool {
        if protocol != port["protocol"].as_str().unwrap_or("TCP") {
            return false;
        }
        if port["port"].is_null() {
            return true;
        }
        if let Some(name) = port["port"].as_str() {
            let declared = &self.ends[receiver].ports;
            return self.is_pod(receiver)
                && declared.iter().any(|(own, number, kind)| own == name && *number == wanted && kind == protocol);
        }
        let first = port["port"].as_u64().unwrap();
        let last = port["endPort"].as_u64().unwrap_or(first);
        (first..=last).contains(&u64::from(wanted))
    }

    /// Everything that a list of rules admits for a subject.
    fn admitted(&self, rules: &[Value], egress: bool, namespace: &str, subject: usize) -> Admitted {
        let peers = if egress { "to" } else { "from" };
        let mut admitted = Admitted::new();
        for rule in rules {
            for other in 0..self.ends.len() {
                let by_peer = list(rule, peers);
                if !by_peer.is_empty() && !by_peer.iter().any(|peer| self.peer_takes(peer, namespace, other)) {
                    continue;
                }
                let receiver = if egress { other } else { subject };
                for protocol in PROTOCOLS {
                    for port in self.ports {
                        let by_port = list(rule, "ports");
                        let takes = |one: &Value| self.port_takes(one, protocol, *port, receiver);
                        if by_port.is_empty() || by_port.iter().any(takes) {
                            admitted.insert((other, protocol, *port));
                        }
                    }
                }
            }
        }
        admitted
    }

    /// What NetworkPolicies admit for a subject; none where none of them isolates it.
    fn network_policies(&self, egress: bool, subject: usize) -> Option<Admitted> {
        let end = &self.ends[subject];
        let mut union = None;
        for policy in self.policies {
            let spec = &policy["spec"];
            let namespace = text(&policy["metadata"], "namespace");
            if Some(namespace) != end.namespace.as_deref() || !selector_takes(&spec["podSelector"], &end.labels) {
                continue;
            }
            let types = list(spec, "policyTypes");
            let about = match (types.is_empty(), egress) {
                (true, false) => true,
                (true, true) => !list(spec, "egress").is_empty(),
                (false, _) => types.iter().any(|one| one == if egress { "Egress" } else { "Ingress" }),
            };
            if about {
                let rules = list(spec, if egress { "egress" } else { "ingress" });
                let own = self.admitted(rules, egress, namespace, subject);
                union.get_or_insert_with(Admitted::new).extend(own);
            }
        }
        union
    }

    fn pods_taken(subject: &Value, end: &End) -> bool {
        if !subject["namespaces"].is_null() {
            return selector_takes(&subject["namespaces"], &end.namespace_labels);
        }
        selector_takes(&subject["pods"]["namespaceSelector"], &end.namespace_labels)
            && selector_takes(&subject["pods"]["podSelector"], &end.labels)
    }

    fn tier_peer_takes(&self, peer: &Value, at: usize) -> bool {
        let end = &self.ends[at];
        if !peer["namespaces"].is_null() || !peer["pods"].is_null() {
            return self.is_pod(at) && Self::pods_taken(peer, end);
        }
        if !peer["nodes"].is_null() {
            let is_node = end.host_network || (end.namespace.is_none() && end.node.is_some());
            return is_node && selector_takes(&peer["nodes"], &end.node_labels);
        }
        list(peer, "networks").iter().any(|cidr| in_cidr(cidr.as_str().unwrap(), end.address))
    }

    fn tier_port_takes(&self, port: &Value, protocol: &str, wanted: u16, receiver: usize) -> bool {
        let within = |first: &Value, last: &Value| {
            (first.as_u64().unwrap()..=last.as_u64().unwrap()).contains(&u64::from(wanted))
        };
        let plain = |one: &Value| protocol == one["protocol"].as_str().unwrap_or("TCP");
        if port["portNumber"].is_object() {
            let one = &port["portNumber"];
            return plain(one) && within(&one["port"], &one["port"]);
        }
        if port["portRange"].is_object() {
            let one = &port["portRange"];
            return plain(one) && within(&one["start"], &one["end"]);
        }
        if let Some(name) = port["namedPort"].as_str().or(port["destinationNamedPort"].as_str()) {
            let declared = &self.ends[receiver].ports;
            return self.is_pod(receiver)
                && declared.iter().any(|(own, number, kind)| own == name && *number == wanted && kind == protocol);
        }
        let own = &port[protocol.to_lowercase()];
        if own.is_null() {
            return false;
        }
        let destination = &own["destinationPort"];
        if destination.is_null() {
            return true;
        }
        if destination["range"].is_object() {
            return within(&destination["range"]["start"], &destination["range"]["end"]);
        }
        within(&destination["number"], &destination["number"])
    }

    /// What a tier says: `Some(true)` accepts, `Some(false)` denies, `None` goes on. Priorities are unique here.
    fn tier(&self, baseline: bool, egress: bool, flow: (usize, usize, &str, u16)) -> Option<bool> {
        let (from, to, protocol, port) = flow;
        let (subject, other) = if egress { (from, to) } else { (to, from) };
        let of_tier = |policy: &&Value| {
            let tier = policy["spec"]["tier"].as_str();
            let kind = text(policy, "kind");
            baseline == (kind == "BaselineAdminNetworkPolicy" || tier == Some("Baseline"))
        };
        let mut policies: Vec<&Value> = self.admin.iter().filter(of_tier).collect();
        policies.sort_by_key(|policy| policy["spec"]["priority"].as_u64());
        for policy in policies {
            let spec = &policy["spec"];
            if !Self::pods_taken(&spec["subject"], &self.ends[subject]) {
                continue;
            }
            for rule in list(spec, if egress { "egress" } else { "ingress" }) {
                let peers = list(rule, if egress { "to" } else { "from" });
                if !peers.iter().any(|peer| self.tier_peer_takes(peer, other)) {
                    continue;
                }
                let ports = if rule["protocols"].is_array() { list(rule, "protocols") } else { list(rule, "ports") };
                if !ports.is_empty() && !ports.iter().any(|one| self.tier_port_takes(one, protocol, port, to)) {
                    continue;
                }
                match text(rule, "action") {
                    "Allow" | "Accept" => return Some(true),
                    "Deny" => return Some(false),
                    _ => return None,
                }
            }
        }
        None
    }

    /// Whether a flow passes one side.
    pub fn passes(&self, egress: bool, flow: (usize, usize, &'static str, u16)) -> bool {
        let (from, to, protocol, port) = flow;
        let (subject, other) = if egress { (from, to) } else { (to, from) };
        if !self.is_pod(subject) || from == to {
            return true;
        }
        let peer = &self.ends[other];
        let peer_is_node = peer.host_network || (peer.namespace.is_none() && peer.node.is_some());
        if !egress && peer_is_node && peer.node == self.ends[subject].node {
            return true;
        }
        if let Some(decided) = self.tier(false, egress, flow) {
            return decided;
        }
        if let Some(admitted) = self.network_policies(egress, subject) {
            return admitted.contains(&(other, protocol, port));
        }
        self.tier(true, egress, flow).unwrap_or(true)
    }
}
