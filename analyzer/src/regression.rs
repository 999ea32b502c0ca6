//! What is expected of the analysis of a bundle, in a form that is stable and that a person can review: beside
//! `NAME.zip` lies `NAME.findings.json`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::citation::Citation;
use crate::finding::{Confidence, Findings, Health, Severity};

/// What is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict's word.
    pub verdict: Health,
    /// All findings, in the report's order.
    pub findings: Vec<ExpectedFinding>,
    /// Rules that passed.
    pub passed: BTreeSet<String>,
    /// Rules that had nothing to say.
    pub not_applicable: BTreeSet<String>,
    /// Rules that could not decide, each with what was missing.
    pub not_checked: BTreeSet<String>,
    /// Rules that failed, each with where.
    pub rule_errors: BTreeSet<String>,
}

/// A finding, without what follows from its rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFinding {
    /// The rule's id.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// About what.
    pub scope: String,
    /// What is wrong.
    pub message: String,
    /// Where it is proved: `PATH:LINE` or `PATH#POINTER`.
    pub evidence: Vec<String>,
}

impl Expectation {
    /// What these findings are, in this form.
    pub fn of(findings: &Findings) -> Expectation {
        let not_checked = findings.not_checked.iter().map(|unchecked| {
            let missing: BTreeSet<String> =
                unchecked.missing.iter().map(|missing| format!("{} {}", missing.id, missing.status)).collect();
            format!("{}: {}", unchecked.rule, missing.into_iter().collect::<Vec<_>>().join(", "))
        });
        Expectation {
            verdict: findings.verdict.health,
            findings: findings
                .findings
                .iter()
                .map(|finding| ExpectedFinding {
                    rule: finding.rule.clone(),
                    severity: finding.severity,
                    confidence: finding.confidence,
                    scope: finding.scope.to_string(),
                    message: finding.message.clone(),
                    evidence: finding.evidence.iter().map(place).collect(),
                })
                .collect(),
            passed: findings.passed.iter().map(|passed| passed.rule.clone()).collect(),
            not_applicable: findings.not_applicable.iter().map(|inapplicable| inapplicable.rule.clone()).collect(),
            not_checked: not_checked.collect(),
            rule_errors: findings.rule_errors.iter().map(|error| format!("{} {}", error.rule, error.scope)).collect(),
        }
    }

    /// What differs from what was found: `-` vanished, `+` appeared. Nothing where they agree.
    pub fn differences(&self, found: &Expectation) -> Vec<String> {
        let (expected, found) = (self.lines(), found.lines());
        let vanished = expected.difference(&found).map(|line| format!("- {line}"));
        let appeared = found.difference(&expected).map(|line| format!("+ {line}"));
        vanished.chain(appeared).collect()
    }

    /// Everything as lines, each of which says all that is expected of one thing.
    fn lines(&self) -> BTreeSet<String> {
        let mut lines: BTreeSet<String> = BTreeSet::from([format!("verdict {}", word(&self.verdict))]);
        for finding in &self.findings {
            let grade = format!("{} {}", word(&finding.severity), word(&finding.confidence));
            let proof = finding.evidence.join(", ");
            lines.insert(format!("finding {grade} {} {}: {} [{proof}]", finding.rule, finding.scope, finding.message));
        }
        let mut add = |what: &str, rules: &BTreeSet<String>| {
            lines.extend(rules.iter().map(|rule| format!("{what} {rule}")));
        };
        add("passed", &self.passed);
        add("not-applicable", &self.not_applicable);
        add("not-checked", &self.not_checked);
        add("rule-error", &self.rule_errors);
        lines
    }
}

/// A word of the findings' vocabulary, as findings.json spells it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned()
}

fn place(citation: &Citation) -> String {
    match (citation.line, &citation.pointer) {
        (Some(line), _) => format!("{}:{line}", citation.path),
        (None, Some(pointer)) => format!("{}#{pointer}", citation.path),
        (None, None) => citation.path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation() -> Expectation {
        Expectation {
            verdict: Health::Sick,
            findings: vec![ExpectedFinding {
                rule: "ip-forward-zero".to_owned(),
                severity: Severity::Error,
                confidence: Confidence::Likely,
                scope: "node/n1".to_owned(),
                message: "forwarding is off".to_owned(),
                evidence: vec!["nodes/n1/system/sysctl.txt:1".to_owned()],
            }],
            passed: BTreeSet::from(["certs-expired".to_owned()]),
            not_applicable: BTreeSet::new(),
            not_checked: BTreeSet::new(),
            rule_errors: BTreeSet::new(),
        }
    }

    #[test]
    fn what_appeared_and_what_vanished() {
        let expected = expectation();
        assert!(expected.differences(&expectation()).is_empty());
        let mut found = expectation();
        found.findings[0].severity = Severity::Warning;
        found.passed.clear();
        assert_eq!(
            expected.differences(&found),
            vec![
                "- finding error likely ip-forward-zero node/n1: forwarding is off [nodes/n1/system/sysctl.txt:1]",
                "- passed certs-expired",
                "+ finding warning likely ip-forward-zero node/n1: forwarding is off [nodes/n1/system/sysctl.txt:1]",
            ]
        );
    }
}
