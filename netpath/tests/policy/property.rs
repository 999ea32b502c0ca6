//! The engine against the naive evaluation: every pair of ends, every protocol, the ports and their neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use netpath::answer::Decision;
use netpath::policy::{ContainerPort, Endpoint, Enforcement, Flow, Host, Kind, Labels, Plugin, Pod, Policies, Side};
use netpath::protocol;
use serde_json::{Value, json};

use super::generate::{self, PORTS};
use super::naive::{End, World};
use super::random::Random;

fn labels(pairs: &[(String, String)]) -> Labels {
    pairs.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect()
}

pub fn endpoint(end: &End) -> Endpoint {
    let address = std::net::IpAddr::from(end.address);
    let Some(namespace) = &end.namespace else {
        return match &end.node {
            Some(node) => {
                Endpoint::node(Host { name: node.as_str().into(), labels: Some(labels(&end.node_labels)) }, address)
            }
            None => Endpoint::outside(address),
        };
    };
    let port = |(name, number, protocol): &(String, u16, String)| ContainerPort {
        name: name.as_str().into(),
        number: *number,
        protocol: protocol.as_str().into(),
    };
    let pod = Pod {
        namespace: namespace.as_str().into(),
        name: end.name.as_str().into(),
        labels: labels(&end.labels),
        namespace_labels: Some(labels(&end.namespace_labels)),
        node: end.node.as_deref().map(Arc::from),
        node_labels: Some(labels(&end.node_labels)),
        host_network: end.host_network,
        ended: end.ended,
        ports: end.ports.iter().map(port).collect(),
    };
    Endpoint::pod(pod, address)
}

pub fn loaded(policies: &[Value], admin: &[Value]) -> Policies {
    let file = Arc::from("generated.json");
    let mut all = Policies::default();
    all.add(Kind::NetworkPolicy, &file, json!({"items": policies}).to_string().as_bytes()).unwrap();
    for (kind, name) in [
        (Kind::AdminNetworkPolicy, "AdminNetworkPolicy"),
        (Kind::BaselineAdminNetworkPolicy, "BaselineAdminNetworkPolicy"),
        (Kind::ClusterNetworkPolicy, "ClusterNetworkPolicy"),
    ] {
        let own: Vec<&Value> = admin.iter().filter(|policy| policy["kind"] == name).collect();
        all.add(kind, &file, json!({"items": own}).to_string().as_bytes()).unwrap();
    }
    all
}

/// What was compared.
#[derive(Default)]
struct Tally {
    clusters: usize,
    compared: usize,
    decided: BTreeMap<&'static str, usize>,
    open: usize,
    fixes: usize,
    differences: Vec<String>,
}

/// Compares one cluster. A plugin of which little is known leaves questions open; then the naive evaluation's answer
/// must be among the ways. Where OVN-Kubernetes answers all but those about nodes, most flows are decided.
fn compare(tally: &mut Tally, random: &mut Random, admin: &[Value]) {
    let ends = generate::ends(random);
    let policies = generate::network_policies(random);
    let world = World { ends: &ends, ports: &PORTS, policies: &policies, admin };
    let engine = loaded(&policies, admin);
    let plugin = *random.pick(&[Plugin::OvnKubernetes, Plugin::OvnKubernetes, Plugin::Calico, Plugin::Other]);
    let enforcement = Enforcement::Yes { plugin, cited: None };
    tally.clusters += 1;
    for _ in 0..250 {
        let (from, to) = (random.below(ends.len()), random.below(ends.len()));
        let (name, number) = *random.pick(&[("TCP", protocol::TCP), ("UDP", protocol::UDP), ("SCTP", protocol::SCTP)]);
        let port = *random.pick(&PORTS);
        let flow = Flow {
            source: endpoint(&ends[from]),
            destination: endpoint(&ends[to]),
            service: None,
            protocol: number,
            port: Some(port),
        };
        for (side, egress) in [(Side::Egress, true), (Side::Ingress, false)] {
            let expected = if world.passes(egress, (from, to, name, port)) { Decision::Accept } else { Decision::Drop };
            let judged = engine.judge(&enforcement, &flow, side);
            tally.compared += 1;
            let agrees = match judged.verdict {
                Decision::Depends => {
                    tally.open += 1;
                    !judged.unknowns.is_empty() && judged.ways.iter().any(|way| way.verdict == expected)
                }
                verdict => {
                    *tally.decided.entry(if egress { "egress" } else { "ingress" }).or_default() += 1;
                    verdict == expected
                }
            };
            if judged.verdict == Decision::Drop {
                let fix = judged.fix.as_ref();
                let fixable = fix.is_some_and(|fix| fix.verified);
                tally.fixes += usize::from(fixable);
            }
            if !agrees {
                tally.differences.push(format!(
                    "{side:?} {} -> {} {name} {port}: expected {expected:?}, got {judged:#?}\n{policies:#?}\n{admin:#?}",
                    flow.source, flow.destination
                ));
            }
        }
    }
}

fn run(what: &str, seed: u64, clusters: usize, mut admin: impl FnMut(&mut Random) -> Vec<Value>) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random::new(seed);
    for _ in 0..clusters {
        let tiers = admin(&mut random);
        compare(&mut tally, &mut random, &tiers);
    }
    println!(
        "{what}: seed {seed}, {} clusters, {} comparisons, {:?} decided, {} open, {} drops with a verified fix, {} differences",
        tally.clusters,
        tally.compared,
        tally.decided,
        tally.open,
        tally.fixes,
        tally.differences.len()
    );
    if let Some(first) = tally.differences.first() {
        panic!("{} differences, of which the first: {first}", tally.differences.len());
    }
    tally
}

#[test]
fn network_policies_agree_with_the_naive_evaluation() {
    let tally = run("NetworkPolicy", 20_261_129, 60, |_| Vec::new());
    assert!(tally.compared >= 30_000 && tally.decided["egress"] > 9_000 && tally.decided["ingress"] > 9_000);
    assert!(tally.fixes > 1_000 && tally.open > 100);
}

#[test]
fn admin_and_baseline_policies_agree_with_the_naive_evaluation() {
    let tally = run("AdminNetworkPolicy", 7, 40, |random| generate::tier_policies(false, random));
    assert!(tally.compared >= 20_000 && tally.decided["egress"] > 4_000 && tally.decided["ingress"] > 4_000);
}

#[test]
fn cluster_network_policies_agree_with_the_naive_evaluation() {
    let tally = run("ClusterNetworkPolicy", 11, 40, |random| generate::tier_policies(true, random));
    assert!(tally.compared >= 20_000 && tally.decided["egress"] > 4_000 && tally.decided["ingress"] > 4_000);
}

/// The comparison notices a rule that is gone.
#[test]
fn a_changed_policy_shows() {
    let mut random = Random::new(3);
    let mut noticed = 0;
    for _ in 0..20 {
        let ends = generate::ends(&mut random);
        let policies = generate::network_policies(&mut random);
        let mut without = policies.clone();
        let Some(spec) = without.first_mut().map(|policy| &mut policy["spec"]) else { continue };
        spec["ingress"] = json!([]);
        spec["policyTypes"] = json!(["Ingress"]);
        spec["podSelector"] = json!({});
        let engine = loaded(&without, &[]);
        let world = World { ends: &ends, ports: &PORTS, policies: &policies, admin: &[] };
        let enforcement = Enforcement::Yes { plugin: Plugin::OvnKubernetes, cited: None };
        let differs = (0..ends.len()).flat_map(|from| (0..ends.len()).map(move |to| (from, to))).any(|(from, to)| {
            let (source, destination) = (endpoint(&ends[from]), endpoint(&ends[to]));
            let flow = Flow { source, destination, service: None, protocol: protocol::TCP, port: Some(80) };
            let accepts = engine.judge(&enforcement, &flow, Side::Ingress).verdict == Decision::Accept;
            accepts != world.passes(false, (from, to, "TCP", 80))
        });
        noticed += usize::from(differs);
    }
    assert!(noticed > 10, "{noticed}");
}
