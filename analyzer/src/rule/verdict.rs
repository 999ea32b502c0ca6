//! The verdict: a word and a sentence. It never says healthy while evidence is missing.

use crate::finding::{Findings, Health, Severity, Verdict};

/// The verdict on all that was said.
pub fn verdict(findings: &Findings) -> Verdict {
    let health = health(findings);
    Verdict { health, sentence: sentence(health, findings) }
}

fn health(findings: &Findings) -> Health {
    let worst = findings.findings.iter().map(|finding| finding.severity).max();
    let decided = !findings.findings.is_empty() || !findings.passed.is_empty();
    let holes = !findings.not_checked.is_empty()
        || !findings.rule_errors.is_empty()
        || !findings.bundle.unreadable.is_empty()
        || findings.bundle.ended != "done";
    match worst {
        Some(Severity::Critical | Severity::Error) => Health::Sick,
        Some(Severity::Warning) => Health::Hazards,
        _ if !decided => Health::Unknown,
        _ if holes => Health::Incomplete,
        Some(Severity::Info) => Health::Hazards,
        None => Health::Healthy,
    }
}

fn sentence(health: Health, findings: &Findings) -> String {
    let at_least = |severity| findings.findings.iter().filter(|finding| finding.severity >= severity).count();
    let errors = at_least(Severity::Error);
    let below = findings.findings.len() - errors;
    let said = match health {
        Health::Sick => match findings.causes.first() {
            Some(cause) => {
                let first = format!("{} problem{}", errors, plural(errors));
                format!("{first}, first: {} ({})", cause.message, cause.scope)
            }
            None => format!("{errors} problem{}", plural(errors)),
        },
        Health::Hazards => format!("no failure was found, but {below} hazard{}", plural(below)),
        Health::Healthy => {
            format!("nothing is wrong as far as {} rules can tell, and none lacked evidence", findings.passed.len())
        }
        Health::Incomplete => "nothing wrong was found in what could be looked at".to_owned(),
        Health::Unknown => "no rule could decide anything from this bundle".to_owned(),
    };
    format!("{said}{}", holes(findings))
}

/// What could not be judged, as the end of the sentence.
fn holes(findings: &Findings) -> String {
    let mut rules: Vec<&str> = findings.not_checked.iter().map(|unchecked| unchecked.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut parts = Vec::new();
    if !rules.is_empty() {
        parts.push(format!("{} rule{} could not decide for lack of evidence", rules.len(), plural(rules.len())));
    }
    if !findings.rule_errors.is_empty() {
        parts.push("some rules failed".to_owned());
    }
    if !findings.bundle.unreadable.is_empty() {
        parts.push(format!("{} entries could not be read", findings.bundle.unreadable.len()));
    }
    if findings.bundle.ended != "done" {
        parts.push(format!("the collection ended early ({})", findings.bundle.ended));
    }
    if parts.is_empty() { ".".to_owned() } else { format!("; {}.", parts.join(", ")) }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
