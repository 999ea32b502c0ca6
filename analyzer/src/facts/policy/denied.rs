//! What policies deny a pod that every pod needs: the cluster's DNS over UDP and TCP, and the API server.

use std::net::IpAddr;

use minijinja::Value;
use netpath::answer::Decision;
use netpath::policy::{Endpoint, Enforcement, Flow, Plugin, Side};
use netpath::protocol;

use super::{endpoint, enforcement};
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::pod::Pod;
use crate::facts::reach::walk;
use crate::facts::service::Service;
use crate::shape::{Field, RecordShape};

/// The shape of what is denied.
pub static SHAPE: RecordShape = RecordShape {
    name: "denied flow",
    doc: "Something that every pod needs and that policies deny this one.",
    fields: &[
        Field::scalar("purpose", "`DNS over UDP`, `DNS over TCP`, `the API server`."),
        Field::scalar("to", "Whom the pod would reach, after translation."),
        Field::scalar("port", "The port there, after translation."),
        Field::scalar("protocol", "`UDP` or `TCP`."),
        Field::scalar("service_ip", "The Service's address that it would use."),
        Field::scalar("why", "Why it is denied."),
        Field::scalar("side", "`egress` of the pod, or `ingress` of whom it would reach."),
        Field::scalar(
            "enforced",
            "Whether anything enforces policies on the node that decides: `yes`, `no`, `unknown`.",
        ),
        Field::scalar("fix", "The command that adds what is missing to the policy."),
        Field::scalar("fix_verified", "Whether judging again with the change showed that it is allowed."),
    ],
};

/// What policies deny the pod, surely if they are enforced.
pub fn values(facts: &Facts, pod: &Pod) -> Value {
    // Most clusters have no policy, and some have a hundred thousand pods.
    if facts.policies().is_empty() || !pod.is_networked() {
        return Value::from(Vec::<Value>::new());
    }
    needed(facts, pod).into_iter().filter_map(|(purpose, flow)| denied(facts, pod, purpose, &flow)).collect()
}

fn denied(facts: &Facts, pod: &Pod, purpose: &str, flow: &Flow) -> Option<Value> {
    let enforced = enforcement::on_node(facts, &pod.node);
    // Where nothing enforces policies, what they would do is still a hazard.
    let supposed = match &enforced {
        Enforcement::Yes { .. } => enforced.clone(),
        _ => Enforcement::Yes { plugin: Plugin::KubeRouter, cited: None },
    };
    let sides = [(Side::Egress, "egress"), (Side::Ingress, "ingress")];
    let (judgement, side) = sides.into_iter().find_map(|(side, name)| {
        let judgement = facts.policies().judge(&supposed, flow, side);
        (judgement.verdict == Decision::Drop).then_some((judgement, name))
    })?;
    let record = match judgement.deciding.as_ref().or(judgement.isolating.first().map(|policy| &policy.cited)) {
        Some(cited) => Record::cited(walk::cite(cited)),
        None => Record::derived(),
    };
    let word = match enforced {
        Enforcement::Yes { .. } => "yes",
        Enforcement::No { .. } => "no",
        Enforcement::Unknown { .. } => "unknown",
    };
    let record = record
        .with("purpose", purpose)
        .with("to", flow.destination.to_string())
        .with_any("port", flow.port)
        .with("protocol", if flow.protocol == protocol::UDP { "UDP" } else { "TCP" })
        .with_any("service_ip", flow.service.map(|address| address.to_string()))
        .with("why", judgement.why)
        .with("side", side)
        .with("enforced", word)
        .with_any("fix", judgement.fix.as_ref().map(|fix| fix.command.clone()))
        .with("fix_verified", judgement.fix.is_some_and(|fix| fix.verified));
    Some(record.into_value())
}

/// What every pod needs: for each Service one ready endpoint of the pod's family.
fn needed(facts: &Facts, pod: &Pod) -> Vec<(&'static str, Flow)> {
    let Some(address) = pod.addresses().next() else { return Vec::new() };
    let source = Endpoint::pod(endpoint::of_pod(facts, pod), address);
    let find = |namespace: &str, name: &str| {
        facts.services().all.iter().find(|service| &*service.namespace == namespace && &*service.name == name)
    };
    let mut all = Vec::new();
    let asked = [
        (find("kube-system", "kube-dns"), 53, "UDP", "DNS over UDP"),
        (find("kube-system", "kube-dns"), 53, "TCP", "DNS over TCP"),
        (find("default", "kubernetes"), 443, "TCP", "the API server"),
    ];
    for (service, number, protocol, purpose) in asked {
        let Some(service) = service else { continue };
        let Some((destination, port)) = endpoint_of(facts, service, number, protocol, address.is_ipv4()) else {
            continue;
        };
        let flow = Flow {
            source: source.clone(),
            destination,
            service: service.cluster_ips.iter().find_map(|address| address.parse().ok()),
            protocol: if protocol == "UDP" { protocol::UDP } else { protocol::TCP },
            port: Some(port),
        };
        all.push((purpose, flow));
    }
    all
}

/// A ready endpoint of a Service's port.
fn endpoint_of(facts: &Facts, service: &Service, number: u16, protocol: &str, v4: bool) -> Option<(Endpoint, u16)> {
    let port = service.ports.iter().find(|port| port.number == number && port.protocol == protocol)?;
    let mut slices = facts.slices().of_service(&service.namespace, &service.name);
    slices.find_map(|slice| {
        let target = slice.ports.iter().find(|target| *target.name == *port.name && &*target.protocol == protocol)?;
        let ready = slice.endpoints.iter().find(|endpoint| endpoint.ready)?;
        let address: IpAddr = ready.addresses.first()?.parse().ok()?;
        let pods = facts.pods();
        let named = |pod: &&Pod| pod.namespace == slice.namespace && *pod.name == *ready.pod;
        let known = (!ready.pod.is_empty()).then(|| pods.all().iter().find(named)).flatten();
        let endpoint = match known {
            Some(pod) => Endpoint::pod(endpoint::of_pod(facts, pod), address),
            None => Endpoint::outside(address),
        };
        (address.is_ipv4() == v4).then_some((endpoint, target.number))
    })
}
