//! A bundle's items as a stream that can be cut anywhere: each goes out when it is complete, its record before its content.
//!
//! A zip tells what came of its items in its last entry, so that one whose end is missing tells nothing. A collector in a
//! pod sends frames instead, over a connection that may break; [`super::BundleWriter::absorb`] takes them into the
//! bundle of the one who asked. A frame is the length of its head (4 bytes, big-endian), the head as JSON, and as many
//! bytes of compressed content as the head says.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::WriteError;
use super::entry::Sizes;
use super::sink::Sink;
use crate::manifest::{ItemRecord, Manifest};

/// The longest head that is believed: a record with a long reason, or a manifest without items.
const HEAD_AT_MOST: u32 = 4 << 20;

/// What stands at the head of a frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Head<'a> {
    /// An item, and the sizes of the content that follows, where it has any.
    Item(Box<Cow<'a, ItemRecord>>, Option<Sizes>),
    /// The end: the manifest without its items.
    End(Box<Manifest>),
}

/// The stream's writing end.
pub(super) struct Frames(Sink);

impl Frames {
    pub(super) fn new(sink: Sink) -> Frames {
        Frames(sink)
    }

    pub(super) fn item(&mut self, record: &ItemRecord, content: Option<(Sizes, impl Read)>) -> Result<(), WriteError> {
        let sizes = content.as_ref().map(|(sizes, _)| *sizes);
        self.head(&Head::Item(Box::new(Cow::Borrowed(record)), sizes))?;
        if let Some((_, mut content)) = content {
            io::copy(&mut content, &mut self.0)?;
        }
        Ok(self.0.flush()?)
    }

    /// Writes the end, and gives the stream's size and hash.
    pub(super) fn end(mut self, manifest: Manifest) -> Result<(u64, String), WriteError> {
        self.head(&Head::End(Box::new(manifest)))?;
        let (_, bytes, sha256) = self.0.finish()?;
        Ok((bytes, sha256))
    }

    fn head(&mut self, head: &Head<'_>) -> Result<(), WriteError> {
        let text = serde_json::to_vec(head)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.0.write_all(&length.to_be_bytes())?;
        Ok(self.0.write_all(&text)?)
    }
}

/// A frame that came.
pub enum Frame {
    /// An item without content.
    Record(Box<ItemRecord>),
    /// An item whose content is to be read next, with [`super::BundleWriter::absorb`].
    Item(Box<ItemRecord>, Content),
    /// The end: the manifest without its items.
    End(Box<Manifest>),
}

/// What is known of a content that follows.
#[derive(Debug, Clone, Copy)]
pub struct Content(pub(super) Sizes);

impl Content {
    /// Bytes as they come, compressed.
    pub fn compressed(&self) -> u64 {
        u64::from(self.0.compressed)
    }

    /// Reads a content that is wanted for itself, inflated, up to `at_most` bytes; the next frame follows.
    pub fn read(&self, stream: &mut impl Read, at_most: u64) -> io::Result<Vec<u8>> {
        let mut packed = stream.take(self.compressed());
        let mut content = Vec::new();
        if self.0.deflated {
            flate2::read::DeflateDecoder::new(&mut packed).take(at_most).read_to_end(&mut content)?;
        } else {
            (&mut packed).take(at_most).read_to_end(&mut content)?;
        }
        io::copy(&mut packed, &mut io::sink())?;
        Ok(content)
    }
}

/// Reads the next frame; none where the stream ended between two. An end in the middle of one is
/// [`io::ErrorKind::UnexpectedEof`], and what no writer of frames sends is [`io::ErrorKind::InvalidData`].
pub fn next(stream: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..])?;
    let length = u32::from_be_bytes(length);
    if length > HEAD_AT_MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame's head of {length} bytes")));
    }
    let mut text = Vec::new();
    if stream.take(u64::from(length)).read_to_end(&mut text)? < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let head = serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(match head {
        Head::Item(record, None) => Frame::Record(Box::new(record.into_owned())),
        Head::Item(record, Some(sizes)) => Frame::Item(Box::new(record.into_owned()), Content(sizes)),
        Head::End(manifest) => Frame::End(manifest),
    }))
}
