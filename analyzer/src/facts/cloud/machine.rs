//! Nodes whose security groups are the same, and what these groups make of all packets from some clients to some ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use minijinja::Value;
use netpath::cloud::extent::{Clients, Extent, Span};
use netpath::cloud::{CloudFlow, CloudJudgement, Way};
use netpath::protocol;

use super::Clouds;
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::node::CITED_LINE;
use crate::facts::node_object::NodeObject;
use crate::facts::reach::walk;
use crate::shape::{Field, RecordShape, Shape};

/// The shape of what groups make of all packets from some clients to some ports.
pub static SHAPE: RecordShape = RecordShape {
    name: "groups' extent",
    doc: "What security groups make of all packets from some clients to some ports.",
    fields: &[
        Field::scalar("provider", "`azure` or `tencent`."),
        Field::scalar("at", "Whose groups they are: a node, a load balancer, an endpoint."),
        Field::scalar("way", "`inbound` or `outbound`, seen from there."),
        Field::scalar("clients", "Who sends, or for what leaves, who is to receive."),
        Field::scalar("protocol", "`TCP` or `UDP`."),
        Field::scalar("ports", "The destination ports."),
        Field::scalar("verdict", "`all` are accepted, `none`, `some`, or it `depends`."),
        Field::scalar("from", "The source of a packet that is dropped, or of which it depends."),
        Field::scalar("port", "The destination port of that packet."),
        Field::scalar("why", "Why, in a sentence."),
        Field::record("line", &CITED_LINE, "The rule that decides."),
        Field::scalars("fix", "The commands that let that packet pass."),
        Field::scalar("fix_verified", "Whether judging again with them showed that it passes."),
        Field::scalars("unknowns", "What the verdict depends on."),
    ],
};

/// A list of these.
pub const LIST: Shape = Shape::List(&Shape::Record(&SHAPE));

/// Nodes whose groups make the same of whatever enters them.
#[derive(Debug)]
pub struct Class {
    /// The nodes' names.
    pub nodes: Vec<Arc<str>>,
    /// The address of the first.
    pub address: IpAddr,
}

/// The nodes by their groups; those without an address, and those that are no machines, are in no class.
pub fn classes(facts: &Facts) -> Vec<Class> {
    let clouds = facts.clouds();
    let mut all: BTreeMap<String, Class> = BTreeMap::new();
    for node in facts.node_objects().iter().filter(|node| !node.is_virtual()) {
        let Some(address) = node.internal_addresses().next() else { continue };
        let tencent = match clouds.tencent.groups_of(address) {
            Some(groups) => groups.join(" "),
            None if clouds.tencent.is_empty() => String::new(),
            None => "?".to_owned(),
        };
        let azure = if clouds.azure.is_empty() { String::new() } else { clouds.azure.class_of(address) };
        let class = all.entry(tencent + "\n" + &azure).or_insert_with(|| Class { nodes: Vec::new(), address });
        class.nodes.push(node.name.clone());
    }
    all.into_values().collect()
}

/// Whose groups are asked.
#[derive(Debug, Clone, Copy)]
pub enum Site<'a> {
    /// Those of the machine that has an address.
    Machine(IpAddr),
    /// These, of Tencent Cloud.
    Groups(&'a [String]),
}

/// What is asked of groups.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Whose they are, in words.
    pub at: String,
    /// Whose they are.
    pub site: Site<'a>,
    /// From the clients, or to them.
    pub way: Way,
    /// The packets; for what leaves, `destination` is the sender.
    pub span: Span,
}

impl Asked<'_> {
    /// What the groups of each cloud that is known make of it.
    pub fn answers(&self, facts: &Facts) -> Vec<(&'static str, Extent)> {
        let clouds = facts.clouds();
        let mut all = Vec::new();
        if let (Site::Machine(machine), false) = (self.site, clouds.azure.is_empty()) {
            let judge = |flow: &CloudFlow| clouds.azure.judge_at(machine, &self.directed(flow), self.way);
            all.push(("azure", Extent::of(&self.span, &clouds.azure.marks(machine), judge)));
        }
        if !clouds.tencent.is_empty() || matches!(self.site, Site::Groups(_)) {
            all.push(("tencent", self.of_tencent(clouds)));
        }
        all
    }

    fn of_tencent(&self, clouds: &Clouds) -> Extent {
        let groups = match self.site {
            Site::Machine(machine) => clouds.tencent.groups_of(machine).unwrap_or_default(),
            Site::Groups(groups) => groups,
        };
        let marks = clouds.tencent.marks(groups, self.way);
        Extent::of(&self.span, &marks, |flow| -> CloudJudgement {
            let flow = self.directed(flow);
            match self.site {
                Site::Machine(machine) => clouds.tencent.judge_at(machine, &flow, self.way),
                Site::Groups(groups) => clouds.tencent.judge_groups(groups, &flow, self.way),
            }
        })
    }

    /// What leaves goes from the machine to the clients.
    fn directed(&self, flow: &CloudFlow) -> CloudFlow {
        match self.way {
            Way::Inbound => *flow,
            Way::Outbound => CloudFlow { source: flow.destination, destination: flow.source, ..*flow },
        }
    }

    /// The answers as values.
    pub fn values(&self, facts: &Facts) -> Vec<Value> {
        self.answers(facts).into_iter().map(|(provider, extent)| self.value(provider, extent)).collect()
    }

    /// One answer as a value.
    pub fn value(&self, provider: &str, extent: Extent) -> Value {
        let verdict = extent.word();
        let Extent { accepted, dropped, open, partial } = extent;
        let example = if verdict == "depends" { open.or(dropped) } else { dropped };
        let (flow, judgement) = match example {
            Some((flow, judgement)) => (Some(flow), Some(judgement)),
            None => (accepted, None),
        };
        let deciding = judgement.as_ref().and_then(|judgement| judgement.deciding.as_ref());
        let record = match deciding {
            Some(cited) => Record::cited(walk::cite(cited)),
            None => Record::derived(),
        };
        let mut unknowns: Vec<String> = Vec::new();
        if verdict == "depends" {
            unknowns.extend(judgement.iter().flat_map(|one| one.unknowns.iter().map(|unknown| unknown.what.clone())));
            if partial {
                unknowns.push("what becomes of more packets than are tried".to_owned());
            }
        }
        let fix = judgement.as_ref().and_then(|judgement| judgement.fix.as_ref());
        let commands = fix.map(|fix| fix.changes.iter().map(|change| change.command.clone()).collect::<Vec<_>>());
        record
            .with("provider", provider)
            .with("at", self.at.as_str())
            .with("way", if self.way == Way::Inbound { "inbound" } else { "outbound" })
            .with("clients", clients_text(&self.span.clients))
            .with("protocol", protocol::name(self.span.protocol).to_ascii_uppercase())
            .with("ports", ports_text(&self.span))
            .with("verdict", verdict)
            .with_any("from", flow.map(|flow| flow.source.to_string()))
            .with_any("port", flow.and_then(|flow| flow.port))
            .with_any("why", judgement.as_ref().map(|judgement| judgement.why.as_str()))
            .with_any("line", deciding.map(walk::line))
            .with("fix", commands.unwrap_or_default())
            .with("fix_verified", fix.is_some_and(|fix| fix.verified))
            .with("unknowns", unknowns)
            .into_value()
    }
}

fn clients_text(clients: &Clients) -> String {
    match clients {
        Clients::Internet { .. } => "the Internet".to_owned(),
        Clients::Networks(networks) => {
            let name = |network: &ipnet::IpNet| match network.prefix_len() == network.max_prefix_len() {
                true => network.addr().to_string(),
                false => network.to_string(),
            };
            networks.iter().map(name).collect::<Vec<_>>().join(", ")
        }
    }
}

fn ports_text(span: &Span) -> String {
    let (first, last) = (span.ports.start(), span.ports.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// A node in words.
pub fn of_node(node: &NodeObject) -> String {
    format!("node {}", node.name)
}
