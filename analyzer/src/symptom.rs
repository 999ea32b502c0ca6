//! What the sender says is broken, and what the bundle says to it.
//!
//! The error's text is asked for every message pattern; each that is found is looked for in the bundle's logs and events
//! as well, and leads to the rules that judge what it means. What the bundle has nothing to say to is said too.

use std::collections::BTreeSet;
use std::sync::Arc;

use bundle::manifest::Symptom;

use crate::citation::Citation;
use crate::facts::Facts;
use crate::finding::{Findings, Recognized, Related, Standing, SymptomAnswer, SymptomField, WalkedWay};
use crate::pattern::message::MessageIndex;
use crate::rule::Rule;
use crate::way::answer::{PathAnswer, Sees};
use crate::way::{drawing, intake};

/// Places in the bundle that are shown for one pattern.
const SHOWN: usize = 3;

/// What the bundle says to a symptom, once all rules have spoken.
pub fn answer(
    symptom: &Symptom,
    facts: &Facts,
    messages: &MessageIndex,
    rules: &[Arc<Rule>],
    findings: &Findings,
) -> SymptomAnswer {
    let error = symptom.error.as_deref().unwrap_or_default();
    let recognized: Vec<Recognized> = found_in(error, messages)
        .into_iter()
        .map(|(_, index)| recognized(error, index, facts, messages, rules, findings))
        .collect();
    let (way, not_walked) = match intake::walk(facts) {
        Some(Ok(answer)) => (Some(walked(answer)), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    };
    SymptomAnswer {
        way,
        not_walked,
        fields: symptom.fields().into_iter().map(|(name, text)| SymptomField::new(name, text)).collect(),
        not_recognized: symptom.error.is_some() && recognized.is_empty(),
        named: named(symptom, findings),
        recognized,
    }
}

/// What the report tells of a way.
fn walked(answer: PathAnswer) -> WalkedWay {
    let cited = |deciding: crate::way::answer::Deciding| {
        let path: Arc<str> = deciding.file.into();
        Citation { pointer: deciding.pointer, ..Citation::line(&path, u64::from(deciding.line), &deciding.text) }
    };
    let headline = drawing::headline(&answer);
    let (verified, changes) = answer.fix.map_or((false, Vec::new()), |fix| (fix.verified, fix.changes));
    WalkedWay {
        from: answer.question.from,
        to: answer.question.to,
        protocol: answer.question.protocol,
        headline,
        detail: answer.detail,
        connected: answer.client_sees == Sees::Connected,
        deciding: answer.deciding.map(cited),
        fix: changes.into_iter().map(|change| format!("on {}: {}", change.at, change.command)).collect(),
        fix_verified: verified,
        unknowns: answer.unknowns,
        takes_for_granted: answer.takes_for_granted,
    }
}

/// The patterns that are found in a text, the one that explains most of it first.
fn found_in(text: &str, messages: &MessageIndex) -> Vec<(usize, usize)> {
    let patterns = messages.patterns().patterns().iter().enumerate();
    let mut found: Vec<(usize, usize)> =
        patterns.filter_map(|(index, pattern)| Some((pattern.length_in(text)?, index))).collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    found
}

fn recognized(
    error: &str,
    index: usize,
    facts: &Facts,
    messages: &MessageIndex,
    rules: &[Arc<Rule>],
    findings: &Findings,
) -> Recognized {
    let Some(pattern) = messages.patterns().patterns().get(index) else { return Recognized::default() };
    let mut evidence: Vec<Citation> = Vec::new();
    let mut lines = 0;
    for (log, hits) in messages.lines_of(index) {
        lines += hits.count;
        evidence.extend(hits.last.as_ref().map(|hit| Citation::line(log.path(), hit.line, &hit.text)));
    }
    let events: Vec<_> = facts.events().all().iter().filter(|event| pattern.is_in(&event.message)).collect();
    evidence.extend(events.iter().map(|event| event.citation()));
    evidence.truncate(SHOWN);
    Recognized {
        pattern: pattern.id.clone(),
        means: pattern.means.clone(),
        parts: pattern.captures(error.as_bytes()),
        lines,
        events: events.len() as u64,
        evidence,
        checks: rules
            .iter()
            .filter(|rule| rule.asks_pattern(&pattern.id))
            .map(|rule| standing(rule, findings))
            .collect(),
    }
}

/// What a rule came to, over all its subjects: the worst of it first.
fn standing(rule: &Rule, findings: &Findings) -> Related {
    let found: Vec<_> = findings.findings.iter().filter(|finding| finding.rule == rule.id).collect();
    let missing = findings.not_checked.iter().find(|unchecked| unchecked.rule == rule.id);
    let (standing, message) = match (found.first(), missing) {
        (Some(finding), _) => (Standing::Found, format!("{} ({})", finding.message, finding.scope)),
        (None, Some(unchecked)) => {
            let ids: BTreeSet<&str> = unchecked.missing.iter().map(|missing| missing.id.as_str()).collect();
            (Standing::NotChecked, format!("evidence is missing: {}", ids.into_iter().collect::<Vec<_>>().join(", ")))
        }
        (None, None) if findings.passed.iter().any(|pass| pass.rule == rule.id) => {
            (Standing::Passed, "looked, and found nothing wrong".to_owned())
        }
        (None, None) if findings.rule_errors.iter().any(|error| error.rule == rule.id) => {
            (Standing::NotChecked, "the check failed itself".to_owned())
        }
        (None, None) => (Standing::NotApplicable, "does not apply to what the bundle holds".to_owned()),
    };
    Related { rule: rule.id.clone(), title: rule.title.clone(), standing, message }
}

/// The findings about the pods, nodes and Services that the symptom names.
fn named(symptom: &Symptom, findings: &Findings) -> Vec<Related> {
    let ends: Vec<&str> = [&symptom.from, &symptom.to].into_iter().filter_map(|end| end.as_deref()).collect();
    let about = |finding: &&crate::finding::Finding| {
        let scope = finding.scope.to_string();
        ends.iter().any(|end| end.split(':').next() == Some(scope.as_str()))
    };
    let related = |finding: &crate::finding::Finding| Related {
        rule: finding.rule.clone(),
        title: finding.title.clone(),
        standing: Standing::Found,
        message: format!("{} ({})", finding.message, finding.scope),
    };
    findings.findings.iter().filter(about).map(related).collect()
}
