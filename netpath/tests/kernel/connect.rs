//! What netpath's answer says that a client and a server see of a connection, beside what real sockets saw.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use netpath::address::Family;
use netpath::answer::{ClientSees, recognized, reply_to};
use netpath::conntrack::{Connection, CtState};
use netpath::iptables::Backend;
use netpath::node::Node;
use netpath::packet::{Owner, Packet, PacketKind, Transport, tcp_flag};
use netpath::targets::RejectKind;
use netpath::walk::{Delivery, Entry, Outcome, Verdict, explore};
use netpath::{Answer, walk};
use rustix::io::Errno;

use crate::expect::{Seen, agrees, refused_again, refused_by_rule, side};
use crate::frames::{Side, complete};
use crate::generate_sockets::{Net, PORTS};
use crate::lab::Lab;
use crate::random::Random;
use crate::rule_sets::RuleSets;
use crate::sockets::{self, Attempt, Client, Observed, Servers};
use crate::tally::Tally;

/// What was tried on a node and seen, to be judged again by a node that was changed.
#[derive(Clone)]
pub struct Connections {
    pub node: Node,
    pub attempts: Vec<(Attempt, Observed)>,
}

impl Connections {
    /// How many connections fared otherwise than the answer says.
    pub fn differences(&self) -> usize {
        let differs = |(attempt, seen): &&(Attempt, Observed)| {
            Prediction::of(&self.node, attempt).is_some_and(|prediction| !prediction.agrees(seen))
        };
        self.attempts.iter().filter(differs).count()
    }
}

/// What both ends of an attempt should see.
struct Prediction {
    tcp: bool,
    answer: Answer,
    /// The packet that refused the first one, if one did.
    refused: Option<Outcome>,
    /// What a server's socket gets: the datagram, or the segment that completes the handshake.
    served: Option<Outcome>,
}

fn entry_of(from: Side) -> Entry {
    match from {
        Side::S => Entry::Interface(Arc::from("eth0")),
        Side::D => Entry::Interface(Arc::from("eth1")),
        Side::Node => Entry::Local,
    }
}

fn first_packet(attempt: &Attempt) -> Packet {
    let ends = |socket: std::net::SocketAddr| (socket.ip(), socket.port());
    let (source, destination) = (ends(attempt.source), ends(attempt.destination));
    let mut packet = if attempt.tcp { Packet::tcp_syn(source, destination) } else { Packet::udp(source, destination) };
    complete(&mut packet, 64, 0, 0);
    // A SYN's options and a datagram's payload; no rule of these looks at them.
    packet.length = None;
    packet.mac_source = match attempt.from {
        Side::S => Some([2, 0, 0, 0, 0, 2]),
        Side::D => Some([2, 0, 0, 0, 0, 4]),
        Side::Node => None,
    };
    packet.kind = (attempt.from != Side::Node).then_some(PacketKind::Unicast);
    packet.owner = (attempt.from == Side::Node).then_some(Owner { uid: 0, gid: 0 });
    packet
}

fn connection_of(outcome: &Outcome) -> Vec<Connection> {
    match outcome.skb.state {
        CtState::Invalid | CtState::Untracked => Vec::new(),
        _ => vec![outcome.skb.connection.clone()],
    }
}

/// The only outcome of a walk that leaves nothing open.
fn only(node: &Node, packet: &Packet, entry: &Entry, known: &[Connection]) -> Option<Outcome> {
    let mut outcomes = explore(node, packet, entry, 0, known).outcomes;
    if outcomes.len() == 1 { outcomes.pop() } else { None }
}

/// Where an accepted packet arrived.
fn arrived_at(outcome: &Outcome) -> Option<Side> {
    match outcome.delivery.as_ref().filter(|_| outcome.verdict == Verdict::Accept)? {
        Delivery::Local => Some(Side::Node),
        Delivery::Sent { interface, .. } => Some(side(interface.as_deref())),
    }
}

impl Prediction {
    /// `None` for what a walk of the router alone cannot tell: a host that is sent its own packet back answers itself, and a
    /// refusal that is refused is answered again.
    fn of(node: &Node, attempt: &Attempt) -> Option<Self> {
        let (packet, entry) = (first_packet(attempt), entry_of(attempt.from));
        let answer = walk(node, &packet, &entry);
        let first = only(node, &packet, &entry, &[])?;
        let at = arrived_at(&first);
        let own_source = first.skb.packet.source == packet.source;
        if at.is_some() && at == Some(attempt.from) && attempt.from != Side::Node && own_source {
            return None;
        }
        let second = at.and_then(|at| only(node, &reply_to(&first.skb.packet), &entry_of(at), &connection_of(&first)));
        if refused_again(&first) || second.as_ref().is_some_and(refused_again) {
            return None;
        }
        let served = match attempt.tcp {
            true => second.and_then(|second| third_segment(node, &packet, &entry, &second)),
            false => at.map(|_| first.clone()),
        };
        let refused = matches!(first.verdict, Verdict::Reject(_)).then_some(first);
        Some(Self { tcp: attempt.tcp, answer, refused, served })
    }

    fn client_sees_something(&self) -> bool {
        self.expected_client() != Some(Client::Nothing)
    }

    /// What the client's socket shows; `None` when the answer depends.
    fn expected_client(&self) -> Option<Client> {
        match self.answer.client_sees {
            ClientSees::Connected => Some(Client::Connected),
            ClientSees::Timeout => Some(Client::Nothing),
            ClientSees::Depends => None,
            ClientSees::Refused | ClientSees::Unreachable if !self.tcp && self.is_transient() => Some(Client::Nothing),
            ClientSees::Refused | ClientSees::Unreachable => {
                let errno = ERRORS.iter().find(|(name, _)| self.answer.detail.contains(name));
                errno.map(|(_, errno)| Client::Failed(*errno))
            }
        }
    }

    /// A datagram's socket is not told of errors that may pass (icmp_err_convert and tab_unreach: not fatal).
    fn is_transient(&self) -> bool {
        let Some(outcome) = &self.refused else { return false };
        let transient = [RejectKind::NetUnreachable, RejectKind::HostUnreachable];
        let at_once = self.answer.detail.contains("at once");
        !at_once && matches!(outcome.verdict, Verdict::Reject(kind) if transient.contains(&kind))
    }

    /// The kernel's own errors about routes are limited to about one a second for each source.
    fn is_limited(&self) -> bool {
        self.refused.as_ref().is_some_and(|outcome| !refused_by_rule(outcome))
            && !self.answer.detail.contains("at once")
    }

    fn agrees(&self, seen: &Observed) -> bool {
        let Some(expected) = self.expected_client() else { return false };
        let client = expected == seen.client || (self.is_limited() && seen.client == Client::Nothing);
        let served: Vec<Seen> = seen
            .served
            .iter()
            .map(|served| {
                let ports = Some((served.peer.port(), served.local.port()));
                Seen::Packet(served.side, served.peer.ip(), served.local.ip(), ports)
            })
            .collect();
        let server = match &self.served {
            Some(outcome) => agrees(outcome, &served),
            None => served.is_empty(),
        };
        client && server
    }
}

/// The errors that an answer's sentence may name.
const ERRORS: [(&str, Errno); 8] = [
    ("ECONNREFUSED", Errno::CONNREFUSED),
    ("EHOSTUNREACH", Errno::HOSTUNREACH),
    ("ENETUNREACH", Errno::NETUNREACH),
    ("ENOPROTOOPT", Errno::NOPROTOOPT),
    ("EACCES", Errno::ACCESS),
    ("EPERM", Errno::PERM),
    ("EINVAL", Errno::INVAL),
    ("EPROTO", Errno::PROTO),
];

fn name(errno: Errno) -> &'static str {
    ERRORS.iter().find(|(_, known)| *known == errno).map_or("another error", |(name, _)| name)
}

/// The third segment of a handshake, which makes the server accept, after the second arrived.
fn third_segment(node: &Node, packet: &Packet, entry: &Entry, second: &Outcome) -> Option<Outcome> {
    arrived_at(second).filter(|_| recognized(packet, &second.skb.packet))?;
    let mut third = packet.clone();
    if let Transport::Tcp { flags, .. } = &mut third.transport {
        *flags = tcp_flag::ACK;
    }
    let third = only(node, &third, entry, &connection_of(second))?;
    arrived_at(&third).map(|_| third)
}

/// How many connections are tried at once.
const PER_BATCH: u16 = 400;

/// Rule sets and connections of one family in a lab whose hosts speak.
pub struct SocketBench<'a> {
    lab: &'a Lab,
    family: Family,
    servers: Servers,
    first_port: u16,
    /// What was tried and seen is kept here when wanted.
    pub kept: Option<Vec<Connections>>,
}

impl<'a> SocketBench<'a> {
    pub fn new(lab: &'a Lab, family: Family) -> Self {
        let net = Net::of(family);
        for (host, line) in net.setup() {
            lab.ip(&lab.ns(host), &line).unwrap();
        }
        let servers = Servers::open(lab, &net.owners(), &PORTS);
        Self { lab, family, servers, first_port: 10_000, kept: None }
    }

    /// Loads one rule set, tries connections and compares what both ends saw.
    pub fn batch(&mut self, backend: Backend, random: &mut Random, tally: &mut Tally) {
        let net = Net::of(self.family);
        let (rules, settings) = (net.rules(random), net.settings(random));
        self.lab.feed_r(&["sysctl", "-q", "-p", "-"], &settings).unwrap();
        let rule_sets = RuleSets { lab: self.lab, family: self.family };
        let node = Node { rulesets: rule_sets.load(&[(backend, &rules)]), ..self.lab.node() };
        let attempts = net.attempts(random, PER_BATCH, self.first_port);
        // Ports that were used just now stay apart from those of the next batches.
        self.first_port = 10_000 + (self.first_port - 10_000 + PER_BATCH) % 40_000;
        let predicted = |attempt| Some((attempt, Prediction::of(&node, attempt)?));
        let predicted: Vec<(&Attempt, Prediction)> = attempts.iter().filter_map(predicted).collect();
        let tried: Vec<Attempt> = predicted.iter().map(|(attempt, _)| (*attempt).clone()).collect();
        let number = |(attempt, _): &(&Attempt, Prediction)| attempt.number;
        let clients: HashSet<u16> =
            predicted.iter().filter(|(_, p)| p.client_sees_something() && !p.is_limited()).map(number).collect();
        let serving: HashSet<u16> = predicted.iter().filter(|(_, p)| p.served.is_some()).map(number).collect();
        let mut seen = sockets::attempt(self.lab, &self.servers, &tried, (&clients, &serving));
        let before = tally.differences;
        predicted.iter().for_each(|(attempt, prediction)| judge(attempt, prediction, &seen, tally));
        tally.rulesets += 1;
        if tally.differences > before {
            println!("--- {backend:?}\n{rules}\n{settings}");
        }
        if let Some(kept) = &mut self.kept {
            let attempts = tried.into_iter().filter_map(|attempt| {
                let seen = seen.remove(&attempt.number)?;
                Some((attempt, seen))
            });
            kept.push(Connections { attempts: attempts.collect(), node });
        }
    }
}

fn judge(attempt: &Attempt, prediction: &Prediction, seen: &HashMap<u16, Observed>, tally: &mut Tally) {
    let Some(seen) = seen.get(&attempt.number) else { return };
    let met = match seen.client {
        Client::Connected => "connected".to_owned(),
        Client::Failed(errno) => name(errno).to_owned(),
        Client::Nothing => "timeout".to_owned(),
    };
    *tally.connections.entry(met).or_default() += 1;
    if prediction.agrees(seen) {
        return;
    }
    tally.differences += 1;
    if tally.differences <= 5 {
        let Answer { client_sees, detail, verdict, deciding, .. } = &prediction.answer;
        println!("\n=== difference {}: {attempt:?}\n    sockets: {seen:?}", tally.differences);
        println!("    answer: {verdict:?} {client_sees:?} {detail} {deciding:?}");
        println!("    server: {:?}", prediction.served.as_ref().map(crate::expect::expected));
        println!("    refused: {:?}", prediction.refused.as_ref().map(|outcome| &outcome.events));
    }
}
