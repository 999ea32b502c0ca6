//! One entry: compressed on its own by the thread that gathers it, then appended to the archive as it is.

use std::io::{self, Read, Seek, Write};

use flate2::Crc;
use serde::{Deserialize, Serialize};
use zip::read::read_zipfile_from_stream;
use zip::result::{ZipError, ZipResult};
use zip::{DateTime, ZipWriter};

use super::compressor::{Compressor, Effort};
use super::spool::Spool;

/// What the archive says of an entry. Every entry is below 4 GiB ([`super::MAX_ITEM`]), so none needs zip64 sizes of
/// its own; the archive's directory gets zip64 where there are many entries or they lie beyond 4 GiB.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) crc: u32,
    pub(crate) compressed: u32,
    pub(crate) bytes: u32,
    /// Whether the bytes are deflated; stored as they are otherwise.
    pub(crate) deflated: bool,
}

/// Compresses one entry into a place of its own.
pub(crate) struct Packer {
    compressor: Compressor,
    place: Spool,
    crc: Crc,
    bytes: u64,
}

impl Packer {
    /// A packer of the entry of this name.
    pub(crate) fn new(place: Spool, name: &str) -> Packer {
        Packer { compressor: place.compressor(Effort::of(name)), place, crc: Crc::new(), bytes: 0 }
    }

    /// Bytes that were taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.compressor.put(bytes, &mut self.place)?;
        self.crc.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The place with everything in it, at its end.
    pub(crate) fn finish(mut self) -> io::Result<(Spool, Sizes)> {
        let compressed = self.compressor.finish(&mut self.place)?;
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, "an entry may have 4 GB");
        let compressed = u32::try_from(compressed).map_err(too_large)?;
        let bytes = u32::try_from(self.bytes).map_err(too_large)?;
        let sizes = Sizes { crc: self.crc.sum(), compressed, bytes, deflated: true };
        Ok((self.place, sizes))
    }
}

/// Appends an entry whose bytes are compressed already, with a fixed time and mode, so that the same content gives
/// the same bytes.
///
/// The zip writer copies entries as they are only out of another archive; so the entry is shown to it as the first of
/// one. Nothing of an older archive (times, owners, zip64 fields that no longer hold) comes along this way.
pub(crate) fn append<W: Write + Seek>(
    archive: &mut ZipWriter<W>,
    name: &str,
    sizes: Sizes,
    compressed: impl Read,
) -> ZipResult<()> {
    let header = local_header(name, sizes)?;
    let mut alone = header.as_slice().chain(compressed);
    let entry = read_zipfile_from_stream(&mut alone)?.ok_or(ZipError::FileNotFound)?;
    archive.raw_copy_file_touch(entry, DateTime::DEFAULT, Some(0o600))
}

/// The header in front of an entry (APPNOTE 6.3.10, 4.3.7).
fn local_header(name: &str, sizes: Sizes) -> ZipResult<Vec<u8>> {
    const MADE_BY_UNIX_NEEDS_2_0: u16 = 3 << 8 | 20;
    const UTF8_NAME: u16 = 1 << 11;
    const FIRST_OF_1980: [u16; 2] = [0, 0x21];
    let length = u16::try_from(name.len()).map_err(|_| ZipError::InvalidArchive("the name is too long".into()))?;
    let flags = if name.is_ascii() { 0 } else { UTF8_NAME };
    let method = if sizes.deflated { 8 } else { 0 };
    let mut header = b"PK\x03\x04".to_vec();
    for field in [MADE_BY_UNIX_NEEDS_2_0, flags, method, FIRST_OF_1980[0], FIRST_OF_1980[1]] {
        header.extend(field.to_le_bytes());
    }
    for field in [sizes.crc, sizes.compressed, sizes.bytes] {
        header.extend(field.to_le_bytes());
    }
    for field in [length, 0] {
        header.extend(field.to_le_bytes());
    }
    header.extend(name.as_bytes());
    Ok(header)
}
