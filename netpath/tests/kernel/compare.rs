//! One batch: a rule set in the kernel, packets sent, and everything that happened beside what the walk predicts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use netpath::address::Family;
use netpath::iptables::{self, Backend, Ruleset};
use netpath::matches::Match;
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::{ChainRef, Delivery, Effect, Entry, Event, Outcome, Verdict, explore};

use crate::frames::{self, Received};
use crate::lab::{Lab, Wire};

/// Where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    S,
    D,
    Node,
}

/// One thing that was seen of a case, or that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seen {
    Packet(Side, IpAddr, IpAddr, Option<(u16, u16)>),
    Answer(Side, Option<(u8, u8)>, IpAddr, IpAddr),
}

/// What a run has done so far.
#[derive(Default)]
pub struct Tally {
    pub comparisons: u64,
    pub differences: u64,
    pub rulesets: u64,
    pub counters: u64,
    /// How often a rule with the module decided.
    pub deciding: BTreeMap<String, u64>,
}

pub struct Bench<'a> {
    pub lab: &'a Lab,
    pub sender: Wire,
    pub behind: Wire,
    node_wire: Wire,
    pub node: Node,
    /// Whether counters are compared too; errors about routes are limited to a few a second and spoil them.
    pub compares_counters: bool,
}

const PROTOCOLS: [u8; 5] = [1, 6, 17, 132, 47];

impl<'a> Bench<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        let sender = Wire::open(&lab.ns("s"), Family::V4, &PROTOCOLS);
        let behind = Wire::open(&lab.ns("d"), Family::V4, &PROTOCOLS);
        let node_wire = Wire::open(&lab.ns("r"), Family::V4, &PROTOCOLS);
        Self { lab, sender, behind, node_wire, node: lab.node(), compares_counters: true }
    }

    /// Loads rule sets, sends the packets and compares. `mutate` changes the walk's copy, to see that it is noticed.
    pub fn batch(
        &mut self,
        rules: &[(Backend, &str)],
        packets: &[Packet],
        tally: &mut Tally,
        mutate: impl FnOnce(&mut Ruleset),
    ) {
        self.reset();
        let mut parsed = Vec::new();
        for (backend, text) in rules {
            let command = format!("iptables-{}-restore", name(*backend));
            self.lab.feed_r(&[&command], text).unwrap_or_else(|why| panic!("{why}\n{text}"));
            parsed.push(self.saved(*backend));
        }
        if let Some(first) = parsed.first_mut() {
            mutate(first);
        }
        self.node.rulesets = parsed.into_iter().map(Arc::new).collect();
        let counted = self.compare_packets(&rules.iter().map(|(_, text)| *text).collect::<Vec<_>>(), packets, tally);
        let before = tally.differences;
        if let Some(counted) = counted.filter(|_| self.compares_counters) {
            self.compare_counters(&counted, tally);
        }
        if tally.differences > before {
            rules.iter().for_each(|(backend, text)| println!("--- {backend:?}\n{text}"));
        }
    }

    /// Loads native nft text and compares packets; its tables are taken away afterwards.
    pub fn native_batch(&mut self, text: &str, packets: &[Packet], tally: &mut Tally) {
        self.reset();
        self.lab.feed_r(&["nft", "-f", "-"], text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        let json = self.lab.in_r("nft -j list ruleset").unwrap();
        let mut nft = netpath::nft::parse("nft.json", json.as_bytes()).unwrap();
        // The oracle's own table does not exist for the walk.
        nft.tables.retain(|table| &*table.name != "oracle");
        let names: Vec<String> = nft.tables.iter().map(|table| table.name.to_string()).collect();
        self.node.rulesets.clear();
        self.node.nft = Some(nft);
        self.compare_packets(&[text], packets, tally);
        self.node.nft = None;
        for name in names {
            let _ = self.lab.in_r(&format!("nft delete table ip {name}"));
            let _ = self.lab.in_r(&format!("nft delete table inet {name}"));
        }
    }

    /// Sends the packets and compares their fates. The counts are `None` when chance or an unknown had a part.
    pub fn compare_packets(
        &mut self,
        rules: &[&str],
        packets: &[Packet],
        tally: &mut Tally,
    ) -> Option<HashMap<(ChainRef, Option<usize>), u64>> {
        let seen = self.send(packets);
        let entry = Entry::Interface(Arc::from("eth0"));
        let mut counted: HashMap<(ChainRef, Option<usize>), u64> = HashMap::new();
        let mut certain = true;
        for (case, packet) in packets.iter().enumerate() {
            let exploration = explore(&self.node, packet, &entry, 0, &[]);
            let found = seen.get(&(case as u16 + 1)).cloned().unwrap_or_default();
            tally.comparisons += 1;
            if !exploration.outcomes.iter().any(|outcome| agrees(outcome, &found)) {
                tally.differences += 1;
                self.report(rules, packet, &exploration.outcomes, &found, tally.differences);
            }
            certain &= exploration.outcomes.len() == 1;
            for outcome in exploration.outcomes.iter().take(1) {
                self.count(outcome, &mut counted, tally);
            }
        }
        tally.rulesets += 1;
        certain.then_some(counted)
    }

    /// Fills the sets, in the kernel and in the walk's node, which reads what `ipset save` prints.
    pub fn load_sets(&mut self, sets: &str) {
        self.lab.feed_r(&["ipset", "restore"], sets).unwrap();
        let saved = self.lab.in_r("ipset save").unwrap();
        let parsed = netpath::ipset::parse("ipset", saved.as_bytes());
        assert!(parsed.unread.is_empty(), "{:?}", parsed.unread);
        self.node.ipsets = Some(parsed);
    }

    /// Takes every rule out of the kernel, policies too, and forgets all connections.
    fn reset(&self) {
        let mut accepting = String::new();
        for (table, chains) in [
            ("raw", "PREROUTING OUTPUT"),
            ("mangle", "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"),
            ("nat", "PREROUTING INPUT OUTPUT POSTROUTING"),
            ("filter", "INPUT FORWARD OUTPUT"),
            ("security", "INPUT FORWARD OUTPUT"),
        ] {
            accepting.push_str(&format!("*{table}\n"));
            chains.split(' ').for_each(|chain| accepting.push_str(&format!(":{chain} ACCEPT [0:0]\n")));
            accepting.push_str("COMMIT\n");
            let _ = self.lab.in_r(&format!("nft delete table ip {table}"));
        }
        self.lab.feed_r(&["iptables-legacy-restore"], &accepting).unwrap();
        let _ = self.lab.in_r("conntrack -F");
    }

    fn saved(&self, backend: Backend) -> Ruleset {
        let text = self.lab.in_r(&format!("iptables-{}-save -c", name(backend))).unwrap();
        let ruleset = iptables::parse("save", text.as_bytes(), Family::V4, backend);
        assert!(ruleset.notes.is_empty(), "{:?}", ruleset.notes);
        let printed = ruleset.to_save(true);
        for (ours, theirs) in printed.lines().zip(text.lines()) {
            assert_eq!(ours, theirs, "the printed rule set differs from iptables-save");
        }
        assert_eq!(printed, text);
        ruleset
    }

    fn send(&self, packets: &[Packet]) -> HashMap<u16, Vec<Seen>> {
        let mut seen: HashMap<u16, Vec<Seen>> = HashMap::new();
        for (at, packet) in packets.iter().enumerate() {
            let case = at as u16 + 1;
            let sent = self.sender.send(&frames::bytes(packet, case), packet.destination);
            assert!(sent, "the packet could not be sent: {packet:?}");
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
            wire.drain(|bytes| match frames::read_v4(bytes) {
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

    fn count(&self, outcome: &Outcome, counted: &mut HashMap<(ChainRef, Option<usize>), u64>, tally: &mut Tally) {
        let mut deciding = None;
        for event in &outcome.events {
            match event {
                Event::Rule { chain, rule, effect, .. } => {
                    *counted.entry((*chain, Some(*rule))).or_default() += 1;
                    if matches!(effect, Effect::Verdict(_)) {
                        deciding = Some((*chain, *rule));
                    }
                }
                Event::Policy { chain, .. } => *counted.entry((*chain, None)).or_default() += 1,
                _ => {}
            }
        }
        if let Some((at, rule)) = deciding {
            let ruleset = &self.node.rulesets[at.ruleset];
            let rule = &ruleset.tables[at.table].chains[at.chain].rules[rule];
            let modules: HashSet<String> = rule.matches.iter().map(module).collect();
            modules.into_iter().for_each(|module| *tally.deciding.entry(module).or_default() += 1);
        }
    }

    fn compare_counters(&self, counted: &HashMap<(ChainRef, Option<usize>), u64>, tally: &mut Tally) {
        for (at, before) in self.node.rulesets.iter().enumerate() {
            let after = self.saved(before.backend);
            for (table_at, table) in before.tables.iter().enumerate() {
                let now = after.table(&table.name).unwrap();
                for (chain_at, chain) in table.chains.iter().enumerate() {
                    let place = ChainRef { ruleset: at, table: table_at, chain: chain_at };
                    let now = now.chain(&chain.name).unwrap();
                    let rows = now.rules.iter().map(|rule| (rule.counters, &rule.text)).enumerate();
                    let rows = rows.map(|(rule, row)| (Some(rule), row));
                    let policy = now.policy.map(|_| (None, (now.counters, &now.text)));
                    for (rule, (counters, text)) in rows.chain(policy) {
                        tally.counters += 1;
                        let kernel = counters.unwrap_or_default().packets;
                        let ours = counted.get(&(place, rule)).copied().unwrap_or(0);
                        if kernel != ours {
                            tally.differences += 1;
                            println!(
                                "counter of {} {} in {}: kernel {kernel}, walk {ours}\n  {text}",
                                name(before.backend),
                                chain.name,
                                table.name
                            );
                        }
                    }
                }
            }
        }
    }

    fn report(&self, rules: &[&str], packet: &Packet, outcomes: &[Outcome], found: &[Seen], number: u64) {
        if number > 5 {
            return;
        }
        println!("\n=== difference {number}: {packet:?}\n    kernel: {found:?}");
        for outcome in outcomes {
            println!("    walk:   {:?} {:?}", outcome.verdict, expected(outcome));
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
        if number == 1 {
            rules.iter().for_each(|text| println!("---\n{text}"));
        }
    }
}

pub fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Legacy => "legacy",
        Backend::Nft => "nft",
    }
}

fn side(interface: Option<&str>) -> Side {
    match interface {
        Some("eth0") => Side::S,
        Some("eth1") => Side::D,
        _ => Side::Node,
    }
}

/// What an outcome makes visible; a port that NAT draws freely is `None` within the pair's place.
fn expected(outcome: &Outcome) -> Vec<Seen> {
    let packet = &outcome.skb.packet;
    let ports = packet.ports().filter(|_| matches!(packet.protocol, 6 | 17 | 132));
    match (outcome.verdict, &outcome.delivery) {
        (Verdict::Accept, Some(Delivery::Local)) => {
            vec![Seen::Packet(Side::Node, packet.source, packet.destination, ports)]
        }
        (Verdict::Accept, Some(Delivery::Sent { interface, .. })) => {
            vec![Seen::Packet(side(interface.as_deref()), packet.source, packet.destination, ports)]
        }
        (Verdict::Reject(kind), _) => match &outcome.answer {
            Some(answer) if answer.verdict == Verdict::Accept => match &answer.delivery {
                Some(Delivery::Sent { interface, .. }) => {
                    let sent = &answer.skb.packet;
                    let icmp = kind.icmp(packet.family());
                    vec![Seen::Answer(side(interface.as_deref()), icmp, sent.source, sent.destination)]
                }
                // The sender used one of the node's own addresses: the answer goes to the node.
                Some(Delivery::Local) => {
                    let sent = &answer.skb.packet;
                    vec![Seen::Answer(Side::Node, kind.icmp(packet.family()), sent.source, sent.destination)]
                }
                None => Vec::new(),
            },
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether what was seen is what the outcome says. A source port that NAT draws is any.
fn agrees(outcome: &Outcome, found: &[Seen]) -> bool {
    let expected = expected(outcome);
    let connection = &outcome.skb.connection;
    let drawn = connection.source_translated && connection.reply.destination_port.is_none();
    match (expected.as_slice(), found) {
        (
            [Seen::Packet(side, source, destination, Some((_, port)))],
            [Seen::Packet(side2, source2, destination2, Some((_, port2)))],
        ) if drawn => (side, source, destination, port) == (side2, source2, destination2, port2),
        // The kernel's own errors about routes are limited to a few a second for each source.
        ([Seen::Answer(..)], []) => !refused_by_rule(outcome),
        (expected, found) => expected == found,
    }
}

fn refused_by_rule(outcome: &Outcome) -> bool {
    let refuses = |effect: &Effect| matches!(effect, Effect::Verdict(Verdict::Reject(_)));
    outcome.events.iter().any(|event| match event {
        Event::Rule { effect, .. } | Event::Native { effect, .. } => refuses(effect),
        _ => false,
    })
}

fn module(m: &Match) -> String {
    match m {
        Match::Comment(_) => "comment".to_owned(),
        Match::Tcp(_) => "tcp".to_owned(),
        Match::Ports(ports) => ports.module.to_owned(),
        Match::Icmp(_) => "icmp".to_owned(),
        Match::Conntrack(_) => "conntrack".to_owned(),
        Match::State(_) => "state".to_owned(),
        Match::Multiport(_) => "multiport".to_owned(),
        Match::Mark(_) => "mark".to_owned(),
        Match::Connmark(_) => "connmark".to_owned(),
        Match::IpRange(_) => "iprange".to_owned(),
        Match::IpField(field) => field.to_string().split(' ').nth(1).unwrap_or_default().to_owned(),
        Match::AddrType(_) => "addrtype".to_owned(),
        Match::Set(_) => "set".to_owned(),
        Match::Owner(_) => "owner".to_owned(),
        Match::Mac(_) => "mac".to_owned(),
        Match::Physdev(_) => "physdev".to_owned(),
        Match::Rpfilter(_) => "rpfilter".to_owned(),
        other => format!("{other:?}"),
    }
}
