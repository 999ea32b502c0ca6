//! Whom policies let in to a Service: the client that the symptom names, judged at both ends; and without one, the ports
//! at which policies let nobody in, whoever asks.

use std::net::IpAddr;

use minijinja::Value;
use netpath::policy::{Admission, Endpoint, Flow};
use netpath::protocol;

use super::denied::{self, Judged, SYMPTOM};
use super::endpoint;
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::reach::walk;
use crate::facts::service::endpoints::{self, ReadyEndpoint};
use crate::facts::service::slice::Slice;
use crate::facts::service::{Service, ServicePort};
use crate::facts::symptom::endpoint::Who;
use crate::facts::symptom::target;
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `service.access`.
pub static SHAPE: RecordShape = RecordShape {
    name: "access",
    doc: "Whom policies let in to a Service.",
    fields: &[
        Field::scalar("named", "Whether the symptom says that somebody does not reach this Service."),
        Field::scalar("lacks_client", "Why the client is not known; undefined where it is."),
        Field::of(
            "flows",
            Shape::List(&Shape::Record(&denied::SHAPE)),
            "From the client that the symptom names to each ready endpoint.",
        ),
        Field::of(
            "closed",
            Shape::List(&Shape::Record(&CLOSED)),
            "Ports of ready endpoints at which policies let nobody in.",
        ),
        Field::scalar("selective", "Why it depends on the client who is let in; undefined where it does not."),
    ],
};

/// The shape of a port at which policies let nobody in.
pub static CLOSED: RecordShape = RecordShape {
    name: "closed port",
    doc: "A port of a Service's ready endpoint at which policies let nobody in.",
    fields: &[
        Field::scalar("number", "The Service's port."),
        Field::scalar("protocol", "`TCP`, `UDP`, `SCTP`."),
        Field::scalar("target", "The endpoint's port, which policies look at."),
        Field::scalar("to", "The endpoint."),
        Field::scalar("why", "Why, in a sentence."),
        Field::scalar("rule", "The number of a rule that is about another port, from 1."),
        Field::scalar("confused", "Whether policies let somebody in at the Service's port instead."),
        Field::scalar("enforced", "Whether anything enforces policies there: `yes`, `no`, `unknown`."),
        Field::scalar("fix", "The command that adds the port to that rule."),
        Field::scalar("fix_verified", "Whether judging again with the change showed that somebody is let in."),
    ],
};

/// As many endpoints of a port are asked about.
const ENDPOINTS: usize = 16;

/// Whom policies let in.
pub fn value(facts: &Facts, service: &Service) -> Value {
    let ends = facts.symptom_ends();
    let named = is_receiver(facts, service);
    let mut record = Record::derived().with("named", named);
    let mut flows: Vec<Value> = Vec::new();
    let (mut closed, mut selective) = (Vec::new(), None);
    if !facts.policies().is_empty() {
        for port in &service.ports {
            let ready = endpoints::ready(facts, service, port);
            for ready in ready.iter().take(ENDPOINTS) {
                admission(facts, service, port, ready, &mut closed, &mut selective);
            }
        }
        if named {
            flows = from_symptom(facts, service);
        }
    }
    if named && flows.is_empty() {
        let why = ends.lacks_sender().unwrap_or("no client of the endpoints' family is known");
        record = record.with("lacks_client", why);
    } else if !named {
        let why = match ends.receiver() {
            Some(other) => format!("the symptom is about {other}"),
            None => "no symptom names a client and this Service".to_owned(),
        };
        record = record.with("lacks_client", why);
    }
    record.with("flows", flows).with("closed", closed).with_any("selective", selective).into_value()
}

fn admission(
    facts: &Facts,
    service: &Service,
    port: &ServicePort,
    ready: &ReadyEndpoint<'_>,
    closed: &mut Vec<Value>,
    selective: &mut Option<String>,
) {
    let Some(number) = protocol::number(&port.protocol) else { return };
    let to = endpoint::of_ready(facts, ready);
    let enforced = denied::enforced_at(facts, &to);
    let admits = |target| facts.policies().admission(&denied::supposed(&enforced), &to, number, target);
    let shut = match admits(ready.port) {
        Admission::Everybody => return,
        Admission::Some(why) => {
            selective.get_or_insert(why);
            return;
        }
        Admission::Nobody(shut) => shut,
    };
    let confused =
        !service.is_headless() && port.number != ready.port && !matches!(admits(port.number), Admission::Nobody(_));
    let record = Record::cited(walk::cite(&shut.cited))
        .with("number", port.number)
        .with("protocol", port.protocol.as_str())
        .with("target", ready.port)
        .with("to", to.to_string())
        .with("why", shut.why.as_str())
        .with_any("rule", shut.rule)
        .with("confused", confused)
        .with("enforced", denied::word(&enforced))
        .with_any("fix", shut.fix.as_ref().map(|fix| fix.command.as_str()))
        .with("fix_verified", shut.fix.as_ref().is_some_and(|fix| fix.verified));
    closed.push(record.into_value());
}

/// Whether the symptom's receiver is this Service, or a pod behind it.
fn is_receiver(facts: &Facts, service: &Service) -> bool {
    let ends = facts.symptom_ends();
    if let Some(named) = ends.service.and_then(|place| facts.services().get(place)) {
        return named.namespace == service.namespace && named.name == service.name;
    }
    let Some(Who::Pod(namespace, name)) = ends.receiver().map(|end| &end.who) else { return false };
    let mut slices = facts.slices().of_service(&service.namespace, &service.name);
    let is = |slice: &Slice| {
        *slice.namespace == **namespace
            && slice.endpoints.iter().any(|endpoint| endpoint.ready && *endpoint.pod == **name)
    };
    slices.any(is)
}

/// From the symptom's sender to what stands behind the Service.
fn from_symptom(facts: &Facts, service: &Service) -> Vec<Value> {
    let mut all = Vec::new();
    for target in target::targets(facts).into_iter().take(ENDPOINTS) {
        let Some(source) = client(facts, service, &target) else { continue };
        let target::Target { endpoint: destination, service, protocol, port } = target;
        let flow = Flow { source, destination, service, protocol, port };
        all.push(Judged::of(facts, &flow).value(SYMPTOM, &flow));
    }
    all
}

/// The client as the endpoint's policies see it. What comes from outside of the cluster by a node's port has been given a
/// node's address where `externalTrafficPolicy` is not `Local`.
fn client(facts: &Facts, service: &Service, target: &target::Target) -> Option<Endpoint> {
    let family = target.endpoint.address;
    let same = |address: &IpAddr| address.is_ipv4() == family.is_ipv4();
    match facts.symptom_ends().sender()? {
        Who::Pod(namespace, name) => {
            let pod = facts.pods().get(facts.pods().named(namespace, name)?)?;
            Some(Endpoint::pod(endpoint::of_pod(facts, pod), pod.addresses().find(same)?))
        }
        Who::Node(name) => {
            let address = facts.node_object(name)?.internal_addresses().find(same)?;
            Some(Endpoint::node(endpoint::of_node(facts, name), address))
        }
        Who::Address(address) if same(address) => {
            let found = endpoint::of_address(facts, *address);
            let by_node_port = matches!(&*service.kind, "NodePort" | "LoadBalancer");
            let masqueraded = by_node_port && &*service.external_traffic_policy != "Local";
            if found == Endpoint::outside(*address) && masqueraded {
                return another_node(facts, &target.endpoint);
            }
            Some(found)
        }
        Who::Address(_) | Who::Service(..) => None,
    }
}

/// A node that the endpoint is not on: it takes what comes from its own node whatever policies say.
fn another_node(facts: &Facts, endpoint: &Endpoint) -> Option<Endpoint> {
    let own = match &endpoint.party {
        netpath::policy::Party::Pod(pod) => pod.node.as_deref(),
        _ => None,
    };
    let mut others = facts.node_objects().iter().filter(|node| Some(&*node.name) != own && !node.is_virtual());
    others.find_map(|node| {
        let address = node.internal_addresses().find(|own| own.is_ipv4() == endpoint.address.is_ipv4())?;
        Some(Endpoint::node(super::endpoint::of_node(facts, &node.name), address))
    })
}
