//! What was masked, for the person who looks before sending; and the texts of the manifest itself, which pass the filter as
//! items do.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::filter::FilterFactory;
use crate::layout;
use crate::manifest::Manifest;

/// `redactions.json`. It never says what the values were.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// Values that were masked.
    masked: u64,
    /// The same by kind.
    by_kind: BTreeMap<&'a str, u64>,
    /// The same by file, for files in which there were any.
    files: BTreeMap<&'a str, &'a BTreeMap<String, u64>>,
    /// Files that were thrown away because they could not be looked into, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<&'a str>,
}

/// Adds up what the items say.
pub(super) fn report(manifest: &Manifest) -> Report<'_> {
    let mut report = Report { masked: 0, by_kind: BTreeMap::new(), files: BTreeMap::new(), withheld: Vec::new() };
    for item in &manifest.items {
        for (kind, count) in &item.redactions {
            report.masked += count;
            *report.by_kind.entry(kind).or_insert(0) += count;
        }
        if let Some(path) = item.path.as_deref().filter(|_| !item.redactions.is_empty()) {
            report.files.insert(path, &item.redactions);
        }
        if item.status == crate::manifest::ItemStatus::Withheld {
            report.withheld.extend(item.reason.as_deref());
        }
    }
    report
}

/// Passes what others said through the filter: reasons, standard errors, the sender's own words, a server's URL.
pub(super) fn redact_texts(manifest: &mut Manifest, filters: &FilterFactory) {
    let redact = |text: &mut String| {
        let mut filter = filters(layout::MANIFEST);
        let mut out = Vec::new();
        let passed = filter.push(text.as_bytes(), &mut out).and_then(|()| filter.finish(&mut out));
        *text = match (passed, String::from_utf8(out)) {
            (Ok(_), Ok(redacted)) => redacted,
            _ => "withheld, because its filter failed".to_owned(),
        };
    };
    for item in &mut manifest.items {
        item.reason.as_mut().map(redact);
        item.stderr_tail.as_mut().map(redact);
    }
    manifest.limits.iter_mut().for_each(|limit| redact(&mut limit.effect));
    if let Some(cluster) = &mut manifest.cluster {
        cluster.server.as_mut().map(redact);
    }
    if let Some(symptom) = &mut manifest.symptom {
        let said = [&mut symptom.from, &mut symptom.to, &mut symptom.error];
        said.into_iter().flatten().for_each(redact);
        symptom.other.values_mut().for_each(redact);
    }
}
