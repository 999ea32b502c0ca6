//! The archive under its lock: what was appended, what is in flight, which paths are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use zip::ZipWriter;
use zip::result::ZipError;

use super::entry::{self, Packer, Sizes};
use super::frames::Frames;
use super::item::record;
use super::sink::{Gauge, Sink};
use super::spool::Spool;
use super::stage::Stage;
use super::target::Target;
use super::{ItemDraft, ItemEnd, Shared, WriteError};
use crate::layout;
use crate::manifest::{ItemRecord, ItemStatus};
use crate::read::name;

/// What threads take turns with.
pub(super) struct State {
    /// The archive; none after the end, or after a stream failed.
    pub(super) archive: Option<ZipWriter<Sink>>,
    /// Where items wait to be sorted, in a sorted bundle.
    pub(super) stage: Option<Stage>,
    /// The stream of frames, where the bundle is sent as one instead of as an archive.
    pub(super) frames: Option<Frames>,
    pub(super) target: Option<Target>,
    /// Room on the disk that is given back for the manifest.
    pub(super) reserve: Option<File>,
    /// Paths that are taken.
    paths: BTreeSet<String>,
    /// The same without case, by which many systems tell files apart.
    pub(super) folded: BTreeSet<String>,
    pub(super) items: Vec<ItemRecord>,
    pub(super) in_flight: BTreeMap<u64, (ItemDraft, Timestamp)>,
    pub(super) tickets: u64,
}

impl State {
    pub(super) fn new(archive: Option<ZipWriter<Sink>>) -> State {
        let taken = [layout::README, layout::REDACTIONS, layout::MANIFEST];
        State {
            archive,
            stage: None,
            frames: None,
            target: None,
            reserve: None,
            paths: taken.map(str::to_owned).into(),
            folded: taken.map(name::folded).into(),
            items: Vec::new(),
            in_flight: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// Takes a path, changed where it differs from an earlier one in case alone.
    pub(super) fn claim(&mut self, path: String) -> Result<String, WriteError> {
        if !self.paths.insert(path.clone()) {
            return Err(WriteError::DuplicatePath(path));
        }
        if self.folded.insert(name::folded(&path)) {
            return Ok(path);
        }
        self.claim_beside(path)
    }

    /// Takes the first free path that continues this one with `~2` and so on.
    pub(super) fn claim_beside(&mut self, path: String) -> Result<String, WriteError> {
        let mut others = (2u32..).map(|n| format!("{path}~{n}"));
        let free = others.find(|other| self.folded.insert(name::folded(other)));
        let free = free.ok_or(WriteError::DuplicatePath(path))?;
        self.paths.insert(free.clone());
        Ok(free)
    }

    /// Takes an item in, until it ends.
    pub(super) fn admit(&mut self, draft: ItemDraft, started: Timestamp) -> u64 {
        self.tickets += 1;
        self.in_flight.insert(self.tickets, (draft, started));
        self.tickets
    }

    /// Appends an entry that is compressed already. What does not fit on the disk is cut off again.
    pub(super) fn append(
        &mut self,
        name: &str,
        sizes: Sizes,
        compressed: impl Read,
        gauge: &Gauge,
    ) -> Result<(), WriteError> {
        if let Some(stage) = &mut self.stage {
            return stage.put(name, sizes, compressed);
        }
        let archive = self.archive.as_mut().ok_or(WriteError::Finished)?;
        let appended = entry::append(archive, name, sizes, compressed);
        let Err(error) = appended.map_err(WriteError::from).and_then(|()| Ok(archive.flush()?)) else {
            return Ok(());
        };
        if archive.abort_file().is_err() {
            gauge.given_up.store(true, Ordering::Relaxed);
            self.archive = None;
        }
        Err(self.describe(error))
    }

    /// Notes a record that has no content.
    pub(super) fn note(&mut self, record: ItemRecord) {
        // A stream that fails is told by the next item with content and by the end; a record has nobody to tell.
        if let Some(frames) = &mut self.frames
            && frames.item(&record, None::<(Sizes, std::io::Empty)>).is_err()
        {
            self.frames = None;
        }
        self.items.push(record);
    }

    /// Appends an entry that is no item.
    pub(super) fn append_whole(&mut self, name: &str, content: &[u8], shared: &Shared) -> Result<(), WriteError> {
        let mut packer = Packer::new(Spool::new(&shared.budget), name);
        packer.put(content)?;
        let (mut spool, sizes) = packer.finish()?;
        spool.rewind()?;
        self.append(name, sizes, spool, &shared.gauge)
    }

    /// Moves what was staged into the archive, sorted by path.
    pub(super) fn unstage(&mut self, shared: &Shared) -> Result<(), WriteError> {
        let Some(stage) = self.stage.take() else { return Ok(()) };
        stage.into_sorted(|name, sizes, compressed| self.append(name, sizes, compressed, &shared.gauge))
    }

    pub(super) fn give_up_in_flight(&mut self) {
        for (draft, started) in std::mem::take(&mut self.in_flight).into_values() {
            let end = ItemEnd::because(ItemStatus::NotReached, "it was still being gathered when the run ended");
            self.note(record(draft, end, started));
        }
    }

    /// Adds the file to an error of the system.
    pub(super) fn describe(&self, error: WriteError) -> WriteError {
        match (error, &self.target) {
            (WriteError::Io(source) | WriteError::Zip(ZipError::Io(source)), Some(target)) => {
                WriteError::Target { path: target.partial().to_owned(), source }
            }
            (error, _) => error,
        }
    }
}
