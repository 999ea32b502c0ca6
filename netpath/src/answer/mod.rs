//! The answer to "would this packet pass this node, and if not, which line stops it?"

mod client;
mod deciding;
mod fix;
mod owner;
mod steps;

use serde::Serialize;

pub use self::client::{ClientSees, recognized, reply_to, stopped};
pub use self::fix::{Change, Fix};
pub use self::owner::{Owner, owner_of_chain};
pub use self::steps::Step;

use crate::conntrack::Connection;
use crate::node::Node;
use crate::packet::Packet;
use crate::source::Cited;
use crate::targets::RejectKind;
use crate::unknown::{Unknown, UnknownKind};
use crate::walk::{Delivery, Entry, Exploration, Outcome, Verdict, explore};

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It passes, whatever the unknowns are.
    Accept,
    /// It is dropped.
    Drop,
    /// It is refused with an answer.
    Reject(RejectKind),
    /// That depends on what is not known, or on chance.
    Depends,
}

/// Which way a line decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The packet's own way.
    Forward,
    /// The way of its answer.
    Reply,
}

/// The line that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deciding {
    /// Which line.
    #[serde(flatten)]
    pub cited: Cited,
    /// Whose way it ends.
    pub direction: Direction,
    /// How many packets it counted, when the dump has counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// The ACCEPT further down that never gets its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadows: Option<Cited>,
}

/// Where an accepted packet arrives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivered {
    /// The destination after translation.
    pub to: String,
    /// The source that the receiver sees.
    pub from_seen: String,
    /// The interface it leaves by; `None` when it is delivered to the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// How likely it is, where chance chooses among several.
    pub probability: f64,
}

/// The whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// What becomes of the packet on its own way.
    pub verdict: Decision,
    /// What a client would see, the answer's way included.
    pub client_sees: ClientSees,
    /// The same in a sentence.
    pub detail: String,
    /// The line that decides; for an accepted packet, the last line that accepted it.
    pub deciding: Option<Deciding>,
    /// Where it arrives; several where chance chooses.
    pub delivered: Vec<Delivered>,
    /// What the answer depends on.
    pub unknowns: Vec<Unknown>,
    /// The smallest change that turns the verdict.
    pub fix: Option<Fix>,
    /// Every step of the way; of the first path that does not pass, if there is one.
    pub steps: Vec<Step>,
    /// Every step of the answer's way, when the packet itself passes.
    pub reply_steps: Vec<Step>,
}

/// Walks a packet through a node, there and back, and explains what happens.
///
/// `entry` says where the packet comes from. Connections that exist already are not assumed: the packet is the first.
pub fn walk(node: &Node, packet: &Packet, entry: &Entry) -> Answer {
    let trip = Trip::make(node, packet, entry);
    let mut answer = trip.answer(node);
    if answer.client_sees != ClientSees::Connected {
        answer.fix = fix::find(node, packet, entry).map(|(fix, _)| fix);
        if let Some(deciding) = &mut answer.deciding {
            deciding.shadows = fix::shadowed(node, packet, entry, &trip);
        }
    }
    answer
}

/// The smallest change that lets a packet and its answer pass a node, and the node with that change.
pub fn repair(node: &Node, packet: &Packet, entry: &Entry) -> Option<(Fix, Node)> {
    fix::find(node, packet, entry)
}

/// The ACCEPT that a packet would have met without the line that decides.
pub fn shadowed(node: &Node, packet: &Packet, entry: &Entry) -> Option<Cited> {
    fix::shadowed(node, packet, entry, &Trip::make(node, packet, entry))
}

/// The line that decided how a path ended.
pub fn deciding(node: &Node, outcome: &Outcome, direction: Direction) -> Option<Deciding> {
    deciding::of(node, outcome, direction)
}

/// Who manages the rule that stopped a packet; nothing where the packet passed, or something else stopped it.
pub fn refusing(node: &Node, outcome: &Outcome) -> Option<Owner> {
    fix::refusing(node, outcome)
}

/// The node as it will be once whoever carries out network policies there has heard that they allow the packet.
pub fn without_refusals_by_policy(node: &Node, packet: &Packet, entry: &Entry) -> Node {
    fix::without_refusals_by_policy(node, packet, entry)
}

/// The steps of a path.
pub fn steps(node: &Node, outcome: &Outcome) -> Vec<Step> {
    steps::of(node, &outcome.events)
}

/// The packet's way and the ways of its answers.
pub(crate) struct Trip {
    pub forward: Exploration,
    /// For each outcome of [`Trip::forward`] that passes, its answer's paths.
    pub replies: Vec<Option<Exploration>>,
    pub packet: Packet,
    pub entry: Entry,
}

/// Answers of more outcomes than this are not walked; the first of each fate stand for the others.
const MAX_REPLIES: usize = 64;

impl Trip {
    pub fn make(node: &Node, packet: &Packet, entry: &Entry) -> Self {
        let forward = explore(node, packet, entry, 0, &[]);
        let replies = forward
            .outcomes
            .iter()
            .enumerate()
            .map(|(at, outcome)| (at < MAX_REPLIES).then(|| reply_of(node, outcome, entry)).flatten())
            .collect();
        Self { forward, replies, packet: packet.clone(), entry: entry.clone() }
    }

    fn decision(&self) -> Decision {
        let first = self.forward.outcomes.first().map(|outcome| outcome.verdict);
        let same = self.forward.outcomes.iter().all(|outcome| Some(outcome.verdict) == first);
        let doubtful = self.forward.outcomes.iter().any(|outcome| !outcome.doubts.is_empty());
        match first {
            Some(verdict) if same && !doubtful && !self.forward.cut => match verdict {
                Verdict::Accept => Decision::Accept,
                Verdict::Drop => Decision::Drop,
                Verdict::Reject(kind) => Decision::Reject(kind),
            },
            _ => Decision::Depends,
        }
    }

    /// The outcome that the answer tells about: the first that does not pass, or whose answer does not.
    pub fn telling(&self) -> Option<(&Outcome, Direction)> {
        if let Some(outcome) = self.forward.outcomes.iter().find(|outcome| outcome.verdict != Verdict::Accept) {
            return Some((outcome, Direction::Forward));
        }
        let failing = self
            .replies
            .iter()
            .flatten()
            .flat_map(|reply| &reply.outcomes)
            .find(|outcome| outcome.verdict != Verdict::Accept || !recognized(&self.packet, &outcome.skb.packet));
        match failing {
            Some(outcome) => Some((outcome, Direction::Reply)),
            None => self.forward.outcomes.first().map(|outcome| (outcome, Direction::Forward)),
        }
    }

    fn answer(&self, node: &Node) -> Answer {
        let telling = self.telling();
        let (client_sees, detail) = client::sees(self);
        let deciding = telling.and_then(|(outcome, direction)| deciding::of(node, outcome, direction));
        let forward = match telling {
            Some((outcome, Direction::Forward)) => Some(outcome),
            _ => self.forward.outcomes.first(),
        };
        let reply = match telling {
            Some((outcome, Direction::Reply)) => Some(outcome),
            _ => self.replies.iter().flatten().find_map(|reply| reply.outcomes.first()),
        };
        Answer {
            verdict: self.decision(),
            client_sees,
            detail,
            deciding,
            delivered: self.delivered(),
            unknowns: self.unknowns(),
            fix: None,
            steps: forward.map(|outcome| steps::of(node, &outcome.events)).unwrap_or_default(),
            reply_steps: reply.map(|outcome| steps::of(node, &outcome.events)).unwrap_or_default(),
        }
    }

    fn delivered(&self) -> Vec<Delivered> {
        let mut all: Vec<Delivered> = Vec::new();
        for outcome in self.forward.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Accept) {
            let packet = &outcome.skb.packet;
            let interface = match &outcome.delivery {
                Some(Delivery::Sent { interface, .. }) => interface.as_deref().map(str::to_owned),
                _ => None,
            };
            let (to, from_seen) = (packet.destination_text(), packet.source_text());
            match all.iter_mut().find(|known| known.to == to && known.from_seen == from_seen) {
                Some(known) => known.probability = (known.probability + outcome.probability).min(1.0),
                None => all.push(Delivered { to, from_seen, interface, probability: outcome.probability }),
            }
        }
        all
    }

    /// The unknowns that paths with different fates assume differently.
    fn unknowns(&self) -> Vec<Unknown> {
        let fates = self
            .forward
            .outcomes
            .iter()
            .zip(&self.replies)
            .map(|(outcome, reply)| client::fate(self, outcome, reply.as_ref()));
        let fates: Vec<ClientSees> = fates.collect();
        let mut unknowns: Vec<Unknown> = Vec::new();
        let mut add = |unknown: &Unknown| {
            if !unknowns.iter().any(|known| known.what == unknown.what) {
                unknowns.push(unknown.clone());
            }
        };
        let outcomes = &self.forward.outcomes;
        outcomes.iter().flat_map(|outcome| &outcome.doubts).for_each(&mut add);
        let replies = || self.replies.iter().flatten().flat_map(|reply| &reply.outcomes);
        replies().flat_map(|outcome| &outcome.doubts).for_each(&mut add);
        let differing = fates.iter().any(|fate| Some(fate) != fates.first()) || self.decision() == Decision::Depends;
        if differing {
            outcomes.iter().chain(replies()).flat_map(|outcome| &outcome.assumptions).for_each(|a| add(&a.unknown));
            if outcomes.iter().any(|outcome| outcome.probability < 1.0) {
                let what = client::endpoints(self);
                add(&Unknown { kind: UnknownKind::Chance, key: what.clone(), what, inverted: false });
            }
        }
        if self.forward.cut {
            add(&Unknown::deterministic("cut", "more combinations of unknowns than are walked"));
        }
        unknowns
    }
}

/// Walks the answer of a packet that passed: from the node itself, or in by the interface the packet left by.
fn reply_of(node: &Node, outcome: &Outcome, entry: &Entry) -> Option<Exploration> {
    let delivery = outcome.delivery.as_ref().filter(|_| outcome.verdict == Verdict::Accept)?;
    let reply = reply_to(&outcome.skb.packet);
    let back = match (delivery, entry) {
        (Delivery::Local, _) => Entry::Local,
        (Delivery::Sent { .. }, Entry::Bridged { input, output }) => {
            Entry::Bridged { input: output.clone(), output: input.clone() }
        }
        (Delivery::Sent { interface, .. }, _) => Entry::Interface(interface.clone()?),
    };
    let known: &[Connection] = match outcome.skb.state {
        crate::conntrack::CtState::Invalid | crate::conntrack::CtState::Untracked => &[],
        _ => std::slice::from_ref(&outcome.skb.connection),
    };
    Some(explore(node, &reply, &back, 0, known))
}
