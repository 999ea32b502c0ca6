//! Which line decided a path.

use crate::answer::{Deciding, Direction};
use crate::iptables::{Policy, Ruleset, Table};
use crate::nft::{NativeChain, NativeTable};
use crate::node::Node;
use crate::walk::{ChainRef, Effect, Event, NativeRef, Outcome, Verdict};

/// The event that decided: the refusal, or for an accepted packet the last line that accepted it.
pub(super) fn event_of(outcome: &Outcome) -> Option<&Event> {
    // A refusal's own answer walks after it; what decided comes before.
    let end = outcome.events.iter().position(|event| matches!(event, Event::Answer { .. }));
    let own = outcome.events.get(..end.unwrap_or(outcome.events.len())).unwrap_or_default();
    if outcome.verdict != Verdict::Accept {
        return own.last();
    }
    let accepting = Effect::Verdict(Verdict::Accept);
    let accepts = |event: &&Event| match event {
        Event::Rule { effect, .. } | Event::Native { effect, .. } => *effect == accepting,
        _ => false,
    };
    let policy = |event: &&Event| {
        matches!(
            event,
            Event::Policy { policy: Policy::Accept, .. } | Event::NativePolicy { policy: Policy::Accept, .. }
        )
    };
    own.iter().rev().find(accepts).or_else(|| own.iter().rev().find(policy))
}

pub(super) fn of(node: &Node, outcome: &Outcome, direction: Direction) -> Option<Deciding> {
    let (cited, packets) = match event_of(outcome)? {
        Event::Rule { chain, rule, .. } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let rule = table.chains.get(chain.chain)?.rules.get(*rule)?;
            (ruleset.cite(rule), rule.counters.map(|counters| counters.packets))
        }
        Event::Policy { chain, .. } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let chain = table.chains.get(chain.chain)?;
            (ruleset.cite_chain(chain), chain.counters.map(|counters| counters.packets))
        }
        Event::Native { chain, rule, .. } => {
            let (_, declared) = native_of(node, *chain)?;
            (declared.rules.get(*rule)?.cited.clone(), None)
        }
        Event::NativePolicy { chain, .. } => (native_of(node, *chain)?.1.cited.clone(), None),
        Event::Kernel { cited, .. } => (cited.clone()?, None),
        Event::Answer { .. } => return None,
    };
    Some(Deciding { cited, direction, packets, shadows: None })
}

/// The table and chain of a native chain.
pub(super) fn native_of(node: &Node, at: NativeRef) -> Option<(&NativeTable, &NativeChain)> {
    let table = node.nft.as_ref()?.tables.get(at.table)?;
    Some((table, table.chains.get(at.chain)?))
}

/// The rule set and table of a chain.
pub(super) fn table_of(node: &Node, at: ChainRef) -> Option<(&Ruleset, &Table)> {
    let ruleset = node.rulesets.get(at.ruleset)?;
    Some((ruleset, ruleset.tables.get(at.table)?))
}
