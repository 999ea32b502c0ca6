//! From a Service's clients to its node ports: what a load balancer of TKE sends to nodes still has the client's address,
//! and one of Azure keeps even the destination, so that the nodes' groups judge the client.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use minijinja::Value;
use netpath::cloud::Way;
use netpath::cloud::extent::{Clients, Span, is_public};
use netpath::protocol;

use super::machine::{self, Asked, Class, Site};
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::service::{Service, ServicePort};
use crate::facts::symptom::endpoint::Who;
use crate::shape::{Field, RecordShape};

/// The shape of `service.exposed`.
pub static SHAPE: RecordShape = RecordShape {
    name: "exposed",
    doc: "What security groups of nodes make of a Service's clients from outside of the cluster.",
    fields: &[
        Field::scalar("node_ports", "How many of its ports are ports of every node."),
        Field::scalar(
            "clients_from",
            "Who says who the clients are: `symptom`, `spec` (loadBalancerSourceRanges), or `nobody`.",
        ),
        Field::scalar("public", "Whether its load balancer is on the Internet."),
        Field::scalar("direct_access", "Whether TKE's load balancer leads to pods instead of to node ports."),
        Field::scalar(
            "passes_to_target",
            "Whether nodes take what its load balancer passes whatever their groups say (TKE's pass-to-target).",
        ),
        Field::scalar("groups_known", "Whether any security group is known."),
        Field::of("extents", machine::LIST, "What the groups make of its clients, for nodes whose groups differ."),
    ],
};

/// What groups make of the Service's clients.
pub fn value(facts: &Facts, service: &Service) -> Value {
    let exposed = Exposed::of(facts, service);
    Record::derived()
        .with("node_ports", exposed.ports().count())
        .with("clients_from", exposed.clients_from())
        .with("public", exposed.public)
        .with("direct_access", service.annotation_is("service.cloud.tencent.com/direct-access", "true"))
        .with("passes_to_target", exposed.passes_to_target())
        .with("groups_known", !facts.clouds().is_empty())
        .with("extents", exposed.extents())
        .into_value()
}

struct Exposed<'a> {
    facts: &'a Facts,
    service: &'a Service,
    public: bool,
    /// The client of the symptom.
    client: Option<IpAddr>,
}

impl<'a> Exposed<'a> {
    fn of(facts: &'a Facts, service: &'a Service) -> Exposed<'a> {
        Exposed { facts, service, public: is_on_the_internet(facts, service), client: client(facts, service) }
    }

    fn ports(&self) -> impl Iterator<Item = &'a ServicePort> + use<'a> {
        self.service.ports.iter().filter(|port| port.node_port != 0)
    }

    fn clients_from(&self) -> &'static str {
        match (self.client, self.service.source_ranges.is_empty()) {
            (Some(_), _) => "symptom",
            (None, false) => "spec",
            (None, true) => "nobody",
        }
    }

    /// Of one family: a packet has no two.
    fn clients(&self, v6: bool) -> Option<Clients> {
        if let Some(client) = self.client {
            return (client.is_ipv6() == v6).then(|| Clients::Networks(vec![IpNet::from(client)]));
        }
        let of_family = |network: &&IpNet| network.addr().is_ipv6() == v6;
        let ranges: Vec<IpNet> = self.service.source_ranges.iter().filter(of_family).copied().collect();
        // The API's way of saying "everybody".
        let everybody = ranges.iter().any(|range| range.prefix_len() == 0);
        if !ranges.is_empty() && !everybody {
            return Some(Clients::Networks(ranges));
        }
        match (self.public, v6) {
            (true, _) => Some(Clients::Internet { v6 }),
            (false, false) => Some(Clients::Networks(private())),
            (false, true) => None,
        }
    }

    fn passes_to_target(&self) -> bool {
        let id = self.service.annotations.get("service.kubernetes.io/loadbalance-id");
        let balancer = self.facts.clouds().tke.balancer(id.map(|id| &**id), &self.service.load_balancer);
        let said = balancer.and_then(|balancer| balancer.passes_to_target);
        said.unwrap_or_else(|| self.service.annotation_is("service.cloud.tencent.com/pass-to-target", "true"))
    }

    fn extents(&self) -> Vec<Value> {
        let classes = self.facts.group_classes().iter().filter(|class| self.takes(class));
        let ports: Vec<&ServicePort> = self.ports().collect();
        classes.flat_map(|class| ports.iter().flat_map(|port| self.extent(class, port))).collect()
    }

    /// With `externalTrafficPolicy: Local` load balancers use the nodes that have an endpoint.
    fn takes(&self, class: &Class) -> bool {
        if &*self.service.external_traffic_policy != "Local" {
            return true;
        }
        let mut slices = self.facts.slices().of_service(&self.service.namespace, &self.service.name);
        let has = |node: &Arc<str>| class.nodes.contains(node);
        slices.any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.ready && has(&endpoint.node)))
    }

    fn extent(&self, class: &Class, port: &ServicePort) -> Vec<Value> {
        let Some(number) = protocol::number(&port.protocol) else { return Vec::new() };
        let (destination, at_port) = self.kept_destination(class, port).unwrap_or((class.address, port.node_port));
        let Some(clients) = self.clients(destination.is_ipv6()) else { return Vec::new() };
        let others = class.nodes.len().saturating_sub(1);
        let name = class.nodes.first().map_or("", |name| name);
        let at = if others == 0 { format!("node {name}") } else { format!("node {name} and {others} like it") };
        let span = Span { clients, destination, protocol: number, ports: at_port..=at_port };
        Asked { at, site: Site::Machine(class.address), way: Way::Inbound, span }.values(self.facts)
    }

    /// Azure's load balancer keeps the destination, unless it is told not to
    /// (<https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/>).
    fn kept_destination(&self, class: &Class, port: &ServicePort) -> Option<(IpAddr, u16)> {
        let off = "service.beta.kubernetes.io/azure-disable-load-balancer-floating-ip";
        if self.facts.clouds().azure.is_empty() || self.service.annotation_is(off, "true") {
            return None;
        }
        let mut shown = self.service.load_balancer.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        let address = shown.find(|address| address.is_ipv4() == class.address.is_ipv4())?;
        Some((address, port.number))
    }
}

/// Networks of one's own (RFC 1918, RFC 6598).
fn private() -> Vec<IpNet> {
    ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"]
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// By the load balancer's address; where it has none yet, by the annotations that ask for one within the network.
fn is_on_the_internet(facts: &Facts, service: &Service) -> bool {
    if &*service.kind != "LoadBalancer" {
        return false;
    }
    let shown: Vec<IpAddr> = service.load_balancer.iter().filter_map(|text| text.parse().ok()).collect();
    if !shown.is_empty() {
        return shown.iter().any(|address| is_public(*address));
    }
    let internal = service.annotation_is("service.beta.kubernetes.io/azure-load-balancer-internal", "true")
        || service.annotations.get("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid").is_some();
    let id = service.annotations.get("service.kubernetes.io/loadbalance-id");
    let balancer = facts.clouds().tke.balancer(id.map(|id| &**id), &[]);
    balancer.map_or(!internal, |balancer| balancer.open)
}

/// The client outside of the cluster that does not reach this Service, by the symptom.
fn client(facts: &Facts, service: &Service) -> Option<IpAddr> {
    let ends = facts.symptom_ends();
    let named = facts.services().get(ends.service?)?;
    let is_this = named.namespace == service.namespace && named.name == service.name;
    match ends.sender()? {
        Who::Address(address) if is_this => Some(*address),
        _ => None,
    }
}
