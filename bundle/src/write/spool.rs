//! Where an item waits, compressed, until it is complete: in memory while the budget that all items share allows it,
//! then in an unlinked file beside the bundle.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::compressor::{Compressor, Compressors, Effort};

/// Memory is taken from the budget in steps of this size, so that few large items do not ask it for every write.
const STEP: u64 = 64 << 10;

/// What all items in flight may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    memory: u64,
    used: AtomicU64,
    spilled: AtomicU64,
    folder: Option<PathBuf>,
    compressors: Arc<Compressors>,
}

impl Budget {
    /// A budget of `memory` bytes; beyond it items spill into `folder`, or the system's folder for temporary files.
    pub(super) fn new(memory: u64, folder: Option<PathBuf>) -> Arc<Budget> {
        Arc::new(Budget {
            memory,
            used: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            folder,
            compressors: Arc::default(),
        })
    }

    /// Bytes in memory and in spill files.
    pub(super) fn in_flight(&self) -> u64 {
        self.used.load(Ordering::Relaxed) + self.spilled.load(Ordering::Relaxed)
    }

    /// An unlinked file where the budget spills to.
    pub(super) fn spill_file(&self) -> io::Result<File> {
        let file = match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        file.map_err(|error| self.in_folder(error))
    }

    fn in_folder(&self, error: io::Error) -> io::Error {
        let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        io::Error::new(error.kind(), format!("an item in flight cannot be kept in {}: {error}", folder.display()))
    }

    fn take(&self, bytes: u64) -> bool {
        let grow = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.memory);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_ok()
    }
}

/// A buffer that turns into a file when the budget is spent.
#[derive(Debug)]
pub(crate) struct Spool {
    place: Place,
    budget: Arc<Budget>,
    taken: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Pieces),
    File(File),
}

/// Bytes in pieces of [`STEP`]. One buffer that grows would be copied from place to place, and leave behind it memory that
/// the allocator does not give back: several times what the items hold.
#[derive(Debug, Default)]
struct Pieces {
    /// All but the last are full.
    pieces: Vec<Vec<u8>>,
    read: u64,
}

impl Pieces {
    fn len(&self) -> u64 {
        let last = self.pieces.last().map_or(0, Vec::len) as u64;
        (self.pieces.len() as u64).saturating_sub(1) * STEP + last
    }

    /// Appends as much as fits into the last piece, or into a new one.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let step = usize::try_from(STEP).unwrap_or(usize::MAX);
        if self.pieces.last().is_none_or(|last| last.len() == step) {
            self.pieces.push(Vec::with_capacity(step));
        }
        let Some(last) = self.pieces.last_mut() else { return 0 };
        let fits = bytes.get(..step - last.len()).unwrap_or(bytes);
        last.extend_from_slice(fits);
        fits.len()
    }

    fn next(&mut self, room: &mut [u8]) -> usize {
        let piece = usize::try_from(self.read / STEP).ok().and_then(|place| self.pieces.get(place));
        let within = usize::try_from(self.read % STEP).unwrap_or(0);
        let rest = piece.and_then(|piece| piece.get(within..)).unwrap_or_default();
        let given = rest.get(..room.len()).unwrap_or(rest);
        if let Some(room) = room.get_mut(..given.len()) {
            room.copy_from_slice(given);
        }
        self.read += given.len() as u64;
        given.len()
    }
}

impl Spool {
    pub(super) fn new(budget: &Arc<Budget>) -> Spool {
        Spool { place: Place::Memory(Pieces::default()), budget: budget.clone(), taken: 0 }
    }

    /// A compressor, of those that all items share.
    pub(super) fn compressor(&self, effort: Effort) -> Compressor {
        Compressor::of(&self.budget.compressors, effort)
    }

    /// Makes sure that there is room in memory for one more byte; moves to a file where there is none.
    fn reserve(&mut self) -> io::Result<()> {
        let Place::Memory(pieces) = &self.place else { return Ok(()) };
        if pieces.len() < self.taken {
            return Ok(());
        }
        if self.budget.take(STEP) {
            self.taken += STEP;
            return Ok(());
        }
        let mut file = self.budget.spill_file()?;
        for piece in &pieces.pieces {
            file.write_all(piece).map_err(|error| self.budget.in_folder(error))?;
        }
        let length = pieces.len();
        self.budget.spilled.fetch_add(length, Ordering::Relaxed);
        self.budget.used.fetch_sub(self.taken, Ordering::Relaxed);
        self.taken = length;
        self.place = Place::File(file);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.reserve()?;
        match &mut self.place {
            Place::Memory(pieces) => Ok(pieces.append(bytes)),
            Place::File(file) => {
                let n = file.write(bytes).map_err(|error| self.budget.in_folder(error))?;
                self.budget.spilled.fetch_add(n as u64, Ordering::Relaxed);
                self.taken += n as u64;
                Ok(n)
            }
        }
    }

    /// Goes back to the beginning, from which it is read when all is written.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Memory(pieces) => {
                pieces.read = 0;
                Ok(())
            }
            Place::File(file) => file.seek(SeekFrom::Start(0)).map(drop),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let counter = match self.place {
            Place::Memory(_) => &self.budget.used,
            Place::File(_) => &self.budget.spilled,
        };
        counter.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Memory(pieces) => Ok(pieces.next(buffer)),
            Place::File(file) => file.read(buffer),
        }
    }
}

/// The folder of a file, `.` where its path names none.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_share_one_budget_and_spill_beyond_it() {
        let budget = Budget::new(3 * STEP, None);
        let content = vec![7u8; 2 * STEP as usize];
        let mut first = Spool::new(&budget);
        first.write_all(&content).unwrap();
        let mut second = Spool::new(&budget);
        second.write_all(&content).unwrap();
        assert!(matches!(first.place, Place::Memory(_)));
        assert!(matches!(second.place, Place::File(_)));
        assert_eq!(budget.in_flight(), 4 * STEP);
        for mut spool in [first, second] {
            let mut back = Vec::new();
            spool.rewind().unwrap();
            spool.read_to_end(&mut back).unwrap();
            assert_eq!(back, content);
        }
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn a_spool_is_whole_in_memory_and_when_it_moves_to_a_file() {
        let content: Vec<u8> = (0..5 * STEP + 17).map(|n| (n % 251) as u8).collect();
        for (memory, in_memory) in [(9 * STEP, true), (2 * STEP, false)] {
            let budget = Budget::new(memory, None);
            let mut spool = Spool::new(&budget);
            // Pieces of a length that is no part of a step, so that they lie across its borders.
            for part in content.chunks(7_001) {
                spool.write_all(part).unwrap();
            }
            assert_eq!(matches!(spool.place, Place::Memory(_)), in_memory);
            for _ in 0..2 {
                let mut back = Vec::new();
                spool.rewind().unwrap();
                spool.read_to_end(&mut back).unwrap();
                assert!(back == content, "{memory} bytes of memory");
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let budget = Budget::new(0, Some("/nowhere/at/all".into()));
        let error = Spool::new(&budget).write_all(b"x").unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
