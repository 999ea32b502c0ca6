//! What the report says to a symptom, over the samples.

#![allow(clippy::unwrap_used)] // The samples are the project's own.

use std::path::Path;

use analyzer::facts::Facts;
use analyzer::finding::{Findings, Standing, SymptomAnswer};
use analyzer::report::{Format, render, write_summary};
use analyzer::rule::{Options, RuleSet, analyze};
use bundle::manifest::Symptom;
use bundle::{Bundle, Limits};

fn asked(sample: &str, symptom: Option<&str>) -> Findings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(sample);
    let facts = Facts::new(Bundle::open(&path, Limits::default()).unwrap());
    let symptom = symptom.map(|text| Symptom::inline(text).unwrap());
    analyze(&facts, &RuleSet::builtin().unwrap(), &Options { symptom, ..Options::default() })
}

fn answer(sample: &str, symptom: &str) -> SymptomAnswer {
    asked(sample, Some(symptom)).symptom.unwrap()
}

#[test]
fn the_texts_meaning_leads_to_the_check_that_found_the_cause() {
    let said = "error=Failed to create pod sandbox: plugin type=\"loopback\" failed (add): failed to find plugin \"loopback\" in path [/opt/cni/bin]";
    let answer = answer("cni-config-missing.zip", said);
    let ids: Vec<&str> = answer.recognized.iter().map(|known| known.pattern.as_str()).collect();
    assert!(ids.contains(&"cni-config-missing") && ids.contains(&"sandbox-create-failed"), "{ids:?}");
    let missing = answer.recognized.iter().find(|known| known.pattern == "cni-config-missing").unwrap();
    assert_eq!(missing.parts.get("bin").map(String::as_str), Some("loopback"));
    assert!(!missing.evidence.is_empty(), "the bundle says the same somewhere: {missing:?}");
    assert!(missing.checks.iter().any(|check| check.standing == Standing::Found), "{missing:?}");
}

#[test]
fn a_text_that_the_healthy_bundle_does_not_know_is_not_found_there() {
    let answer = answer("healthy.zip", "error=no IP addresses available in range set: 10.244.1.1-10.244.1.254");
    let full = answer.recognized.first().unwrap();
    assert_eq!((full.pattern.as_str(), full.lines, full.events), ("ipam-hostlocal-full", 0, 0));
    assert!(full.checks.iter().all(|check| check.standing != Standing::Found), "{full:?}");
}

#[test]
fn what_no_pattern_knows_is_said() {
    let answer = answer("healthy.zip", "error=the flux capacitor is empty,since=yesterday");
    assert!(answer.recognized.is_empty() && answer.not_recognized);
    assert_eq!(answer.fields.len(), 2);
}

#[test]
fn the_longest_explanation_comes_first() {
    let said = "error=Error from server: Get \"https://n:10250/containerLogs/a/b/c\": dial tcp 10.0.0.5:10250: connect: connection refused";
    let answer = answer("healthy.zip", said);
    let ids: Vec<&str> = answer.recognized.iter().map(|known| known.pattern.as_str()).collect();
    let place = |id: &str| ids.iter().position(|known| *known == id).unwrap();
    assert!(place("kubelet-dial-refused") < place("probe-refused"), "{ids:?}");
}

#[test]
fn findings_about_what_is_named_are_named() {
    let findings = asked("ip-forward-off.zip", None);
    assert!(findings.symptom.is_none(), "nothing was said, nothing is answered");
    let scope = findings.findings.first().unwrap().scope.to_string();
    let findings = asked("ip-forward-off.zip", Some(&format!("from={scope}")));
    assert!(!findings.symptom.as_ref().unwrap().named.is_empty(), "{scope}");
    let markdown = render(&findings, Format::Md).unwrap();
    let (symptom, causes) = (markdown.find("## The symptom").unwrap(), markdown.find("## Root causes").unwrap());
    assert!(symptom < causes, "the symptom stands before the causes");
    let mut summary = Vec::new();
    write_summary(&findings, &mut summary).unwrap();
    assert!(String::from_utf8(summary).unwrap().contains("The symptom: from node/"));
}
