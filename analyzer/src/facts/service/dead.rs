//! Endpoints of a Service that do not answer although they are ready: a node stops what is sent to them, or nothing
//! listens there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use minijinja::Value;
use netpath::protocol;

use super::endpoints::{self, ReadyEndpoint};
use super::{Service, ServicePort};
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::node::CITED_LINE;
use crate::facts::pod::Pod;
use crate::facts::pod::listening::{self, Ear};
use crate::facts::reach::endpoints::{About, Stop};
use crate::facts::reach::walk;
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `service.reachable`.
pub static SHAPE: RecordShape = RecordShape {
    name: "reachable endpoints",
    doc: "Which ready endpoints of a Service answer, as far as rules of nodes and sockets of pods tell.",
    fields: &[
        Field::scalar("judged", "How many of them are pods of the pod network that the bundle knows."),
        Field::scalar("lost", "How many of those are among the dead."),
        Field::of("dead", Shape::List(&Shape::Record(&DEAD)), "Ports of those that surely do not answer everybody."),
        Field::scalar(
            "general",
            "How many are stopped by a line that stops what is sent to any pod there, which is no matter of the Service.",
        ),
        Field::scalar(
            "by_policy",
            "How many policies keep from the pods that stand for clients, which is no matter of the endpoint either.",
        ),
        Field::scalars("doubts", "What is not known of the ways to the others."),
        Field::scalars("unheard", "Of which others it is not known whether they listen, and why."),
    ],
};

/// The shape of a dead endpoint.
pub static DEAD: RecordShape = RecordShape {
    name: "dead endpoint",
    doc: "A ready endpoint that does not answer.",
    fields: &[
        Field::scalar("number", "The Service's port."),
        Field::scalar("protocol", "`TCP`, `UDP`."),
        Field::scalar("address", "The endpoint's address."),
        Field::scalar("port", "The endpoint's port."),
        Field::scalar("pod", "The pod's name."),
        Field::scalar("node", "The pod's node."),
        Field::scalar("how", "`stopped`: a node stops what is sent to it; `deaf`: nothing listens there."),
        Field::scalar("why", "Why, in a sentence."),
        Field::scalars("from", "The nodes from which it is stopped."),
        Field::record("line", &CITED_LINE, "The line that decides."),
        Field::scalar("owner", "Who manages that line: `ufw`, `docker`, `unknown` …"),
        Field::scalars("fix", "The smallest change that lets it pass, in the owner's language."),
        Field::scalar("fix_verified", "Whether walking again with the change showed that it passes."),
    ],
};

/// As many doubts are told.
const DOUBTS: usize = 3;

/// Which endpoints answer.
pub fn value(facts: &Facts, service: &Service) -> Value {
    let mut tally = Tally::default();
    for port in &service.ports {
        for ready in endpoints::ready(facts, service, port) {
            if let Some(pod) = ready.pod(facts).filter(|pod| pod.is_networked()) {
                tally.add(facts, port, &ready, pod);
            }
        }
    }
    tally.unheard.truncate(DOUBTS);
    Record::derived()
        .with("judged", tally.judged.len())
        .with("lost", tally.lost.len())
        .with("dead", tally.dead)
        .with("general", tally.general)
        .with("by_policy", tally.by_policy)
        .with("doubts", facts.endpoint_reach().doubts().take(DOUBTS).collect::<Vec<_>>())
        .with("unheard", tally.unheard)
        .into_value()
}

#[derive(Default)]
struct Tally {
    judged: BTreeSet<IpAddr>,
    lost: BTreeSet<IpAddr>,
    general: usize,
    by_policy: usize,
    dead: Vec<Value>,
    unheard: Vec<String>,
}

impl Tally {
    fn add(&mut self, facts: &Facts, port: &ServicePort, ready: &ReadyEndpoint<'_>, pod: &Pod) {
        let Some(number) = protocol::number(&port.protocol) else { return };
        self.judged.insert(ready.address);
        let stops = facts.endpoint_reach().stops(&(ready.address, number, ready.port));
        let own: Vec<&Stop> = stops.iter().filter(|stop| stop.about == About::Endpoint).collect();
        if let Some(first) = own.first() {
            let from = own.iter().map(|stop| Value::from(stop.node.clone())).collect();
            self.lost.insert(ready.address);
            self.dead.push(stopped(port, ready, pod, first, from));
            return;
        }
        if let Some(other) = stops.first() {
            match other.about {
                About::Policies => self.by_policy += 1,
                _ => self.general += 1,
            }
            return;
        }
        // A program may open a UDP socket when it pleases.
        if number != protocol::TCP {
            return;
        }
        match listening::ear(facts, pod, ready.address, ready.port) {
            Ear::Hears => {}
            Ear::Unknown(why) => self.unheard.push(why),
            Ear::Deaf(found) => {
                let why = match found.bound() {
                    Some(bound) => format!("the pod listens at port {} only at {bound}", ready.port),
                    None => format!("no socket of the pod listens at port {}", ready.port),
                };
                self.lost.insert(ready.address);
                let record = described(Record::cited(found.citation().clone()), port, ready, pod);
                self.dead.push(record.with("how", "deaf").with("why", why).into_value());
            }
        }
    }
}

fn described(record: Record, port: &ServicePort, ready: &ReadyEndpoint<'_>, pod: &Pod) -> Record {
    record
        .with("number", port.number)
        .with("protocol", port.protocol.as_str())
        .with("address", ready.address.to_string())
        .with("port", ready.port)
        .with("pod", pod.full_name())
        .with("node", pod.node.clone())
}

fn stopped(port: &ServicePort, ready: &ReadyEndpoint<'_>, pod: &Pod, stop: &Stop, from: Value) -> Value {
    let answer = &stop.walked.answer;
    let deciding = answer.deciding.as_ref().map(|deciding| &deciding.cited);
    let record = match deciding {
        Some(cited) => Record::cited(walk::cite(cited)),
        None => Record::derived(),
    };
    let fix = answer.fix.as_ref();
    let commands = fix.map(|fix| fix.changes.iter().map(|change| change.command.clone()).collect::<Vec<_>>());
    described(record, port, ready, pod)
        .with("how", "stopped")
        .with("why", answer.detail.as_str())
        .with("from", from)
        .with_any("line", deciding.map(walk::line))
        .with("owner", walk::name(&stop.walked.owner()))
        .with("fix", commands.unwrap_or_default())
        .with("fix_verified", fix.is_some_and(|fix| fix.verified))
        .into_value()
}
