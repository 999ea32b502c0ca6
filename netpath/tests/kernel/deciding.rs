//! Which modules and targets decided: those of a rule without which the packet's fate would have been another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use netpath::iptables::{Rule, Ruleset};
use netpath::matches::Match;
use netpath::node::Node;
use netpath::targets::Target;
use netpath::walk::{ChainRef, Event, Outcome};

use crate::compare::Case;
use crate::expect::expected;
use crate::tally::Tally;

/// The rule sets of a batch, each without one of its rules.
#[derive(Default)]
pub struct Deciding {
    without: HashMap<(ChainRef, usize), Arc<Ruleset>>,
}

impl Deciding {
    /// Walks the packet again without each rule that it matched, as if a module of the rule had not matched.
    pub fn note(&mut self, node: &mut Node, case: &Case, outcome: &Outcome, tally: &mut Tally) {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut asked: BTreeSet<(ChainRef, usize)> = BTreeSet::new();
        for event in &outcome.events {
            let Event::Rule { chain, rule, .. } = event else { continue };
            let Some(changes) = node.rulesets.get(chain.ruleset).map(|ruleset| &rule_at(ruleset, *chain, *rule).target)
            else {
                continue;
            };
            if matches!(changes, Target::None | Target::Continue { .. }) || !asked.insert((*chain, *rule)) {
                continue;
            }
            let whole = Arc::clone(&node.rulesets[chain.ruleset]);
            let without = self.without.entry((*chain, *rule)).or_insert_with(|| {
                let mut ruleset = (*whole).clone();
                ruleset.tables[chain.table].chains[chain.chain].rules.remove(*rule);
                Arc::new(ruleset)
            });
            node.rulesets[chain.ruleset] = Arc::clone(without);
            let other = case.explore(node);
            let differs = other
                .outcomes
                .iter()
                .any(|other| other.verdict != outcome.verdict || expected(other) != expected(outcome));
            if differs {
                let rule = rule_at(&whole, *chain, *rule);
                names.extend(rule.matches.iter().map(module));
                names.insert(target(rule));
            }
            node.rulesets[chain.ruleset] = whole;
        }
        names.into_iter().for_each(|name| tally.decided(name));
    }
}

fn rule_at(ruleset: &Ruleset, at: ChainRef, rule: usize) -> &Rule {
    &ruleset.tables[at.table].chains[at.chain].rules[rule]
}

fn module(m: &Match) -> String {
    match m {
        Match::Comment(_) => "comment".to_owned(),
        Match::Tcp(_) => "tcp".to_owned(),
        Match::Ports(ports) => ports.module.to_owned(),
        Match::Icmp(icmp) => if icmp.v6 { "icmp6" } else { "icmp" }.to_owned(),
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
        Match::Statistic(_) => "statistic".to_owned(),
        Match::Stateful(_) => "stateful".to_owned(),
        Match::RoutingHeader(_) => "rt".to_owned(),
        Match::Opaque { module, .. } => format!("opaque {module}"),
    }
}

fn target(rule: &Rule) -> String {
    match &rule.target {
        Target::None => "none".to_owned(),
        Target::Accept => "ACCEPT".to_owned(),
        Target::Drop => "DROP".to_owned(),
        Target::Return => "RETURN".to_owned(),
        Target::Jump { goto: true, .. } => "goto".to_owned(),
        Target::Jump { .. } => "jump".to_owned(),
        Target::Reject(_) => "REJECT".to_owned(),
        Target::Mark(_) => "MARK".to_owned(),
        Target::Connmark(_) => "CONNMARK".to_owned(),
        Target::NoTrack(false) => "NOTRACK".to_owned(),
        Target::NoTrack(true) => "CT".to_owned(),
        Target::Dnat(_) => "DNAT".to_owned(),
        Target::Snat(_) => "SNAT".to_owned(),
        Target::Masquerade(_) => "MASQUERADE".to_owned(),
        Target::Redirect(_) => "REDIRECT".to_owned(),
        Target::Netmap(_) => "NETMAP".to_owned(),
        Target::Header { name, .. } | Target::Continue { name, .. } | Target::Unknown { name, .. } => name.to_string(),
    }
}
