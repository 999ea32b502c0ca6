//! The end of a run: every line of the plan accounted for, the manifest written, and the last lines said.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bundle::manifest::{Ended, FORMAT, ItemRecord, ItemStatus, Manifest, RunKind, Source, Tool};
use bundle::write::Written;
use bundle::{ItemDraft, ItemEnd, WriteError};
use jiff::Timestamp;

use super::Run;
use crate::plan::Plan;

/// How a run ended, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was planned was asked and answered.
    Complete,
    /// Something was refused, did not answer, or was not reached; the manifest says what.
    Partial,
    /// No item gave content.
    Nothing,
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Outcome::Complete => 0,
            Outcome::Partial => 2,
            Outcome::Nothing => 3,
        }
    }

    fn of(items: &[ItemRecord], ended: Ended, unreached: usize) -> Outcome {
        let content = items.iter().any(|item| matches!(item.status, ItemStatus::Ok | ItemStatus::Truncated));
        if !content {
            return Outcome::Nothing;
        }
        if ended != Ended::Done || unreached > 0 || items.iter().any(|item| item.status.makes_partial()) {
            return Outcome::Partial;
        }
        Outcome::Complete
    }
}

/// Ends the run: gives every line of the plan that has no record one that says why, writes the manifest, and puts
/// the bundle in its place.
pub fn finish(run: Run, plan: &Plan, kind: RunKind) -> Result<Finished, WriteError> {
    // Asked first of all: a deadline that passes while the manifest is being written cut nothing short.
    let ended = run.stopped().unwrap_or(Ended::Done);
    account(&run, plan, ended);
    run.progress().finish();
    let notes = std::mem::take(&mut *run.notes());
    let items = run.writer().records();
    let outcome = Outcome::of(&items, ended, notes.unreached.len());
    let manifest = Manifest {
        format: FORMAT,
        tool: Tool { name: "dossier-collect".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        kind,
        started: run.started(),
        finished: Timestamp::now(),
        ended,
        cluster: notes.cluster,
        hosts: notes.hosts,
        clocks: notes.clocks,
        limits: notes.limits,
        symptom: notes.symptom,
        merged: None,
        items: Vec::new(),
    };
    let written = run.writer().clone().finish(manifest)?;
    Ok(Finished { written, outcome, unreached: notes.unreached })
}

/// A bundle in its place, and what there is to say about it.
pub struct Finished {
    /// The file.
    pub written: Written,
    /// How the run ended.
    pub outcome: Outcome,
    /// Nodes that were asked for and could not be reached, and why.
    pub unreached: Vec<(String, String)>,
}

/// Records `not-reached` for lines that a stop left behind. A line without a record in a run that was not stopped is
/// a defect of the collector, and the record says so rather than letting the line vanish.
fn account(run: &Run, plan: &Plan, ended: Ended) {
    let told: BTreeSet<_> = run.writer().records().into_iter().map(|item| item.plan).collect();
    let end = match ended {
        Ended::Done => ItemEnd::because(
            ItemStatus::Error,
            "the collector announced this and recorded nothing, which is a defect of the collector",
        ),
        Ended::Deadline => ItemEnd::because(ItemStatus::NotReached, "the time for the whole run was used up before"),
        Ended::Signal => ItemEnd::because(ItemStatus::NotReached, "a signal ended the run before"),
        Ended::Space => ItemEnd::because(ItemStatus::NotReached, "the space for the bundle was used up before"),
    };
    for line in plan.lines().iter().filter(|line| !told.contains(&line.id)) {
        let draft = ItemDraft {
            id: line.id.clone(),
            scope: line.scope.clone(),
            source: Source::Computed(line.what.clone()),
            plan: line.id.clone(),
        };
        run.record(draft, end.clone(), Timestamp::now());
    }
}

/// The last lines: path, size, sha256, items by status, and for each node that was not reached what to run there.
pub fn print_last_lines(finished: &Finished, out: &mut dyn Write) -> io::Result<()> {
    let Finished { written, outcome, unreached } = finished;
    let path = written.path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let verdict = match outcome {
        Outcome::Complete => "complete",
        Outcome::Partial => "partial: the manifest says what is missing and why",
        Outcome::Nothing => "nothing was gathered: the manifest says why",
    };
    let statuses: Vec<String> = written.by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    writeln!(out, "bundle  {path}")?;
    writeln!(out, "size    {} bytes", written.bytes)?;
    writeln!(out, "sha256  {}", written.sha256)?;
    writeln!(out, "items   {}", statuses.join(", "))?;
    writeln!(out, "result  {verdict}")?;
    for (node, reason) in unreached {
        writeln!(out, "missing {node}: {}", crate::redact::message(reason))?;
        writeln!(out, "        run on it as root: dossier-collect node --node-name {node} --out {node}.zip")?;
    }
    if !unreached.is_empty() {
        writeln!(out, "        then here: dossier-collect merge {path} NODE.zip … --out merged.zip")?;
    }
    Ok(())
}
