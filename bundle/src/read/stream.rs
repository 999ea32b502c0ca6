//! One entry as a stream: inflated straight from the archive's bytes, with length and checksum held to what the
//! directory says.

use std::fs::File;
use std::io::{self, Read};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

use crate::read::ReadError;

/// Reads one entry. It fails with a [`ReadError`] inside the [`io::Error`] where the entry is damaged, and never
/// hands out the last bytes of an entry whose checksum or length is wrong.
pub struct EntryStream<'a> {
    path: &'a str,
    body: Body<'a>,
    expected: u64,
    read: u64,
    checksum: Option<(Hasher, u32)>,
}

pub(super) enum Body<'a> {
    Stored(&'a [u8]),
    // Boxed, as the inflater's window makes it far larger than the rest.
    Deflated(Box<DeflateDecoder<&'a [u8]>>),
    File(File),
}

impl<'a> EntryStream<'a> {
    pub(super) fn new(path: &'a str, body: Body<'a>, expected: u64, crc: Option<u32>) -> Self {
        EntryStream { path, body, expected, read: 0, checksum: crc.map(|crc| (Hasher::new(), crc)) }
    }

    /// Bytes of content that the directory announces.
    pub fn len(&self) -> u64 {
        self.expected
    }

    /// Whether the directory announces no content.
    pub fn is_empty(&self) -> bool {
        self.expected == 0
    }

    fn damaged(&self, reason: impl Into<String>) -> io::Error {
        let error = ReadError::Damaged { entry: self.path.to_owned(), reason: reason.into() };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.body {
            Body::Stored(rest) => rest.read(buffer),
            Body::Deflated(inflater) => inflater.read(buffer),
            Body::File(file) => file.read(buffer),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.damaged(error.to_string())),
            Ok(n) => Ok(n),
        }
    }

    /// Called when as many bytes were read as announced: there must be no more of them, and the checksum must agree.
    fn check_end(&mut self) -> io::Result<()> {
        if self.read_body(&mut [0])? != 0 {
            return Err(self.damaged(format!("it is longer than the {} bytes it announces", self.expected)));
        }
        let checksum = self.checksum.as_ref().map(|(hasher, announced)| (hasher.clone().finalize(), *announced));
        match checksum {
            Some((found, announced)) if found != announced => {
                Err(self.damaged(format!("its checksum is {found:08x}, the directory says {announced:08x}")))
            }
            _ => Ok(()),
        }
    }
}

impl Read for EntryStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.expected - self.read;
        if buffer.is_empty() || left == 0 {
            // An empty entry is still held to its checksum; a finished one was checked with its last bytes.
            return if self.expected == 0 { self.check_end().map(|()| 0) } else { Ok(0) };
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.read_body(&mut buffer[..wanted])?;
        if n == 0 {
            return Err(
                self.damaged(format!("it ends after {} of the {} bytes it announces", self.read, self.expected))
            );
        }
        if let Some((hasher, _)) = &mut self.checksum {
            hasher.update(&buffer[..n]);
        }
        if n as u64 == left {
            self.check_end()?;
        }
        self.read += n as u64;
        Ok(n)
    }
}
