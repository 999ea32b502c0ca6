//! The directory of a zip: read once, held to the bounds, and to the headers it points at.

use std::collections::BTreeMap;
use std::io::Cursor;

use zip::CompressionMethod;
use zip::read::{Config, ZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::{Refusal, local_header, name};
use crate::limits::Limits;

/// Where an entry lies in the archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed {
    /// Where its compressed bytes begin.
    pub(crate) start: u64,
    /// Compressed bytes.
    pub(crate) compressed: u64,
    /// Uncompressed bytes, as the directory says.
    pub(crate) bytes: u64,
    /// CRC-32 of the uncompressed bytes, as the directory says.
    pub(crate) crc: u32,
    /// Whether it is deflated; otherwise stored.
    pub(crate) deflated: bool,
}

/// Why the directory cannot be used.
pub(crate) enum DirectoryError {
    /// It is not a zip, or a broken one.
    Broken(String),
    /// It lies, or meets a bound.
    Refused(Refusal),
}

impl From<ZipError> for DirectoryError {
    fn from(error: ZipError) -> Self {
        DirectoryError::Broken(error.to_string())
    }
}

impl From<Refusal> for DirectoryError {
    fn from(refusal: Refusal) -> Self {
        DirectoryError::Refused(refusal)
    }
}

/// Reads the directory: files by name, without folders.
pub(crate) fn directory(archive: &[u8], limits: &Limits) -> Result<BTreeMap<String, Packed>, DirectoryError> {
    // Entries come one at a time, so that the count is bounded before memory is spent, and duplicates stay visible.
    let mut entries = ZipIterable::try_new(Cursor::new(archive), Config::default())?;
    let count = entries.len();
    if count > limits.entries {
        let problem = format!("is one of {count} entries; the bound is {}", limits.entries);
        return Err(Refusal::new("(all)", problem).into());
    }
    let mut found = BTreeMap::new();
    let mut extents = Vec::with_capacity(count);
    let mut directory_start = u64::MAX;
    let mut total = 0u64;
    for entry in entries.files()? {
        let entry = entry?;
        let shown = entry.name()?.into_owned();
        let refuse = |problem: String| Refusal::new(&shown, problem);
        directory_start = directory_start.min(entry.central_header_start());
        let packed = check_entry(archive, &entry).map_err(refuse)?;
        let end = packed.start.checked_add(packed.compressed).ok_or_else(|| refuse("ends nowhere".to_owned()))?;
        extents.push((entry.header_start(), end, shown.clone()));
        total = total.saturating_add(packed.bytes);
        if total > limits.total {
            return Err(
                refuse(format!("brings the content to over {} bytes, the bound of a bundle", limits.total)).into()
            );
        }
        if found.insert(shown.clone(), packed).is_some() {
            return Err(refuse("is in the directory twice".to_owned()).into());
        }
    }
    check_extents(extents, directory_start)?;
    let mut found = if slashes_are_backslashes(&found) { with_slashes(found)? } else { found };
    for entry in found.keys() {
        name::check(entry, limits).map_err(|problem| Refusal::new(entry, problem))?;
    }
    found.retain(|entry, _| !entry.ends_with('/'));
    Ok(found)
}

fn check_entry(archive: &[u8], entry: &ZipFileEntry<'_>) -> Result<Packed, String> {
    if entry.encrypted() {
        return Err("is encrypted; unpack the file with its password, and open the folder".to_owned());
    }
    if entry.is_symlink() {
        return Err("is a symbolic link".to_owned());
    }
    let (deflated, method) = match entry.compression() {
        CompressionMethod::Stored => (false, 0),
        CompressionMethod::Deflated => (true, 8),
        other => return Err(format!("is compressed with {other}; unpack the file, and open the folder")),
    };
    let start = local_header::data_start(archive, entry, method)?;
    let packed =
        Packed { start, compressed: entry.compressed_size(), bytes: entry.size(), crc: entry.crc32(), deflated };
    if !deflated && packed.compressed != packed.bytes {
        return Err("is stored as it is, but with two sizes".to_owned());
    }
    Ok(packed)
}

/// Entries whose bytes overlap are how a small file becomes an endless one.
fn check_extents(mut extents: Vec<(u64, u64, String)>, directory_start: u64) -> Result<(), Refusal> {
    extents.sort();
    for pair in extents.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && end > start
        {
            return Err(Refusal::new(second, format!("overlaps entry {first:?}")));
        }
    }
    match extents.last() {
        Some((_, end, entry)) if *end > directory_start => {
            Err(Refusal::new(entry, "reaches into the directory at the file's end"))
        }
        _ => Ok(()),
    }
}

/// PowerShell 5's Compress-Archive writes `\` between folders. Where no name has a `/` that is what it means; where
/// both occur, somebody wants two programs to see two things, and [`name::check`] refuses it.
fn slashes_are_backslashes(found: &BTreeMap<String, Packed>) -> bool {
    found.keys().any(|name| name.contains('\\')) && !found.keys().any(|name| name.contains('/'))
}

fn with_slashes(found: BTreeMap<String, Packed>) -> Result<BTreeMap<String, Packed>, Refusal> {
    Ok(found.into_iter().map(|(name, packed)| (name.replace('\\', "/"), packed)).collect())
}
