//! Writing a bundle: many items at once, each compressed as it comes, appended to the file when it is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::filter::{FilterFactory, Identity, ItemFilter};
use crate::layout;
use crate::manifest::{ItemRecord, ItemStatus, Manifest, Scope, Source};

/// What went wrong while writing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The target cannot be made or written.
    #[error("cannot write {path}: {source}")]
    Target {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two items claim the same path.
    #[error("two items claim the path {0} in the bundle")]
    DuplicatePath(String),
    /// The container could not be written.
    #[error("cannot write the bundle: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// Compressed bytes could not be written.
    #[error("cannot write the bundle: {0}")]
    Io(#[from] io::Error),
    /// The manifest could not be turned into JSON.
    #[error("cannot write the manifest: {0}")]
    Manifest(#[from] serde_json::Error),
}

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

/// Writes one bundle. Clones share it; items may be written from any thread.
#[derive(Clone)]
pub struct BundleWriter {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    filters: Box<FilterFactory>,
}

struct State {
    zip: ZipWriter<File>,
    partial: PathBuf,
    target: PathBuf,
    claimed: BTreeSet<String>,
    items: Vec<ItemRecord>,
}

impl BundleWriter {
    /// Begins a bundle that will lie at `target`; until it is finished it lies beside it as `<name>.partial`.
    /// README.txt is written at once.
    pub fn create(target: &Path, readme: &str) -> Result<BundleWriter, WriteError> {
        BundleWriter::create_filtered(target, readme, Box::new(|_| Box::new(Identity)))
    }

    /// Like [`BundleWriter::create`], with a filter for every item.
    pub fn create_filtered(
        target: &Path,
        readme: &str,
        filters: Box<FilterFactory>,
    ) -> Result<BundleWriter, WriteError> {
        let mut partial = target.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let fail = |source| WriteError::Target { path: partial.clone(), source };
        let file = File::options().read(true).write(true).create_new(true).open(&partial).map_err(fail)?;
        let mut zip = ZipWriter::new(file);
        zip.start_file(layout::README, entry_options())?;
        zip.write_all(readme.as_bytes())?;
        let state = State {
            zip,
            partial,
            target: target.to_owned(),
            claimed: [layout::README.to_owned(), layout::MANIFEST.to_owned()].into(),
            items: Vec::new(),
        };
        Ok(BundleWriter { shared: Arc::new(Shared { state: Mutex::new(state), filters }) })
    }

    /// Begins an item with content at `path`.
    pub fn begin(&self, draft: ItemDraft, path: String) -> Result<ItemWriter, WriteError> {
        if !self.lock().claimed.insert(path.clone()) {
            return Err(WriteError::DuplicatePath(path));
        }
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(&path, entry_options())?;
        let filter = (self.shared.filters)(&path);
        Ok(ItemWriter {
            writer: self.clone(),
            draft,
            path,
            zip,
            filter,
            filtered: Vec::new(),
            hash: Sha256::new(),
            bytes: 0,
            started: Timestamp::now(),
        })
    }

    /// Records an item that gave no content.
    pub fn record(&self, draft: ItemDraft, end: ItemEnd, started: Timestamp) {
        let record = record(draft, end, started, None, 0, None, BTreeMap::new());
        self.lock().items.push(record);
    }

    /// The records so far, for progress and summaries.
    pub fn records(&self) -> Vec<ItemRecord> {
        self.lock().items.clone()
    }

    /// Writes the manifest, whose `items` are replaced by the records, and puts the file in its place.
    pub fn finish(self, mut manifest: Manifest) -> Result<Written, WriteError> {
        let mut state = self.lock();
        manifest.items = std::mem::take(&mut state.items);
        let mut by_status = BTreeMap::new();
        for item in &manifest.items {
            *by_status.entry(item.status).or_insert(0) += 1;
        }
        state.zip.start_file(layout::MANIFEST, entry_options())?;
        serde_json::to_writer_pretty(&mut state.zip, &manifest)?;
        let placeholder = ZipWriter::new(tempfile::tempfile()?);
        let mut file = std::mem::replace(&mut state.zip, placeholder).finish()?;
        file.sync_all()?;
        let bytes = file.stream_position()?;
        file.rewind()?;
        let sha256 = sha256_of(&mut file)?;
        std::fs::rename(&state.partial, &state.target)
            .map_err(|source| WriteError::Target { path: state.target.clone(), source })?;
        Ok(Written { path: Some(state.target.clone()), bytes, sha256, by_status })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One item that is being written. What is neither ended nor dropped on purpose is recorded as `error`.
pub struct ItemWriter {
    writer: BundleWriter,
    draft: ItemDraft,
    path: String,
    zip: ZipWriter<Cursor<Vec<u8>>>,
    filter: Box<dyn ItemFilter>,
    filtered: Vec<u8>,
    hash: Sha256,
    bytes: u64,
    started: Timestamp,
}

impl Write for ItemWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.filtered.clear();
        self.filter.push(bytes, &mut self.filtered)?;
        self.put_filtered()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ItemWriter {
    /// Bytes of content so far, after the filter.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the item and appends it to the bundle.
    pub fn end(mut self, end: ItemEnd) -> Result<(), WriteError> {
        self.filtered.clear();
        let redactions = self.filter.finish(&mut self.filtered)?;
        self.put_filtered()?;
        let sha256 = hex(&self.hash.finalize());
        let mut archive = ZipArchive::new(self.zip.finish()?)?;
        let record = record(self.draft, end, self.started, Some(self.path), self.bytes, Some(sha256), redactions);
        let mut state = self.writer.lock();
        state.zip.raw_copy_file(archive.by_index_raw(0)?)?;
        state.items.push(record);
        Ok(())
    }

    fn put_filtered(&mut self) -> io::Result<()> {
        self.hash.update(&self.filtered);
        self.bytes += self.filtered.len() as u64;
        self.zip.write_all(&self.filtered)
    }
}

fn record(
    draft: ItemDraft,
    end: ItemEnd,
    started: Timestamp,
    path: Option<String>,
    bytes: u64,
    sha256: Option<String>,
    redactions: BTreeMap<String, u64>,
) -> ItemRecord {
    let status = if end.status == ItemStatus::Ok && bytes == 0 { ItemStatus::Empty } else { end.status };
    let elapsed = Timestamp::now().duration_since(started);
    ItemRecord {
        id: draft.id,
        scope: draft.scope,
        path,
        source: draft.source,
        plan: draft.plan,
        status,
        reason: end.reason,
        started,
        duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(0),
        exit_code: end.exit_code,
        bytes,
        bytes_dropped: end.bytes_dropped,
        stderr_tail: end.stderr_tail,
        sha256,
        redactions,
        link_target: end.link_target,
    }
}

/// Fixed time and mode, so that the same items give the same bytes.
fn entry_options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o600)
}

fn sha256_of(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
