//! The archive under its lock: what was appended, what is in flight, which paths are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use zip::result::ZipError;
use zip::{ZipArchive, ZipWriter};

use super::item::record;
use super::sink::{Output, Sink};
use super::spool::Spool;
use super::target::Target;
use super::{ItemDraft, ItemEnd, Shared, WriteError, entry_options};
use crate::layout;
use crate::manifest::{ItemRecord, ItemStatus};
use crate::read::name;

/// What threads take turns with.
pub(super) struct State {
    /// The archive that items are appended to; none after the end, or after a stream failed.
    pub(super) zip: Option<ZipWriter<Sink>>,
    /// Where the finished bundle goes, while items are staged elsewhere to be sorted.
    pub(super) staged_for: Option<Output>,
    pub(super) target: Option<Target>,
    pub(super) readme: String,
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
    pub(super) fn new(zip: ZipWriter<Sink>, staged_for: Option<Output>, readme: &str) -> State {
        let taken = [layout::README, layout::MANIFEST];
        State {
            zip: Some(zip),
            staged_for,
            target: None,
            readme: readme.to_owned(),
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
        let others = (2u32..).map(|n| format!("{path}~{n}"));
        let free = others.into_iter().find(|other| self.folded.insert(name::folded(other)));
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

    /// Copies the first entry of another archive as it is. What does not fit on the disk is cut off again.
    pub(super) fn copy_in<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        shared: &Shared,
    ) -> Result<(), WriteError> {
        self.copy_entry(archive, 0, shared)
    }

    fn copy_entry<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        index: usize,
        shared: &Shared,
    ) -> Result<(), WriteError> {
        let zip = self.zip.as_mut().ok_or(WriteError::Finished)?;
        let entry = archive.by_index_raw(index)?;
        let copied = zip.raw_copy_file(entry).map_err(WriteError::from).and_then(|()| Ok(zip.flush()?));
        let Err(error) = copied else { return Ok(()) };
        if zip.abort_file().is_err() {
            shared.gauge.given_up.store(true, Ordering::Relaxed);
            self.zip = None;
        }
        Err(self.describe(error))
    }

    /// Writes an entry that is no item.
    pub(super) fn put_whole(&mut self, path: &str, content: &[u8], shared: &Shared) -> Result<(), WriteError> {
        let mut one = ZipWriter::new(Spool::new(&shared.budget));
        one.start_file(path, entry_options())?;
        one.write_all(content)?;
        self.copy_in(&mut one.finish_into_readable()?, shared)
    }

    /// Copies what was staged into the bundle itself, sorted by path.
    pub(super) fn unstage(&mut self, shared: &Shared) -> Result<(), WriteError> {
        let stage = self.zip.take().ok_or(WriteError::Finished)?;
        let (Output::File(file), ..) = stage.finish()?.finish()? else { return Err(WriteError::Finished) };
        let mut archive = ZipArchive::new(file)?;
        let mut order: Vec<usize> = (0..archive.len()).collect();
        let names: Vec<&[u8]> = archive.file_names_raw().collect();
        order.sort_by_key(|index| names.get(*index));
        let output = self.staged_for.take().ok_or(WriteError::Finished)?;
        self.zip = Some(ZipWriter::new(Sink::new(output, shared.gauge.clone())));
        let readme = std::mem::take(&mut self.readme);
        self.put_whole(layout::README, readme.as_bytes(), shared)?;
        order.into_iter().try_for_each(|index| self.copy_entry(&mut archive, index, shared))
    }

    pub(super) fn give_up_in_flight(&mut self) {
        for (draft, started) in std::mem::take(&mut self.in_flight).into_values() {
            let end = ItemEnd::because(ItemStatus::NotReached, "it was still being gathered when the run ended");
            self.items.push(record(draft, end, started));
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
