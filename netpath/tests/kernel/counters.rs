//! The counters of rules and policies beside how often the walk says that they should have counted.

use std::collections::HashMap;

use netpath::iptables::{Rule, Ruleset};
use netpath::walk::{ChainRef, Event, Outcome};

use crate::compare::Case;
use crate::rule_sets::{RuleSets, name};
use crate::tally::Tally;

/// How often a rule or policy should have counted, and some packets that it should have counted.
#[derive(Default)]
struct Count {
    packets: u64,
    some: Vec<String>,
}

/// Predicted counts of rules (by index) and policies (`None`).
#[derive(Default)]
pub struct Counts(HashMap<(ChainRef, Option<usize>), Count>);

impl Counts {
    /// Counts what a packet met.
    pub fn add(&mut self, case: &Case, outcome: &Outcome) {
        for event in &outcome.events {
            let (chain, rule) = match event {
                Event::Rule { chain, rule, .. } => (*chain, Some(*rule)),
                Event::Policy { chain, .. } => (*chain, None),
                _ => continue,
            };
            let count = self.0.entry((chain, rule)).or_default();
            count.packets += 1;
            if count.some.len() < 12 {
                let packet = &case.probe.packet;
                let (from, to) = (packet.source_text(), packet.destination_text());
                let known = if case.known.is_empty() { "" } else { " of a known connection" };
                count.some.push(format!(
                    "{from} to {to} protocol {} {:?} from {:?}{known}: {:?} {:?}",
                    packet.protocol, packet.transport, case.probe.from, outcome.verdict, outcome.skb.state
                ));
            }
        }
    }

    /// Compares all counters of the rule sets that were loaded; their index is that of the walk's.
    pub fn compare(&self, loaded: &[std::sync::Arc<Ruleset>], rule_sets: &RuleSets<'_>, tally: &mut Tally) {
        for (at, before) in loaded.iter().enumerate() {
            self.compare_one(at, before, &rule_sets.saved(before.backend), tally);
        }
    }

    fn compare_one(&self, at: usize, before: &Ruleset, after: &Ruleset, tally: &mut Tally) {
        let tracks = before.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules).any(tracks);
        for (table_at, table) in before.tables.iter().enumerate() {
            if &*table.name == "nat" && !tracks {
                continue;
            }
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
                    let count = self.0.get(&(place, rule));
                    let ours = count.map_or(0, |count| count.packets);
                    if kernel != ours {
                        tally.differences += 1;
                        let (backend, chain, table) = (name(before.backend), &chain.name, &table.name);
                        println!("counter of {backend} {chain} in {table}: kernel {kernel}, walk {ours}\n  {text}");
                        count.into_iter().flat_map(|count| &count.some).for_each(|case| println!("    {case}"));
                    }
                }
            }
        }
    }
}

/// Whether a rule makes the kernel track connections at all; without any, NAT has nothing to do, and nobody can see it but
/// by the counters of its policies.
fn tracks(rule: &Rule) -> bool {
    let words = ["--ct", "--state", "connmark", "CONNMARK", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"];
    words.iter().any(|word| rule.text.contains(word))
}
