//! What kube-proxy is told by the API: Services, their EndpointSlices, and which node it runs on.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// A Service, as far as kube-proxy looks at it.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Whether kube-proxy takes it at all: false for ExternalName Services and those with one of the labels
    /// `service.kubernetes.io/service-proxy-name` and `service.kubernetes.io/headless`.
    pub proxied: bool,
    /// Its cluster addresses, at most one of each family; none for headless Services.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// The addresses of `status.loadBalancer.ingress`, without those of `ipMode: Proxy` and without names.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `loadBalancerSourceRanges`; empty means everybody.
    pub source_ranges: Vec<IpNet>,
    /// Whether `internalTrafficPolicy` is `Local`.
    pub internal_local: bool,
    /// Whether `externalTrafficPolicy` is `Local`.
    pub external_local: bool,
    /// `healthCheckNodePort`; 0 where there is none.
    pub health_check_node_port: u16,
    /// Its EndpointSlices.
    pub slices: Vec<EndpointSlice>,
    /// When it or one of its slices changed last, in seconds since 1970, where that is known.
    pub changed: Option<i64>,
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// The number of its protocol.
    pub protocol: u8,
    /// Its number.
    pub port: u16,
    /// Its port on every node; 0 where there is none.
    pub node_port: u16,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default)]
pub struct EndpointSlice {
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A port of a slice.
#[derive(Clone, Debug)]
pub struct SlicePort {
    /// The name of the Service's port; may be empty. kube-proxy takes no port without a name.
    pub name: Option<Arc<str>>,
    /// The number of its protocol.
    pub protocol: u8,
    /// Its number. kube-proxy takes no port without one.
    pub port: Option<u16>,
}

/// An endpoint of a slice.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its first address, which is the only one that kube-proxy takes.
    pub address: IpAddr,
    /// Whether it is ready; absent means yes.
    pub ready: bool,
    /// Whether it serves; absent means yes.
    pub serving: bool,
    /// Whether it is being deleted; absent means no.
    pub terminating: bool,
    /// The node it runs on.
    pub node: Option<Arc<str>>,
    /// `hints.forZones`.
    pub zone_hints: Vec<Arc<str>>,
    /// `hints.forNodes`.
    pub node_hints: Vec<Arc<str>>,
}

/// The node whose kube-proxy is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its name, as EndpointSlices spell it.
    pub node: &'a str,
    /// Its zone (`topology.kubernetes.io/zone`).
    pub zone: Option<&'a str>,
    /// What changed at this time or later, in seconds since 1970, may not have reached the node when its dumps were
    /// taken, so that a difference proves nothing.
    pub settled_before: Option<i64>,
}
