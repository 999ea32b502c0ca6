//! What the templates show: findings grouped by rule, gaps grouped by the evidence that is missing, numbers per node.
//!
//! Ten thousand findings of one rule are one group with a few examples; `findings.json` holds them all.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::gap::gaps;
use super::{ReportError, escape, listed};
use crate::citation::Citation;
use crate::finding::{Confidence, Finding, Findings, Health, NodeAddresses, Remedy, Severity};

const HTML: &str = include_str!("../../../report-templates/report.html.jinja");
const MARKDOWN: &str = include_str!("../../../report-templates/report.md.jinja");
const STYLE: &str = include_str!("../../../report-templates/report.css");
const SCRIPT: &str = include_str!("../../../report-templates/report.js");

/// Findings of one rule that are shown with their evidence.
const SHOWN_FINDINGS: usize = 10;
/// Pieces of evidence that one finding shows.
const SHOWN_EVIDENCE: usize = 8;
/// Rows of the table of nodes.
const SHOWN_NODES: usize = 200;

/// The report as HTML.
pub fn html(findings: &Findings) -> Result<String, ReportError> {
    render("report.html", HTML, findings)
}

/// The report as Markdown.
pub fn markdown(findings: &Findings) -> Result<String, ReportError> {
    render("report.md", MARKDOWN, findings)
}

fn render(name: &str, template: &str, findings: &Findings) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(escape::auto_escape);
    environment.set_formatter(escape::formatter);
    environment.add_filter("pairs", pairs);
    environment.add_filter("place", place_of);
    environment.add_filter("code", |text: String| escape::code(&text));
    environment.add_filter("fenced", |text: String| escape::fenced(&text));
    environment.add_template(name, template)?;
    let blind = gaps(findings);
    let (rows, more_nodes) = node_rows(&findings.nodes);
    let groups = groups(findings);
    let text = environment.get_template(name)?.render(context! {
        findings => Value::from(Serde(findings)),
        page_title => format!("{}: {}", health_word(findings.verdict.health), findings.verdict.sentence),
        health_word => health_word(findings.verdict.health),
        csp => Value::from_safe_string(content_security_policy()),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        hosts_line => listed(findings.bundle.hosts.iter().cloned()),
        started => to_the_second(&findings.bundle.started),
        finished => to_the_second(&findings.bundle.finished),
        duration => duration(&findings.bundle.started, &findings.bundle.finished),
        items => Value::from(Serde(findings.bundle.items.iter().map(|(s, n)| (s.name(), n)).collect::<Vec<_>>())),
        item_total => findings.bundle.items.values().sum::<u64>(),
        tiles => Value::from(Serde(tiles(findings, blind.len()))),
        cause_groups => Value::from(Serde(cause_groups(findings))),
        blind => Value::from(Serde(blind)),
        groups => Value::from(Serde(groups)),
        nodes => Value::from(Serde(rows)),
        more_nodes => more_nodes,
    })?;
    Ok(text)
}

/// The names and values of a map; nothing where the findings leave an empty map out.
fn pairs(map: &Value) -> Result<Vec<(Value, Value)>, minijinja::Error> {
    if map.is_undefined() || map.is_none() {
        return Ok(Vec::new());
    }
    map.try_iter()?.map(|name| Ok((name.clone(), map.get_item(&name)?))).collect()
}

/// The place of a citation, as people write it.
fn place_of(citation: &Value) -> Result<String, minijinja::Error> {
    let path = citation.get_attr("path")?;
    let (line, pointer) = (citation.get_attr("line")?, citation.get_attr("pointer")?);
    let said = |value: &Value| !value.is_undefined() && !value.is_none();
    Ok(match (said(&line), said(&pointer)) {
        (true, _) => format!("{path}:{line}"),
        (false, true) => format!("{path}#{pointer}"),
        (false, false) => path.to_string(),
    })
}

/// The verdict's word, as people read it.
pub(super) fn health_word(health: Health) -> &'static str {
    match health {
        Health::Sick => "Broken",
        Health::Hazards => "Hazards",
        Health::Healthy => "Healthy",
        Health::Incomplete => "Incomplete",
        Health::Unknown => "Unknown",
    }
}

/// Inline style and script are named by their hashes; nothing else may load, run or be sent. A `<meta>` policy covers
/// everything that follows it, so it stands before the style.
fn content_security_policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A number at the top of the report that leads to its section.
#[derive(Serialize)]
struct Tile {
    count: usize,
    label: &'static str,
    class: &'static str,
    anchor: &'static str,
}

fn tiles(findings: &Findings, gaps: usize) -> Vec<Tile> {
    let of = |severity| findings.findings.iter().filter(|finding| finding.severity == severity).count();
    let tile = |count, label, class, anchor| Tile { count, label, class, anchor };
    let mut tiles = vec![
        tile(of(Severity::Critical), "critical", "critical", "findings"),
        tile(of(Severity::Error), "error", "error", "findings"),
        tile(of(Severity::Warning), "warning", "warning", "findings"),
        tile(of(Severity::Info), "info", "info", "findings"),
        tile(gaps, "evidence missing", "blind", "not-checked"),
        tile(findings.passed.len(), "passed", "good", "passed"),
        tile(findings.not_applicable.len(), "do not apply", "", "not-applicable"),
    ];
    if !findings.rule_errors.is_empty() {
        tiles.push(tile(findings.rule_errors.len(), "failed themselves", "error", "rule-errors"));
    }
    tiles
}

/// Causes of one rule.
#[derive(Serialize)]
struct CauseGroup {
    rule: String,
    severity: Severity,
    message: String,
    more: usize,
    explains: Vec<String>,
}

fn cause_groups(findings: &Findings) -> Vec<CauseGroup> {
    let mut groups: Vec<CauseGroup> = Vec::new();
    for cause in &findings.causes {
        match groups.iter_mut().find(|group| group.rule == cause.rule) {
            Some(group) => {
                group.more += 1;
                group.explains.extend(cause.explains.iter().cloned());
            }
            None => groups.push(CauseGroup {
                rule: cause.rule.clone(),
                severity: cause.severity,
                message: cause.message.clone(),
                more: 0,
                explains: cause.explains.clone(),
            }),
        }
    }
    for group in &mut groups {
        let effects: BTreeSet<String> = std::mem::take(&mut group.explains).into_iter().collect();
        group.explains = effects.into_iter().collect();
    }
    groups
}

/// Findings of one rule.
#[derive(Serialize)]
struct Group<'a> {
    rule: &'a str,
    row: &'a str,
    title: &'a str,
    severity: Severity,
    confidence: Confidence,
    count: usize,
    findings: Vec<Shown<'a>>,
    more: usize,
    more_names: String,
    references: &'a [String],
}

/// One finding with its evidence.
#[derive(Serialize)]
struct Shown<'a> {
    scope_name: String,
    message: &'a str,
    evidence: Vec<Place<'a>>,
    more_evidence: usize,
    remedy: &'a Option<Remedy>,
}

/// A citation: where, and what it says.
#[derive(Serialize)]
struct Place<'a> {
    place: String,
    text: &'a str,
}

fn groups(findings: &Findings) -> Vec<Group<'_>> {
    let mut order: Vec<&str> = Vec::new();
    let mut by_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &findings.findings {
        let group = by_rule.entry(&finding.rule).or_default();
        if group.is_empty() {
            order.push(&finding.rule);
        }
        group.push(finding);
    }
    order.into_iter().filter_map(|rule| by_rule.get(rule).and_then(|all| group(all))).collect()
}

fn group<'a>(all: &[&'a Finding]) -> Option<Group<'a>> {
    let first = *all.first()?;
    let rest = all.get(SHOWN_FINDINGS..).unwrap_or_default();
    Some(Group {
        rule: &first.rule,
        row: &first.row,
        title: &first.title,
        severity: all.iter().map(|finding| finding.severity).max().unwrap_or(first.severity),
        confidence: all.iter().map(|finding| finding.confidence).max().unwrap_or(first.confidence),
        count: all.len(),
        findings: all.iter().take(SHOWN_FINDINGS).map(|finding| shown(finding)).collect(),
        more: rest.len(),
        more_names: listed(rest.iter().map(|finding| finding.scope.to_string())),
        references: &first.references,
    })
}

fn shown(finding: &Finding) -> Shown<'_> {
    Shown {
        scope_name: finding.scope.to_string(),
        message: &finding.message,
        evidence: finding.evidence.iter().take(SHOWN_EVIDENCE).map(place).collect(),
        more_evidence: finding.evidence.len().saturating_sub(SHOWN_EVIDENCE),
        remedy: &finding.remedy,
    }
}

fn place(citation: &Citation) -> Place<'_> {
    Place { place: place_name(citation), text: &citation.text }
}

/// `path:line` or `path#pointer`, as people write it.
pub(super) fn place_name(citation: &Citation) -> String {
    match (&citation.line, &citation.pointer) {
        (Some(line), _) => format!("{}:{line}", citation.path),
        (None, Some(pointer)) => format!("{}#{pointer}", citation.path),
        (None, None) => citation.path.to_string(),
    }
}

/// One row of the table of nodes.
#[derive(Serialize)]
struct NodeRow<'a> {
    node: &'a str,
    cells: Vec<String>,
    odd: bool,
}

/// Rows that stand out come first; the rest keep the order of names.
fn node_rows(nodes: &[NodeAddresses]) -> (Vec<NodeRow<'_>>, usize) {
    let mut rows: Vec<NodeRow> = nodes.iter().map(node_row).collect();
    rows.sort_by_key(|row| !row.odd);
    let more = rows.len().saturating_sub(SHOWN_NODES);
    rows.truncate(SHOWN_NODES);
    (rows, more)
}

/// A node stands out where addresses leaked, where its store is full, or where it was given fewer than it asked for.
fn node_row(node: &NodeAddresses) -> NodeRow<'_> {
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let leaked = node.leaked.is_some_and(|leaked| leaked > 0);
    let full = node.store_used.is_some() && node.store_used >= node.store_total && node.store_total.is_some();
    let short = node.nnc_assigned.is_some() && node.nnc_assigned < node.nnc_requested;
    let cells = vec![
        number(node.nnc_requested),
        number(node.nnc_assigned),
        node.store.clone().unwrap_or_else(|| "–".to_owned()),
        number(node.store_used),
        number(node.store_total),
        number(node.running_pods),
        number(node.leaked),
    ];
    NodeRow { node: &node.node, cells, odd: leaked || full || short }
}

/// A time as people read it: nobody needs its nanoseconds.
fn to_the_second(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// How long collection took, for people; the two times come from the manifest.
fn duration(started: &str, finished: &str) -> String {
    let (Ok(started), Ok(finished)) = (started.parse::<jiff::Timestamp>(), finished.parse::<jiff::Timestamp>()) else {
        return "an unknown time".to_owned();
    };
    let seconds = finished.duration_since(started).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
