//! NetworkPolicies as a plugin carries them out: chains of iptables and ipsets, one chain for each isolated pod and
//! direction. Which pods a selector takes is worked out here; blocks, their exceptions and ports are left to the kernel.

use std::fmt::Write;

use serde_json::Value;

use super::naive::{End, list, selector_takes, text};

/// What is loaded: `ipset restore`'s language, and iptables-restore's.
#[derive(Default)]
pub struct Compiled {
    pub sets: String,
    pub rules: String,
    chains: String,
    body: String,
    count: usize,
}

struct Cluster<'c> {
    ends: &'c [End],
    policies: &'c [Value],
}

fn ip(end: &End) -> String {
    std::net::Ipv4Addr::from(end.address).to_string()
}

fn is_pod(end: &End) -> bool {
    end.namespace.is_some() && !end.host_network && !end.ended
}

/// Compiles the policies of a small cluster.
pub fn compile(ends: &[End], policies: &[Value]) -> Compiled {
    let cluster = Cluster { ends, policies };
    let mut out = Compiled::default();
    for pod in ends.iter().filter(|end| is_pod(end)) {
        for (direction, own, other) in [("Ingress", "-d", "-s"), ("Egress", "-s", "-d")] {
            let selecting = cluster.selecting(pod, direction);
            if selecting.is_empty() {
                continue;
            }
            out.count += 1;
            let chain = format!("POL-{}", out.count);
            let _ = writeln!(out.chains, ":{chain} - [0:0]");
            let _ = writeln!(out.body, "-A FORWARD {own} {} -j {chain}", ip(pod));
            // A pod reaches itself, and its own node reaches it.
            let _ = writeln!(out.body, "-A {chain} {other} {} -j RETURN", ip(pod));
            let node = ends.iter().find(|end| end.namespace.is_none() && end.node.is_some() && end.node == pod.node);
            if let Some(node) = node.filter(|_| direction == "Ingress") {
                let _ = writeln!(out.body, "-A {chain} -s {} -j RETURN", ip(node));
            }
            for policy in selecting {
                let field = direction.to_lowercase();
                for rule in list(&policy["spec"], &field) {
                    cluster.rule(&mut out, &chain, (pod, direction == "Egress"), policy, rule);
                }
            }
            let _ = writeln!(out.body, "-A {chain} -j DROP");
        }
    }
    out.rules = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}{}COMMIT\n",
        out.chains, out.body
    );
    out
}

impl Cluster<'_> {
    /// The policies that isolate a pod in a direction.
    fn selecting(&self, pod: &End, direction: &str) -> Vec<&Value> {
        let selects = |policy: &&Value| {
            let spec = &policy["spec"];
            let types = list(spec, "policyTypes");
            let about = match types {
                [] => direction == "Ingress" || !list(spec, "egress").is_empty(),
                types => types.iter().any(|one| one == direction),
            };
            Some(text(&policy["metadata"], "namespace")) == pod.namespace.as_deref()
                && selector_takes(&spec["podSelector"], &pod.labels)
                && about
        };
        self.policies.iter().filter(selects).collect()
    }

    fn rule(&self, out: &mut Compiled, chain: &str, (pod, egress): (&End, bool), policy: &Value, rule: &Value) {
        let side = if egress { "dst" } else { "src" };
        let peers = list(rule, if egress { "to" } else { "from" });
        let peers: Vec<String> = match peers {
            [] => vec![String::new()],
            peers => {
                let namespace = text(&policy["metadata"], "namespace");
                peers
                    .iter()
                    .map(|peer| format!(" -m set --match-set {} {side}", self.set(out, peer, namespace)))
                    .collect()
            }
        };
        let ports: Vec<String> = match list(rule, "ports") {
            [] => vec![String::new()],
            ports => ports.iter().flat_map(|port| self.port(port, pod, egress)).collect(),
        };
        for peer in &peers {
            for port in &ports {
                let _ = writeln!(out.body, "-A {chain}{peer}{port} -j RETURN");
            }
        }
    }

    /// A set of a peer's addresses.
    fn set(&self, out: &mut Compiled, peer: &Value, namespace: &str) -> String {
        out.count += 1;
        let name = format!("peer{}", out.count);
        let _ = writeln!(out.sets, "create {name} hash:net");
        if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
            // The set cannot hold everything at once.
            let halves = ["0.0.0.0/1", "128.0.0.0/1"];
            let parts = if cidr == "0.0.0.0/0" { &halves[..] } else { std::slice::from_ref(&cidr) };
            parts.iter().for_each(|part| out.sets.push_str(&format!("add {name} {part} -exist\n")));
            for except in list(&peer["ipBlock"], "except") {
                let _ = writeln!(out.sets, "add {name} {} nomatch -exist", except.as_str().unwrap());
            }
            return name;
        }
        for end in self.ends.iter().filter(|end| is_pod(end)) {
            let in_namespace = match &peer["namespaceSelector"] {
                Value::Null => end.namespace.as_deref() == Some(namespace),
                selector => selector_takes(selector, &end.namespace_labels),
            };
            let selector = &peer["podSelector"];
            if in_namespace && (selector.is_null() || selector_takes(selector, &end.labels)) {
                let _ = writeln!(out.sets, "add {name} {} -exist", ip(end));
            }
        }
        name
    }

    /// The tests of a port; a name stands for the ports of those who receive.
    fn port(&self, port: &Value, pod: &End, egress: bool) -> Vec<String> {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        if let Some(name) = port["port"].as_str() {
            let receivers = self.ends.iter().filter(|end| is_pod(end) && (egress || end.address == pod.address));
            let named = receivers.flat_map(|end| {
                let own = end.ports.iter().filter(|(own, _, kind)| own == name && kind == protocol);
                own.map(|(_, number, _)| format!(" -d {} -p {lower} -m {lower} --dport {number}", ip(end)))
            });
            return named.collect();
        }
        match (port["port"].as_u64(), port["endPort"].as_u64()) {
            (None, _) => vec![format!(" -p {lower}")],
            (Some(first), None) => vec![format!(" -p {lower} -m {lower} --dport {first}")],
            (Some(first), Some(last)) => vec![format!(" -p {lower} -m {lower} --dport {first}:{last}")],
        }
    }
}
