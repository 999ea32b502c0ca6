//! Ordered rules of which the first that matches decides, where some match perhaps.

use crate::answer::Decision;
use crate::held::{Held, add_all};
use crate::source::Cited;
use crate::unknown::Unknown;

/// A rule's condition and what it does.
pub(super) struct Candidate {
    pub held: Held,
    /// None where the action is not one that we know.
    pub allows: Option<bool>,
    pub cited: Cited,
    pub title: String,
}

/// What a group of rules comes to.
pub(super) struct GroupResult {
    pub verdict: Decision,
    pub deciding: Option<Cited>,
    pub title: String,
    pub unknowns: Vec<Unknown>,
}

/// Goes through the rules in their order; what no rule decides ends as `otherwise`.
pub(super) fn first_match(rules: impl IntoIterator<Item = Candidate>, otherwise: Option<Candidate>) -> GroupResult {
    let mut allow: Option<(Cited, String)> = None;
    let mut deny: Option<(Cited, String)> = None;
    let mut unknowns = Vec::new();
    for rule in rules.into_iter().chain(otherwise) {
        let certain = rule.held == Held::Yes;
        match &rule.held {
            Held::No => continue,
            Held::Yes => {}
            Held::Perhaps(doubts) => add_all(&mut unknowns, doubts),
        }
        let here = (rule.cited.clone(), rule.title.clone());
        if rule.allows.is_none() {
            let what = format!("what {} does ({})", rule.title, rule.cited.origin);
            add_all(&mut unknowns, &[Unknown::deterministic(what.clone(), what)]);
        }
        if rule.allows != Some(false) && allow.is_none() {
            allow = Some(here.clone());
        }
        if rule.allows != Some(true) && deny.is_none() {
            deny = Some(here);
        }
        if certain {
            break;
        }
    }
    let (verdict, telling) = match (allow, deny) {
        (Some(_), Some(deny)) => (Decision::Depends, Some(deny)),
        (None, Some(deny)) => (Decision::Drop, Some(deny)),
        (Some(allow), None) => (Decision::Accept, Some(allow)),
        (None, None) => (Decision::Depends, None),
    };
    if verdict != Decision::Depends {
        unknowns.clear();
    }
    let (deciding, title) = telling.map_or((None, String::new()), |(cited, title)| (Some(cited), title));
    GroupResult { verdict, deciding, title, unknowns }
}
