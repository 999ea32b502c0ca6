//! The bytes of an archive, shared by all threads that read it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;

use memmap2::Mmap;

/// Archives up to this size are read into memory, larger ones are mapped. Most bundles are below it, and what is in
/// memory cannot change under the reader; a mapping costs no anonymous memory, which is what matters for large ones.
const MAP_FROM: u64 = 32 << 20;

/// The whole archive as one slice.
pub(crate) enum Contents {
    /// Read into memory.
    Memory(Vec<u8>),
    /// Mapped.
    Mapped(Mmap),
}

impl Contents {
    /// Takes the bytes of a regular file.
    pub(crate) fn of(file: &File) -> io::Result<Contents> {
        let bytes = file.metadata()?.len();
        if bytes >= MAP_FROM {
            return Ok(Contents::Mapped(map(file)?));
        }
        let mut memory = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        // One byte more than the size tells whether the file grew past the bound while it was read.
        let mut reader = file;
        reader.by_ref().take(MAP_FROM + 1).read_to_end(&mut memory)?;
        if memory.len() as u64 > MAP_FROM {
            return Err(io::Error::other("the file grows while it is read"));
        }
        Ok(Contents::Memory(memory))
    }
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contents::Memory(bytes) => bytes,
            Contents::Mapped(bytes) => bytes,
        }
    }
}

/// Maps a file for reading; the only `unsafe` of the tree.
///
/// The risk that stays: whoever may write the file can shorten or change it while it is mapped. Shortened, the
/// kernel ends this process with SIGBUS (nothing is left half-written: reports are written after reading). Changed,
/// the inflater and the CRC see other bytes; every offset and length was copied out of the directory before, and is
/// bounded by the slice, so the worst is an entry that is reported as damaged. A bundle is a file that its reader
/// received and owns, so this is taken for not copying gigabytes.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the mapping is private and read-only, and lives as long as the value that is returned. The contract
    // that nobody changes the file meanwhile cannot be enforced by the system; what happens if it is broken is above.
    unsafe { Mmap::map(file) }
}
