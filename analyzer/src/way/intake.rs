//! The way between the ends that a symptom names.

use super::answer::PathAnswer;
use super::question::{Protocol, Question};
use super::world::World;
use crate::facts::Facts;

/// Walks from the symptom's `from` to its `to`. None where neither was given; an error says why it cannot be walked.
pub fn walk(facts: &Facts) -> Option<Result<PathAnswer, String>> {
    let ends = facts.symptom_ends();
    match (&ends.from, &ends.to) {
        (None, None) => None,
        (Some(_), None) => Some(Err("`to` is not given".to_owned())),
        (None, Some(_)) => Some(Err("`from` is not given".to_owned())),
        (Some(Err(reason)), _) | (_, Some(Err(reason))) => Some(Err(reason.clone())),
        (Some(Ok(from)), Some(Ok(to))) => {
            let protocol = ends.protocol.map(Protocol::of_service);
            let question = Question { from: from.clone(), to: to.clone(), protocol, via: None, interface: None };
            Some(super::answer(&World::new(facts), &question).map_err(|error| error.to_string()))
        }
    }
}
