//! Orders of chains that nobody knows and that make no difference.
//!
//! Base chains of one hook and one priority run in an order that no dump tells. Where the packet arrives in the same state
//! either way, that is no question: else each node with two firewalls would double the ways through a cluster.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::unknown::Unknown;
use crate::walk::explore::Outcome;
use crate::walk::{Answered, Assumption, Event, Verdict};

/// What the keys of these questions begin with.
const KEY: &str = "order: ";

/// The question which of two chains runs first.
pub(super) fn question(first: &str, last: &str) -> Unknown {
    let what = format!("whether {first} or {last} was registered last and so runs first");
    Unknown::deterministic(format!("{KEY}{what}"), what)
}

/// The outcomes without those questions whose answers all lead to the same end, by the same line where the packet is
/// stopped; of their paths the first stands for both.
pub(super) fn settled(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut questions: Vec<String> = Vec::new();
    for assumption in outcomes.iter().flat_map(|outcome| &outcome.assumptions) {
        let key = &assumption.unknown.key;
        if key.starts_with(KEY) && !questions.contains(key) {
            questions.push(key.clone());
        }
    }
    for question in questions {
        outcomes = without(outcomes, &question);
    }
    outcomes
}

fn without(outcomes: Vec<Outcome>, question: &str) -> Vec<Outcome> {
    let asks = |assumption: &Assumption| assumption.unknown.key == question;
    let mut kept: Vec<Outcome> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for outcome in outcomes {
        if !outcome.assumptions.iter().any(asks) {
            kept.push(outcome);
            continue;
        }
        match places.get(&end(&outcome, question)).and_then(|place| kept.get_mut(*place)) {
            // The other answer, and everything else as it was.
            Some(twin) if answer(twin, question) != answer(&outcome, question) => {
                twin.assumptions.retain(|assumption| !asks(assumption));
            }
            _ => {
                places.insert(end(&outcome, question), kept.len());
                kept.push(outcome);
            }
        }
    }
    kept
}

fn answer(outcome: &Outcome, question: &str) -> Option<usize> {
    let mut all = outcome.assumptions.iter();
    all.find(|assumption| assumption.unknown.key == question).map(|assumption| assumption.answer)
}

/// Everything about an end but the answer to the question.
fn end(outcome: &Outcome, question: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (outcome.verdict, &outcome.skb, &outcome.delivery).hash(&mut hasher);
    (outcome.probability.to_bits(), &outcome.doubts).hash(&mut hasher);
    if outcome.verdict != Verdict::Accept {
        let own = outcome.events.iter().take_while(|event| !matches!(event, Event::Answer { .. }));
        format!("{:?}", own.last()).hash(&mut hasher);
    }
    if let Some(Answered { verdict, skb, delivery }) = &outcome.answer {
        (verdict, skb, delivery).hash(&mut hasher);
    }
    for assumption in outcome.assumptions.iter().filter(|assumption| assumption.unknown.key != question) {
        (&assumption.unknown.key, assumption.answer).hash(&mut hasher);
    }
    hasher.finish()
}
