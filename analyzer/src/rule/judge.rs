//! One rule, one subject: one outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use minijinja::Value;

use super::context::{SubjectContext, is_collective};
use super::expression::{Expression, Template, bounded};
use super::{Grade, Placed, Rule};
use crate::citation::Citation;
use crate::fact::citations;
use crate::finding::{Finding, Outcome, Remedy};

/// Citations that one finding shows.
const CITATIONS: usize = 20;
/// Characters of a message.
const MESSAGE: usize = 2_000;

/// Whether the rule looks at the subject at all.
pub fn selects(rule: &Arc<Rule>, subject: &Arc<SubjectContext>) -> Result<bool, String> {
    let Some(select) = &rule.select else { return Ok(true) };
    isolated(|| evaluate(rule, select, &subject.for_rule(rule)).map(|value| value.is_true()))
}

/// What the rule says of the subject. A rule that panics fails alone.
pub fn judge(rule: &Arc<Rule>, subject: &Arc<SubjectContext>) -> Outcome {
    match isolated(|| outcome(rule, subject)) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::RuleError(reason),
    }
}

fn isolated<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(|| bounded(work))) {
        Ok(result) => result,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            Err(format!("a defect of dossier: {}", text.unwrap_or("the rule panicked")))
        }
    }
}

fn outcome(rule: &Arc<Rule>, subject: &Arc<SubjectContext>) -> Result<Outcome, String> {
    let availability = &subject.shared.availability;
    let missing = availability.missing(&rule.needs, subject);
    if !missing.is_empty() {
        return Ok(Outcome::NotChecked(missing));
    }
    let context = subject.for_rule(rule);
    for applies in &rule.applies {
        if !evaluate(rule, &applies.when, &context)?.is_true() {
            let reason = line(rule, &applies.otherwise, &context)?;
            return Ok(match &applies.lacks {
                Some(id) => Outcome::NotChecked(vec![availability.insufficient(id, subject, reason)]),
                None => Outcome::NotApplicable(reason),
            });
        }
    }
    for grade in &rule.grades {
        if evaluate(rule, &grade.when, &context)?.is_true() {
            return Ok(Outcome::Finding(Box::new(finding(rule, grade, subject, &context)?)));
        }
    }
    let mut missing = availability.missing(&rule.needs_to_pass, subject);
    if is_collective(rule.range) {
        missing.extend(availability.missing_anywhere(&rule.needs));
        missing.extend(availability.missing_anywhere(&rule.needs_to_pass));
        missing.sort();
        missing.dedup();
    }
    if !missing.is_empty() {
        return Ok(Outcome::NotChecked(missing));
    }
    let message = rule.pass.as_ref().map(|pass| line(rule, pass, &context)).transpose()?;
    Ok(Outcome::Pass(message))
}

fn finding(rule: &Rule, grade: &Grade, subject: &SubjectContext, context: &Value) -> Result<Finding, String> {
    let mut evidence: Vec<Citation> = Vec::new();
    for expression in &grade.evidence {
        for citation in citations(&evaluate(rule, expression, context)?) {
            if evidence.len() < CITATIONS && !evidence.contains(&citation) {
                evidence.push(citation);
            }
        }
    }
    if evidence.is_empty() {
        let place = format!("{}:{}", rule.file.path, grade.when.line);
        return Err(format!("{place}: the rule found something wrong and cites nothing that proves it"));
    }
    Ok(Finding {
        rule: rule.id.clone(),
        row: rule.row.clone(),
        title: rule.title.clone(),
        severity: grade.severity,
        confidence: grade.confidence,
        scope: subject.subject.clone(),
        message: line(rule, &grade.message, context)?,
        evidence,
        explains: rule.explains.clone(),
        remedy: remedy(rule, context)?,
        references: rule.references.clone(),
    })
}

fn remedy(rule: &Rule, context: &Value) -> Result<Option<Remedy>, String> {
    let Some(remedy) = &rule.remedy else { return Ok(None) };
    let text = render(rule, &remedy.text, context)?;
    let mut commands =
        remedy.commands.iter().map(|command| render(rule, command, context)).collect::<Result<Vec<_>, _>>()?;
    // A change that nobody found is no command.
    commands.retain(|command| !command.is_empty());
    let caveats = remedy
        .caveats
        .iter()
        .map(|(provider, caveat)| Ok((provider.clone(), render(rule, caveat, context)?)))
        .collect::<Result<_, String>>()?;
    Ok(Some(Remedy { text, commands, caveats }))
}

fn evaluate(rule: &Rule, expression: &Placed<Expression>, context: &Value) -> Result<Value, String> {
    expression.what.evaluate(context).map_err(|error| rule.failed(expression, &error))
}

fn line(rule: &Rule, template: &Placed<Template>, context: &Value) -> Result<String, String> {
    let mut text = template.what.render_line(context).map_err(|error| rule.failed(template, &error))?;
    if let Some((end, _)) = text.char_indices().nth(MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    Ok(text)
}

fn render(rule: &Rule, template: &Placed<Template>, context: &Value) -> Result<String, String> {
    let text = template.what.render(context).map_err(|error| rule.failed(template, &error))?;
    Ok(text.trim().to_owned())
}
