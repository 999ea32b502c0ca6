//! Which record of several bundles is kept, and its content.

use std::collections::BTreeMap;
use std::io::Read;

use super::MergeError;
use super::hosts::Hosts;
use crate::manifest::{ItemRecord, ItemStatus, Scope};
use crate::read::{Bundle, Raw, ReadError};
use crate::write::{BundleWriter, WriteError};

/// A record that is kept, under its new names, and where its content comes from.
pub(super) struct Chosen {
    record: ItemRecord,
    bundle: usize,
    /// The path in that bundle.
    from: Option<String>,
}

/// Picks one record for each thing that was asked for.
///
/// The same thing asked twice is told by evidence id, scope and source. What is known wins over what is not, the later
/// over the earlier. Records come out sorted by path, those without content last.
pub(super) fn choose(bundles: &[&Bundle], hosts: &Hosts, conflicts: &mut Vec<String>) -> Vec<Chosen> {
    let mut chosen: BTreeMap<(String, Scope, String), Chosen> = BTreeMap::new();
    let mut replaced: BTreeMap<Scope, usize> = BTreeMap::new();
    for (bundle, source) in bundles.iter().enumerate() {
        for item in &source.manifest().items {
            let mut record = ItemRecord { scope: hosts.scope(bundle, &item.scope), ..item.clone() };
            record.path = item.path.as_ref().map(|path| hosts.path(bundle, path));
            // What a record names and the bundle does not hold is not known, whatever its status says.
            if let Some(path) = item.path.as_deref().filter(|path| !source.contains(path)) {
                record.status = ItemStatus::Error;
                record.reason = Some(format!("its content {path} is missing in the bundle that was merged"));
                (record.path, record.sha256, record.bytes) = (None, None, 0);
            }
            let key =
                (record.id.clone(), record.scope.clone(), serde_json::to_string(&record.source).unwrap_or_default());
            let candidate = Chosen { from: record.path.as_ref().and(item.path.clone()), record, bundle };
            match chosen.get_mut(&key) {
                None => {
                    chosen.insert(key, candidate);
                }
                Some(kept) => {
                    if differ(&kept.record, &candidate.record) {
                        *replaced.entry(candidate.record.scope.clone()).or_default() += 1;
                    }
                    if rank(&candidate.record) > rank(&kept.record) {
                        *kept = candidate;
                    }
                }
            }
        }
    }
    for (scope, count) in replaced {
        conflicts.push(format!(
            "{scope} was collected more than once; of {count} items that changed in between the later content was kept"
        ));
    }
    let mut chosen: Vec<Chosen> = chosen.into_values().collect();
    // The sort is stable, so that what has the same path stays in the order of its id and scope.
    chosen.sort_by(|a, b| (a.record.path.is_none(), &a.record.path).cmp(&(b.record.path.is_none(), &b.record.path)));
    chosen
}

/// Known before unknown, later before earlier.
fn rank(record: &ItemRecord) -> (bool, jiff::Timestamp) {
    (record.status.is_known(), record.started)
}

/// Whether both know something, and not the same.
fn differ(a: &ItemRecord, b: &ItemRecord) -> bool {
    a.status.is_known() && b.status.is_known() && (a.status, &a.sha256) != (b.status, &b.sha256)
}

/// Copies the content of what was chosen, and records it.
pub(super) fn write(
    bundles: &[&Bundle],
    chosen: Vec<Chosen>,
    writer: &BundleWriter,
    conflicts: &mut Vec<String>,
) -> Result<(), MergeError> {
    for Chosen { mut record, bundle, from } in chosen {
        let (Some(source), Some(from), Some(wanted)) = (bundles.get(bundle), from, record.path.take()) else {
            writer.keep(record);
            continue;
        };
        let path = writer.claim_any(&wanted)?;
        if path != wanted {
            conflicts.push(format!("two items lie at {wanted}; that of {} {} is at {path}", record.id, record.scope));
        }
        match copy(source, &from, &path, writer) {
            Ok(()) => record.path = Some(path),
            Err(MergeError::Read(error)) => lose(&mut record, &error),
            Err(error) => return Err(error),
        }
        writer.keep(record);
    }
    Ok(())
}

/// A content that cannot be read is told in its record; the others are merged all the same.
fn lose(record: &mut ItemRecord, error: &ReadError) {
    record.status = ItemStatus::Error;
    record.reason = Some(format!("it could not be merged: {error}"));
    (record.sha256, record.bytes) = (None, 0);
}

fn copy(source: &Bundle, from: &str, path: &str, writer: &BundleWriter) -> Result<(), MergeError> {
    match source.raw(from)? {
        Raw::Packed(sizes, compressed) => Ok(writer.append_packed(path, sizes, compressed)?),
        Raw::Plain(mut content) => {
            let mut packer = writer.packer(path);
            let mut buffer = vec![0; 256 << 10];
            loop {
                let n = content.read(&mut buffer).map_err(|error| ReadError::from_io(from, error))?;
                if n == 0 {
                    break;
                }
                packer.put(&buffer[..n]).map_err(WriteError::from)?;
            }
            let (mut spool, sizes) = packer.finish().map_err(WriteError::from)?;
            spool.rewind().map_err(WriteError::from)?;
            Ok(writer.append_packed(path, sizes, spool)?)
        }
    }
}
