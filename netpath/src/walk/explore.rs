//! All paths of one packet through one node.

use std::sync::Arc;

use crate::conntrack::{Connection, CtState};
use crate::node::Node;
use crate::packet::{Packet, PacketKind};
use crate::targets::RejectKind;
use crate::unknown::{Unknown, UnknownKind};
use crate::walk::choices::{Choices, MAX_PATHS};
use crate::walk::event::{Delivery, Event, Verdict};
use crate::walk::hooks::HookOrders;
use crate::walk::walker::Walker;
use crate::walk::{Skb, Socket, orders};

/// Where a packet enters the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// From outside, by this interface; a bridge's port stands for its bridge.
    Interface(Arc<str>),
    /// Between two ports of one bridge, without being routed.
    Bridged {
        /// The port it comes in by.
        input: Arc<str>,
        /// The port it leaves by.
        output: Arc<str>,
    },
    /// From a process of the node.
    Local,
}

/// An unknown and the answer that a path takes for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Assumption {
    /// What is not known.
    #[serde(flatten)]
    pub unknown: Unknown,
    /// The answer: 0 is "yes", or the first of several possibilities.
    pub answer: usize,
}

/// What became of the answer to a refused packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Whether the answer itself got out.
    pub verdict: Verdict,
    /// The answer as it left.
    pub skb: Skb,
    /// Where it went.
    pub delivery: Option<Delivery>,
}

/// The end of one path.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Where an accepted packet went.
    pub delivery: Option<Delivery>,
    /// The packet as it was at the end.
    pub skb: Skb,
    /// For a refusal: the answer's own way. `None` when there is no answer.
    pub answer: Option<Answered>,
    /// What happened, in order; for a refusal, the answer's way too.
    pub events: Vec<Event>,
    /// What was assumed.
    pub assumptions: Vec<Assumption>,
    /// The probability of the path among those of the same assumptions.
    pub probability: f64,
    /// Things that happened to the packet and that nobody can tell.
    pub doubts: Vec<Unknown>,
}

/// All paths of a packet.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// The paths' ends; at least one.
    pub outcomes: Vec<Outcome>,
    /// Whether there were too many paths to walk them all.
    pub cut: bool,
}

/// Walks a packet through a node along every path that unknowns allow.
///
/// `mark` is the mark it starts with, `known` the connections that exist already.
pub fn explore(node: &Node, packet: &Packet, entry: &Entry, mark: u32, known: &[Connection]) -> Exploration {
    let orders = HookOrders::of(node, packet.family());
    explore_with(node, &orders, packet, entry, mark, known)
}

pub(crate) fn explore_with(
    node: &Node,
    orders: &HookOrders,
    packet: &Packet,
    entry: &Entry,
    mark: u32,
    known: &[Connection],
) -> Exploration {
    let mut choices = Choices::default();
    let mut outcomes = Vec::new();
    let mut walked = 0;
    loop {
        let outcome = one_path(node, orders, packet, entry, mark, known, &mut choices);
        if !choices.merged || outcomes.is_empty() {
            outcomes.push(outcome);
        }
        walked += 1;
        if walked >= MAX_PATHS {
            return Exploration { outcomes, cut: true };
        }
        if !choices.advance() {
            return Exploration { outcomes: orders::settled(outcomes), cut: false };
        }
    }
}

fn one_path(
    node: &Node,
    orders: &HookOrders,
    packet: &Packet,
    entry: &Entry,
    mark: u32,
    known: &[Connection],
    choices: &mut Choices,
) -> Outcome {
    let skb = entering(node, packet, entry, mark);
    let mut walker = Walker {
        node,
        orders,
        known,
        choices,
        skb,
        tracked: false,
        past_exemption: false,
        next_hop: None,
        unbound: false,
        proposed_source: None,
        events: Vec::new(),
        doubts: Vec::new(),
        hooks_called: 0,
        in_bridge: None,
    };
    let end = walker.run(entry);
    let skb = walker.skb.clone();
    let answer = match end.verdict {
        Verdict::Reject(kind) => {
            let port = walker.skb.physical_in.clone();
            let port = port.filter(|_| kind == RejectKind::TcpReset && walker.bridge_calls_ip());
            walker.turn_to_answer(kind).map(|()| {
                let end = match port {
                    Some(port) => walker.answer_by_port(port),
                    None => walker.run(&Entry::Local),
                };
                Answered { verdict: end.verdict, skb: walker.skb.clone(), delivery: end.delivery }
            })
        }
        _ => None,
    };
    let (events, doubts) = (walker.events, walker.doubts);
    let probability = choices.taken.iter().map(|taken| taken.probability).product();
    let assumptions = choices
        .taken
        .iter()
        .filter(|taken| taken.unknown.kind != UnknownKind::Chance)
        .map(|taken| Assumption { unknown: taken.unknown.clone(), answer: taken.picked })
        .collect();
    Outcome { verdict: end.verdict, delivery: end.delivery, skb, answer, events, assumptions, probability, doubts }
}

/// The packet as the first hook sees it.
fn entering(node: &Node, packet: &Packet, entry: &Entry, mark: u32) -> Skb {
    let mut skb = Skb {
        packet: packet.clone(),
        mark,
        state: CtState::Invalid,
        reply: false,
        connection: Connection::begun_by(packet),
        in_interface: None,
        out_interface: None,
        physical_in: None,
        physical_out: None,
        socket: if matches!(entry, Entry::Local) { Socket::Process } else { Socket::None },
        has_ethernet_header: false,
    };
    let (Entry::Interface(name) | Entry::Bridged { input: name, .. }) = entry else {
        // What a socket sends is addressed to this host until a link says otherwise (skb->pkt_type is 0).
        skb.packet.kind = skb.packet.kind.or(Some(PacketKind::Unicast));
        return skb;
    };
    let link = node.link(name);
    skb.has_ethernet_header = link.is_none_or(|link| link.ethernet);
    let bridge = link
        .and_then(|link| link.master.clone())
        .filter(|master| node.link(master).is_none_or(|master| master.kind.as_deref() == Some("bridge")));
    match bridge {
        // The IP hooks see the bridge as the incoming interface, and the port only through physdev.
        Some(bridge) => {
            skb.physical_in = Some(Arc::clone(name));
            skb.in_interface = Some(bridge);
        }
        None => skb.in_interface = Some(Arc::clone(name)),
    }
    skb
}
