//! Where an item waits, compressed, until it is complete: in memory while the budget that all items share allows it,
//! then in an unlinked file beside the bundle.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory is taken from the budget in steps of this size, so that few large items do not ask it for every write.
const STEP: u64 = 64 << 10;

/// What all items in flight may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    memory: u64,
    used: AtomicU64,
    spilled: AtomicU64,
    folder: Option<PathBuf>,
}

impl Budget {
    /// A budget of `memory` bytes; beyond it items spill into `folder`, or the system's folder for temporary files.
    pub(super) fn new(memory: u64, folder: Option<PathBuf>) -> Arc<Budget> {
        Arc::new(Budget { memory, used: AtomicU64::new(0), spilled: AtomicU64::new(0), folder })
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
///
/// After a failure, which the writer of the item was told of, it swallows what still comes: the compressor on top
/// flushes itself when it is dropped, and must find a place for it.
#[derive(Debug)]
pub(crate) struct Spool {
    place: Place,
    budget: Arc<Budget>,
    taken: u64,
    failed: bool,
}

#[derive(Debug)]
enum Place {
    Memory(Cursor<Vec<u8>>),
    File(File),
}

impl Spool {
    pub(super) fn new(budget: &Arc<Budget>) -> Spool {
        Spool { place: Place::Memory(Cursor::default()), budget: budget.clone(), taken: 0, failed: false }
    }

    /// Makes room in memory for a write that ends at `end`; moves to a file where there is none.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        let Place::Memory(buffer) = &mut self.place else { return Ok(()) };
        if end <= self.taken {
            return Ok(());
        }
        // Doubling, as the vector itself grows, so that the budget counts what is really allocated.
        let wanted = end.max(self.taken * 2).next_multiple_of(STEP);
        if self.budget.take(wanted - self.taken) {
            self.taken = wanted;
            let more = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(buffer.get_ref().len());
            buffer.get_mut().reserve_exact(more);
            return Ok(());
        }
        let mut file = self.budget.spill_file()?;
        let written = file.write_all(buffer.get_ref()).and_then(|()| file.seek(SeekFrom::Start(buffer.position())));
        written.map_err(|error| self.budget.in_folder(error))?;
        self.budget.spilled.fetch_add(buffer.get_ref().len() as u64, Ordering::Relaxed);
        self.budget.used.fetch_sub(self.taken, Ordering::Relaxed);
        self.taken = buffer.get_ref().len() as u64;
        self.place = Place::File(file);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Place::Memory(buffer) = &self.place {
            self.reserve(buffer.position() + bytes.len() as u64)?;
        }
        match &mut self.place {
            Place::Memory(buffer) => buffer.write(bytes),
            Place::File(file) => {
                let n = file.write(bytes).map_err(|error| self.budget.in_folder(error))?;
                self.budget.spilled.fetch_add(n as u64, Ordering::Relaxed);
                self.taken += n as u64;
                Ok(n)
            }
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
        if self.failed {
            return Ok(bytes.len());
        }
        let result = self.put(bytes);
        self.failed = result.is_err();
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Memory(memory) => memory.read(buffer),
            Place::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.place {
            Place::Memory(memory) => memory.seek(to),
            Place::File(file) => file.seek(to),
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
    fn a_spool_keeps_its_position_when_it_moves_to_a_file() {
        let budget = Budget::new(STEP, None);
        let mut spool = Spool::new(&budget);
        spool.write_all(b"0123456789").unwrap();
        spool.seek(SeekFrom::Start(4)).unwrap();
        spool.write_all(&vec![b'x'; 2 * STEP as usize]).unwrap();
        assert!(matches!(spool.place, Place::File(_)));
        let mut back = Vec::new();
        spool.rewind().unwrap();
        spool.read_to_end(&mut back).unwrap();
        assert_eq!(&back[..6], b"0123xx");
        assert_eq!(back.len(), 4 + 2 * STEP as usize);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let budget = Budget::new(0, Some("/nowhere/at/all".into()));
        let error = Spool::new(&budget).write_all(b"x").unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
