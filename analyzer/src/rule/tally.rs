//! The outcomes of one rule over many subjects, counted and bounded. Tallies of parts of the subjects are merged in the
//! order of the subjects, so that the result does not depend on threads.

use std::collections::BTreeMap;

use bundle::ItemStatus;

use super::Rule;
use crate::finding::{
    Finding, Findings, Missing, NotApplicable, NotChecked, Outcome, Passed, RuleError, Subject, SubjectKind,
};

/// Findings of one rule that are told one by one; the rest is one finding with their number.
const TOLD: usize = 200;
/// Subjects that an outcome names.
const NAMED: usize = 20;
/// Reasons for not applying that are told apart.
const REASONS: usize = 5;
/// Rule errors of one rule that are told.
const ERRORS: usize = 10;

/// What one rule said of some subjects.
#[derive(Debug, Default)]
pub struct Tally {
    findings: Vec<Finding>,
    /// Findings beyond [`TOLD`].
    more: u64,
    passed: u64,
    messages: BTreeMap<String, String>,
    not_applicable: Vec<(String, u64)>,
    not_checked: BTreeMap<Vec<(String, ItemStatus, Option<String>)>, Unchecked>,
    errors: Vec<RuleError>,
    selected: u64,
}

#[derive(Debug, Default)]
struct Unchecked {
    subjects: u64,
    examples: Vec<String>,
    missing: Vec<Missing>,
}

impl Tally {
    /// Counts an outcome.
    pub fn add(&mut self, rule: &Rule, subject: &Subject, outcome: Outcome) {
        self.selected += 1;
        match outcome {
            Outcome::Finding(finding) => self.find(*finding),
            Outcome::Pass(message) => {
                self.passed += 1;
                if let Some(message) = message
                    && self.messages.len() < NAMED
                {
                    self.messages.insert(subject.to_string(), message);
                }
            }
            Outcome::NotApplicable(reason) => self.inapplicable(reason, 1),
            Outcome::NotChecked(missing) => {
                let unchecked = Unchecked { subjects: 1, examples: vec![subject.to_string()], missing };
                self.unchecked(unchecked);
            }
            Outcome::RuleError(message) => {
                self.error(RuleError { rule: rule.id.clone(), scope: subject.clone(), message });
            }
        }
    }

    /// Adds the tally of the subjects that follow.
    pub fn merge(&mut self, later: Tally) {
        self.more += later.more;
        for finding in later.findings {
            self.find(finding);
        }
        self.passed += later.passed;
        for (subject, message) in later.messages {
            if self.messages.len() < NAMED {
                self.messages.insert(subject, message);
            }
        }
        for (reason, subjects) in later.not_applicable {
            self.inapplicable(reason, subjects);
        }
        for unchecked in later.not_checked.into_values() {
            self.unchecked(unchecked);
        }
        for error in later.errors {
            self.error(error);
        }
        self.selected += later.selected;
    }

    /// Whether the rule looked at anything.
    pub fn is_empty(&self) -> bool {
        self.selected == 0
    }

    /// Notes an outcome of no subject in particular.
    pub fn add_general(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::NotChecked(missing) => self.unchecked(Unchecked { subjects: 0, examples: Vec::new(), missing }),
            Outcome::NotApplicable(reason) => self.inapplicable(reason, 0),
            Outcome::Finding(_) | Outcome::Pass(_) | Outcome::RuleError(_) => {}
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < TOLD {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    fn inapplicable(&mut self, reason: String, subjects: u64) {
        let full = self.not_applicable.len() >= REASONS;
        if let Some((_, count)) = self.not_applicable.iter_mut().find(|(known, _)| *known == reason) {
            *count += subjects;
        } else if !full {
            self.not_applicable.push((reason, subjects));
        } else if let Some((_, count)) = self.not_applicable.last_mut() {
            *count += subjects;
        }
    }

    /// Groups by what is missing and why, whoever lacks it.
    fn unchecked(&mut self, unchecked: Unchecked) {
        let kind = |missing: &Missing| (missing.id.clone(), missing.status, missing.reason.clone());
        let mut key: Vec<_> = unchecked.missing.iter().map(kind).collect();
        key.sort();
        key.dedup();
        let group = self.not_checked.entry(key).or_default();
        group.subjects += unchecked.subjects;
        for example in unchecked.examples {
            if group.examples.len() < NAMED {
                group.examples.push(example);
            }
        }
        for missing in unchecked.missing {
            if group.missing.len() < NAMED && !group.missing.contains(&missing) {
                group.missing.push(missing);
            }
        }
    }

    fn error(&mut self, error: RuleError) {
        if self.errors.len() < ERRORS {
            self.errors.push(error);
        }
    }

    /// Writes the tally into the findings.
    pub fn report(mut self, rule: &Rule, findings: &mut Findings) {
        let (id, row, title) = (rule.id.clone(), rule.row.clone(), rule.title.clone());
        self.fold(rule);
        findings.findings.append(&mut self.findings);
        if self.passed > 0 {
            let (rule, row, title) = (id.clone(), row.clone(), title.clone());
            findings.passed.push(Passed { rule, row, title, subjects: self.passed, messages: self.messages });
        }
        for (reason, subjects) in self.not_applicable {
            let (rule, row, title) = (id.clone(), row.clone(), title.clone());
            findings.not_applicable.push(NotApplicable { rule, row, title, subjects, reason });
        }
        for Unchecked { subjects, examples, missing } in self.not_checked.into_values() {
            let (rule, row, title) = (id.clone(), row.clone(), title.clone());
            findings.not_checked.push(NotChecked { rule, row, title, subjects, examples, missing });
        }
        findings.rule_errors.append(&mut self.errors);
    }

    /// Findings beyond the bound become one, which says how many they are.
    fn fold(&mut self, rule: &Rule) {
        let Some(last) = self.findings.last().filter(|_| self.more > 0) else { return };
        let mut folded = last.clone();
        folded.scope = Subject { kind: SubjectKind::Cluster, name: String::new() };
        folded.message = format!(
            "{} more subjects of {} have the same finding; only the first {TOLD} are told one by one",
            self.more, rule.id
        );
        self.findings.push(folded);
    }
}
