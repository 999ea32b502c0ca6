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
                let causes = findings.causes.iter().filter(|cause| cause.severity >= Severity::Error).count();
                let of = if causes < errors { format!("{causes} cause{} of ", plural(causes)) } else { String::new() };
                let first = format!("{of}{errors} problem{}", plural(errors));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{
        BundleSummary, Cause, Confidence, FINDINGS_FORMAT, Finding, Missing, NotChecked, Passed, RuleError, Subject,
        SubjectKind, Unreadable,
    };
    use bundle::{ItemStatus, Scope};

    /// One rule passed; nothing is missing.
    fn fine() -> Findings {
        Findings {
            symptom: None,
            format: FINDINGS_FORMAT,
            analyzer: "0.1.0".to_owned(),
            bundle: BundleSummary {
                cluster: None,
                version: None,
                hosts: Vec::new(),
                started: "2026-01-15T12:00:00Z".to_owned(),
                finished: "2026-01-15T12:00:01Z".to_owned(),
                ended: "done".to_owned(),
                limits: Vec::new(),
                collector: "0.1.0".to_owned(),
                items: Default::default(),
                unreadable: Vec::new(),
            },
            verdict: Verdict { health: Health::Unknown, sentence: String::new() },
            causes: Vec::new(),
            findings: Vec::new(),
            passed: vec![Passed {
                rule: "ip-forward-zero".to_owned(),
                row: "81".to_owned(),
                title: "IP forwarding is off".to_owned(),
                subjects: 1,
                messages: Default::default(),
            }],
            not_applicable: Vec::new(),
            not_checked: Vec::new(),
            rule_errors: Vec::new(),
            nodes: Vec::new(),
            not_judged: Default::default(),
        }
    }

    fn cluster() -> Subject {
        Subject { kind: SubjectKind::Cluster, name: String::new() }
    }

    fn found(severity: Severity) -> Findings {
        let finding = Finding {
            rule: "x".to_owned(),
            row: "1".to_owned(),
            title: "X".to_owned(),
            severity,
            confidence: Confidence::Likely,
            scope: cluster(),
            message: "x is wrong".to_owned(),
            evidence: Vec::new(),
            explains: Vec::new(),
            remedy: None,
            references: Vec::new(),
        };
        Findings { findings: vec![finding], ..fine() }
    }

    #[test]
    fn healthy_is_said_only_where_nothing_is_wrong_and_nothing_was_missing() {
        assert_eq!(verdict(&fine()).health, Health::Healthy);
        assert_eq!(verdict(&Findings { passed: Vec::new(), ..fine() }).health, Health::Unknown);
        assert_eq!(verdict(&found(Severity::Critical)).health, Health::Sick);
        assert_eq!(verdict(&found(Severity::Error)).health, Health::Sick);
        assert_eq!(verdict(&found(Severity::Warning)).health, Health::Hazards);
        assert_eq!(verdict(&found(Severity::Info)).health, Health::Hazards);
    }

    #[test]
    fn what_a_cause_explains_is_no_problem_beside_it() {
        let mut findings = found(Severity::Error);
        let cause = |finding: &Finding| Cause {
            rule: finding.rule.clone(),
            severity: finding.severity,
            confidence: finding.confidence,
            scope: finding.scope.clone(),
            message: finding.message.clone(),
            explains: Vec::new(),
        };
        findings.causes.push(cause(&findings.findings[0]));
        assert_eq!(verdict(&findings).sentence, "1 problem, first: x is wrong (cluster).");
        findings.findings.push(findings.findings[0].clone());
        assert_eq!(verdict(&findings).sentence, "1 cause of 2 problems, first: x is wrong (cluster).");
        findings.causes.push(cause(&findings.findings[1]));
        assert_eq!(verdict(&findings).sentence, "2 problems, first: x is wrong (cluster).");
    }

    #[test]
    fn every_kind_of_hole_is_enough_to_withhold_it_and_is_named() {
        let missing = Missing {
            id: "node.sysctl".to_owned(),
            scope: Scope::Node("n1".to_owned()),
            status: ItemStatus::Forbidden,
            reason: None,
        };
        let unchecked = NotChecked {
            rule: "y".to_owned(),
            row: "2".to_owned(),
            title: "Y".to_owned(),
            subjects: 1,
            examples: Vec::new(),
            missing: vec![missing],
        };
        let failed = RuleError { rule: "z".to_owned(), scope: cluster(), message: "fails".to_owned() };
        let unreadable = Unreadable { path: "cluster/core/pods.json".to_owned(), reason: "damaged".to_owned() };
        let mut holes = [fine(), fine(), fine(), fine()];
        holes[0].not_checked.push(unchecked);
        holes[1].rule_errors.push(failed);
        holes[2].bundle.unreadable.push(unreadable);
        holes[3].bundle.ended = "signal".to_owned();
        for (findings, word) in
            holes.iter().zip(["lack of evidence", "rules failed", "could not be read", "ended early"])
        {
            let verdict = verdict(findings);
            assert_eq!(verdict.health, Health::Incomplete, "{word}");
            assert!(verdict.sentence.contains(word), "{}", verdict.sentence);
        }
    }
}
