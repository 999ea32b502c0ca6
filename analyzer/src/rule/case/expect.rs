//! What a case expects of its rule, in lines:
//!
//! ```text
//! finding SEVERITY [CONFIDENCE] SUBJECT[: part of the message]
//! evidence PATH[:LINE | #POINTER]        of the finding above
//! pass SUBJECT[: part of the message]
//! not-applicable SUBJECT[: part of the reason]
//! not-checked SUBJECT[: missing evidence id]
//! nothing[: part of the reason]          the bundle has no such subject
//! ```

use crate::citation::Citation;
use crate::finding::{Confidence, Outcome, Severity};

/// One expectation, with the citations that a finding must show.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its line in the case file, from 1.
    pub line: usize,
    /// As it is written.
    pub text: String,
    what: What,
    subject: String,
    part: Option<String>,
    severity: Option<Severity>,
    confidence: Option<Confidence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Finding,
    Evidence,
    Pass,
    NotApplicable,
    NotChecked,
}

impl Expected {
    /// Parses a line, or says what would be one.
    pub fn parse(text: &str, line: usize) -> Result<Expected, String> {
        let (head, part) = match text.split_once(": ") {
            Some((head, part)) => (head, Some(part.trim().to_owned())),
            None => (text, None),
        };
        let words: Vec<&str> = head.split_whitespace().collect();
        let expected = |what, subject: &str| Expected {
            line,
            text: text.to_owned(),
            what,
            subject: subject.to_owned(),
            part: part.clone(),
            severity: None,
            confidence: None,
        };
        match words.as_slice() {
            ["finding", severity, rest @ ..] => {
                let (confidence, subject) = match rest {
                    [subject] => (None, subject),
                    [confidence, subject] => (Some(word(confidence)?), subject),
                    _ => return Err("finding SEVERITY [CONFIDENCE] SUBJECT[: part of the message]".to_owned()),
                };
                let severity = Some(word(severity)?);
                Ok(Expected { severity, confidence, ..expected(What::Finding, subject) })
            }
            ["evidence", place] => Ok(expected(What::Evidence, place)),
            ["pass", subject] => Ok(expected(What::Pass, subject)),
            ["not-applicable", subject] => Ok(expected(What::NotApplicable, subject)),
            ["not-checked", subject] => Ok(expected(What::NotChecked, subject)),
            ["nothing"] => Ok(expected(What::NotApplicable, NOTHING)),
            _ => Err("finding, evidence, pass, not-applicable, not-checked or nothing".to_owned()),
        }
    }

    /// Whether the line is about the citations of the finding above it.
    pub fn is_evidence(&self) -> bool {
        self.what == What::Evidence
    }

    /// Whether a finding is expected.
    pub fn is_finding(&self) -> bool {
        self.what == What::Finding
    }

    /// Whether the rule is expected to say that all is well.
    pub fn is_pass(&self) -> bool {
        self.what == What::Pass
    }

    /// Whether this outcome is the expected one.
    pub fn is_met(&self, subject: &str, outcome: &Outcome) -> bool {
        if self.subject != subject {
            return false;
        }
        let says = |text: &str| self.part.as_deref().is_none_or(|part| text.contains(part));
        match (self.what, outcome) {
            (What::Finding, Outcome::Finding(finding)) => {
                self.severity.is_none_or(|severity| severity == finding.severity)
                    && self.confidence.is_none_or(|confidence| confidence == finding.confidence)
                    && says(&finding.message)
            }
            (What::Pass, Outcome::Pass(message)) => says(message.as_deref().unwrap_or_default()),
            (What::NotApplicable, Outcome::NotApplicable(reason)) => says(reason),
            (What::NotChecked, Outcome::NotChecked(missing)) => {
                let is_named = |id: &str| missing.iter().any(|missing| missing.id == id);
                self.part.as_deref().is_none_or(is_named)
            }
            _ => false,
        }
    }

    /// Whether this citation is the expected one.
    pub fn is_cited(&self, citation: &Citation) -> bool {
        if let Some((path, pointer)) = self.subject.split_once('#') {
            return *citation.path == *path && citation.pointer.as_deref() == Some(pointer);
        }
        let place = self.subject.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?)));
        match place {
            Some((path, line)) => *citation.path == *path && citation.line == Some(line),
            None => *citation.path == *self.subject,
        }
    }
}

/// What stands for the subject where there is none.
pub const NOTHING: &str = "nothing";

fn word<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|error| error.to_string())
}
