//! Services and EndpointSlices as kube-proxy is told of them, in the terms of the packet walk's library.

use netpath::protocol;
use netpath::service as told;

use super::slice::{Endpoint, Slice, SlicePort};
use super::{Service, ServicePort};
use crate::facts::Facts;

/// Labels of what kube-proxy leaves to others (pkg/proxy in Kubernetes, `ProxyServer.Run`).
const OF_OTHERS: [&str; 2] = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"];

/// Whether a label of Services and slices says that kube-proxy is not to take them.
pub(super) fn is_label_of_others(has_label: impl Fn(&str) -> bool) -> bool {
    OF_OTHERS.iter().any(|label| has_label(label))
}

/// All Services, in their places, with their slices.
pub(in crate::facts) fn services(facts: &Facts) -> Vec<told::Service> {
    let service = |service: &Service| {
        let own = facts.slices().of_service(&service.namespace, &service.name);
        let slices: Vec<&Slice> = own.filter(|slice| slice.proxied).collect();
        let changed = slices.iter().map(|slice| slice.changed).chain([service.changed]).max().unwrap_or_default();
        told::Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            proxied: &*service.kind != "ExternalName" && !is_label_of_others(|key| service.labels.get(key).is_some()),
            cluster_ips: service.cluster_ips.iter().filter_map(|address| address.parse().ok()).collect(),
            ports: service.ports.iter().filter_map(port).collect(),
            external_ips: service.external_ips.clone(),
            load_balancer_ips: service.virtual_ips.clone(),
            source_ranges: service.source_ranges.clone(),
            internal_local: &*service.internal_traffic_policy == "Local",
            external_local: &*service.external_traffic_policy == "Local",
            health_check_node_port: service.health_check_node_port,
            slices: slices.into_iter().map(slice).collect(),
            changed: changed.timestamp().map(|time| time.as_second()),
        }
    };
    facts.services().all.iter().map(service).collect()
}

fn port(port: &ServicePort) -> Option<told::ServicePort> {
    Some(told::ServicePort {
        name: port.name.as_str().into(),
        protocol: protocol::number(&port.protocol)?,
        port: port.number,
        node_port: port.node_port,
    })
}

fn slice(slice: &Slice) -> told::EndpointSlice {
    told::EndpointSlice {
        ports: slice.ports.iter().filter_map(slice_port).collect(),
        endpoints: slice.endpoints.iter().filter_map(endpoint).collect(),
    }
}

fn slice_port(port: &SlicePort) -> Option<told::SlicePort> {
    let protocol = protocol::number(&port.protocol)?;
    Some(told::SlicePort { name: Some(port.name.clone()), protocol, port: Some(port.number) })
}

fn endpoint(endpoint: &Endpoint) -> Option<told::Endpoint> {
    let hints = endpoint.hints.as_deref();
    Some(told::Endpoint {
        address: endpoint.addresses.first()?.parse().ok()?,
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        node: (!endpoint.node.is_empty()).then(|| endpoint.node.clone()),
        zone_hints: hints.map(|hints| hints.zones.clone()).unwrap_or_default(),
        node_hints: hints.map(|hints| hints.nodes.clone()).unwrap_or_default(),
    })
}
