//! All rules over all subjects, in parallel, with a result that does not depend on threads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bundle::ItemStatus;
use minijinja::Value;
use rayon::prelude::*;

use super::availability::Availability;
use super::causes::causes;
use super::context::{Shared, SubjectContext};
use super::evidence_id::serves;
use super::judge::{judge, selects};
use super::tally::Tally;
use super::verdict::verdict;
use super::{Rule, RuleSet};
use crate::facts::{Facts, Subjects, node};
use crate::finding::{
    BundleSummary, FINDINGS_FORMAT, Finding, Findings, Health, Outcome, Subject, SubjectKind, Verdict,
};
use crate::pattern::message::MessageIndex;
use crate::pattern::{PatternSet, PatternValue, scan};
use crate::symptom;

/// How to analyze.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only these rules; all where the list is empty.
    pub only: Vec<String>,
}

/// Subjects that one piece of parallel work looks at.
const CHUNK: usize = 256;

/// Judges a bundle.
pub fn analyze(facts: &Facts, rules: &RuleSet, options: &Options) -> Findings {
    let wanted = |rule: &&Arc<Rule>| options.only.is_empty() || options.only.contains(&rule.id);
    let shared = shared(facts, rules.patterns());
    let rules: Vec<Arc<Rule>> = rules.rules().iter().filter(wanted).cloned().collect();
    let tallies = tallies(facts, &rules, &shared);
    let mut findings = empty(facts);
    findings.bundle.unreadable.extend(shared.messages.hits().unreadable.iter().cloned());
    for (rule, tally) in rules.iter().zip(tallies) {
        tally.report(rule, &mut findings);
    }
    findings.findings.sort_by_cached_key(rank);
    findings.causes = causes(&findings.findings);
    findings.not_judged = not_judged(facts, &rules);
    findings.verdict = verdict(&findings);
    findings.symptom = facts.symptom().map(|said| symptom::answer(said, facts, &shared.messages, &rules, &findings));
    findings
}

/// What one rule says of each subject, in order; where it looks at none, what it says instead.
pub fn outcomes(facts: &Facts, rule: &Arc<Rule>, patterns: &Arc<PatternSet>) -> Vec<(Option<Subject>, Outcome)> {
    let shared = shared(facts, patterns);
    let subjects = facts.subjects(rule.range);
    let mut outcomes = Vec::new();
    for index in 0..subjects.len() {
        let subject = Arc::new(context(&subjects, index, &shared));
        match selects(rule, &subject) {
            Ok(false) => {}
            Ok(true) => outcomes.push((Some(subject.subject.clone()), judge(rule, &subject))),
            Err(reason) => outcomes.push((Some(subject.subject.clone()), Outcome::RuleError(reason))),
        }
    }
    let rest = without_subject(rule, outcomes.is_empty(), &shared);
    outcomes.extend(rest.into_iter().map(|outcome| (None, outcome)));
    outcomes
}

fn shared(facts: &Facts, patterns: &Arc<PatternSet>) -> Arc<Shared> {
    Arc::new(Shared {
        messages: Arc::new(messages(facts, patterns)),
        patterns: Value::from_object(PatternValue(patterns.clone())),
        cluster: facts.subjects(SubjectKind::Cluster).value(0),
        collected: Value::from(facts.collected().to_string()),
        availability: Availability::new(facts.evidence().clone(), facts.node_names().to_vec()),
    })
}

/// What the patterns find in all logs.
fn messages(facts: &Facts, patterns: &Arc<PatternSet>) -> MessageIndex {
    let logs = facts.logs().to_vec();
    let paths: Vec<&str> = logs.iter().map(|log| &**log.path()).collect();
    let hits = scan(facts.evidence().bundle(), &paths, patterns, rayon::current_num_threads());
    MessageIndex::new(patterns.clone(), logs, hits)
}

fn context(subjects: &Subjects, index: usize, shared: &Arc<Shared>) -> SubjectContext {
    SubjectContext {
        subject: subjects.subject(index),
        scope: subjects.scope(index),
        value: subjects.value(index),
        shared: shared.clone(),
    }
}

/// A piece of parallel work: some subjects of one kind, for some of the rules over them.
struct Job<'r> {
    subjects: Subjects,
    range: std::ops::Range<usize>,
    rules: &'r [(usize, Arc<Rule>)],
}

fn tallies(facts: &Facts, rules: &[Arc<Rule>], shared: &Arc<Shared>) -> Vec<Tally> {
    let mut by_kind: BTreeMap<SubjectKind, Vec<(usize, Arc<Rule>)>> = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate() {
        by_kind.entry(rule.range).or_default().push((index, rule.clone()));
    }
    let mut jobs = Vec::new();
    for (kind, rules) in &by_kind {
        let subjects = facts.subjects(*kind);
        // Few subjects are shared out by rule, many by subject.
        let together = if subjects.len() > CHUNK { rules.len() } else { 1 };
        for start in (0..subjects.len()).step_by(CHUNK) {
            let range = start..subjects.len().min(start + CHUNK);
            let jobs_here = rules.chunks(together);
            jobs.extend(jobs_here.map(|rules| Job { subjects: subjects.clone(), range: range.clone(), rules }));
        }
    }
    let done: Vec<Vec<(usize, Tally)>> = jobs.par_iter().map(|job| work(job, shared)).collect();
    let mut tallies: Vec<Tally> = rules.iter().map(|_| Tally::default()).collect();
    for (index, tally) in done.into_iter().flatten() {
        if let Some(sum) = tallies.get_mut(index) {
            sum.merge(tally);
        }
    }
    for (rule, tally) in rules.iter().zip(&mut tallies) {
        for outcome in without_subject(rule, tally.is_empty(), shared) {
            tally.add_general(outcome);
        }
    }
    tallies
}

fn work(job: &Job<'_>, shared: &Arc<Shared>) -> Vec<(usize, Tally)> {
    let mut tallies: Vec<(usize, Tally)> = job.rules.iter().map(|(index, _)| (*index, Tally::default())).collect();
    for index in job.range.clone() {
        let subject = Arc::new(context(&job.subjects, index, shared));
        for ((_, rule), (_, tally)) in job.rules.iter().zip(&mut tallies) {
            match selects(rule, &subject) {
                Ok(false) => {}
                Ok(true) => tally.add(rule, &subject.subject, judge(rule, &subject)),
                Err(reason) => tally.add(rule, &subject.subject, Outcome::RuleError(reason)),
            }
        }
    }
    tallies
}

/// What a rule says of no subject in particular: why it looked at nothing, or which logs could not be had.
fn without_subject(rule: &Rule, looked_at_nothing: bool, shared: &Shared) -> Vec<Outcome> {
    if looked_at_nothing {
        let missing = shared.availability.missing_altogether(&rule.needs);
        if !missing.is_empty() {
            return vec![Outcome::NotChecked(missing)];
        }
        let selected = if rule.select.is_some() { " that the rule is about" } else { "" };
        let reason = format!("the bundle has no {}{selected}", kind_name(rule.range));
        return vec![Outcome::NotApplicable(reason)];
    }
    if rule.range != SubjectKind::Log {
        return Vec::new();
    }
    // A log that could not be had is no subject, and must not be passed over.
    let unread = shared.availability.unread_logs(rule.evidence_ids());
    unread.map(|missing| Outcome::NotChecked(vec![missing])).collect()
}

fn kind_name(kind: SubjectKind) -> String {
    match kind {
        SubjectKind::Cluster => "cluster".to_owned(),
        SubjectKind::NodeNetworkConfig => "NodeNetworkConfig".to_owned(),
        _ => Subject { kind, name: String::new() }.to_string().trim_end_matches('/').to_owned(),
    }
}

/// The order of findings: the worst, the surest and the widest first.
fn rank(
    finding: &Finding,
) -> (Reverse<crate::finding::Severity>, Reverse<crate::finding::Confidence>, Subject, String) {
    (Reverse(finding.severity), Reverse(finding.confidence), finding.scope.clone(), finding.rule.clone())
}

/// Evidence that is there and that no rule asks for.
fn not_judged(facts: &Facts, rules: &[Arc<Rule>]) -> BTreeMap<String, u64> {
    let judged: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.evidence_ids()).collect();
    let mut counts = BTreeMap::new();
    for item in facts.evidence().records() {
        let of_a_rule = judged.iter().any(|id| serves(&item.id, id));
        if item.path.is_some() && !of_a_rule {
            *counts.entry(item.id.clone()).or_default() += 1;
        }
    }
    counts
}

fn empty(facts: &Facts) -> Findings {
    Findings {
        format: FINDINGS_FORMAT,
        analyzer: env!("CARGO_PKG_VERSION").to_owned(),
        bundle: summary(facts),
        verdict: Verdict { health: Health::Unknown, sentence: String::new() },
        symptom: None,
        causes: Vec::new(),
        findings: Vec::new(),
        passed: Vec::new(),
        not_applicable: Vec::new(),
        not_checked: Vec::new(),
        rule_errors: Vec::new(),
        nodes: node::address_table(facts),
        not_judged: BTreeMap::new(),
    }
}

fn summary(facts: &Facts) -> BundleSummary {
    let manifest = facts.evidence().bundle().manifest();
    let mut items: BTreeMap<ItemStatus, u64> = BTreeMap::new();
    for item in &manifest.items {
        *items.entry(item.status).or_default() += 1;
    }
    BundleSummary {
        cluster: manifest.cluster.as_ref().map(|cluster| cluster.name.clone()),
        version: manifest.cluster.as_ref().and_then(|cluster| cluster.version.clone()),
        hosts: manifest.hosts.iter().map(|host| host.node.clone()).collect(),
        started: manifest.started.to_string(),
        finished: manifest.finished.to_string(),
        ended: ended(manifest.ended).to_owned(),
        limits: manifest.limits.clone(),
        collector: manifest.tool.version.clone(),
        items,
        unreadable: facts.unreadable(),
    }
}

fn ended(ended: bundle::manifest::Ended) -> &'static str {
    use bundle::manifest::Ended;
    match ended {
        Ended::Done => "done",
        Ended::Deadline => "deadline",
        Ended::Signal => "signal",
        Ended::Space => "space",
    }
}
