//! One packet's walk through a node, as expressions see it: what becomes of it, the line that decides, who manages that
//! line, and the change that lets the packet pass.

use std::sync::Arc;

use minijinja::Value;
use netpath::answer::{ClientSees, Decision, Direction, Owner, owner_of_chain};
use netpath::iptables::Ruleset;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::protocol;
use netpath::source::Cited;
use netpath::unknown::UnknownKind;
use netpath::walk::Entry;
use netpath::{Answer, walk};
use serde::Serialize;

use crate::citation::Citation;
use crate::fact::Record;
use crate::facts::node::CITED_LINE;
use crate::shape::{Field, RecordShape, Shape};

/// A packet that a node meets in its daily work.
#[derive(Debug, Clone)]
pub struct Flow {
    /// What it is for, in a few words: `the kubelet`, `the overlay`.
    pub purpose: String,
    /// Who sends it, in a few words: `node worker-2`.
    pub sender: String,
    /// The packet.
    pub packet: Packet,
    /// Where it enters.
    pub entry: Entry,
    /// Whether nothing is to come back on the same ports: an overlay's outer packets.
    pub one_way: bool,
}

/// A packet, and what became of it.
#[derive(Debug)]
pub struct Walked {
    /// The packet.
    pub flow: Flow,
    /// What became of it.
    pub answer: Answer,
    place: Place,
}

/// Where the deciding line stands among the rules.
#[derive(Debug, Default)]
struct Place {
    table: Option<String>,
    chain: Option<String>,
    /// The rule's number in its chain, from 1, as `iptables -D CHAIN NUMBER` takes it.
    number: Option<usize>,
    /// Whether it is a chain's policy.
    policy: bool,
    /// Whether it is a rule or policy of a rule set at all, not a route or a setting.
    rule: bool,
}

/// The shape of a walk.
pub static SHAPE: RecordShape = RecordShape {
    name: "walk",
    doc: "A packet and what becomes of it on a node, by the node's own rules, routes and settings.",
    fields: &[
        Field::scalar("purpose", "What the packet is for."),
        Field::scalar("sender", "Who sends it."),
        Field::scalar("protocol", "`TCP`, `UDP`, `SCTP`, `ICMP`, or a number."),
        Field::scalar("from", "The source address."),
        Field::scalar("to", "The destination address."),
        Field::scalar("port", "The destination port."),
        Field::scalar("enters", "The interface it comes in by; undefined for the node's own packets."),
        Field::scalar("verdict", "`accept`, `drop`, `reject` or `depends`."),
        Field::scalar(
            "client_sees",
            "`connected`, `timeout`, `refused`, `unreachable` or `depends`, if somebody listens.",
        ),
        Field::scalar("detail", "The same in a sentence."),
        Field::scalar("blocked", "Whether it, or its answer, surely does not pass this node."),
        Field::scalar("open", "Whether the packet and its answer surely pass."),
        Field::record("line", &CITED_LINE, "The line that decides."),
        Field::scalar("by_rule", "Whether that line is a rule or a policy, not a route or a setting."),
        Field::scalar("by_policy", "Whether that line is the policy of a chain, or the default of a native one."),
        Field::scalar("table", "The table of the deciding rule, with its backend: `filter (nft)`."),
        Field::scalar("chain", "The chain of the deciding rule."),
        Field::scalar("number", "The deciding rule's number in its chain, from 1."),
        Field::scalar("direction", "`forward`, or `reply` where the answer's way is what ends."),
        Field::scalar(
            "owner",
            "Who manages the deciding line: `ufw`, `firewalld`, `docker`, `kube-proxy` … `unknown`.",
        ),
        Field::record("shadows", &CITED_LINE, "The ACCEPT further down that never gets its turn."),
        Field::scalars("fix", "The smallest change that lets it pass, in the owner's language."),
        Field::scalar("fix_verified", "Whether walking again with the change showed that it passes."),
        Field::scalars("unknowns", "What the answer depends on."),
        Field::scalar("rate_limited", "Whether it depends on how many packets came before: `ufw limit` and its like."),
        Field::scalar("seen_from", "The source that the receiver sees, after translation."),
        Field::record("rewritten", &CITED_LINE, "The line that gave it another source; undefined where none did."),
        Field::scalars("delivered", "Where it arrives, after translation."),
        Field::scalar("leaves", "The interface it leaves by."),
        Field::scalar(
            "translated",
            "Whether it arrives elsewhere than it was sent to, as what is sent to a Service should.",
        ),
        Field::scalar("marked", "Whether a mark was put on the packet before the deciding line, which asks for one."),
    ],
};

impl Walked {
    /// Walks a packet.
    pub fn new(node: &Node, flow: Flow) -> Walked {
        let answer = walk(node, &flow.packet, &flow.entry);
        let place = answer.deciding.as_ref().map(|deciding| place(node, &answer, &deciding.cited));
        Walked { flow, answer, place: place.unwrap_or_default() }
    }

    /// Whether the sender surely gets no answer because of this node.
    pub fn is_blocked(&self) -> bool {
        if self.flow.one_way {
            return matches!(self.answer.verdict, Decision::Drop | Decision::Reject(_));
        }
        !matches!(self.answer.client_sees, ClientSees::Connected | ClientSees::Depends)
    }

    /// Whether it surely passes, and its answer too where there is one.
    pub fn is_open(&self) -> bool {
        match self.flow.one_way {
            true => self.answer.verdict == Decision::Accept,
            false => self.answer.client_sees == ClientSees::Connected,
        }
    }

    /// Whether every place where it arrives is another than the one it was sent to: what a Service address needs.
    fn is_translated(&self) -> bool {
        let to = self.flow.packet.destination_text();
        !self.answer.delivered.is_empty() && self.answer.delivered.iter().all(|delivered| delivered.to != to)
    }

    /// Who manages the deciding line.
    pub fn owner(&self) -> Owner {
        let by_fix = self.answer.fix.as_ref().and_then(|fix| fix.changes.first()).map(|change| change.owner);
        by_fix.or_else(|| self.place.chain.as_deref().map(owner_of_chain)).unwrap_or(Owner::Unknown)
    }

    /// As a value.
    pub fn value(&self) -> Value {
        let (packet, answer) = (&self.flow.packet, &self.answer);
        let deciding = answer.deciding.as_ref();
        let record = match deciding {
            Some(deciding) => Record::cited(cite(&deciding.cited)),
            None => Record::derived(),
        };
        let enters = match &self.flow.entry {
            Entry::Interface(name) | Entry::Bridged { input: name, .. } => Some(&**name),
            Entry::Local => None,
        };
        let first = answer.delivered.first();
        let fix = answer.fix.as_ref();
        record
            .with("purpose", self.flow.purpose.as_str())
            .with("sender", self.flow.sender.as_str())
            .with("protocol", protocol_name(packet.protocol))
            .with("from", packet.source.to_string())
            .with("to", packet.destination.to_string())
            .with_any("port", packet.destination_port())
            .with_any("enters", enters)
            .with("verdict", verdict(answer.verdict))
            .with("client_sees", name(&answer.client_sees))
            .with("detail", answer.detail.as_str())
            .with("blocked", self.is_blocked())
            .with("open", self.is_open())
            .with_any("line", deciding.map(|deciding| line(&deciding.cited)))
            .with("by_rule", self.place.rule)
            .with("by_policy", self.place.policy)
            .with_any("table", self.place.table.as_deref())
            .with_any("chain", self.place.chain.as_deref())
            .with_any("number", self.place.number)
            .with_any("direction", deciding.map(|deciding| direction(deciding.direction)))
            .with("owner", name(&self.owner()))
            .with_any("shadows", deciding.and_then(|deciding| deciding.shadows.as_ref()).map(line))
            .with("fix", fix.map(commands).unwrap_or_default())
            .with("fix_verified", fix.is_some_and(|fix| fix.verified))
            .with("unknowns", answer.unknowns.iter().map(|unknown| unknown.what.clone()).collect::<Vec<_>>())
            .with("rate_limited", answer.unknowns.iter().any(|unknown| unknown.kind == UnknownKind::Stateful))
            .with_any("seen_from", first.map(|delivered| without_port(&delivered.from_seen)))
            .with_any("rewritten", self.rewritten().map(line))
            .with("delivered", answer.delivered.iter().map(|delivered| delivered.to.clone()).collect::<Vec<_>>())
            .with_any("leaves", first.and_then(|delivered| delivered.interface.as_deref()))
            .with("translated", self.is_translated())
            .with("marked", self.is_by_mark())
            .into_value()
    }

    /// The line that gave the packet another source.
    fn rewritten(&self) -> Option<&Cited> {
        let step = self.answer.steps.iter().find(|step| step.effect.starts_with("source := "))?;
        step.cited.as_ref()
    }

    /// Whether the deciding rule asks for a mark and a step before it set one: then two programs use the same bit.
    fn is_by_mark(&self) -> bool {
        let Some(deciding) = &self.answer.deciding else { return false };
        let steps =
            if deciding.direction == Direction::Forward { &self.answer.steps } else { &self.answer.reply_steps };
        let set = steps.iter().any(|step| step.effect.starts_with("mark := "));
        let asks = steps.iter().rev().find(|step| step.cited.as_ref() == Some(&deciding.cited));
        set && asks.is_some_and(|step| step.because.iter().any(|test| test.contains("--mark ")))
    }
}

/// A line of a rule set or of a file as a citation.
pub fn cite(cited: &Cited) -> Citation {
    let path: Arc<str> = cited.origin.file.clone();
    match &cited.origin.pointer {
        Some(pointer) => Citation::pointer(&path, pointer.to_string(), &cited.text),
        None if cited.origin.line == 0 => Citation::whole(&path, &cited.text),
        None => Citation::line(&path, u64::from(cited.origin.line), &cited.text),
    }
}

/// A cited line as a fact of its own.
pub fn line(cited: &Cited) -> Value {
    crate::facts::node::cited_line(&cite(cited))
}

fn place(node: &Node, answer: &Answer, cited: &Cited) -> Place {
    let steps = answer.steps.iter().chain(&answer.reply_steps);
    let Some(step) = steps.rev().find(|step| step.cited.as_ref() == Some(cited)) else { return Place::default() };
    let policy = step.chain.is_some() && step.effect.starts_with("policy ");
    let ruleset = node.rulesets.iter().find(|ruleset| ruleset.file == cited.origin.file);
    let number = ruleset.filter(|_| !policy).and_then(|ruleset| number_of(ruleset, cited.origin.line));
    Place { table: step.table.clone(), chain: step.chain.clone(), number, policy, rule: step.chain.is_some() }
}

/// The number of the rule on a line within its chain, from 1.
fn number_of(ruleset: &Ruleset, line: u32) -> Option<usize> {
    let chains = ruleset.tables.iter().flat_map(|table| &table.chains);
    chains.filter_map(|chain| chain.rules.iter().position(|rule| rule.line == line)).map(|at| at + 1).next()
}

fn commands(fix: &netpath::answer::Fix) -> Vec<String> {
    fix.changes.iter().map(|change| change.command.clone()).collect()
}

/// `accept`, `drop`, `reject`, `depends`.
pub fn verdict(decision: Decision) -> &'static str {
    match decision {
        Decision::Accept => "accept",
        Decision::Drop => "drop",
        Decision::Reject(_) => "reject",
        Decision::Depends => "depends",
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "forward",
        Direction::Reply => "reply",
    }
}

/// The name that a unit variant has in JSON.
pub(in crate::facts) fn name(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::TCP => "TCP".to_owned(),
        protocol::UDP => "UDP".to_owned(),
        protocol::SCTP => "SCTP".to_owned(),
        protocol::ICMP | protocol::ICMPV6 => "ICMP".to_owned(),
        other => other.to_string(),
    }
}

/// The address of `10.0.0.1:80` or `[fd00::1]:80`.
fn without_port(endpoint: &str) -> String {
    let address = endpoint.parse::<std::net::SocketAddr>().map(|socket| socket.ip().to_string());
    address.unwrap_or_else(|_| endpoint.to_owned())
}

/// A list of walks.
pub const LIST: Shape = Shape::List(&Shape::Record(&SHAPE));
