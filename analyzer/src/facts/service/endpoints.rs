//! A Service's port and the ready endpoints that stand behind it.

use std::net::IpAddr;

use super::slice::{Endpoint, Slice};
use super::{Service, ServicePort};
use crate::facts::Facts;
use crate::facts::pod::Pod;

/// A ready endpoint of a Service's port.
#[derive(Debug, Clone, Copy)]
pub struct ReadyEndpoint<'a> {
    /// The slice that it is in.
    pub slice: &'a Slice,
    /// It.
    pub endpoint: &'a Endpoint,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// The ready endpoints of a Service's port, in the slices' order.
pub fn ready<'a>(facts: &'a Facts, service: &Service, port: &ServicePort) -> Vec<ReadyEndpoint<'a>> {
    let mut all = Vec::new();
    for slice in facts.slices().of_service(&service.namespace, &service.name) {
        let is_port = |known: &&super::slice::SlicePort| *known.name == *port.name && *known.protocol == *port.protocol;
        let Some(target) = slice.ports.iter().find(is_port) else { continue };
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
            all.extend(addresses.map(|address| ReadyEndpoint { slice, endpoint, address, port: target.number }));
        }
    }
    all
}

impl<'a> ReadyEndpoint<'a> {
    /// The place of the pod that it is, where it is one that the bundle knows.
    pub fn pod_place(&self, facts: &Facts) -> Option<u32> {
        if self.endpoint.pod.is_empty() { None } else { facts.pods().named(&self.slice.namespace, &self.endpoint.pod) }
    }

    /// The pod that it is, where it is one that the bundle knows.
    pub fn pod(&self, facts: &'a Facts) -> Option<&'a Pod> {
        facts.pods().get(self.pod_place(facts)?)
    }
}
