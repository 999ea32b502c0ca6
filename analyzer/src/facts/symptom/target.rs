//! What stands at the symptom's far end: the receiver itself, or the ready endpoints behind a Service's address.

use std::net::IpAddr;

use netpath::policy::Endpoint;
use netpath::protocol;

use super::endpoint::{Port, Who};
use crate::facts::Facts;
use crate::facts::policy::endpoint;
use crate::facts::service::endpoints;
use crate::facts::service::{Service, ServicePort};

/// Whom the symptom's sender would reach, after translation.
#[derive(Debug, Clone)]
pub struct Target {
    /// Who it is, as policies see it.
    pub endpoint: Endpoint,
    /// The Service's address that the sender would use, where it is one.
    pub service: Option<IpAddr>,
    /// The IP protocol's number.
    pub protocol: u8,
    /// The port there; none where nobody said.
    pub port: Option<u16>,
}

/// All of them; none where the receiver is not known.
pub fn targets(facts: &Facts) -> Vec<Target> {
    let ends = facts.symptom_ends();
    let Some(receiver) = ends.receiver() else { return Vec::new() };
    let service = ends.service.and_then(|place| facts.services().get(place));
    let Some(service) = service else { return machines(facts) };
    let address = match receiver.who {
        Who::Address(address) => Some(address),
        _ => None,
    };
    of_service(facts, service, receiver.port.as_ref(), address)
}

/// The pod, node or address that the symptom names as the receiver, untranslated.
pub fn machines(facts: &Facts) -> Vec<Target> {
    let ends = facts.symptom_ends();
    let Some(receiver) = ends.receiver() else { return Vec::new() };
    let protocol = ends.protocol.and_then(protocol::number).unwrap_or(protocol::TCP);
    let port = match &receiver.port {
        Some(Port::Number(number)) => Some(*number),
        _ => None,
    };
    let found: Vec<Endpoint> = match &receiver.who {
        Who::Service(..) => Vec::new(),
        Who::Pod(namespace, name) => {
            let pod = facts.pods().named(namespace, name).and_then(|place| facts.pods().get(place));
            let addresses = pod.into_iter().flat_map(|pod| pod.addresses().map(move |address| (pod, address)));
            addresses.map(|(pod, address)| Endpoint::pod(endpoint::of_pod(facts, pod), address)).collect()
        }
        Who::Node(name) => {
            let addresses = facts.node_object(name).into_iter().flat_map(|node| node.internal_addresses());
            addresses.map(|address| Endpoint::node(endpoint::of_node(facts, name), address)).collect()
        }
        Who::Address(address) => vec![endpoint::of_address(facts, *address)],
    };
    found.into_iter().map(|endpoint| Target { endpoint, service: None, protocol, port }).collect()
}

/// The place of the Service that an end stands for: by its name, by an address of it, or by its port on a node.
pub(super) fn service_of(facts: &Facts, end: &super::endpoint::Endpoint) -> Option<u32> {
    let by_node_port = || match &end.port {
        Some(Port::Number(number)) => {
            let has = |service: &Service| service.ports.iter().any(|port| port.node_port == *number);
            facts.services().all.iter().position(has).and_then(|place| u32::try_from(place).ok())
        }
        _ => None,
    };
    match &end.who {
        Who::Service(namespace, name) => facts.services().named(namespace, name).map(|(place, _)| place),
        Who::Node(_) => by_node_port(),
        Who::Address(address) => {
            let found =
                service_at(facts, *address).and_then(|found| facts.services().named(&found.namespace, &found.name));
            let of_node =
                || facts.node_objects().iter().any(|node| node.internal_addresses().any(|own| own == *address));
            found.map(|(place, _)| place).or_else(|| if of_node() { by_node_port() } else { None })
        }
        Who::Pod(..) => None,
    }
}

/// The Service that has an address: in the cluster, or at its load balancer.
pub fn service_at(facts: &Facts, address: IpAddr) -> Option<&Service> {
    let text = address.to_string();
    let has = |service: &&Service| {
        service.cluster_ips.contains(&text)
            || service.load_balancer.contains(&text)
            || service.external_ips.contains(&address)
    };
    facts.services().all.iter().find(has)
}

fn of_service(facts: &Facts, service: &Service, asked: Option<&Port>, address: Option<IpAddr>) -> Vec<Target> {
    let is_asked = |port: &&ServicePort| match asked {
        Some(Port::Number(number)) => port.number == *number || port.node_port == *number,
        Some(Port::Name(name)) => port.name == *name,
        None => true,
    };
    let protocol = facts.symptom_ends().protocol;
    let of_protocol = |port: &&ServicePort| protocol.is_none_or(|asked| port.protocol == asked);
    let cluster_ips: Vec<IpAddr> = service.cluster_ips.iter().filter_map(|text| text.parse().ok()).collect();
    let mut all = Vec::new();
    for port in service.ports.iter().filter(is_asked).filter(of_protocol) {
        let Some(number) = protocol::number(&port.protocol) else { continue };
        for ready in endpoints::ready(facts, service, port) {
            let same = |own: &IpAddr| own.is_ipv4() == ready.address.is_ipv4();
            all.push(Target {
                endpoint: endpoint::of_ready(facts, &ready),
                service: address.or_else(|| cluster_ips.iter().copied().find(same)),
                protocol: number,
                port: Some(ready.port),
            });
        }
    }
    all
}
