//! What no parser could read. It is evidence too: a rule must not say "there is none" of what could not be read.

use super::Facts;
use crate::finding::{SubjectKind, Unreadable};

/// What of one kind's evidence could not be read.
pub fn of(facts: &Facts, kind: SubjectKind) -> Vec<Unreadable> {
    match kind {
        SubjectKind::Node | SubjectKind::Certificate => {
            let files = facts.node_names().iter().filter_map(|name| facts.node_files(name));
            files.flat_map(super::node::NodeFacts::unreadable).collect()
        }
        _ => Vec::new(),
    }
}

/// Everything that could not be read.
pub fn all(facts: &Facts) -> Vec<Unreadable> {
    super::subject::KINDS.iter().flat_map(|kind| of(facts, *kind)).collect()
}
