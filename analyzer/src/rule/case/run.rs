//! Running cases.

use std::sync::Arc;

use rayon::prelude::*;

use super::expect::{Expected, NOTHING};
use super::mini_bundle;
use super::parse::{Case, Kind, parse};
use crate::facts::Facts;
use crate::finding::Outcome;
use crate::rule::analyze::outcomes;
use crate::rule::diagnostic::Problem;
use crate::rule::{Rule, RuleSet};

/// What came of the cases of some rules.
#[derive(Debug, Default)]
pub struct Report {
    /// Rules that were tried.
    pub rules: usize,
    /// Cases that were tried, by kind.
    pub cases: [usize; 3],
    /// What does not agree, each with its place, in sentences.
    pub failures: Vec<String>,
    /// What is wrong with the case files themselves.
    pub problems: Vec<Problem>,
}

/// Runs all cases of all rules.
pub fn run_all(rules: &RuleSet) -> Report {
    let reports: Vec<Report> = rules.rules().par_iter().map(|rule| of_rule(rules, rule)).collect();
    let mut sum = Report::default();
    for report in reports {
        sum.rules += report.rules;
        for (total, cases) in sum.cases.iter_mut().zip(report.cases) {
            *total += cases;
        }
        sum.failures.extend(report.failures);
        sum.problems.extend(report.problems);
    }
    sum
}

fn of_rule(rules: &RuleSet, rule: &Arc<Rule>) -> Report {
    let mut report = Report { rules: 1, ..Report::default() };
    let Some(file) = rules.cases(&rule.id) else { return report };
    let cases = match parse(file) {
        Ok(cases) => cases,
        Err(problems) => return Report { problems, ..report },
    };
    for case in &cases {
        let slot = match case.kind {
            Kind::Sick => 0,
            Kind::Twin => 1,
            Kind::Trap => 2,
        };
        if let Some(count) = report.cases.get_mut(slot) {
            *count += 1;
        }
        for failure in run(rules, rule, case) {
            report.failures.push(format!("{}:{}: {}: {failure}", file.path, case.line, case.name));
        }
    }
    report
}

/// Runs one case; says what does not agree.
pub fn run(rules: &RuleSet, rule: &Arc<Rule>, case: &Case) -> Vec<String> {
    let mut failures = shape(rule, case);
    let (bundle, folder) = match mini_bundle::open(case) {
        Ok(opened) => opened,
        Err(reason) => return vec![reason],
    };
    let facts = Facts::new(bundle);
    let found: Vec<(String, Outcome)> = outcomes(&facts, rule, rules.patterns())
        .into_iter()
        .map(|(subject, outcome)| (subject.map_or(NOTHING.to_owned(), |subject| subject.to_string()), outcome))
        .collect();
    let mut met = vec![false; found.len()];
    let mut current: Option<&Outcome> = None;
    for expected in &case.expected {
        if expected.is_evidence() {
            failures.extend(evidence(expected, current));
            continue;
        }
        let position = found.iter().position(|(subject, outcome)| expected.is_met(subject, outcome));
        current = position.and_then(|index| found.get(index)).map(|(_, outcome)| outcome);
        match position.and_then(|index| met.get_mut(index)) {
            Some(met) => *met = true,
            None => failures.push(format!("expected `{}`; the rule said {}", expected.text, said(&found))),
        }
    }
    for ((subject, outcome), _) in found.iter().zip(&met).filter(|(_, met)| !**met) {
        // Other subjects may pass or be none of the rule's business without a word.
        if !matches!(outcome, Outcome::Pass(_) | Outcome::NotApplicable(_)) {
            failures.push(format!("not expected: {}", tell(subject, outcome)));
        }
    }
    failures.extend(found.iter().filter_map(|(subject, outcome)| glued(subject, outcome)));
    for unreadable in facts.unreadable() {
        failures.push(format!("{} cannot be read: {}", unreadable.path, unreadable.reason));
    }
    drop(folder);
    failures
}

/// A sick case shows the finding, or the pass that a rule without findings explains; a twin and a trap do not.
fn shape(rule: &Rule, case: &Case) -> Vec<String> {
    let shows = match rule.can_find() {
        true => case.expected.iter().any(Expected::is_finding),
        false => case.expected.iter().any(Expected::is_pass),
    };
    match (case.kind, shows) {
        (Kind::Sick, false) => vec!["a sick case shows what the rule is about; this one does not".to_owned()],
        (Kind::Twin, true) => vec!["a twin is healthy; this one shows what the rule is about".to_owned()],
        _ => Vec::new(),
    }
}

/// What prints as `unknown` in the middle of a word was meant to print nothing: `pod{{ "s" if many }}` lacks its `else ""`.
fn glued(subject: &str, outcome: &Outcome) -> Option<String> {
    let text = match outcome {
        Outcome::Finding(finding) => &finding.message,
        Outcome::Pass(Some(text)) | Outcome::NotApplicable(text) => text,
        _ => return None,
    };
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let glued = text.match_indices("unknown").any(|(at, word)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        letter(before) || letter(text.get(at + word.len()..).and_then(|after| after.chars().next()))
    });
    glued.then(|| format!("{subject}: `unknown` within a word, say what is printed otherwise: {text}"))
}

fn evidence(expected: &Expected, outcome: Option<&Outcome>) -> Option<String> {
    let Some(Outcome::Finding(finding)) = outcome else {
        return Some(format!("`{}` stands below no finding that was met", expected.text));
    };
    if finding.evidence.iter().any(|citation| expected.is_cited(citation)) {
        return None;
    }
    let cited: Vec<String> = finding
        .evidence
        .iter()
        .map(|citation| match (citation.line, &citation.pointer) {
            (Some(line), _) => format!("{}:{line}", citation.path),
            (None, Some(pointer)) => format!("{}#{pointer}", citation.path),
            (None, None) => citation.path.to_string(),
        })
        .collect();
    Some(format!("expected `{}`; cited are {}", expected.text, cited.join(", ")))
}

fn said(found: &[(String, Outcome)]) -> String {
    let told: Vec<String> = found.iter().map(|(subject, outcome)| tell(subject, outcome)).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join("; ") }
}

fn tell(subject: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Finding(finding) => {
            let severity = serde_json::to_string(&finding.severity).unwrap_or_default();
            let confidence = serde_json::to_string(&finding.confidence).unwrap_or_default();
            let grade = format!("{severity} {confidence}").replace('"', "");
            format!("`finding {grade} {subject}: {}`", finding.message)
        }
        Outcome::Pass(None) => format!("`pass {subject}`"),
        Outcome::Pass(Some(message)) => format!("`pass {subject}: {message}`"),
        Outcome::NotApplicable(reason) => format!("`not-applicable {subject}: {reason}`"),
        Outcome::NotChecked(missing) => {
            let ids: Vec<String> =
                missing.iter().map(|missing| format!("{} ({})", missing.id, missing.status)).collect();
            format!("`not-checked {subject}`, missing {}", ids.join(", "))
        }
        Outcome::RuleError(message) => format!("a rule error of {subject}: {message}"),
    }
}
