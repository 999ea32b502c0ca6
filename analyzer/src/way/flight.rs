//! One possible course of a packet and its answer: the legs it took, and how it ended.

use std::sync::Arc;

use netpath::answer::ClientSees;
use netpath::conntrack::{Connection, CtState};
use netpath::packet::Packet;
use netpath::source::Cited;
use netpath::walk::{Entry, Outcome, Verdict};

use super::answer::Direction;
use super::gate::Gate;

/// A packet's way through one node.
#[derive(Debug, Clone)]
pub struct Leg {
    /// The node.
    pub node: Arc<str>,
    /// Whose way.
    pub direction: Direction,
    /// For an overlay's outer packet: which overlay.
    pub outer: Option<String>,
    /// The packet as it enters.
    pub packet: Packet,
    /// Where it enters.
    pub entry: Entry,
    /// What became of it.
    pub outcome: Arc<Outcome>,
}

impl Leg {
    /// The connection that the node remembers, if it tracks it.
    pub fn connection(&self) -> Option<&Connection> {
        let tracked = !matches!(self.outcome.skb.state, CtState::Invalid | CtState::Untracked);
        (tracked && self.outer.is_none() && self.direction == Direction::Forward)
            .then_some(&self.outcome.skb.connection)
    }
}

/// What was met so far.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// The legs, in order.
    pub legs: Vec<Leg>,
    /// How likely this course is among those of the same assumptions.
    pub probability: f64,
    /// What it assumes, in words.
    pub assumptions: Vec<String>,
    /// What happened that nobody can tell.
    pub doubts: Vec<String>,
    /// What the deciders beside nodes said.
    pub remarks: Vec<Remark>,
    /// The networks that carried it, which the bundle does not hold.
    pub wires: Vec<Wire>,
}

/// A network between two nodes that is taken to carry a packet: nothing in the bundle shows whether it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Who sends into it: a node, or an address outside.
    pub from: Arc<str>,
    /// The node that takes it.
    pub to: Arc<str>,
    /// What it carries: `tcp port 10250`, `VXLAN (UDP 8472)`.
    pub what: String,
}

impl Trail {
    /// Goes over a network once more, or for the first time; the answer of what it carried is carried too.
    pub fn over(&mut self, wire: Wire) {
        let known = self
            .wires
            .iter()
            .any(|known| *known == wire || (known.what == wire.what && known.from == wire.to && known.to == wire.from));
        if !known {
            self.wires.push(wire);
        }
    }
}

/// What something beside a node decided: a policy, a cloud's rules, a listener.
#[derive(Debug, Clone)]
pub struct Remark {
    /// Behind how many legs it stands.
    pub after: usize,
    /// Whose way.
    pub direction: Direction,
    /// Who decided.
    pub at: String,
    /// What, in a sentence.
    pub effect: String,
    /// The line.
    pub cited: Option<Cited>,
}

/// Where a packet arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The packet as it arrived.
    pub packet: Packet,
    /// Who it is, where that is known.
    pub who: Option<String>,
    /// By which interface it left the last node that was walked.
    pub interface: Option<String>,
}

/// One whole course.
#[derive(Debug, Clone)]
pub struct Flight {
    /// What was met.
    pub trail: Trail,
    /// What became of the packet on its own way.
    pub verdict: Verdict,
    /// What the client sees.
    pub sees: ClientSees,
    /// Why, in a sentence.
    pub why: String,
    /// Where it arrived.
    pub arrival: Option<Arrival>,
    /// The line that ended it, where no rule of a node did.
    pub cited: Option<(Cited, Direction)>,
    /// Whether the last leg ended it.
    pub stopped_by_leg: bool,
    /// The gate that ended it, where one did.
    pub closed: Option<Arc<Gate>>,
}

impl Flight {
    /// A course that ended so, with nothing to be said besides.
    pub fn ended(trail: Trail, verdict: Verdict, sees: ClientSees, why: String) -> Flight {
        Flight { trail, verdict, sees, why, arrival: None, cited: None, stopped_by_leg: false, closed: None }
    }

    /// A course that is not followed further.
    pub fn cut(mut trail: Trail) -> Flight {
        trail.doubts.push("more courses than are followed".to_owned());
        let why = "there are more courses than are followed".to_owned();
        Flight::ended(trail, Verdict::Drop, ClientSees::Depends, why)
    }

    /// Whether the packet and its answer arrive.
    pub fn is_connected(&self) -> bool {
        self.sees == ClientSees::Connected
    }

    /// The destination that chance chose.
    pub fn destination(&self) -> String {
        let last = self.trail.legs.iter().rev().find(|leg| leg.direction == Direction::Forward && leg.outer.is_none());
        match (&self.arrival, last) {
            (Some(arrival), _) => arrival.packet.destination_text(),
            (None, Some(leg)) => leg.outcome.skb.packet.destination_text(),
            (None, None) => String::new(),
        }
    }
}

/// Where a packet is about to enter.
#[derive(Debug, Clone)]
pub struct Station {
    /// The node.
    pub node: Arc<str>,
    /// Where.
    pub entry: Entry,
    /// The packet.
    pub packet: Packet,
}
