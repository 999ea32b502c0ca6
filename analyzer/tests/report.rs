//! The report in all its forms, from findings made by hand: whole, escaped, and without a way out of its page.

#![allow(clippy::unwrap_used)] // What a test unwraps it made itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::citation::Citation;
use analyzer::finding::*;
use analyzer::report::{Format, render, write_summary};
use bundle::manifest::LimitHit;
use bundle::{ItemStatus, Scope};

/// Text that tries to end every wrapping a report puts it in.
const HOSTILE: &str = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\" ' `` ``` | \u{1b}[31m \u{202e}txt.exe {{ 7*7 }} [x](javascript:alert(1)) https://evil.example @all";

fn subject(name: &str) -> Subject {
    Subject { kind: SubjectKind::Node, name: name.to_owned() }
}

fn finding(rule: &str, severity: Severity, node: &str, text: &str) -> Finding {
    let path: Arc<str> = format!("nodes/{node}/dns/resolv.conf").into();
    Finding {
        rule: rule.to_owned(),
        row: "17".to_owned(),
        title: format!("The title of {rule}"),
        severity,
        confidence: Confidence::Likely,
        scope: subject(node),
        message: format!("on {node}: {text}"),
        evidence: vec![Citation::line(&path, 3, text), Citation::pointer(&path, "/items/0/status", text)],
        explains: Vec::new(),
        remedy: Some(Remedy {
            text: format!("Mend it: {text}"),
            commands: vec![format!("cat {text}")],
            caveats: BTreeMap::from([("aks".to_owned(), text.to_owned())]),
        }),
        references: vec!["https://kubernetes.io/docs".to_owned()],
    }
}

fn related(standing: Standing, text: &str) -> Related {
    Related { rule: "many-places".to_owned(), title: text.to_owned(), standing, message: text.to_owned() }
}

fn findings(text: &str) -> Findings {
    let found: Vec<Finding> = (0..25)
        .map(|n| finding("many-places", Severity::Error, &format!("n{n}"), text))
        .chain([finding("one-place", Severity::Warning, text, text)])
        .collect();
    let causes = found
        .iter()
        .map(|f| Cause {
            rule: f.rule.clone(),
            severity: f.severity,
            confidence: f.confidence,
            scope: f.scope.clone(),
            message: f.message.clone(),
            explains: vec![text.to_owned()],
        })
        .collect();
    let missing =
        |status, scope| Missing { id: "node.iptables".to_owned(), scope, status, reason: Some(text.to_owned()) };
    Findings {
        symptom: Some(SymptomAnswer {
            fields: vec![SymptomField::new("from", text), SymptomField::new("error", text)],
            way: Some(WalkedWay {
                from: text.to_owned(),
                to: text.to_owned(),
                protocol: "tcp".to_owned(),
                headline: text.to_owned(),
                detail: text.to_owned(),
                connected: false,
                deciding: Some(Citation::line(&"nodes/n0/netfilter/iptables-save.txt".into(), 9, text)),
                fix: vec![text.to_owned()],
                fix_verified: true,
                unknowns: vec![text.to_owned()],
                takes_for_granted: vec![text.to_owned()],
            }),
            not_walked: Some(text.to_owned()),
            recognized: vec![Recognized {
                pattern: "probe-refused".to_owned(),
                means: text.to_owned(),
                parts: BTreeMap::from([("why".to_owned(), text.to_owned())]),
                lines: 3,
                events: 1,
                evidence: vec![Citation::line(&"logs/a.log".into(), 7, text)],
                checks: vec![related(Standing::NotChecked, text)],
            }],
            not_recognized: true,
            named: vec![related(Standing::Found, text)],
        }),
        format: FINDINGS_FORMAT,
        analyzer: "0.1.0".to_owned(),
        bundle: BundleSummary {
            cluster: Some(text.to_owned()),
            version: Some("v1.34.4".to_owned()),
            hosts: vec!["n1".to_owned(), text.to_owned()],
            started: "2026-11-21T08:00:00Z".to_owned(),
            finished: "2026-11-21T08:01:10Z".to_owned(),
            ended: "done".to_owned(),
            limits: vec![LimitHit { limit: text.to_owned(), value: text.to_owned(), effect: text.to_owned() }],
            collector: "0.1.0".to_owned(),
            items: BTreeMap::from([(ItemStatus::Ok, 120), (ItemStatus::Forbidden, 2)]),
            unreadable: vec![Unreadable { path: text.to_owned(), reason: text.to_owned() }],
        },
        verdict: Verdict { health: Health::Sick, sentence: format!("25 nodes cannot resolve names: {text}") },
        causes,
        findings: found,
        passed: vec![Passed {
            rule: "passes".to_owned(),
            row: "57".to_owned(),
            title: text.to_owned(),
            subjects: 3,
            messages: BTreeMap::from([(text.to_owned(), text.to_owned())]),
        }],
        not_applicable: vec![NotApplicable {
            rule: "elsewhere".to_owned(),
            row: "1".to_owned(),
            title: text.to_owned(),
            subjects: 0,
            reason: text.to_owned(),
        }],
        not_checked: vec![NotChecked {
            rule: "blind".to_owned(),
            row: "32".to_owned(),
            title: text.to_owned(),
            subjects: 2,
            examples: vec!["node/n1".to_owned()],
            missing: vec![
                missing(ItemStatus::Forbidden, Scope::Node("n1".to_owned())),
                missing(ItemStatus::Timeout, Scope::Node(text.replace('/', "∕"))),
            ],
        }],
        rule_errors: vec![RuleError { rule: "fails".to_owned(), scope: subject(text), message: text.to_owned() }],
        nodes: vec![NodeAddresses {
            node: text.to_owned(),
            leaked: Some(4),
            store: Some(text.to_owned()),
            ..NodeAddresses::default()
        }],
        not_judged: BTreeMap::from([(text.to_owned(), 2)]),
    }
}

#[test]
fn the_summary_says_once_what_is_wrong_in_many_places() {
    let mut summary = Vec::new();
    write_summary(&findings("the same"), &mut summary).unwrap();
    let summary = String::from_utf8(summary).unwrap();
    assert_eq!(summary.matches("many-places on").count(), 1, "{summary}");
    assert!(summary.contains("          and on 24 more: node/n1, node/n2, "), "{summary}");
    assert!(summary.contains("one-place on"), "the other cause is not pushed out: {summary}");
}

#[test]
fn html_holds_all_outcomes_and_escapes_hostile_text_everywhere() {
    let html = render(&findings(HOSTILE), Format::Html).unwrap();
    for section in [
        "symptom",
        "causes",
        "not-checked",
        "findings",
        "nodes",
        "passed",
        "not-applicable",
        "not-judged",
        "rule-errors",
    ] {
        assert!(html.contains(&format!("id=\"{section}\"")), "no section {section}");
    }
    assert_eq!(html.matches("<script>").count(), 1, "only our own script");
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(!html.contains("<img"));
    assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'));
    assert!(html.contains("{{ 7*7 }}"), "text from a bundle is never a template");
    assert!(!html.contains("href=\"http"), "no text of a bundle becomes a link");
    let read = html.replace("&#x2f;", "/");
    assert!(read.contains("nodes/n0/dns/resolv.conf:3"), "evidence names its line");
    assert!(read.contains("nodes/n0/dns/resolv.conf#/items/0/status"), "evidence names its pointer");
}

#[test]
fn the_policy_names_the_hashes_of_what_is_inline() {
    use base64::Engine;
    use sha2::Digest;
    let html = render(&findings("x"), Format::Html).unwrap();
    for (open, close, directive) in [("<style>", "</style>", "style-src"), ("<script>", "</script>", "script-src")] {
        let body = html.split(open).nth(1).and_then(|rest| rest.split(close).next()).unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(body.as_bytes()));
        assert!(
            html.contains(&format!("{directive} 'sha256-{hash}'")),
            "{directive} does not allow what stands in {open}"
        );
    }
    assert!(html.contains("default-src 'none'"));
    assert!(!html.contains(" style=\"") && !html.contains(" onclick"), "the policy would refuse inline attributes");
}

#[test]
fn markdown_cannot_be_broken_out_of() {
    let markdown = render(&findings(HOSTILE), Format::Md).unwrap();
    let prose: String = outside_fences(&markdown);
    assert!(!prose.contains("<script>") && !prose.contains("<img"));
    let escaped_pairs = prose.replace("\\\\", "");
    assert!(!escaped_pairs.replace("\\]", "").contains("](javascript") && !prose.contains("https://evil"));
    assert!(!markdown.contains('\u{1b}') && !markdown.contains('\u{202e}'));
    assert!(markdown.contains("nodes/n0/dns/resolv.conf:3"));
    assert!(markdown.starts_with("# Broken: 25 nodes"));
}

/// The lines that a Markdown reader takes as prose, less code within lines.
fn outside_fences(markdown: &str) -> String {
    let mut fence: Option<String> = None;
    let mut prose = String::new();
    for line in markdown.lines() {
        let ticks: String = line.chars().take_while(|&c| c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && line.ends_with("text") => fence = Some(ticks),
            None => {
                let mut rest = line;
                while let Some(start) = rest.find('`') {
                    prose.push_str(&rest[..start]);
                    let run: String = rest[start..].chars().take_while(|&c| c == '`').collect();
                    if rest[..start].ends_with('\\') {
                        rest = &rest[start + run.len()..];
                        continue;
                    }
                    let body = &rest[start + run.len()..];
                    rest = body.find(&run).map_or("", |end| &body[end + run.len()..]);
                }
                prose.push_str(rest);
                prose.push('\n');
            }
        }
    }
    assert!(fence.is_none(), "a fence was left open");
    prose
}

/// What the findings leave out where it is empty must not trip a template.
#[test]
fn findings_without_anything_render() {
    let mut bare = findings("x");
    bare.bundle.unreadable.clear();
    bare.passed[0].messages.clear();
    bare.findings[0].remedy = Some(Remedy { text: "Mend it".to_owned(), ..Remedy::default() });
    bare.findings[1].remedy = None;
    for finding in &mut bare.findings {
        finding.references.clear();
    }
    let mut empty = bare.clone();
    empty.causes.clear();
    empty.findings.clear();
    empty.passed.clear();
    empty.not_applicable.clear();
    empty.not_checked.clear();
    empty.rule_errors.clear();
    empty.nodes.clear();
    empty.not_judged.clear();
    empty.bundle.cluster = None;
    empty.bundle.version = None;
    empty.bundle.hosts.clear();
    for findings in [bare, empty] {
        for format in Format::ALL {
            render(&findings, format).unwrap();
        }
    }
}

#[test]
fn json_is_what_the_schema_types_say() {
    let json = render(&findings(HOSTILE), Format::Json).unwrap();
    let back: Findings = serde_json::from_str(&json).unwrap();
    assert_eq!(back, findings(HOSTILE));
}

#[test]
fn templates_never_switch_escaping_off() {
    for name in ["report.html.jinja", "report.md.jinja"] {
        let path = format!("{}/../report-templates/{name}", env!("CARGO_MANIFEST_DIR"));
        let template = std::fs::read_to_string(path).unwrap();
        assert!(
            !template.contains("|safe") && !template.contains("| safe") && !template.contains("autoescape"),
            "{name}"
        );
    }
}

#[test]
fn every_form_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let written = analyzer::report::write_all(&findings(HOSTILE), &Format::ALL, &folder.path().join("new")).unwrap();
    for path in &written {
        assert!(std::fs::metadata(path).unwrap().len() > 1000, "{}", path.display());
    }
    let names: Vec<_> = std::fs::read_dir(folder.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing else is left: {names:?}");

    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let error = analyzer::report::write_all(&findings("x"), &Format::ALL, &file).unwrap_err().to_string();
    assert!(error.contains("cannot write") && error.contains("--out"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in the way");
}
