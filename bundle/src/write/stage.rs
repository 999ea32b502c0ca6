//! Where the items of a sorted bundle wait, compressed, until all are there: one unlinked file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::WriteError;
use super::entry::Sizes;

/// Compressed entries, one after the other.
pub(super) struct Stage {
    file: File,
    end: u64,
    entries: Vec<(String, Sizes, u64)>,
}

impl Stage {
    pub(super) fn new(file: File) -> Stage {
        Stage { file, end: 0, entries: Vec::new() }
    }

    /// Adds an entry; one that does not fit on the disk is cut off again.
    pub(super) fn put(&mut self, name: &str, sizes: Sizes, mut compressed: impl Read) -> Result<(), WriteError> {
        if let Err(error) = io::copy(&mut compressed, &mut self.file) {
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            return Err(error.into());
        }
        self.entries.push((name.to_owned(), sizes, self.end));
        self.end += u64::from(sizes.compressed);
        Ok(())
    }

    /// Hands out all entries in the order of their names.
    pub(super) fn into_sorted(
        mut self,
        mut take: impl FnMut(&str, Sizes, io::Take<&File>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        self.entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        for (name, sizes, start) in &self.entries {
            self.file.seek(SeekFrom::Start(*start))?;
            take(name, *sizes, (&self.file).take(u64::from(sizes.compressed)))?;
        }
        Ok(())
    }
}
