//! One item that is being written: filtered, hashed and compressed as it comes, by the thread that gathers it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::entry::{Packer, Sizes};
use super::spent::{ContentCosts, noted};
use super::spool::Spool;
use super::{BundleWriter, ItemDraft, ItemEnd, MAX_ITEM, WriteError};
use crate::filter::ItemFilter;
use crate::hash::hex;
use crate::manifest::{ItemRecord, ItemStatus};

/// One item that is being written. Dropped without [`ItemWriter::end`] it is recorded as `error`.
///
/// It waits compressed, and is copied into the bundle as it is when it ends; only that copy holds the bundle's lock.
/// Of an item larger than [`MAX_ITEM`] the beginning is kept, and it is recorded as `truncated`.
pub struct ItemWriter {
    writer: BundleWriter,
    item: Option<Item>,
}

struct Item {
    ticket: u64,
    draft: ItemDraft,
    path: String,
    packer: Packer,
    filter: Box<dyn ItemFilter>,
    filtered: Vec<u8>,
    hash: Sha256,
    too_much: u64,
    started: Timestamp,
    trouble: Option<Trouble>,
    costs: Option<Arc<ContentCosts>>,
}

/// Why nothing more can be taken of an item.
enum Trouble {
    /// Its filter failed: nothing of it may be written (redaction fails closed).
    Filter(String),
    /// It could not be kept.
    Spool(io::ErrorKind, String),
}

impl ItemWriter {
    pub(super) fn new(
        writer: BundleWriter,
        ticket: u64,
        draft: ItemDraft,
        path: String,
        spool: Spool,
        filter: Box<dyn ItemFilter>,
        started: Timestamp,
    ) -> ItemWriter {
        let item = Item {
            ticket,
            draft,
            packer: Packer::new(spool, &path),
            path,
            filter,
            filtered: Vec::new(),
            hash: Sha256::new(),
            too_much: 0,
            started,
            trouble: None,
            costs: writer.shared.costs.clone(),
        };
        ItemWriter { writer, item: Some(item) }
    }

    /// Says that the item was asked for at this moment, where its path was claimed only when its first byte came.
    pub fn asked_at(&mut self, started: Timestamp) {
        if let Some(item) = &mut self.item {
            item.started = started;
        }
    }

    /// Bytes of content so far, after the filter.
    pub fn bytes(&self) -> u64 {
        self.item.as_ref().map_or(0, |item| item.packer.bytes())
    }

    /// Where the item will lie in the bundle.
    pub fn path(&self) -> &str {
        self.item.as_ref().map_or("", |item| &item.path)
    }

    /// Ends the item and appends it to the bundle.
    ///
    /// Where that fails the item is recorded all the same, without content: as `withheld` if its filter failed, else
    /// as `error` with the reason. The bundle can go on, unless it goes to a stream.
    pub fn end(mut self, end: ItemEnd) -> Result<(), WriteError> {
        match self.item.take() {
            Some(item) => item.end(&self.writer, end),
            None => Err(WriteError::Finished),
        }
    }
}

impl Write for ItemWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.item {
            Some(item) => item.write(bytes),
            None => Err(io::Error::other("the item has ended")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ItemWriter {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            let end = ItemEnd::because(ItemStatus::Error, "the collector gave up before the item ended");
            item.abandon(&self.writer, end);
        }
    }
}

impl Item {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.trouble.is_none() {
            self.filtered.clear();
            let (filter, filtered) = (&mut self.filter, &mut self.filtered);
            let filtering = self.costs.as_ref().map(|costs| &costs.filter);
            match noted(filtering, || filter.push(bytes, filtered)) {
                Ok(()) => self.put_filtered(),
                Err(error) => self.trouble = Some(Trouble::Filter(error.to_string())),
            }
        }
        match &self.trouble {
            None => Ok(bytes.len()),
            Some(Trouble::Filter(reason)) => Err(io::Error::other(format!("the filter failed: {reason}"))),
            Some(Trouble::Spool(kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
        }
    }

    fn put_filtered(&mut self) {
        let room = usize::try_from(MAX_ITEM.saturating_sub(self.packer.bytes())).unwrap_or(usize::MAX);
        let (kept, dropped) = self.filtered.split_at(room.min(self.filtered.len()));
        self.too_much += dropped.len() as u64;
        let (hash, packer, costs) = (&mut self.hash, &mut self.packer, self.costs.as_deref());
        noted(costs.map(|costs| &costs.hash), || hash.update(kept));
        if let Err(error) = noted(costs.map(|costs| &costs.deflate), || packer.put(kept)) {
            self.trouble = Some(Trouble::Spool(error.kind(), error.to_string()));
        }
    }

    fn end(mut self, writer: &BundleWriter, end: ItemEnd) -> Result<(), WriteError> {
        let mut redactions = BTreeMap::new();
        if self.trouble.is_none() {
            self.filtered.clear();
            let (filter, filtered) = (&mut self.filter, &mut self.filtered);
            let filtering = self.costs.as_ref().map(|costs| &costs.filter);
            match noted(filtering, || filter.finish(filtered)) {
                Ok(masked) => {
                    redactions = masked;
                    self.put_filtered();
                }
                Err(error) => self.trouble = Some(Trouble::Filter(error.to_string())),
            }
        }
        match self.trouble.take() {
            None => self.append(writer, end, redactions),
            Some(Trouble::Filter(reason)) => {
                let error = WriteError::Withheld { path: self.path.clone(), reason };
                self.abandon(writer, ItemEnd::because(ItemStatus::Withheld, error.to_string()));
                Err(error)
            }
            Some(Trouble::Spool(kind, reason)) => {
                self.abandon(writer, ItemEnd::because(ItemStatus::Error, reason.clone()));
                Err(io::Error::new(kind, reason).into())
            }
        }
    }

    fn append(
        self,
        writer: &BundleWriter,
        mut end: ItemEnd,
        redactions: BTreeMap<String, u64>,
    ) -> Result<(), WriteError> {
        if self.too_much > 0 {
            end.bytes_dropped += self.too_much;
            if matches!(end.status, ItemStatus::Ok | ItemStatus::Empty) {
                end.status = ItemStatus::Truncated;
            }
            end.reason.get_or_insert_with(|| format!("it is larger than {MAX_ITEM} bytes; its end was dropped"));
        }
        let bytes = self.packer.bytes();
        let deflating = self.costs.as_ref().map(|costs| &costs.deflate);
        let rewound = noted(deflating, || self.packer.finish()).and_then(|(mut spool, sizes)| {
            spool.rewind()?;
            Ok((spool, sizes))
        });
        let (spool, sizes): (Spool, Sizes) = match rewound {
            Ok(packed) => packed,
            Err(error) => {
                let end = ItemEnd::because(ItemStatus::Error, error.to_string());
                writer.settle(self.ticket, record(self.draft, end, self.started));
                return Err(error.into());
            }
        };
        let record = ItemRecord {
            path: Some(self.path),
            bytes,
            sha256: Some(hex(&self.hash.finalize())),
            redactions,
            ..record(self.draft, end, self.started)
        };
        writer.append(self.ticket, sizes, spool, record)
    }

    fn abandon(self, writer: &BundleWriter, end: ItemEnd) {
        writer.settle(self.ticket, record(self.draft, end, self.started));
    }
}

/// The record of an item that gave no content.
pub(super) fn record(draft: ItemDraft, end: ItemEnd, started: Timestamp) -> ItemRecord {
    let elapsed = Timestamp::now().duration_since(started);
    ItemRecord {
        id: draft.id,
        scope: draft.scope,
        path: None,
        source: draft.source,
        plan: draft.plan,
        status: end.status,
        reason: end.reason,
        started,
        duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(0),
        exit_code: end.exit_code,
        bytes: 0,
        bytes_dropped: end.bytes_dropped,
        stderr_tail: end.stderr_tail,
        sha256: None,
        redactions: BTreeMap::new(),
        link_target: end.link_target,
    }
}
