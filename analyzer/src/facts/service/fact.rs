//! Services, as expressions see them.

use std::collections::BTreeSet;

use minijinja::Value;

use super::dead;
use super::near::{self, Nearest};
use super::ports::{self, Target};
use super::{Service, ServicePort};
use crate::citation::Citation;
use crate::fact::{Fact, Fields, Record};
use crate::facts::cloud::exposed;
use crate::facts::json::{IntOrText, text_value};
use crate::facts::policy::access;
use crate::facts::{Facts, event, pod, workload};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `service`.
pub static SHAPE: RecordShape = RecordShape {
    name: "service",
    doc: "A Service, joined with the pods that it selects and its EndpointSlices.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("namespace", "Its namespace."),
        Field::scalar("type", "`ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`."),
        Field::scalar("created", "When it was created."),
        Field::map("labels", "Its labels."),
        Field::map("annotations", "Its annotations, as far as the collector takes them."),
        Field::map("selector", "Its selector; empty where something else makes its endpoints."),
        Field::scalar("selector_text", "Its selector, as kubectl's -l takes it."),
        Field::scalar("headless", "Whether it has no address of its own."),
        Field::scalar("cluster_ip", "Its first cluster address; `None` for headless ones."),
        Field::scalars("cluster_ips", "Its cluster addresses."),
        Field::of("ports", Shape::List(&Shape::Record(&PORT)), "Its ports."),
        Field::scalar("publish_not_ready", "Whether pods that are not ready are endpoints too."),
        Field::scalar("external_traffic_policy", "`Cluster` or `Local`."),
        Field::scalar("internal_traffic_policy", "`Cluster` or `Local`."),
        Field::scalars("load_balancer", "Addresses and names of its load balancer."),
        Field::of(
            "pods",
            Shape::List(&Shape::Record(&pod::fact::SHAPE)),
            "The pods that its selector selects, ended ones too.",
        ),
        Field::scalar("live_pods", "How many of them have not ended."),
        Field::scalar("ready_pods", "How many of them are ready and have not ended."),
        Field::scalar("endpoints", "How many endpoints of its slices take traffic."),
        Field::scalars("endpoint_nodes", "The nodes that these are on, each once."),
        Field::scalar("endpoints_not_ready", "How many endpoints of its slices take none."),
        Field::of(
            "scaled_to_zero",
            Shape::List(&Shape::Record(&workload::SHAPE)),
            "Workloads of its namespace that want no pods and whose selector agrees with its own.",
        ),
        Field::record("nearest", &NEAREST, "The pods that its selector probably meant, where it selects none."),
        Field::record("reachable", &dead::SHAPE, "Which of its ready endpoints answer."),
        Field::record(
            "exposed",
            &exposed::SHAPE,
            "What a cloud's security groups of nodes make of its clients from outside of the cluster.",
        ),
        Field::record("access", &access::SHAPE, "Whom policies let in to it."),
        Field::of("events", Shape::List(&Shape::Record(&event::SHAPE)), "Events about it, the oldest first."),
    ],
};

/// The shape of a Service's port.
pub static PORT: RecordShape = RecordShape {
    name: "service port",
    doc: "A port of a Service, with what the selected pods say of its target.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("number", "Its number."),
        Field::scalar("protocol", "`TCP`, `UDP`, `SCTP`."),
        Field::scalar("target", "Where it leads: the number or the name of a container's port."),
        Field::scalar("named", "Whether its target is a name."),
        Field::scalar("node_port", "Its port on every node."),
        Field::scalar("pods", "How many selected pods have not ended."),
        Field::scalar(
            "pods_without",
            "How many of them do not have the named port, or declare ports and not this number.",
        ),
        Field::record("example", &pod::fact::SHAPE, "One of the pods without."),
        Field::scalars("declared", "What that pod declares: `http 8080/TCP`."),
    ],
};

/// The shape of the nearest labels.
pub static NEAREST: RecordShape = RecordShape {
    name: "nearest labels",
    doc: "Labels that differ from a selector in one label.",
    fields: &[
        Field::scalar("key", "The label that differs."),
        Field::scalar("wanted", "What the selector wants."),
        Field::scalar("found", "What the pods have; nothing where they lack the label."),
        Field::scalar("pods", "How many pods have these labels."),
    ],
};

/// A Service as a value, by its place in the list.
pub fn value(facts: &Facts, place: u32) -> Value {
    Fact::value(ServiceFact { facts: facts.clone(), place })
}

/// The Services whose selector selects the pod at this place.
pub fn values_selecting(facts: &Facts, pod: u32) -> Value {
    let Some(pod) = facts.pods().get(pod) else { return Value::from(Vec::<Value>::new()) };
    let services = facts.services();
    let selects = |place: &&u32| {
        services
            .get(**place)
            .is_some_and(|service| !service.selector.is_empty() && pod.labels.satisfy(&service.selector))
    };
    services.in_namespace(&pod.namespace).iter().filter(selects).map(|place| value(facts, *place)).collect()
}

#[derive(Debug)]
struct ServiceFact {
    facts: Facts,
    place: u32,
}

impl ServiceFact {
    fn service(&self) -> Option<&Service> {
        self.facts.services().get(self.place)
    }

    fn selected(&self, service: &Service) -> Vec<u32> {
        self.facts.pods().selected(&service.namespace, &service.selector)
    }

    fn count_pods(&self, service: &Service, ready: bool) -> Value {
        let counts = |pod: &&pod::Pod| !pod.has_ended() && (!ready || pod.is_ready());
        let pods = self.facts.pods();
        Value::from(self.selected(service).into_iter().filter_map(|place| pods.get(place)).filter(counts).count())
    }

    fn count_endpoints(&self, service: &Service, ready: bool) -> Value {
        let slices = self.facts.slices().of_service(&service.namespace, &service.name);
        Value::from(slices.flat_map(|slice| slice.endpoints.iter()).filter(|endpoint| endpoint.ready == ready).count())
    }

    fn endpoint_nodes(&self, service: &Service) -> Value {
        let slices = self.facts.slices().of_service(&service.namespace, &service.name);
        let ready = slices.flat_map(|slice| slice.endpoints.iter()).filter(|endpoint| endpoint.ready);
        let names: BTreeSet<&str> = ready.map(|endpoint| &*endpoint.node).filter(|node| !node.is_empty()).collect();
        names.into_iter().map(Value::from).collect()
    }

    fn nearest(&self, service: &Service) -> Option<Value> {
        if service.selector.is_empty() || !self.selected(service).is_empty() {
            return None;
        }
        let Nearest { key, wanted, found, pods } = near::nearest(service, self.facts.pods())?;
        let cited = service.origin.cite("/spec/selector", &service.selector.to_string());
        let record = Record::cited(cited).with("key", key).with("wanted", wanted).with_any("found", found);
        Some(record.with("pods", pods).into_value())
    }

    fn port(&self, service: &Service, place: usize, port: &ServicePort) -> Value {
        let (target, named) = match &port.target {
            IntOrText::Int(number) => (number.to_string(), false),
            IntOrText::Text(name) => (name.clone(), true),
        };
        let text = format!("{} {}/{} targetPort {target}", port.name, port.number, port.protocol);
        let cited = service.origin.cite(&format!("/spec/ports/{place}"), text.trim_start());
        let Target { pods, without, example, declared } = ports::target(service, port, self.facts.pods());
        Record::cited(cited)
            .with_any("name", text_value(&port.name))
            .with("number", port.number)
            .with("protocol", port.protocol.as_str())
            .with("target", target)
            .with("named", named)
            .with_any("node_port", (port.node_port != 0).then_some(port.node_port))
            .with("pods", pods)
            .with("pods_without", without)
            .with_any("example", example.map(|place| pod::fact::value(&self.facts, place)))
            .with("declared", declared)
            .into_value()
    }
}

impl Fields for ServiceFact {
    fn field(&self, name: &str) -> Option<Value> {
        let service = self.service()?;
        match name {
            "name" => Some(Value::from(service.name.clone())),
            "namespace" => Some(Value::from(service.namespace.clone())),
            "type" => Some(Value::from(service.kind.clone())),
            "created" => service.created.value(),
            "labels" => Some(service.labels.value()),
            "annotations" => Some(service.annotations.value()),
            "selector" => Some(service.selector.value()),
            "selector_text" => Some(Value::from(service.selector.to_string())),
            "headless" => Some(Value::from(service.is_headless())),
            "cluster_ip" => service.cluster_ips.first().map(|address| Value::from(address.as_str())),
            "cluster_ips" => Some(service.cluster_ips.iter().map(|address| Value::from(address.as_str())).collect()),
            "ports" => Some(service.ports.iter().enumerate().map(|(at, port)| self.port(service, at, port)).collect()),
            "publish_not_ready" => Some(Value::from(service.publish_not_ready)),
            "external_traffic_policy" => text_value(&service.external_traffic_policy),
            "internal_traffic_policy" => text_value(&service.internal_traffic_policy),
            "load_balancer" => Some(service.load_balancer.iter().map(|shown| Value::from(shown.as_str())).collect()),
            "pods" => Some(pod::fact::values(&self.facts, self.selected(service))),
            "live_pods" => Some(self.count_pods(service, false)),
            "ready_pods" => Some(self.count_pods(service, true)),
            "endpoints" => Some(self.count_endpoints(service, true)),
            "endpoint_nodes" => Some(self.endpoint_nodes(service)),
            "endpoints_not_ready" => Some(self.count_endpoints(service, false)),
            "scaled_to_zero" => Some(workload::values_scaled_to_zero(&self.facts, service)),
            "exposed" => Some(exposed::value(&self.facts, service)),
            "reachable" => Some(dead::value(&self.facts, service)),
            "access" => Some(access::value(&self.facts, service)),
            "nearest" => self.nearest(service),
            "events" => Some(event::values_about(&self.facts, "Service", &service.namespace, &service.name)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        let service = self.service()?;
        let text = format!(
            "service {}: {}, {}, selector {}",
            service.full_name(),
            service.kind,
            service.cluster_ips.join(" "),
            if service.selector.is_empty() { "none".to_owned() } else { service.selector.to_string() },
        );
        Some(service.origin.cite("", &text))
    }
}
