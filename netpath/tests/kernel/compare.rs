//! One batch: a rule set in the kernel, packets sent, and everything that happened beside what the walk predicts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use netpath::address::Family;
use netpath::conntrack::{Connection, CtState};
use netpath::iptables::Backend;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{Entry, Event, Exploration, Outcome, explore};

use crate::bridged;
use crate::counters::Counts;
use crate::deciding::Deciding;
use crate::expect::{Seen, agrees, expected, fate, refused_again};
use crate::frames::{self, Probe, Received, Side};
use crate::lab::Lab;
use crate::replies;
use crate::rule_sets::RuleSets;
use crate::tally::Tally;
use crate::wire::{Ears, Ids, Wire};

/// One packet, its number and the connections that exist before it.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: u16,
    pub probe: Probe,
    pub known: Vec<Connection>,
}

impl Case {
    pub fn explore(&self, node: &Node) -> Exploration {
        let (packet, bridge) = (&self.probe.packet, bridged::is_bridge(node));
        let port = |side| Arc::from(if side == Side::S { "eth0" } else { "eth1" });
        let entry = match self.probe.from {
            Side::Node => Entry::Local,
            from if bridge && !bridged::is_own(node, packet.destination) => {
                let other = if from == Side::S { Side::D } else { Side::S };
                Entry::Bridged { input: port(from), output: port(other) }
            }
            from => Entry::Interface(port(from)),
        };
        explore(node, &self.probe.packet, &entry, 0, &self.known)
    }
}

/// What was sent and seen, to be judged again by a node that was changed.
#[derive(Clone)]
pub struct Recording {
    pub node: Node,
    pub cases: Vec<Case>,
    pub seen: HashMap<u16, Vec<Seen>>,
}

/// A case whose packet arrived, as predicted.
pub struct Arrived {
    pub case: Case,
    pub outcome: Outcome,
    pub seen: Seen,
}

pub struct Bench<'a> {
    pub lab: &'a Lab,
    pub family: Family,
    sender: Wire,
    behind: Wire,
    node_wire: Wire,
    owners: Vec<(Ids, Wire)>,
    pub node: Node,
    /// Whether counters are compared too; errors about routes are limited to a few a second and spoil them.
    pub compares_counters: bool,
    /// Whether answers and later packets follow.
    pub follows: bool,
    /// Every how many packets it is asked what decided.
    pub asked_share: u16,
    /// Which cases are sent; fewer, to find the packet that a counter differs by (`DOSSIER_KERNEL_CASES=FIRST-LAST`).
    cases: RangeInclusive<u16>,
    /// What was sent and seen is kept here when wanted.
    pub recordings: Option<Vec<Recording>>,
}

/// The users that send on the node.
pub const OWNERS: [Ids; 3] = [Ids { uid: 0, gid: 0 }, Ids { uid: 1000, gid: 1000 }, Ids { uid: 1000, gid: 4 }];

/// The node's own IPv6 addresses, its networks' anycast addresses among them.
const OWN_V6: [&str; 6] = ["fd00:10::1", "fd00:10::5", "fd00:20::1", "fd00:10::", "fd00:20::", "::1"];

impl<'a> Bench<'a> {
    pub fn new(lab: &'a Lab, family: Family) -> Self {
        let addresses = OWN_V6.iter().map(|text| text.parse().unwrap()).collect();
        Self::with_own(lab, family, addresses)
    }

    /// A bench whose node hears packets to any address, without telling which: for routes that make more of them local.
    pub fn anywhere(lab: &'a Lab, family: Family) -> Self {
        Self::with_own(lab, family, vec![IpAddr::from(Ipv6Addr::UNSPECIFIED)])
    }

    fn with_own(lab: &'a Lab, family: Family, addresses: Vec<IpAddr>) -> Self {
        let icmp = if family == Family::V4 { 1 } else { 58 };
        let protocols = vec![icmp, 6, 17, 132, 47];
        let r = lab.ns("r");
        Self {
            lab,
            family,
            sender: Wire::open(&lab.ns("s"), family, Ears::Link),
            behind: Wire::open(&lab.ns("d"), family, Ears::Link),
            node_wire: Wire::open(&r, family, Ears::Stack { protocols, addresses }),
            owners: OWNERS.iter().map(|ids| (*ids, Wire::owned(&r, family, *ids))).collect(),
            node: lab.node(),
            compares_counters: true,
            follows: true,
            asked_share: 4,
            cases: wanted_cases(),
            recordings: None,
        }
    }

    fn rule_sets(&self) -> RuleSets<'a> {
        RuleSets { lab: self.lab, family: self.family }
    }

    /// Loads rule sets, sends the packets and compares.
    pub fn batch(&mut self, rules: &[(Backend, &str)], probes: &[Probe], tally: &mut Tally) {
        self.node.rulesets = self.rule_sets().load(rules);
        let before = tally.differences;
        let counted = self.compare_packets(probes, tally);
        if let Some(counted) = counted.filter(|_| self.compares_counters) {
            counted.compare(&self.node.rulesets, &self.rule_sets(), tally);
        }
        if tally.differences > before {
            rules.iter().for_each(|(backend, text)| println!("--- {backend:?}\n{text}"));
        }
    }

    /// Loads native nft text and compares packets; its tables are taken away afterwards.
    pub fn native_batch(&mut self, text: &str, probes: &[Probe], tally: &mut Tally) {
        self.rule_sets().reset();
        self.lab.feed_r(&["nft", "-f", "-"], text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        let json = self.lab.in_r("nft -j list ruleset").unwrap();
        let mut nft = netpath::nft::parse("nft.json", json.as_bytes()).unwrap();
        // The oracle's own table does not exist for the walk.
        nft.tables.retain(|table| &*table.name != "oracle");
        let names: Vec<String> = nft.tables.iter().map(|table| table.name.to_string()).collect();
        self.node.rulesets.clear();
        self.node.nft = Some(nft);
        let before = tally.differences;
        self.compare_packets(probes, tally);
        if tally.differences > before {
            println!("---\n{text}");
        }
        self.node.nft = None;
        for name in names {
            for family in ["ip", "ip6", "inet"] {
                let _ = self.lab.in_r(&format!("nft delete table {family} {name}"));
            }
        }
    }

    /// Sends the packets, then what follows them, and compares their fates. The counts are `None` when chance or an
    /// unknown had a part.
    fn compare_packets(&mut self, probes: &[Probe], tally: &mut Tally) -> Option<Counts> {
        let mut counted = Counts::default();
        let mut certain = true;
        let first =
            |(at, probe): (usize, &Probe)| Case { number: at as u16 + 1, probe: probe.clone(), known: Vec::new() };
        let cases = probes.iter().enumerate().map(first).filter(|case| self.cases.contains(&case.number)).collect();
        let mut arrived = self.compare_cases(cases, tally, &mut counted, &mut certain);
        tally.rulesets += 1;
        if self.follows {
            let before = tally.comparisons;
            let errors = arrived.iter().filter_map(|arrived| replies::error(&self.node, arrived)).collect();
            for (case, outcome) in self.compare_answers(errors, tally, &mut counted, &mut certain) {
                // An error meets the rules with its connection, and may mark it.
                let about = arrived.iter_mut().find(|arrived| arrived.case.number == case.number);
                if let Some(about) = about.filter(|_| outcome.skb.state == CtState::Related) {
                    about.outcome.skb.connection.mark = outcome.skb.connection.mark;
                }
            }
            let answers = arrived.iter().filter_map(|arrived| replies::answer(&self.node, arrived)).collect();
            let answered = self.compare_answers(answers, tally, &mut counted, &mut certain);
            let later = answered.into_iter().filter_map(|(case, outcome)| {
                let first = arrived.iter().find(|arrived| arrived.case.number == case.number)?;
                replies::later(first, &case, &outcome)
            });
            let later = later.collect();
            self.compare_cases(later, tally, &mut counted, &mut certain);
            tally.follow_ups += tally.comparisons - before;
        }
        certain.then_some(counted)
    }

    fn compare_cases(
        &mut self,
        cases: Vec<Case>,
        tally: &mut Tally,
        counted: &mut Counts,
        certain: &mut bool,
    ) -> Vec<Arrived> {
        let arrived = |(case, outcome, found): (Case, Outcome, Vec<Seen>)| match found.as_slice() {
            [seen @ Seen::Packet(..)] => Some(Arrived { case, outcome, seen: seen.clone() }),
            _ => None,
        };
        self.compare(cases, tally, counted, certain).into_iter().filter_map(arrived).collect()
    }

    fn compare_answers(
        &mut self,
        cases: Vec<Case>,
        tally: &mut Tally,
        counted: &mut Counts,
        certain: &mut bool,
    ) -> Vec<(Case, Outcome)> {
        self.compare(cases, tally, counted, certain).into_iter().map(|(case, outcome, _)| (case, outcome)).collect()
    }

    /// Sends the cases and judges them; gives those that agree, with the outcome that happened and what was seen.
    fn compare(
        &mut self,
        cases: Vec<Case>,
        tally: &mut Tally,
        counted: &mut Counts,
        certain: &mut bool,
    ) -> Vec<(Case, Outcome, Vec<Seen>)> {
        let mut seen = self.send(&cases);
        if let Some(recordings) = &mut self.recordings {
            recordings.push(Recording { node: self.node.clone(), cases: cases.clone(), seen: seen.clone() });
        }
        let mut deciding = Deciding::default();
        let mut agreeing = Vec::new();
        for case in cases {
            let exploration = case.explore(&self.node);
            let found = seen.remove(&case.number).unwrap_or_default();
            tally.comparisons += 1;
            *certain &= exploration.outcomes.len() == 1 && !exploration.outcomes.iter().any(refused_again);
            if let Some(outcome) = exploration.outcomes.first() {
                counted.add(&case, outcome);
            }
            match exploration.outcomes.iter().find(|outcome| agrees(outcome, &found)) {
                Some(outcome) => {
                    if self.cases != EVERY {
                        self.report(&case, &exploration.outcomes, &found, 0);
                    }
                    *tally.fates.entry(fate(outcome)).or_default() += 1;
                    if case.number % self.asked_share == 0 && exploration.outcomes.len() == 1 {
                        deciding.note(&mut self.node, &case, outcome, tally);
                    }
                    agreeing.push((case, outcome.clone(), found));
                }
                None => {
                    tally.differences += 1;
                    self.report(&case, &exploration.outcomes, &found, tally.differences);
                }
            }
        }
        agreeing
    }

    /// Fills the sets, in the kernel and in the walk's node, which reads what `ipset save` prints.
    pub fn load_sets(&mut self, sets: &str) {
        self.lab.feed_r(&["ipset", "restore"], sets).unwrap_or_else(|why| panic!("{why}\n{sets}"));
        self.read_sets();
    }

    /// Reads the sets that are in the kernel already.
    pub fn read_sets(&mut self) {
        let saved = self.lab.in_r("ipset save").unwrap();
        let parsed = netpath::ipset::parse("ipset", saved.as_bytes());
        assert!(parsed.unread.is_empty(), "{:?}", parsed.unread);
        self.node.ipsets = Some(parsed);
    }

    fn wire(&self, from: Side, packet: &Packet) -> &Wire {
        match from {
            Side::S => &self.sender,
            Side::D => &self.behind,
            Side::Node => {
                let owner = packet.owner.map_or(OWNERS[0], |owner| Ids { uid: owner.uid, gid: owner.gid });
                self.owners.iter().find(|(ids, _)| *ids == owner).map_or(&self.node_wire, |(_, wire)| wire)
            }
        }
    }

    fn send(&self, cases: &[Case]) -> HashMap<u16, Vec<Seen>> {
        let mut seen: HashMap<u16, Vec<Seen>> = HashMap::new();
        if cases.is_empty() {
            return seen;
        }
        for (at, case) in cases.iter().enumerate() {
            let packet = &case.probe.packet;
            let sent =
                self.wire(case.probe.from, packet).send(&frames::bytes(&case.probe, case.number), packet.destination);
            // What the node sends itself may be refused at once.
            assert!(sent || case.probe.from == Side::Node, "the packet could not be sent: {packet:?}");
            if at % 256 == 255 {
                self.drain(&mut seen);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
        self.drain(&mut seen);
        seen
    }

    fn drain(&self, seen: &mut HashMap<u16, Vec<Seen>>) {
        for (side, wire) in [(Side::S, &self.sender), (Side::D, &self.behind), (Side::Node, &self.node_wire)] {
            wire.drain(|heard| match frames::read(&heard) {
                Some(Received::Packet { case, source, destination, ports }) => {
                    seen.entry(case).or_default().push(Seen::Packet(side, source, destination, ports));
                }
                Some(Received::Answer { case, kind, source, destination }) => {
                    seen.entry(case).or_default().push(Seen::Answer(side, kind, source, destination));
                }
                None => {}
            });
        }
    }

    fn report(&self, case: &Case, outcomes: &[Outcome], found: &[Seen], number: u64) {
        if number > 5 {
            return;
        }
        println!("\n=== difference {number}: {:?}\n    kernel: {found:?}\n    known: {:?}", case.probe, case.known);
        for outcome in outcomes {
            println!("    walk:   {:?} {:?} {:?}", outcome.verdict, expected(outcome), outcome.skb.state);
            for event in &outcome.events {
                match event {
                    Event::Rule { hook, chain, rule, effect } => {
                        let ruleset = &self.node.rulesets[chain.ruleset];
                        let rule = &ruleset.tables[chain.table].chains[chain.chain].rules[*rule];
                        println!("      {hook:?} {} {effect:?}", rule.text);
                    }
                    other => println!("      {other:?}"),
                }
            }
        }
    }
}

const EVERY: RangeInclusive<u16> = 0..=u16::MAX;

fn wanted_cases() -> RangeInclusive<u16> {
    let wanted = std::env::var("DOSSIER_KERNEL_CASES").ok();
    let wanted = wanted.as_deref().and_then(|text| text.split_once('-'));
    wanted.map_or(EVERY, |(first, last)| first.parse().unwrap()..=last.parse().unwrap())
}
