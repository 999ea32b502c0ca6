//! Pods and containers, as expressions see them.

use std::collections::BTreeMap;

use minijinja::Value;

use super::container::{ContainerStatus, ContainerTemplate, Ended, Port, State};
use super::{Condition, Pod, listening};
use crate::citation::Citation;
use crate::fact::{Fact, Fields, Record};
use crate::facts::json::text_value;
use crate::facts::policy::denied;
use crate::facts::{Facts, component, event, node_root, service, workload};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `pod`.
pub static SHAPE: RecordShape = RecordShape {
    name: "pod",
    doc: "A pod.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("namespace", "Its namespace."),
        Field::scalar("uid", "Its uid."),
        Field::scalar("component", "The component that it is of, where it is a known one: `coredns`, `kube-proxy` …"),
        Field::of(
            "denied",
            Shape::List(&Shape::Record(&denied::SHAPE)),
            "What policies deny it: of what every pod needs (DNS, the API server), and what a symptom says it does not reach.",
        ),
        Field::scalar("node_name", "The node it is bound to, where it is scheduled."),
        Field::record("node", &node_root::SHAPE, "The node it is bound to, where the bundle knows it."),
        Field::scalar("phase", "`Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`."),
        Field::scalar("reason", "Why it is in its phase: `Evicted`, `NodeLost`."),
        Field::scalar("ready", "Whether its condition Ready is true."),
        Field::scalar("ready_since", "When its condition Ready changed last."),
        Field::scalar("ip", "Its first address."),
        Field::scalars("ips", "Its addresses, at most one of each family."),
        Field::scalar("host_ip", "The address of its host."),
        Field::scalar("host_network", "Whether it uses the host's network namespace."),
        Field::scalar(
            "networked",
            "Whether it holds an address of the pod network: not on the host's network, not ended.",
        ),
        Field::scalar("dns_policy", "`ClusterFirst`, `Default`, `ClusterFirstWithHostNet`, `None`."),
        Field::scalars("nameservers", "The nameservers of its dnsConfig."),
        Field::scalar("service_account", "Its service account's name."),
        Field::scalar(
            "runtime_class",
            "Its runtimeClassName, where it has one: a sandbox may have a network of its own inside.",
        ),
        Field::record(
            "listening",
            &listening::SHAPE,
            "Who listens in it where Services lead; undefined where the sockets of its network namespace were not collected.",
        ),
        Field::scalar("static", "Whether the kubelet runs it from a file of the node."),
        Field::scalar("created", "When it was created."),
        Field::scalar("deleted", "When its deletion is due, where it is being deleted."),
        Field::scalar("started", "When the kubelet took it on."),
        Field::scalar("restarts", "How often its containers were restarted in all."),
        Field::map("labels", "Its labels."),
        Field::scalar("owner_kind", "The kind of the object that controls it: `ReplicaSet`, `DaemonSet`, `Node` …"),
        Field::scalar("owner_name", "The name of the object that controls it."),
        Field::record("workload", &workload::SHAPE, "The workload it belongs to: a Deployment, not its ReplicaSet."),
        Field::of(
            "containers",
            Shape::List(&Shape::Record(&CONTAINER)),
            "Its containers, those of initialization first.",
        ),
        Field::of("conditions", Shape::Map(&Shape::Record(&CONDITION)), "Its conditions, by type."),
        Field::of("events", Shape::List(&Shape::Record(&event::SHAPE)), "Events about it, the oldest first."),
        Field::of("services", Shape::List(&Shape::Record(&service::SHAPE)), "Services whose selector selects it."),
    ],
};

/// The shape of a container.
pub static CONTAINER: RecordShape = RecordShape {
    name: "container",
    doc: "A container of a pod.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("image", "Its image."),
        Field::scalar("init", "Whether it is one of initialization; a sidecar is one that stays."),
        Field::scalar("sidecar", "Whether it is an init container that stays."),
        Field::scalar("ready", "Whether it is ready."),
        Field::scalar("restarts", "How often it was restarted."),
        Field::scalar("state", "`waiting`, `running`, `terminated`, or `unknown` where its status does not say."),
        Field::scalar("reason", "Why it waits or has ended: `ContainerCreating`, `CrashLoopBackOff`, `OOMKilled` …"),
        Field::scalar("message", "More words about why it waits."),
        Field::record("last", &ENDED, "How its run ended last: of this run if it has ended, else of the one before."),
        Field::of(
            "ports",
            Shape::List(&Shape::Record(&PORT)),
            "The ports it declares. They inform; it may listen on others.",
        ),
        Field::scalar("cpu_request", "Its CPU request, a quantity."),
        Field::scalar("cpu_limit", "Its CPU limit, a quantity."),
        Field::scalar("memory_request", "Its memory request, a quantity."),
        Field::scalar("memory_limit", "Its memory limit, a quantity."),
        Field::scalars("arguments", "Flags whose values the collector took: those of known components."),
        Field::scalar("readiness_probe", "Whether it has a readiness probe."),
    ],
};

/// The shape of the end of a container's run.
pub static ENDED: RecordShape = RecordShape {
    name: "end of a run",
    doc: "How a run of a container ended.",
    fields: &[
        Field::scalar("reason", "`OOMKilled`, `Error`, `Completed` …"),
        Field::scalar("exit_code", "Its exit code; 137 is SIGKILL, by whomever."),
        Field::scalar("finished", "When it ended."),
    ],
};

/// The shape of a declared port.
pub static PORT: RecordShape = RecordShape {
    name: "port",
    doc: "A port that a container declares.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("number", "Its number."),
        Field::scalar("protocol", "`TCP`, `UDP`, `SCTP`."),
        Field::scalar("host_port", "The port of the host that leads to it."),
    ],
};

/// The shape of a pod's condition.
pub static CONDITION: RecordShape = RecordShape {
    name: "pod condition",
    doc: "A condition of a pod.",
    fields: &[
        Field::scalar("status", "`True`, `False`, `Unknown`."),
        Field::scalar("reason", "Its reason."),
        Field::scalar("message", "Its message, at most 300 bytes."),
    ],
};

/// A pod as a value, by its place in the list.
pub fn value(facts: &Facts, place: u32) -> Value {
    Fact::value(PodFact { facts: facts.clone(), place })
}

/// Pods as a list of values.
pub fn values(facts: &Facts, places: impl IntoIterator<Item = u32>) -> Value {
    places.into_iter().map(|place| value(facts, place)).collect()
}

#[derive(Debug)]
struct PodFact {
    facts: Facts,
    place: u32,
}

impl Fields for PodFact {
    fn field(&self, name: &str) -> Option<Value> {
        let pod = self.facts.pods().get(self.place)?;
        match name {
            "denied" => Some(denied::values(&self.facts, pod)),
            "listening" => listening::value(&self.facts, pod),
            "component" => component::of_pod(pod).map(Value::from),
            "node" => node_root::named(&self.facts, &pod.node),
            "workload" => workload::of_pod(&self.facts, pod),
            "events" => Some(event::values_about(&self.facts, "Pod", &pod.namespace, &pod.name)),
            "services" => Some(service::fact::values_selecting(&self.facts, self.place)),
            _ => pod.field(name),
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        let pod = self.facts.pods().get(self.place)?;
        Some(pod.origin.cite("", &pod.summary()))
    }
}

impl Pod {
    /// The fields that need nothing but the pod.
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::from(&*self.name)),
            "namespace" => Some(Value::from(self.namespace.clone())),
            "uid" => (self.uid != 0).then(|| Value::from(uid_text(self.uid))),
            "node_name" => text_value(&self.node),
            "phase" => Some(Value::from(self.phase.clone())),
            "reason" => text_value(&self.reason),
            "ready" => Some(Value::from(self.is_ready())),
            "ready_since" => self.ready_since.value(),
            "ip" => self.addresses[0].map(|address| Value::from(address.to_string())),
            "ips" => Some(self.addresses().map(|address| Value::from(address.to_string())).collect()),
            "host_ip" => self.host_address.map(|address| Value::from(address.to_string())),
            "host_network" => Some(Value::from(self.template.host_network)),
            "networked" => Some(Value::from(self.is_networked())),
            "dns_policy" => text_value(&self.template.dns_policy),
            "nameservers" => Some(self.template.nameservers.iter().cloned().map(Value::from).collect()),
            "service_account" => text_value(&self.template.service_account),
            "runtime_class" => text_value(&self.template.runtime_class),
            "static" => Some(Value::from(self.owner.as_ref().is_some_and(|owner| &*owner.kind == "Node"))),
            "created" => self.created.value(),
            "deleted" => self.deleted.value(),
            "started" => self.started.value(),
            "restarts" => Some(Value::from(self.statuses.iter().map(|status| u64::from(status.restarts)).sum::<u64>())),
            "labels" => Some(self.labels.value()),
            "owner_kind" => self.owner.as_ref().map(|owner| Value::from(owner.kind.clone())),
            "owner_name" => self.owner.as_ref().map(|owner| Value::from(owner.name.clone())),
            "containers" => Some(self.containers()),
            "conditions" => Some(self.conditions_value()),
            _ => None,
        }
    }

    /// What a citation of the pod as a whole shows.
    pub fn summary(&self) -> String {
        let ready = if self.is_ready() { "ready" } else { "not ready" };
        let mut text = format!("pod {}: {}, {ready}", self.full_name(), self.phase);
        for (what, shown) in [("node", &*self.node), ("reason", &*self.reason)] {
            if !shown.is_empty() {
                text.push_str(&format!(", {what} {shown}"));
            }
        }
        for address in self.addresses() {
            text.push_str(&format!(", {address}"));
        }
        text
    }

    fn containers(&self) -> Value {
        let value = |template: &ContainerTemplate| {
            let status =
                self.statuses.iter().find(|status| status.name == template.name && status.init == template.init);
            self.container(template, status)
        };
        self.template.containers.iter().map(value).collect()
    }

    fn container(&self, template: &ContainerTemplate, status: Option<&ContainerStatus>) -> Value {
        let cited = match status {
            Some(status) => self.origin.cite(&status.pointer(), &status.text()),
            None => self.origin.cite("", &format!("container {}: no status", template.name)),
        };
        let record = template.describe(Record::cited(cited.clone()));
        let Some(status) = status else { return record.with("state", "unknown").into_value() };
        let (state, reason, message) = status.state();
        record
            .with("ready", status.ready)
            .with("restarts", status.restarts)
            .with("state", state)
            .with_any("reason", text_value(reason))
            .with_any("message", text_value(message))
            .with_any("last", status.last_end().map(|ended| ended.value(cited)))
            .into_value()
    }

    fn conditions_value(&self) -> Value {
        let entry = |(place, condition): (usize, &Condition)| {
            let text = format!("{}={} {} {}", condition.kind, condition.status, condition.reason, condition.message);
            let cited = self.origin.cite(&format!("/status/conditions/{place}"), text.trim_end());
            let record = Record::cited(cited)
                .with("status", condition.status.clone())
                .with_any("reason", text_value(&condition.reason))
                .with_any("message", text_value(&condition.message));
            (condition.kind.to_string(), record.into_value())
        };
        Value::from(self.conditions.iter().enumerate().map(entry).collect::<BTreeMap<String, Value>>())
    }
}

impl ContainerTemplate {
    /// Adds what a template says of a container.
    pub fn describe(&self, record: Record) -> Record {
        record
            .with("name", self.name.clone())
            .with("image", self.image.clone())
            .with("init", self.init)
            .with("sidecar", self.sidecar)
            .with("ports", self.ports.iter().map(Port::value).collect::<Value>())
            .with_any("cpu_request", text_value(&self.resources.cpu_request))
            .with_any("cpu_limit", text_value(&self.resources.cpu_limit))
            .with_any("memory_request", text_value(&self.resources.memory_request))
            .with_any("memory_limit", text_value(&self.resources.memory_limit))
            .with("arguments", self.arguments.iter().cloned().map(Value::from).collect::<Value>())
            .with("readiness_probe", self.readiness_probe)
    }
}

impl Port {
    fn value(&self) -> Value {
        Record::derived()
            .with_any("name", text_value(&self.name))
            .with("number", self.number)
            .with("protocol", self.protocol.clone())
            .with_any("host_port", (self.host_port != 0).then_some(self.host_port))
            .into_value()
    }
}

impl ContainerStatus {
    fn pointer(&self) -> String {
        let list = if self.init { "initContainerStatuses" } else { "containerStatuses" };
        format!("/status/{list}/{}", self.place)
    }

    fn state(&self) -> (&'static str, &str, &str) {
        match &self.state {
            State::Waiting { reason, message } => ("waiting", reason, message),
            State::Running => ("running", "", ""),
            State::Terminated(ended) => ("terminated", &ended.reason, ""),
            State::Unknown => ("unknown", "", ""),
        }
    }

    /// How it ended last: this run, or the one before.
    pub fn last_end(&self) -> Option<&Ended> {
        match &self.state {
            State::Terminated(ended) => Some(ended),
            _ => self.last.as_deref(),
        }
    }

    fn text(&self) -> String {
        let (state, reason, message) = self.state();
        let mut text = format!("container {}: {state}", self.name);
        for part in [reason, message] {
            if !part.is_empty() {
                text.push_str(&format!(" {part}"));
            }
        }
        text.push_str(&format!(", restarts {}", self.restarts));
        if let Some(ended) = &self.last {
            text.push_str(&format!(", last run ended with {}", ended.text()));
        }
        text
    }
}

impl Ended {
    fn text(&self) -> String {
        let at = self.finished.timestamp().map_or_else(String::new, |time| format!(" at {time}"));
        format!("{} (exit code {}){at}", self.reason, self.exit_code)
    }

    fn value(&self, cited: Citation) -> Value {
        Record::cited(cited)
            .with_any("reason", text_value(&self.reason))
            .with("exit_code", self.exit_code)
            .with_any("finished", self.finished.value())
            .into_value()
    }
}

/// A uid as the API writes it.
pub fn uid_text(uid: u128) -> String {
    let digits = format!("{uid:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    groups.join("-")
}
