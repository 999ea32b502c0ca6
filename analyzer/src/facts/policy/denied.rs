//! What policies deny a pod: what every pod needs (the cluster's DNS over UDP and TCP, the API server), and what the
//! symptom says that this pod does not reach.

use minijinja::Value;
use netpath::answer::Decision;
use netpath::policy::{Endpoint, Enforcement, Flow, Judgement, Party, Plugin, Side};
use netpath::protocol;

use super::{endpoint, enforcement};
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::pod::Pod;
use crate::facts::reach::walk;
use crate::facts::service::endpoints;
use crate::facts::symptom::endpoint::Who;
use crate::facts::symptom::target;
use crate::shape::{Field, RecordShape};

/// The shape of what is denied.
pub static SHAPE: RecordShape = RecordShape {
    name: "judged flow",
    doc: "A connection, and what policies make of it.",
    fields: &[
        Field::scalar(
            "purpose",
            "`DNS over UDP`, `DNS over TCP`, `the API server`; `the symptom` for what a symptom says is not reached.",
        ),
        Field::scalar("from", "Who asks."),
        Field::scalar("to", "Whom it would reach, after translation."),
        Field::scalar("port", "The port there, after translation."),
        Field::scalar("protocol", "`UDP`, `TCP` or `SCTP`."),
        Field::scalar("service_ip", "The Service's address that it would use."),
        Field::scalar("verdict", "`accept`, `drop` or `depends`, where policies are enforced."),
        Field::scalar("why", "Why, in a sentence."),
        Field::scalar("side", "The side that decides: `egress` of who asks, or `ingress` of whom it would reach."),
        Field::scalar(
            "enforced",
            "Whether anything enforces policies on the node that decides: `yes`, `no`, `unknown`.",
        ),
        Field::scalars("unknowns", "What the verdict depends on."),
        Field::scalar("also", "Why the other side drops it too, where it does."),
        Field::scalar("fix", "The command that adds what is missing to the policy."),
        Field::scalars("fixes", "The same for both sides, where both drop it."),
        Field::scalar("fix_verified", "Whether judging again with the change showed that it is allowed."),
    ],
};

/// What the symptom says is not reached.
pub const SYMPTOM: &str = "the symptom";

/// What policies deny the pod, surely if they are enforced.
pub fn values(facts: &Facts, pod: &Pod) -> Value {
    // Most clusters have no policy, and some have a hundred thousand pods.
    if facts.policies().is_empty() || !pod.is_networked() {
        return Value::from(Vec::<Value>::new());
    }
    let flows = needed(facts, pod).into_iter();
    let judged = flows.map(|(purpose, flow)| (purpose, Judged::of(facts, &flow), flow));
    let denied = judged.filter(|(_, judged, _)| judged.judgement.verdict == Decision::Drop);
    denied.map(|(purpose, judged, flow)| judged.value(purpose, &flow)).collect()
}

/// What the policies at both ends make of a flow: the side that drops it, else the one on which it depends.
pub struct Judged {
    /// The judgement, as if policies were enforced.
    pub judgement: Judgement,
    /// What really enforces them on that side's node.
    pub enforced: Enforcement,
    /// That of the other side, where that drops it too.
    pub also: Option<Box<Judgement>>,
}

impl Judged {
    /// Judges both sides. Where nothing enforces policies, what they would do is still a hazard.
    pub fn of(facts: &Facts, flow: &Flow) -> Judged {
        let judge = |side| {
            let enforced = enforced_at(facts, flow.subject(side));
            let judgement = facts.policies().judge(&supposed(&enforced), flow, side);
            Judged { judgement, enforced, also: None }
        };
        let (egress, ingress) = (judge(Side::Egress), judge(Side::Ingress));
        let weight = |judged: &Judged| match judged.judgement.verdict {
            Decision::Drop | Decision::Reject(_) => 2,
            Decision::Depends => 1,
            Decision::Accept => 0,
        };
        match (weight(&egress), weight(&ingress)) {
            (2, 2) => Judged { also: Some(Box::new(ingress.judgement)), ..egress },
            (one, other) if other > one => ingress,
            _ => egress,
        }
    }

    /// As a value.
    pub fn value(self, purpose: &str, flow: &Flow) -> Value {
        let Judged { judgement, enforced, also } = self;
        let record = match judgement.deciding.as_ref().or(judgement.isolating.first().map(|policy| &policy.cited)) {
            Some(cited) => Record::cited(walk::cite(cited)),
            None => Record::derived(),
        };
        let fixes = [judgement.fix.as_ref(), also.as_ref().and_then(|also| also.fix.as_ref())];
        let fixes = fixes.into_iter().flatten().map(|fix| Value::from(fix.command.as_str())).collect::<Value>();
        let verified = judgement.fix.as_ref().is_some_and(|fix| fix.verified)
            && also.as_ref().is_none_or(|also| also.fix.as_ref().is_some_and(|fix| fix.verified));
        let unknowns = judgement.unknowns.iter().map(|unknown| Value::from(unknown.what.as_str()));
        record
            .with("purpose", purpose)
            .with("from", flow.source.to_string())
            .with("to", flow.destination.to_string())
            .with_any("port", flow.port)
            .with("protocol", protocol::name(flow.protocol).to_ascii_uppercase())
            .with_any("service_ip", flow.service.map(|address| address.to_string()))
            .with("verdict", walk::verdict(judgement.verdict))
            .with("why", judgement.why)
            .with("side", if judgement.side == Side::Egress { "egress" } else { "ingress" })
            .with("enforced", word(&enforced))
            .with("unknowns", unknowns.collect::<Value>())
            .with_any("also", also.map(|also| also.why))
            .with_any("fix", judgement.fix.map(|fix| fix.command))
            .with("fixes", fixes)
            .with("fix_verified", verified)
            .into_value()
    }
}

/// What enforces policies where an end is.
pub fn enforced_at(facts: &Facts, end: &Endpoint) -> Enforcement {
    match &end.party {
        Party::Pod(pod) => match &pod.node {
            Some(node) => enforcement::on_node(facts, node),
            None => facts.enforcer().enforcement.clone(),
        },
        _ => facts.enforcer().enforcement.clone(),
    }
}

/// Policies as they would be judged if something enforced them.
pub fn supposed(enforced: &Enforcement) -> Enforcement {
    match enforced {
        Enforcement::Yes { .. } => enforced.clone(),
        _ => Enforcement::Yes { plugin: Plugin::KubeRouter, cited: None },
    }
}

/// `yes`, `no`, `unknown`.
pub fn word(enforced: &Enforcement) -> &'static str {
    match enforced {
        Enforcement::Yes { .. } => "yes",
        Enforcement::No { .. } => "no",
        Enforcement::Unknown { .. } => "unknown",
    }
}

/// What a pod needs: for each Service one ready endpoint of the pod's family; and what the symptom names.
fn needed(facts: &Facts, pod: &Pod) -> Vec<(&'static str, Flow)> {
    let Some(address) = pod.addresses().next() else { return Vec::new() };
    let source = Endpoint::pod(endpoint::of_pod(facts, pod), address);
    let mut all = Vec::new();
    let asked = [
        ("kube-system", "kube-dns", 53, "UDP", "DNS over UDP"),
        ("kube-system", "kube-dns", 53, "TCP", "DNS over TCP"),
        ("default", "kubernetes", 443, "TCP", "the API server"),
    ];
    for (namespace, name, number, protocol, purpose) in asked {
        let Some((_, service)) = facts.services().named(namespace, name) else { continue };
        let port = service.ports.iter().find(|port| port.number == number && port.protocol == protocol);
        let ready = port.map(|port| endpoints::ready(facts, service, port)).unwrap_or_default();
        let same_family = |ready: &&endpoints::ReadyEndpoint<'_>| ready.address.is_ipv4() == address.is_ipv4();
        let Some(ready) = ready.iter().find(same_family) else { continue };
        let flow = Flow {
            source: source.clone(),
            destination: endpoint::of_ready(facts, ready),
            service: service.cluster_ips.iter().find_map(|address| address.parse().ok()),
            protocol: if protocol == "UDP" { protocol::UDP } else { protocol::TCP },
            port: Some(ready.port),
        };
        all.push((purpose, flow));
    }
    if is_sender(facts, pod) {
        all.extend(target::targets(facts).into_iter().filter_map(|target| {
            let source = Endpoint::pod(endpoint::of_pod(facts, pod), own_address(pod, &target.endpoint)?);
            let target::Target { endpoint: destination, service, protocol, port } = target;
            Some((SYMPTOM, Flow { source, destination, service, protocol, port }))
        }));
    }
    all
}

/// The pod's address of the family of whom it would reach.
fn own_address(pod: &Pod, to: &Endpoint) -> Option<std::net::IpAddr> {
    pod.addresses().find(|own| own.is_ipv4() == to.address.is_ipv4())
}

/// Whether the symptom says that this pod does not get through.
fn is_sender(facts: &Facts, pod: &Pod) -> bool {
    match facts.symptom_ends().sender() {
        Some(Who::Pod(namespace, name)) => *pod.namespace == **namespace && *pod.name == **name,
        Some(Who::Address(address)) => pod.addresses().any(|own| own == *address),
        _ => false,
    }
}
