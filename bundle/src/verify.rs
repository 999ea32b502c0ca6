//! Whether a bundle's content is what its manifest says: the hash and length of every item, and nothing beside.
//!
//! Who reads items anyway checks them on the way: [`open_item`] hashes while it is read, [`check_content`] takes what
//! is in memory already. [`verify`] is for who wants nothing else.

use std::collections::BTreeSet;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::hash::hex;
use crate::layout;
use crate::manifest::ItemRecord;
use crate::read::{Bundle, EntryStream, ReadError};

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its path in the bundle.
    pub path: String,
    /// What is wrong, in a sentence.
    pub problem: String,
}

impl Mismatch {
    fn new(path: &str, problem: impl Into<String>) -> Mismatch {
        Mismatch { path: path.to_owned(), problem: problem.into() }
    }
}

/// Checks every item that has content, and the directory; gives what does not agree.
///
/// To use several threads, map [`check_item`] over the items, and add [`check_directory`].
pub fn verify(bundle: &Bundle) -> Vec<Mismatch> {
    let items = bundle.manifest().items.iter().filter_map(|item| check_item(bundle, item));
    items.chain(check_directory(bundle)).collect()
}

/// Recomputes the hash and the length of one item; none where they agree, or where it has no content.
pub fn check_item(bundle: &Bundle, item: &ItemRecord) -> Option<Mismatch> {
    let path = item.path.as_deref()?;
    match open_item(bundle, item) {
        Ok(stream) => stream.finish().err(),
        Err(error) => Some(Mismatch::new(path, error.to_string())),
    }
}

/// Compares content that was read whole with what the manifest says of it.
pub fn check_content(item: &ItemRecord, content: &[u8]) -> Option<Mismatch> {
    let path = item.path.as_deref()?;
    compare(path, Expected::of(item), content.len() as u64, &Sha256::digest(content)).err()
}

/// What needs no content to be seen: entries that no item names, and entries that several do. Items whose entry is
/// missing come from [`check_item`].
pub fn check_directory(bundle: &Bundle) -> Vec<Mismatch> {
    let mut named = BTreeSet::from([layout::README, layout::REDACTIONS, layout::MANIFEST]);
    let paths = bundle.manifest().items.iter().filter_map(|item| item.path.as_deref());
    let mut found: Vec<Mismatch> = paths
        .filter(|path| !named.insert(path))
        .map(|path| Mismatch::new(path, "is named by more than one item of the manifest"))
        .collect();
    let unnamed = bundle.entries().filter(|entry| !named.contains(entry.path.as_str()));
    found.extend(unnamed.map(|entry| Mismatch::new(&entry.path, "is named by no item of the manifest")));
    found
}

/// An item's content as a stream that is hashed while it is read.
pub struct ItemStream<'a> {
    path: &'a str,
    stream: EntryStream<'a>,
    hash: Sha256,
    bytes: u64,
    expected: Expected<'a>,
}

/// What the manifest says of an item's content.
#[derive(Clone, Copy)]
struct Expected<'a> {
    bytes: u64,
    sha256: Option<&'a str>,
}

impl<'a> Expected<'a> {
    fn of(item: &'a ItemRecord) -> Expected<'a> {
        Expected { bytes: item.bytes, sha256: item.sha256.as_deref() }
    }
}

/// Opens the content of an item. [`ReadError::Missing`] where the item has none, or names an entry that is not there.
pub fn open_item<'a>(bundle: &'a Bundle, item: &'a ItemRecord) -> Result<ItemStream<'a>, ReadError> {
    let path = item.path.as_deref().ok_or_else(|| ReadError::Missing(item.id.clone()))?;
    let stream = bundle.open_entry(path)?;
    Ok(ItemStream { path, stream, hash: Sha256::new(), bytes: 0, expected: Expected::of(item) })
}

impl ItemStream<'_> {
    /// Reads what is left, and compares with what the manifest says.
    pub fn finish(mut self) -> Result<(), Mismatch> {
        io::copy(&mut self, &mut io::sink())
            .map_err(|error| Mismatch::new(self.path, ReadError::from_io(self.path, error).to_string()))?;
        compare(self.path, self.expected, self.bytes, &self.hash.finalize())
    }
}

impl Read for ItemStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

fn compare(path: &str, expected: Expected<'_>, bytes: u64, hash: &[u8]) -> Result<(), Mismatch> {
    if bytes != expected.bytes {
        return Err(Mismatch::new(path, format!("has {bytes} bytes, the manifest says {}", expected.bytes)));
    }
    let found = hex(hash);
    match expected.sha256 {
        Some(expected) if expected.eq_ignore_ascii_case(&found) => Ok(()),
        Some(expected) => Err(Mismatch::new(path, format!("has sha256 {found}, the manifest says {expected}"))),
        None => Err(Mismatch::new(path, "has no sha256 in the manifest")),
    }
}
