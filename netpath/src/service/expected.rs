//! What kube-proxy should make of the Services: for each port its frontends and the endpoints behind them.
//!
//! The selection of endpoints is that of pkg/proxy/topology.go (`CategorizeEndpoints`) of Kubernetes 1.34. Where older
//! kube-proxies select otherwise (hints, endpoints that are being deleted), the other selections are kept beside it, so
//! that a difference between versions is never taken for a difference from the API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::address::Family;
use crate::service::{Endpoint, Frontend, FrontendKind, Place, PortName, Service, ServicePort};

/// A port of a Service in one family, as kube-proxy should see it.
#[derive(Clone, Debug)]
pub struct ExpectedPort {
    /// Its name.
    pub name: PortName,
    /// Its place among the Services that were given.
    pub service: usize,
    /// Where clients reach it.
    pub frontends: Vec<Frontend>,
    /// The endpoints of the policy `Cluster`; empty where no frontend uses that policy.
    pub cluster: Selection,
    /// The endpoints of the policy `Local`: those on the node. Empty where no frontend uses that policy.
    pub local: Selection,
    /// Whether any endpoint anywhere takes traffic. Without one, packets are refused.
    pub has_endpoints: bool,
    /// Whether packets to the cluster address go to the node's own endpoints only.
    pub internal_local: bool,
    /// Whether packets to the other frontends go to the node's own endpoints only.
    pub external_local: bool,
    /// Who may come in by the load balancer's address; empty means everybody.
    pub source_ranges: Vec<IpNet>,
    /// The port at which the load balancer asks for the node's health; 0 where there is none.
    pub health_check_node_port: u16,
    /// Whether what stands behind it changed too recently to be judged.
    pub recent: bool,
}

/// A selection of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The endpoints.
    pub endpoints: BTreeSet<SocketAddr>,
    /// What other versions of kube-proxy select.
    pub others: Vec<BTreeSet<SocketAddr>>,
}

impl Selection {
    /// Whether these are the endpoints that some version of kube-proxy selects.
    pub fn is(&self, found: &BTreeSet<SocketAddr>) -> bool {
        self.endpoints == *found || self.others.contains(found)
    }

    /// Whether some version of kube-proxy selects this endpoint.
    pub fn may_hold(&self, endpoint: &SocketAddr) -> bool {
        self.endpoints.contains(endpoint) || self.others.iter().any(|other| other.contains(endpoint))
    }

    /// Whether some versions of kube-proxy select none of the endpoints that others do.
    fn is_disputed(&self) -> bool {
        !self.endpoints.is_empty() && self.others.iter().any(BTreeSet::is_empty)
    }
}

impl ExpectedPort {
    /// Whether packets to this frontend go to the node's own endpoints only.
    pub fn is_local(&self, frontend: &Frontend) -> bool {
        if frontend.kind == FrontendKind::ClusterIp { self.internal_local } else { self.external_local }
    }

    /// The endpoints that packets from elsewhere to this frontend are sent to, one of them drawn for each connection.
    pub fn endpoints(&self, frontend: &Frontend) -> &BTreeSet<SocketAddr> {
        if self.is_local(frontend) { &self.local.endpoints } else { &self.cluster.endpoints }
    }

    /// Whether anything but the cluster address leads to it.
    pub fn is_external(&self) -> bool {
        self.frontends.iter().any(|frontend| frontend.kind != FrontendKind::ClusterIp)
    }

    /// Whether versions of kube-proxy differ in whether this port has endpoints at all.
    pub(super) fn is_disputed(&self) -> bool {
        self.cluster.is_disputed() || self.local.is_disputed()
    }
}

/// The ports that the kube-proxy of a node should serve in a family, in the order of the Services.
pub fn expected(services: &[Service], place: Place<'_>, family: Family) -> Vec<ExpectedPort> {
    let of_service = |(at, service): (usize, &Service)| ports(service, at, place, family);
    services.iter().enumerate().filter(|(_, service)| service.proxied).flat_map(of_service).collect()
}

fn ports(service: &Service, at: usize, place: Place<'_>, family: Family) -> Vec<ExpectedPort> {
    let of_family = |addr: &&IpAddr| Family::of(**addr) == family;
    let Some(cluster_ip) = service.cluster_ips.iter().find(of_family) else { return Vec::new() };
    let make = |port: &ServicePort| {
        let at_port = |kind: FrontendKind| {
            move |addr: &IpAddr| Frontend { kind, address: Some(*addr), protocol: port.protocol, port: port.port }
        };
        let mut frontends = vec![at_port(FrontendKind::ClusterIp)(cluster_ip)];
        frontends.extend(service.external_ips.iter().filter(of_family).map(at_port(FrontendKind::ExternalIp)));
        frontends.extend(service.load_balancer_ips.iter().filter(of_family).map(at_port(FrontendKind::LoadBalancer)));
        if port.node_port != 0 {
            let (kind, number) = (FrontendKind::NodePort, port.node_port);
            frontends.push(Frontend { kind, address: None, protocol: port.protocol, port: number });
        }
        let name = PortName {
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            port: port.name.clone(),
            protocol: port.protocol,
        };
        let external = frontends.len() > 1;
        let uses_cluster = !service.internal_local || external;
        let uses_local = service.internal_local || (service.external_local && external);
        let all = endpoints(service, port, place, family);
        let cluster = if uses_cluster { cluster_endpoints(&all, place) } else { Selection::default() };
        let local = if uses_local { local_endpoints(&all) } else { Selection::default() };
        let any_local_policy = uses_local && all.values().any(|known| known.takes_traffic());
        ExpectedPort {
            name,
            service: at,
            frontends,
            has_endpoints: !cluster.endpoints.is_empty() || any_local_policy,
            cluster,
            local,
            internal_local: service.internal_local,
            external_local: service.external_local,
            source_ranges: source_ranges(service, family),
            health_check_node_port: service.health_check_node_port,
            recent: is_recent(service, place),
        }
    };
    service.ports.iter().map(make).collect()
}

fn is_recent(service: &Service, place: Place<'_>) -> bool {
    service.changed.zip(place.settled_before).is_some_and(|(changed, settled)| changed >= settled)
}

/// A range that holds every address is as good as none.
fn source_ranges(service: &Service, family: Family) -> Vec<IpNet> {
    let own: Vec<IpNet> =
        service.source_ranges.iter().filter(|net| Family::of(net.addr()) == family).map(IpNet::trunc).collect();
    if own.iter().any(|net| net.prefix_len() == 0) { Vec::new() } else { own }
}

/// An endpoint as kube-proxy keeps it.
struct Known<'a> {
    endpoint: &'a Endpoint,
    local: bool,
}

impl Known<'_> {
    /// Being deleted, and still of use where nothing better is left.
    fn is_last_resort(&self) -> bool {
        self.endpoint.serving && self.endpoint.terminating
    }

    fn takes_traffic(&self) -> bool {
        self.endpoint.ready || self.is_last_resort()
    }
}

/// The endpoints of a port by address; of two with the same address the later counts, unless only one is the node's own.
fn endpoints<'s>(
    service: &'s Service,
    port: &ServicePort,
    place: Place<'_>,
    family: Family,
) -> BTreeMap<SocketAddr, Known<'s>> {
    let mut all: BTreeMap<SocketAddr, Known<'s>> = BTreeMap::new();
    for slice in &service.slices {
        let same = |known: &&super::SlicePort| {
            known.name.as_ref() == Some(&port.name) && known.protocol == port.protocol && known.port != Some(0)
        };
        for number in slice.ports.iter().filter(same).filter_map(|known| known.port) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| Family::of(endpoint.address) == family) {
                let local = endpoint.node.as_deref() == Some(place.node);
                let address = SocketAddr::new(endpoint.address, number);
                if local || !all.contains_key(&address) {
                    all.insert(address, Known { endpoint, local });
                }
            }
        }
    }
    all
}

type All<'a> = BTreeMap<SocketAddr, Known<'a>>;

fn select(all: &All<'_>, wanted: impl Fn(&Known<'_>) -> bool) -> BTreeSet<SocketAddr> {
    all.iter().filter(|(_, known)| wanted(known)).map(|(address, _)| *address).collect()
}

fn cluster_endpoints(all: &All<'_>, place: Place<'_>) -> Selection {
    let ready = select(all, |known| known.endpoint.ready);
    if ready.is_empty() {
        return last_resort(select(all, |known| known.is_last_resort()));
    }
    let by_hint = |hints: fn(&Endpoint) -> &[Arc<str>], own: &str| {
        let all_have = all.values().filter(|known| known.endpoint.ready).all(|known| !hints(known.endpoint).is_empty());
        let hinted =
            select(all, |known| known.endpoint.ready && hints(known.endpoint).iter().any(|hint| &**hint == own));
        (all_have && !hinted.is_empty()).then_some(hinted)
    };
    let by_node = by_hint(|endpoint| &endpoint.node_hints, place.node);
    let by_zone = place.zone.and_then(|zone| by_hint(|endpoint| &endpoint.zone_hints, zone));
    // Before 1.34, hints to nodes are not looked at; before 1.31, nor are hints to zones without an annotation.
    let mut choices: Vec<_> = by_node.into_iter().chain(by_zone).chain([ready]).collect();
    let endpoints = choices.remove(0);
    Selection { endpoints, others: choices }
}

fn local_endpoints(all: &All<'_>) -> Selection {
    let ready = select(all, |known| known.local && known.endpoint.ready);
    if ready.is_empty() {
        return last_resort(select(all, |known| known.local && known.is_last_resort()));
    }
    Selection { endpoints: ready, others: Vec::new() }
}

/// Endpoints that are being deleted: kube-proxy before 1.26 does not fall back on them.
fn last_resort(endpoints: BTreeSet<SocketAddr>) -> Selection {
    let others = if endpoints.is_empty() { Vec::new() } else { vec![BTreeSet::new()] };
    Selection { endpoints, others }
}
