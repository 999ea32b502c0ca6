//! Services and their EndpointSlices.
//!
//! ```text
//! slice.rs   EndpointSlices
//! endpoints.rs  the ready endpoints of a Service's port
//! dead.rs    those of them that do not answer
//! ports.rs   whether a Service's target ports lead anywhere
//! near.rs    which labels a selector probably meant
//! proxy.rs   Services as kube-proxy is told of them
//! proxy_chains.rs  what kube-proxy made of them on a node
//! fact.rs    Services as expressions see them
//! ```

pub mod dead;
pub mod endpoints;
pub mod fact;
pub mod near;
pub mod ports;
pub mod proxy;
pub mod proxy_chains;
pub mod slice;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

pub use fact::SHAPE;

use super::intern::Strings;
use super::json::{IntOrText, Seconds, Text, address, or_default};
use super::list::{self, Origin, Parser};
use super::metadata::{Labels, Metadata, Pairs};
use crate::evidence::Evidence;
use crate::finding::Unreadable;

/// The evidence id of the list.
pub const EVIDENCE: &str = "api.services";

/// A Service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its name.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// When it was created.
    pub created: Seconds,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations, as far as the collector takes them.
    pub annotations: Labels,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: Arc<str>,
    /// Its selector; empty where something else makes its endpoints.
    pub selector: Labels,
    /// Its cluster addresses, as written; `None` for headless ones.
    pub cluster_ips: Vec<String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether pods that are not ready are endpoints too.
    pub publish_not_ready: bool,
    /// `externalTrafficPolicy`.
    pub external_traffic_policy: Arc<str>,
    /// `internalTrafficPolicy`.
    pub internal_traffic_policy: Arc<str>,
    /// `status.loadBalancer.ingress`: addresses or names.
    pub load_balancer: Vec<String>,
    /// Those of its load balancer's addresses that nodes take packets to, without those of `ipMode: Proxy`.
    pub virtual_ips: Vec<IpAddr>,
    /// `externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `loadBalancerSourceRanges`.
    pub source_ranges: Vec<IpNet>,
    /// `healthCheckNodePort`; 0 where there is none.
    pub health_check_node_port: u16,
    /// When it changed last.
    pub changed: Seconds,
}

/// A port of a Service.
#[derive(Debug, Clone)]
pub struct ServicePort {
    /// Its name; may be empty.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// Where it leads: a number or the name of a container's port.
    pub target: IntOrText,
    /// Its port on every node; 0 where there is none.
    pub node_port: u16,
}

/// All Services, with what finds them.
#[derive(Debug, Default)]
pub struct Services {
    /// All of them, in the API's order.
    pub all: Vec<Service>,
    by_namespace: HashMap<Arc<str>, Vec<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    spec: SpecView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    status: StatusView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SpecView<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    selector: Pairs<'a>,
    #[serde(borrow, rename = "clusterIP")]
    cluster_ip: Text<'a>,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<PortView>,
    publish_not_ready_addresses: bool,
    #[serde(borrow)]
    external_traffic_policy: Text<'a>,
    #[serde(borrow)]
    internal_traffic_policy: Text<'a>,
    #[serde(borrow, rename = "externalIPs", deserialize_with = "or_default")]
    external_ips: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    load_balancer_source_ranges: Vec<Text<'a>>,
    #[serde(deserialize_with = "or_default")]
    health_check_node_port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortView {
    #[serde(default)]
    name: String,
    port: u16,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    target_port: Option<IntOrText>,
    #[serde(default)]
    node_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    load_balancer: LoadBalancerView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancerView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    ingress: Vec<IngressView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct IngressView<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
    #[serde(borrow)]
    hostname: Text<'a>,
    #[serde(borrow, rename = "ipMode")]
    ip_mode: Text<'a>,
}

#[derive(Default)]
struct ServiceParser(Strings);

impl Parser<Service> for ServiceParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<Service>, serde_json::Error> {
        let ServiceView { metadata, spec, status } = serde_json::from_slice(object)?;
        let strings = &mut self.0;
        let cluster_ips = match spec.cluster_ips.is_empty() && !spec.cluster_ip.is_empty() {
            true => vec![spec.cluster_ip.to_string()],
            false => spec.cluster_ips,
        };
        let shown =
            |view: &IngressView| if view.ip.is_empty() { view.hostname.to_string() } else { view.ip.to_string() };
        let virtual_ips = status.load_balancer.ingress.iter().filter(|view| &*view.ip_mode != "Proxy");
        Ok(Some(Service {
            virtual_ips: virtual_ips.filter_map(|view| address(&view.ip)).collect(),
            external_ips: spec.external_ips.iter().filter_map(|text| address(text)).collect(),
            // The API lets blanks around ranges pass.
            source_ranges: spec
                .load_balancer_source_ranges
                .iter()
                .filter_map(|text| text.trim().parse().ok())
                .collect(),
            health_check_node_port: spec.health_check_node_port,
            changed: metadata.latest_change(),
            origin,
            name: strings.get(&metadata.name),
            namespace: strings.get(&metadata.namespace),
            created: metadata.creation_timestamp,
            labels: metadata.labels.to_labels(strings),
            annotations: metadata.annotations.to_labels(strings),
            kind: strings.get(if spec.kind.is_empty() { "ClusterIP" } else { &spec.kind }),
            selector: spec.selector.to_labels(strings),
            cluster_ips,
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            publish_not_ready: spec.publish_not_ready_addresses,
            external_traffic_policy: strings.get(&spec.external_traffic_policy),
            internal_traffic_policy: strings.get(&spec.internal_traffic_policy),
            load_balancer: status.load_balancer.ingress.iter().map(shown).collect(),
        }))
    }
}

impl From<PortView> for ServicePort {
    fn from(view: PortView) -> ServicePort {
        ServicePort {
            name: view.name,
            number: view.port,
            protocol: if view.protocol.is_empty() { "TCP".to_owned() } else { view.protocol },
            target: view.target_port.unwrap_or(IntOrText::Int(i64::from(view.port))),
            node_port: view.node_port,
        }
    }
}

impl Services {
    /// Reads the list.
    pub(super) fn read(evidence: &Evidence) -> (Services, Vec<Unreadable>) {
        let listed = list::read(evidence, EVIDENCE, ServiceParser::default);
        let mut services = Services { all: listed.items, by_namespace: HashMap::new() };
        for (place, service) in (0..).zip(&services.all) {
            services.by_namespace.entry(service.namespace.clone()).or_default().push(place);
        }
        (services, listed.unreadable)
    }

    /// The Service at this place of the list.
    pub fn get(&self, place: u32) -> Option<&Service> {
        self.all.get(place as usize)
    }

    /// The places of the Services of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> &[u32] {
        self.by_namespace.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// The Service of this name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<(u32, &Service)> {
        let of = |place: &u32| self.get(*place).filter(|service| &*service.name == name).map(|found| (*place, found));
        self.in_namespace(namespace).iter().find_map(of)
    }
}

impl Service {
    /// Whether it has no address of its own.
    pub fn is_headless(&self) -> bool {
        self.cluster_ips.iter().any(|address| address == "None")
    }

    /// Whether an annotation has this value.
    pub fn annotation_is(&self, name: &str, value: &str) -> bool {
        self.annotations.get(name).is_some_and(|own| &**own == value)
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
