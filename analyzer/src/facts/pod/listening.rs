//! Whether a pod listens where Services lead: the ports of the Services that select it, against the sockets of its network
//! namespace.

use std::borrow::Cow;
use std::net::IpAddr;

use minijinja::Value;

use super::Pod;
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::json::IntOrText;
use crate::facts::node::sockets::{Listening, Sockets};
use crate::facts::service::{Service, ServicePort};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `pod.listening`.
pub static SHAPE: RecordShape = RecordShape {
    name: "listening",
    doc: "Who listens in a pod where Services lead.",
    fields: &[
        Field::of("ports", Shape::List(&Shape::Record(&PORT)), "The TCP ports that Services lead to."),
        Field::scalar(
            "containers_seen",
            "Whether any process beside the sandbox's own was in its network namespace; with a host's network always.",
        ),
        Field::scalar("mesh", "Whether the proxy of a service mesh listens, which takes what comes for other ports."),
    ],
};

static PORT: RecordShape = RecordShape {
    name: "port that is led to",
    doc: "A port of a pod that a Service leads to.",
    fields: &[
        Field::scalar("service", "The Service's name."),
        Field::scalar("number", "The Service's port."),
        Field::scalar("target", "The pod's port."),
        Field::scalar(
            "who",
            "`yes`: a socket takes it; `elsewhere`: sockets of the port are bound to other addresses; `nobody`.",
        ),
        Field::scalar("bound", "Those other addresses."),
        Field::scalar("loopback", "Whether all of those are loopback addresses."),
    ],
};

/// Ports of sidecars that take all that comes to a pod, by a redirection within its network namespace: Istio
/// (<https://istio.io/latest/docs/ops/deployment/application-requirements/>), Linkerd, Consul's transparent proxy.
const MESH: [u16; 4] = [15006, 15001, 4143, 20000];

/// Who listens in the pod; none where nobody knows its sockets.
pub fn value(facts: &Facts, pod: &Pod) -> Option<Value> {
    let Seen { sockets, containers } = seen(facts, pod)?;
    let selecting =
        facts.services().in_namespace(&pod.namespace).iter().filter_map(|place| facts.services().get(*place));
    let selecting = selecting.filter(|service| !service.selector.is_empty() && pod.labels.satisfy(&service.selector));
    let ports =
        selecting.flat_map(|service| service.ports.iter().filter_map(|port| led_to(service, port, pod, &sockets)));
    let record = Record::derived().with("ports", ports.collect::<Value>()).with("mesh", has_mesh(pod, &sockets));
    Some(record.with("containers_seen", containers).into_value())
}

/// The sockets of a pod's network namespace.
struct Seen<'a> {
    sockets: Cow<'a, Sockets>,
    /// Whether any process beside the sandbox's own was seen there; with a host's network always.
    containers: bool,
}

fn seen<'a>(facts: &'a Facts, pod: &Pod) -> Option<Seen<'a>> {
    let files = facts.node_files(&pod.node)?;
    if pod.template.host_network {
        return Some(Seen { sockets: Cow::Borrowed(files.sockets()?), containers: true });
    }
    let containers = files.pod_namespace(pod.uid)?.processes > 1;
    Some(Seen { sockets: Cow::Owned(files.pod_sockets(pod.uid)?), containers })
}

/// Whether a mesh's proxy takes what comes for other ports.
fn has_mesh(pod: &Pod, sockets: &Sockets) -> bool {
    !pod.template.host_network && MESH.iter().any(|port| sockets.has_port("tcp", *port))
}

/// Whether a pod takes what comes for a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ear {
    /// A socket takes it, or a mesh's proxy.
    Hears,
    /// No socket takes it.
    Deaf(Listening),
    /// What was seen does not tell, and why.
    Unknown(String),
}

/// Seconds after its start in which a pod may not listen yet.
const STARTING: i64 = 120;

/// Whether the pod takes what comes for a TCP port of one of its addresses.
pub fn ear(facts: &Facts, pod: &Pod, address: IpAddr, port: u16) -> Ear {
    let unknown = |why: &str| Ear::Unknown(format!("of pod {} {why}", pod.full_name()));
    let Some(Seen { sockets, containers }) = seen(facts, pod) else {
        return unknown("the sockets were not collected");
    };
    let found = sockets.listening("tcp", address, port);
    if matches!(found, Listening::Yes(_)) || has_mesh(pod, &sockets) {
        return Ear::Hears;
    }
    let age = pod.started.timestamp().map(|started| facts.collected().as_second() - started.as_second());
    if !pod.template.runtime_class.is_empty() {
        unknown("the sandbox may have a network of its own, by its runtime class")
    } else if !containers {
        unknown("no process was seen in its network namespace")
    } else if age.is_none_or(|age| age <= STARTING) {
        unknown("the start was less than two minutes before")
    } else {
        Ear::Deaf(found)
    }
}

/// A named port that the pod does not have leads nowhere, which is another rule's.
fn led_to(service: &Service, port: &ServicePort, pod: &Pod, sockets: &Sockets) -> Option<Value> {
    let address = pod.addresses().next()?;
    if port.protocol != "TCP" {
        return None;
    }
    let target = match &port.target {
        IntOrText::Int(number) => u16::try_from(*number).ok()?,
        IntOrText::Text(name) => pod.template.named_port(name, "TCP")?,
    };
    let who = sockets.listening("tcp", address, target);
    let loopback = who.bound().map(|bound| bound.split(", ").all(is_loopback));
    let record = Record::cited(who.citation().clone())
        .with("service", service.name.clone())
        .with("number", port.number)
        .with("target", target)
        .with("who", who.word())
        .with_any("bound", who.bound())
        .with_any("loopback", loopback);
    Some(record.into_value())
}

fn is_loopback(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
