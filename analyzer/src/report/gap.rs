//! Gaps: evidence that is missing for one reason, wherever it is missing, with the checks that wait for it.
//!
//! Rules say what they miss; the reader wants to know what to mend. So "rule: what it misses" is turned round.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::listed;
use crate::finding::Findings;

/// Evidence that is missing for one reason.
#[derive(Serialize)]
pub struct Gap {
    /// The evidence id.
    pub id: String,
    /// The status that the manifest gives it.
    pub status: &'static str,
    /// The manifest's reason.
    pub reason: Option<String>,
    /// Where it is missing: `node/n1, node/n2 and 5 more`.
    pub where_: String,
    /// The rules that wait for it.
    pub rules: Vec<String>,
}

/// All gaps, that for which most checks wait first, then by evidence id.
pub fn gaps(findings: &Findings) -> Vec<Gap> {
    type Key = (String, &'static str, Option<String>);
    let mut gaps: BTreeMap<Key, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for check in &findings.not_checked {
        for missing in &check.missing {
            let key = (missing.id.clone(), missing.status.name(), missing.reason.clone());
            let (scopes, rules) = gaps.entry(key).or_default();
            scopes.insert(missing.scope.to_string());
            rules.insert(check.rule.clone());
        }
    }
    let mut gaps: Vec<Gap> = gaps
        .into_iter()
        .map(|((id, status, reason), (scopes, rules))| Gap {
            id,
            status,
            reason,
            where_: listed(scopes.into_iter()),
            rules: rules.into_iter().collect(),
        })
        .collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.rules.len()));
    gaps
}
