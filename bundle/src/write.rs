//! Writing a bundle: many items at once, each compressed as it comes, appended to the file when it is complete.
//!
//! Items wait compressed ([`ItemWriter`]) and are copied in as they are. So every byte of the bundle is
//! appended, none is gone back to: the SHA-256 of the file is known without reading it again, standard output gets
//! the same bytes as a file, and an entry that does not fit on the disk is cut off, leaving a valid bundle. The price
//! is that an item larger than the memory budget is written twice, compressed, once into its spill file.

mod absorb;
mod compressor;
pub(crate) mod entry;
mod error;
pub mod frames;
mod item;
mod redactions;
mod sink;
pub mod spent;
mod spool;
mod stage;
mod state;
mod target;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use zip::ZipWriter;

use crate::filter::{FilterFactory, Identity};
use crate::layout;
use crate::limits::Limits;
use crate::manifest::{ItemRecord, ItemStatus, Manifest, Scope, Source};
use crate::read::name;

use entry::{Packer, Sizes};
pub use error::WriteError;
use frames::Frames;
pub use item::ItemWriter;
use item::record;
use sink::{Gauge, Output, Sink};
use spent::ContentCosts;
use spool::{Budget, Spool, folder_of};
use stage::Stage;
use state::State;
use target::Target;

/// What is known of an item before it is asked for.
#[derive(Debug, Clone)]
pub struct ItemDraft {
    /// Evidence id.
    pub id: String,
    /// Whose evidence it is.
    pub scope: Scope,
    /// How it is asked for.
    pub source: Source,
    /// The line of `--plan` that announced it.
    pub plan: String,
}

/// What is known of an item when it ended.
#[derive(Debug, Clone)]
pub struct ItemEnd {
    /// What came of it. `Ok` becomes `Empty` by itself where no byte came.
    pub status: ItemStatus,
    /// Why it is not `ok`.
    pub reason: Option<String>,
    /// Exit code or HTTP status.
    pub exit_code: Option<i32>,
    /// Bytes that a cap cut.
    pub bytes_dropped: u64,
    /// The end of standard error.
    pub stderr_tail: Option<String>,
    /// Where a link led.
    pub link_target: Option<String>,
}

impl ItemEnd {
    /// An end with this status and nothing else to say.
    pub fn new(status: ItemStatus) -> Self {
        ItemEnd { status, reason: None, exit_code: None, bytes_dropped: 0, stderr_tail: None, link_target: None }
    }

    /// An end with this status and a reason.
    pub fn because(status: ItemStatus, reason: impl Into<String>) -> Self {
        ItemEnd { reason: Some(reason.into()), ..ItemEnd::new(status) }
    }
}

/// The finished file.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where it lies; none where it went to a stream.
    pub path: Option<PathBuf>,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// Items by status.
    pub by_status: BTreeMap<ItemStatus, usize>,
}

/// Bytes of content that an item may have; it is the bound of an entry that is read as a stream
/// ([`Limits::entry_streamed`]), for what a reader refuses is not worth writing.
pub const MAX_ITEM: u64 = 4_000_000_000;

/// How a bundle is written.
pub struct WriteOptions {
    /// Makes the filter for each item.
    pub filters: Box<FilterFactory>,
    /// Whether entries and records are sorted by path, instead of in the order in which items end. All items then
    /// wait in one unlinked file until the bundle is finished.
    pub sorted: bool,
    /// Bytes of compressed content that all items in flight may hold in memory; what is beyond goes to unlinked
    /// files.
    pub memory: u64,
    /// The folder of those files; the bundle's own folder where there is none, or the system's folder for temporary
    /// files for a bundle that goes to a stream.
    pub spill: Option<PathBuf>,
    /// Where it is noted what the items' content costs, if that is wanted.
    pub costs: Option<Arc<ContentCosts>>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            filters: Box::new(|_| Box::new(Identity)),
            sorted: false,
            memory: 32 << 20,
            spill: None,
            costs: None,
        }
    }
}

/// Writes one bundle. Clones share it; items may be written from any thread.
///
/// When the last clone is dropped without [`BundleWriter::finish`], the unfinished file is removed.
#[derive(Clone)]
pub struct BundleWriter {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    filters: Box<FilterFactory>,
    budget: Arc<Budget>,
    gauge: Arc<Gauge>,
    folder: Option<PathBuf>,
    costs: Option<Arc<ContentCosts>>,
}

impl BundleWriter {
    /// Begins a bundle that will lie at `target`; until it is finished it lies beside it as `<name>.partial`.
    /// README.txt is written at once.
    pub fn create(target: &Path, readme: &str) -> Result<BundleWriter, WriteError> {
        BundleWriter::create_with(target, readme, WriteOptions::default())
    }

    /// Like [`BundleWriter::create`], with a filter for every item.
    pub fn create_filtered(
        target: &Path,
        readme: &str,
        filters: Box<FilterFactory>,
    ) -> Result<BundleWriter, WriteError> {
        BundleWriter::create_with(target, readme, WriteOptions { filters, ..WriteOptions::default() })
    }

    /// Like [`BundleWriter::create`], with all options.
    pub fn create_with(target: &Path, readme: &str, mut options: WriteOptions) -> Result<BundleWriter, WriteError> {
        let (target, file) = Target::create(target)?;
        let folder = folder_of(target.path()).to_owned();
        options.spill.get_or_insert_with(|| folder.clone());
        BundleWriter::begin_at(Output::File(file), Some((target, folder)), readme, options)
    }

    /// Begins a bundle that goes to a stream, standard output say: the same bytes as a file would get. A stream that
    /// fails ends the bundle, as what it took cannot be taken back.
    pub fn create_stream(
        stream: Box<dyn Write + Send>,
        readme: &str,
        options: WriteOptions,
    ) -> Result<BundleWriter, WriteError> {
        BundleWriter::begin_at(Output::Stream(stream), None, readme, options)
    }

    /// Begins a bundle that is sent as [`frames`] over a stream that may break, for another collector to take in. There
    /// is no README.txt, and items are not sorted.
    pub fn create_framed(stream: Box<dyn Write + Send>, options: WriteOptions) -> BundleWriter {
        let gauge = Arc::new(Gauge::default());
        let mut state = State::new(None);
        state.frames = Some(Frames::new(Sink::new(Output::Stream(stream), gauge.clone())));
        BundleWriter::of(state, gauge, options, None)
    }

    fn begin_at(
        output: Output,
        target: Option<(Target, PathBuf)>,
        readme: &str,
        options: WriteOptions,
    ) -> Result<BundleWriter, WriteError> {
        let gauge = Arc::new(Gauge::default());
        let (target, folder) = target.unzip();
        let reserve = folder.as_deref().and_then(reserve);
        let mut state = State::new(Some(ZipWriter::new(Sink::new(output, gauge.clone()))));
        (state.target, state.reserve) = (target, reserve);
        let sorted = options.sorted;
        let writer = BundleWriter::of(state, gauge, options, folder);
        writer.lock().append_whole(layout::README, readme.as_bytes(), &writer.shared)?;
        if sorted {
            writer.lock().stage = Some(Stage::new(writer.shared.budget.spill_file()?));
        }
        Ok(writer)
    }

    fn of(state: State, gauge: Arc<Gauge>, options: WriteOptions, folder: Option<PathBuf>) -> BundleWriter {
        let budget = Budget::new(options.memory, options.spill);
        let (filters, costs) = (options.filters, options.costs);
        let shared = Shared { state: Mutex::new(state), filters, budget, gauge, folder, costs };
        BundleWriter { shared: Arc::new(shared) }
    }

    /// Begins an item with content at `path`.
    ///
    /// Where a path differs from an earlier one in case alone, it gets `~2` and so on at its end, because the two
    /// would be one file on many systems; [`ItemWriter::path`] tells.
    pub fn begin(&self, draft: ItemDraft, path: String) -> Result<ItemWriter, WriteError> {
        if let Err(problem) = name::check(&path, &Limits::default()) {
            return Err(WriteError::BadPath { path, problem });
        }
        let filter = (self.shared.filters)(&path);
        let started = Timestamp::now();
        let mut state = self.lock();
        let path = state.claim(path)?;
        let ticket = state.admit(draft.clone(), started);
        drop(state);
        let spool = Spool::new(&self.shared.budget);
        Ok(ItemWriter::new(self.clone(), ticket, draft, path, spool, filter, started))
    }

    /// Records an item that gave no content.
    pub fn record(&self, draft: ItemDraft, end: ItemEnd, started: Timestamp) {
        let record = record(draft, end, started);
        self.lock().note(record);
    }

    /// The records so far, for progress and summaries.
    pub fn records(&self) -> Vec<ItemRecord> {
        self.lock().items.clone()
    }

    /// Bytes of the bundle so far, without items in flight. Does not wait for a thread that is writing.
    pub fn bytes_written(&self) -> u64 {
        self.shared.gauge.written.load(Ordering::Relaxed)
    }

    /// Compressed bytes of items in flight, in memory and in spill files. A limit on the bundle's size holds the sum
    /// of both against it.
    pub fn bytes_in_flight(&self) -> u64 {
        self.shared.budget.in_flight()
    }

    /// The folder that the bundle and its spill files grow in, to ask its file system for free space; none for a
    /// stream.
    pub fn folder(&self) -> Option<&Path> {
        self.shared.folder.as_deref()
    }

    /// Gives the bundle up: the unfinished file is removed at once, even while items are in flight.
    pub fn abort(self) {
        let mut state = self.lock();
        self.shared.gauge.given_up.store(true, Ordering::Relaxed);
        state.archive = None;
        state.frames = None;
        state.target = None;
    }

    /// Writes the manifest, whose `items` are replaced by the records, and puts the file in its place. Items that
    /// are still in flight are recorded as `not-reached`.
    pub fn finish(self, mut manifest: Manifest) -> Result<Written, WriteError> {
        let mut state = self.lock();
        state.give_up_in_flight();
        if let Some(frames) = state.frames.take() {
            let (bytes, sha256) = frames.end(manifest)?;
            return Ok(Written { path: None, bytes, sha256, by_status: count(&state.items) });
        }
        manifest.items = std::mem::take(&mut state.items);
        if state.stage.is_some() {
            manifest.items.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
            state.unstage(&self.shared)?;
        }
        redactions::redact_texts(&mut manifest, &*self.shared.filters);
        let masked = serde_json::to_vec_pretty(&redactions::report(&manifest))?;
        let text = serde_json::to_vec_pretty(&manifest)?;
        state.reserve = None;
        state.append_whole(layout::REDACTIONS, &masked, &self.shared)?;
        state.append_whole(layout::MANIFEST, &text, &self.shared)?;
        let archive = state.archive.take().ok_or(WriteError::Finished)?;
        let sink = archive.finish().map_err(|error| state.describe(error.into()))?;
        let (output, bytes, sha256) = sink.finish().map_err(|error| state.describe(error.into()))?;
        let path = match (output, state.target.take()) {
            (Output::File(file), Some(target)) => Some(target.place(&file)?),
            _ => None,
        };
        Ok(Written { path, bytes, sha256, by_status: count(&manifest.items) })
    }

    /// Takes a path, with `~2` and so on at its end where it is taken, exactly or but for case.
    pub(crate) fn claim_any(&self, path: &str) -> Result<String, WriteError> {
        let mut state = self.lock();
        match state.claim(path.to_owned()) {
            Err(WriteError::DuplicatePath(path)) => state.claim_beside(path),
            other => other,
        }
    }

    /// Keeps a record that another bundle made.
    pub(crate) fn keep(&self, record: ItemRecord) {
        self.lock().note(record);
    }

    /// Appends an entry that is compressed already, at a path that was claimed.
    pub(crate) fn append_packed(&self, path: &str, sizes: Sizes, compressed: impl Read) -> Result<(), WriteError> {
        self.lock().append(path, sizes, compressed, &self.shared.gauge)
    }

    /// Compresses an entry within this bundle's budget.
    pub(crate) fn packer(&self, name: &str) -> Packer {
        Packer::new(Spool::new(&self.shared.budget), name)
    }

    /// Records an item in flight that ended without content.
    fn settle(&self, ticket: u64, record: ItemRecord) {
        let mut state = self.lock();
        if state.in_flight.remove(&ticket).is_some() {
            state.note(record);
        }
    }

    /// Appends the entry of an item, and records it.
    fn append(&self, ticket: u64, sizes: Sizes, spool: Spool, mut record: ItemRecord) -> Result<(), WriteError> {
        if record.status == ItemStatus::Ok && record.bytes == 0 {
            record.status = ItemStatus::Empty;
        }
        let mut state = self.lock();
        if state.in_flight.remove(&ticket).is_none() {
            return Err(WriteError::Finished);
        }
        let path = record.path.clone().unwrap_or_default();
        if let Some(frames) = &mut state.frames {
            let sent = frames.item(&record, Some((sizes, spool)));
            state.frames = state.frames.take().filter(|_| sent.is_ok());
            state.items.push(record);
            return sent;
        }
        let result = state.append(&path, sizes, spool, &self.shared.gauge);
        if let Err(error) = &result {
            record.status = ItemStatus::Error;
            record.reason = Some(error.to_string());
            (record.path, record.sha256, record.bytes) = (None, None, 0);
        }
        state.items.push(record);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The zip writer closes the archive when it is dropped; a stream must not get that.
        self.gauge.given_up.store(true, Ordering::Relaxed);
    }
}

/// Bytes of disk that are held back for the manifest, so that a full disk still ends in a valid bundle.
const RESERVE: u64 = 2 << 20;

#[cfg(target_os = "linux")]
fn reserve(folder: &Path) -> Option<File> {
    let file = tempfile::tempfile_in(folder).ok()?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE).ok()?;
    Some(file)
}

#[cfg(not(target_os = "linux"))]
fn reserve(_folder: &Path) -> Option<File> {
    None
}

/// The order of records in a sorted bundle: by path, those without content last.
fn sort_key(item: &ItemRecord) -> (bool, &Option<String>, &str, &Scope, &str) {
    (item.path.is_none(), &item.path, &item.id, &item.scope, &item.plan)
}

fn count(items: &[ItemRecord]) -> BTreeMap<ItemStatus, usize> {
    let mut by_status = BTreeMap::new();
    for item in items {
        *by_status.entry(item.status).or_insert(0) += 1;
    }
    by_status
}
