//! The end of the archive: bytes are only ever appended, so that the hash of the file is known when it is written,
//! and standard output gets the same bytes as a file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};

const BUFFER: usize = 256 << 10;

/// Where the archive goes.
pub(super) enum Output {
    /// A file of our own, which can be cut back.
    File(File),
    /// Standard output or the like.
    Stream(Box<dyn Write + Send>),
}

impl Output {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::File(file) => file.write_all(bytes),
            Output::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// What others may see of the archive without waiting for it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Bytes written so far.
    pub(super) written: AtomicU64,
    /// Set when the bundle is given up: what the zip writer still says is thrown away.
    pub(super) given_up: AtomicBool,
}

/// Appends, hashes and counts.
///
/// Every entry is copied in with its sizes known, so the zip writer has nothing to go back for. The one way back is
/// to the last flush, which cuts off an entry that did not fit on the disk. A failure is told by the next flush and
/// not before: the zip writer forgets an entry by itself when one of its writes fails, but not always, and must not
/// be told twice.
pub(super) struct Sink {
    output: Output,
    buffer: Vec<u8>,
    hash: Sha256,
    position: u64,
    mark: (u64, Sha256),
    failure: Option<io::Error>,
    failed: bool,
    gauge: Arc<Gauge>,
}

impl Sink {
    pub(super) fn new(output: Output, gauge: Arc<Gauge>) -> Sink {
        Sink {
            output,
            buffer: Vec::with_capacity(BUFFER),
            hash: Sha256::new(),
            position: 0,
            mark: (0, Sha256::new()),
            failure: None,
            failed: false,
            gauge,
        }
    }

    /// The output, the size and the hash of everything that was written.
    pub(super) fn finish(mut self) -> io::Result<(Output, u64, String)> {
        self.flush()?;
        Ok((self.output, self.position, crate::hash::hex(&self.hash.finalize())))
    }

    fn drain(&mut self) {
        if !self.failed
            && !self.gauge.given_up.load(Ordering::Relaxed)
            && let Err(error) = self.output.write_all(&self.buffer)
        {
            self.failed = true;
            self.failure = Some(error);
        }
        self.buffer.clear();
    }

    /// Cuts off what came after the mark.
    fn back_to_mark(&mut self) -> io::Result<u64> {
        let (position, hash) = &self.mark;
        match &mut self.output {
            Output::File(file) => {
                file.set_len(*position)?;
                file.seek(SeekFrom::Start(*position))?;
            }
            Output::Stream(_) => return Err(io::Error::other("what went to a stream cannot be taken back")),
        }
        self.buffer.clear();
        self.failed = false;
        self.failure = None;
        self.hash = hash.clone();
        self.position = *position;
        Ok(self.position)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.drain();
        }
        self.buffer.extend_from_slice(bytes);
        self.hash.update(bytes);
        self.position += bytes.len() as u64;
        self.gauge.written.store(self.position, Ordering::Relaxed);
        Ok(bytes.len())
    }

    /// Brings everything out, and marks the place as one that can be gone back to.
    fn flush(&mut self) -> io::Result<()> {
        self.drain();
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.mark = (self.position, self.hash.clone());
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Current(0) | SeekFrom::End(0) => Ok(self.position),
            SeekFrom::Start(place) if place == self.mark.0 && place != self.position => self.back_to_mark(),
            SeekFrom::Start(place) if place == self.position => Ok(place),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the archive is only appended to")),
        }
    }
}
