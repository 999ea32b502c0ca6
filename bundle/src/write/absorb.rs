//! Taking an item into the bundle that another collector gathered and sent as a frame.

use std::io::{self, Read, Write};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};

use super::frames::Content;
use super::spool::Spool;
use super::{BundleWriter, WriteError};
use crate::hash::hex;
use crate::manifest::{ItemRecord, ItemStatus};

impl BundleWriter {
    /// Takes in an item with its content, which is read from `stream` whatever comes of it, so that the next frame
    /// follows. Returns the record as it is kept.
    ///
    /// The content is inflated on the way and compared with what the record says of it; one that differs is recorded as
    /// an error, for no bundle may hold what its manifest contradicts. An error is of the bundle or of the stream.
    pub fn absorb(
        &self,
        mut record: ItemRecord,
        content: Content,
        stream: &mut impl Read,
    ) -> Result<ItemRecord, WriteError> {
        let sizes = content.0;
        let mut spool = Spool::new(&self.shared.budget);
        let mut packed = stream.take(u64::from(sizes.compressed));
        let kept = tee(&mut packed, &mut spool, sizes.deflated);
        // What is left of a content that ended early or could not be kept is not the next frame.
        io::copy(&mut packed, &mut io::sink())?;
        if packed.limit() > 0 {
            return Err(WriteError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let found = match kept {
            Ok(found) => found,
            Err(Trouble::Damaged(error)) => return Ok(self.refuse(record, format!("it arrived damaged: {error}"))),
            Err(Trouble::Spool(error)) => return Err(error.into()),
        };
        let said = (sizes.crc, u64::from(sizes.bytes), record.sha256.as_deref());
        if (found.crc, found.bytes, Some(found.sha256.as_str())) != said || record.bytes != found.bytes {
            return Ok(self.refuse(record, "its content is not what its record says".to_owned()));
        }
        let Some(wanted) = record.path.take() else {
            return Ok(self.refuse(record, "it has content and no path".to_owned()));
        };
        if let Err(problem) = crate::read::name::check(&wanted, &crate::Limits::default()) {
            return Err(WriteError::BadPath { path: wanted, problem });
        }
        let path = self.claim_any(&wanted)?;
        spool.rewind()?;
        match self.append_packed(&path, sizes, spool) {
            Ok(()) => record.path = Some(path),
            Err(error) => {
                self.refuse(record, error.to_string());
                return Err(error);
            }
        }
        self.keep(record.clone());
        Ok(record)
    }

    /// Takes in a record without content.
    pub fn absorb_record(&self, mut record: ItemRecord) -> ItemRecord {
        (record.path, record.sha256, record.bytes) = (None, None, 0);
        self.keep(record.clone());
        record
    }

    /// Keeps the record of an item whose content was not taken.
    fn refuse(&self, mut record: ItemRecord, reason: String) -> ItemRecord {
        record.status = ItemStatus::Error;
        record.reason = Some(reason);
        self.absorb_record(record)
    }
}

/// What a content turned out to be.
struct Found {
    crc: u32,
    bytes: u64,
    sha256: String,
}

enum Trouble {
    Damaged(io::Error),
    Spool(io::Error),
}

/// Copies compressed bytes into the spool while they are inflated and measured.
fn tee(packed: &mut impl Read, spool: &mut Spool, deflated: bool) -> Result<Found, Trouble> {
    let mut copying = Copying { from: packed, to: spool, failed: None };
    let mut measure = Measure::default();
    let read = if deflated { measure.all(DeflateDecoder::new(&mut copying)) } else { measure.all(&mut copying) };
    if let Some(error) = copying.failed {
        return Err(Trouble::Spool(error));
    }
    read.map_err(Trouble::Damaged)?;
    Ok(Found { crc: measure.crc.sum(), bytes: measure.bytes, sha256: hex(&measure.hash.finalize()) })
}

#[derive(Default)]
struct Measure {
    crc: Crc,
    bytes: u64,
    hash: Sha256,
}

impl Measure {
    fn all(&mut self, mut content: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = content.read(&mut buffer)?;
            let part = buffer.get(..n).unwrap_or_default();
            if part.is_empty() {
                return Ok(());
            }
            if self.bytes > super::MAX_ITEM {
                return Err(io::Error::other("it is larger than any item may be"));
            }
            self.crc.update(part);
            self.hash.update(part);
            self.bytes += n as u64;
        }
    }
}

/// A reader that keeps what it gives.
struct Copying<'a, R> {
    from: &'a mut R,
    to: &'a mut Spool,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Copying<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(room)?;
        if let Err(error) = self.to.write_all(room.get(..n).unwrap_or_default()) {
            self.failed.get_or_insert(error);
        }
        Ok(n)
    }
}
