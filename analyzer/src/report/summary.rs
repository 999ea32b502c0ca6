//! The summary in the terminal: the verdict, the causes, the gaps; the files say the rest.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::escape::visible;
use super::gap::gaps;
use super::page::{health_word, place_name};
use crate::finding::{Cause, Findings, SymptomAnswer};

/// Causes that the terminal shows.
const SHOWN_CAUSES: usize = 12;
/// Patterns, and findings about its ends, that the terminal shows of a symptom.
const SHOWN_PATTERNS: usize = 3;
/// Gaps that the terminal shows.
const SHOWN_GAPS: usize = 8;

/// Writes the summary. No string of the bundle reaches the terminal unescaped.
pub fn write_summary(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let word = health_word(findings.verdict.health).to_uppercase();
    writeln!(out, "{word}: {}", line(&findings.verdict.sentence))?;
    symptom(findings, out)?;
    causes(findings, out)?;
    missing(findings, out)?;
    for error in &findings.rule_errors {
        writeln!(
            out,
            "\nthe check {} failed itself on {}: {}",
            error.rule,
            line(&error.scope.to_string()),
            line(&error.message)
        )?;
    }
    writeln!(
        out,
        "\n{}; {} passed, {} not applicable, {} for lack of evidence not decided",
        count(findings.findings.len(), "finding"),
        count(findings.passed.len(), "check"),
        findings.not_applicable.len(),
        unchecked(findings)
    )
}

/// Rules that could not decide somewhere.
fn unchecked(findings: &Findings) -> usize {
    let rules: std::collections::BTreeSet<&str> =
        findings.not_checked.iter().map(|check| check.rule.as_str()).collect();
    rules.len()
}

/// What the bundle says to the symptom: first what its error means, then what the checks for it came to.
fn symptom(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let Some(symptom) = &findings.symptom else { return Ok(()) };
    let said: Vec<String> = symptom.fields.iter().map(|field| format!("{} {}", field.name, field.text)).collect();
    writeln!(out, "\nThe symptom: {}", line(&said.join(", ")))?;
    way(symptom, out)?;
    for known in symptom.recognized.iter().take(SHOWN_PATTERNS) {
        let heard = known.lines + known.events;
        let also =
            if heard == 0 { "nowhere else in the bundle".to_owned() } else { format!("{heard} times in the bundle") };
        writeln!(out, "          {}: {} ({also})", known.pattern, line(&known.means))?;
        for check in &known.checks {
            writeln!(out, "            {}: {}", check.rule, line(&check.message))?;
        }
    }
    if symptom.not_recognized {
        writeln!(out, "          no message pattern knows the error's text")?;
    }
    for check in symptom.named.iter().take(SHOWN_PATTERNS) {
        writeln!(out, "          found about what it names: {}", line(&check.message))?;
    }
    Ok(())
}

/// What becomes of a packet between the symptom's ends.
fn way(symptom: &SymptomAnswer, out: &mut dyn Write) -> io::Result<()> {
    if let Some(reason) = &symptom.not_walked {
        writeln!(out, "          the way was not walked: {}", line(reason))?;
    }
    let Some(way) = &symptom.way else { return Ok(()) };
    writeln!(out, "          {}: {}", line(&way.headline), line(&way.detail))?;
    if let Some(deciding) = &way.deciding {
        writeln!(out, "            {}: {}", line(&place_name(deciding)), line(&deciding.text))?;
    }
    let proof = if way.fix_verified { "walked again: connected" } else { "walked again: not proven to connect" };
    for change in &way.fix {
        writeln!(out, "            to let it pass ({proof}): {}", line(change))?;
    }
    for unknown in &way.unknowns {
        writeln!(out, "            not known: {}", line(unknown))?;
    }
    for granted in way.takes_for_granted.iter().take(SHOWN_PATTERNS) {
        writeln!(out, "            taken for granted, since the bundle does not hold it: {}", line(granted))?;
    }
    Ok(())
}

/// The causes, those of one rule together: what is wrong on every node of a large cluster is one thing to read.
fn causes(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let groups = by_rule(&findings.causes);
    for group in groups.iter().take(SHOWN_CAUSES) {
        let Some((cause, others)) = group.split_first() else { continue };
        let severity = format!("{:?}", cause.severity).to_lowercase();
        writeln!(out, "\n{severity:>8}  {}", line(&cause.message))?;
        writeln!(out, "          {} on {}", cause.rule, line(&cause.scope.to_string()))?;
        let finding = findings.findings.iter().find(|f| f.rule == cause.rule && f.scope == cause.scope);
        if let Some(citation) = finding.and_then(|finding| finding.evidence.first()) {
            writeln!(out, "          {}: {}", line(&place_name(citation)), line(&citation.text))?;
        }
        let effects: BTreeSet<&str> = group.iter().flat_map(|cause| &cause.explains).map(String::as_str).collect();
        if !effects.is_empty() {
            let effects: Vec<&str> = effects.into_iter().collect();
            writeln!(out, "          {}", line(&format!("explains {}", effects.join(", "))))?;
        }
        if !others.is_empty() {
            let places: Vec<String> = others.iter().map(|cause| cause.scope.to_string()).collect();
            writeln!(out, "          {}", line(&format!("and on {} more: {}", others.len(), places.join(", "))))?;
        }
    }
    let more: usize = groups.iter().skip(SHOWN_CAUSES).map(Vec::len).sum();
    if more > 0 {
        writeln!(out, "\n          and {more} more, in the report")?;
    }
    Ok(())
}

/// The causes of each rule, in the order of their first.
fn by_rule(causes: &[Cause]) -> Vec<Vec<&Cause>> {
    let mut groups: Vec<Vec<&Cause>> = Vec::new();
    for cause in causes {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.rule == cause.rule)) {
            Some(group) => group.push(cause),
            None => groups.push(vec![cause]),
        }
    }
    groups
}

fn missing(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let gaps = gaps(findings);
    if gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nNot checked, because evidence is missing:")?;
    for gap in gaps.iter().take(SHOWN_GAPS) {
        let reason = gap.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        writeln!(out, "          {} {}{}", gap.id, gap.status, line(&reason))?;
        writeln!(out, "            of {}; {} for it", line(&gap.where_), waiting(gap.rules.len()))?;
    }
    match gaps.len().saturating_sub(SHOWN_GAPS) {
        0 => Ok(()),
        more => writeln!(out, "          and {more} more, in the report"),
    }
}

/// `1 check waits`, `2 checks wait`.
fn waiting(checks: usize) -> String {
    format!("{} {}", count(checks, "check"), if checks == 1 { "waits" } else { "wait" })
}

/// `1 check`, `2 checks`.
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

/// One line of at most 160 characters, safe for a terminal.
fn line(text: &str) -> String {
    let shown = visible(text).replace('\n', " ");
    match shown.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}
