//! What decides on the way beside nodes: policies, and a cloud's security groups.

use std::sync::Arc;

use netpath::answer::{ClientSees, Decision, Owner, refusing};
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::policy::Denial;
use netpath::walk::{Outcome, Verdict};

use super::Journey;
use crate::way::answer::Direction;
use crate::way::flight::{Flight, Trail};
use crate::way::gate::{self, Gate};

impl Journey<'_> {
    /// Leads a packet through gates: nothing where one of them is surely closed. One of which that is not known splits the
    /// way.
    pub(super) fn through(&self, gates: Vec<Gate>, mut trail: Trail, flights: &mut Vec<Flight>) -> Option<Trail> {
        for gate in gates {
            if self.world.has_opened(&gate.key) {
                continue;
            }
            let gate = Arc::new(gate);
            match gate.verdict {
                Decision::Accept => trail.remarks.extend(gate.remark(trail.legs.len())),
                Decision::Drop | Decision::Reject(_) => {
                    trail.remarks.extend(gate.remark(trail.legs.len()));
                    flights.push(closed(&gate, trail));
                    return None;
                }
                Decision::Depends => {
                    trail.assumptions.extend(gate.unknowns.iter().cloned());
                    flights.push(closed(&gate, trail.clone()));
                }
            }
        }
        Some(trail)
    }

    /// The policies of the pods at both ends. Where a host's own way was asked for, none.
    pub(super) fn policies(&self, arrived: &Packet, trail: &Trail) -> Vec<Gate> {
        if self.one_node {
            return Vec::new();
        }
        let gates = gate::policies(self.world, &self.packet, arrived);
        gates.into_iter().map(|gate| gate.unless_let_pass(trail)).collect()
    }

    /// Where the rule that stopped a packet carries out policies: the policy that it carries out, which is what is to be
    /// changed.
    pub(super) fn as_policies_say(&self, node: &Node, outcome: &Outcome, flight: Flight) -> Flight {
        let owner = refusing(node, outcome).filter(|owner| owner.enforces_policies() && !self.one_node);
        let Some(owner) = owner else { return flight };
        let gates = gate::policies(self.world, &self.packet, &outcome.skb.packet);
        let shut = |gate: &&Gate| matches!(gate.verdict, Decision::Drop | Decision::Reject(_));
        let Some(gate) = gates.iter().find(shut) else {
            let known = !gates.is_empty() && gates.iter().all(|gate| gate.verdict == Decision::Accept);
            let remark = match owner {
                _ if !known => String::new(),
                // It refuses what policies deny, and drops for other reasons.
                Owner::KubeRouter if matches!(outcome.verdict, Verdict::Reject(_)) => {
                    ", though the policies let it pass: what kube-router wrote there is old".to_owned()
                }
                _ => format!(" by a rule of {}, though the policies let it pass", owner.name()),
            };
            return Flight { why: flight.why + &remark, ..flight };
        };
        let mut flight = flight;
        flight.trail.remarks.extend(gate.remark(flight.trail.legs.len()));
        flight.cited = gate.cited.clone().map(|cited| (cited, Direction::Forward));
        flight.why = format!("{}; {}: {}", flight.why, gate.at, gate.why);
        flight.closed = Some(Arc::new(gate.clone()));
        flight
    }

    /// The security groups that a packet meets between machines.
    pub(super) fn groups(&self, packet: &Packet) -> Vec<Gate> {
        if self.one_node { Vec::new() } else { gate::security_groups(self.world, packet) }
    }
}

/// A packet that a gate does not let pass.
fn closed(gate: &Arc<Gate>, mut trail: Trail) -> Flight {
    let (verdict, sees) = match gate.denial {
        Denial::Drops => (Verdict::Drop, ClientSees::Timeout),
        Denial::Rejects(kind) => (Verdict::Reject(kind), ClientSees::of_refusal(kind)),
        Denial::Unknown => {
            trail.assumptions.push("whether what policies deny is dropped or refused there".to_owned());
            (Verdict::Drop, ClientSees::Depends)
        }
    };
    Flight {
        cited: gate.cited.clone().map(|cited| (cited, Direction::Forward)),
        closed: Some(gate.clone()),
        ..Flight::ended(trail, verdict, sees, format!("{}: {}", gate.at, gate.why))
    }
}
