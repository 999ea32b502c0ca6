//! Whether a Service's target ports lead anywhere: over all pods that it selects, not over one of them.
//!
//! A named target port must be declared by a pod, or the pod is no endpoint of that port. A number need not:
//! `containerPort` informs (Kubernetes API reference, Container v1), so an undeclared number is a hint and no proof.

use super::{Service, ServicePort};
use crate::facts::json::IntOrText;
use crate::facts::pod::{Pod, Pods};

/// What the selected pods say of one port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Selected pods that have not ended.
    pub pods: usize,
    /// Of those, pods that do not have the named port, or that declare ports and not this number.
    pub without: usize,
    /// One of those.
    pub example: Option<u32>,
    /// What the example declares instead: `http 8080/TCP`.
    pub declared: Vec<String>,
}

/// What the selected pods say of a port.
pub fn target(service: &Service, port: &ServicePort, pods: &Pods) -> Target {
    let mut target = Target::default();
    for place in pods.selected(&service.namespace, &service.selector) {
        let Some(pod) = pods.get(place).filter(|pod| !pod.has_ended()) else { continue };
        target.pods += 1;
        if leads_to(port, pod) {
            continue;
        }
        target.without += 1;
        if target.example.is_none() {
            target.example = Some(place);
            target.declared = declared(pod);
        }
    }
    target
}

fn leads_to(port: &ServicePort, pod: &Pod) -> bool {
    match &port.target {
        IntOrText::Text(name) => pod.template.named_port(name, &port.protocol).is_some(),
        IntOrText::Int(number) => {
            let number = u16::try_from(*number).unwrap_or_default();
            !pod.template.declares_ports() || pod.template.declares(number, &port.protocol)
        }
    }
}

fn declared(pod: &Pod) -> Vec<String> {
    let ports = pod.template.containers.iter().flat_map(|container| container.ports.iter());
    ports.map(|port| format!("{} {}/{}", port.name, port.number, port.protocol).trim_start().to_owned()).collect()
}
