//! Where the entries of a bundle lie: in an archive, or in a folder; and reading one of them within the bounds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;

use super::archive::{self, DirectoryError, Packed};
use super::contents::Contents;
use super::stream::{Body, EntryStream};
use super::{OpenError, ReadError, Refusal, folder, name};
use crate::layout;
use crate::limits::Limits;
use crate::write::entry::Sizes;

/// The entries by path, and what their bytes lie in.
pub(super) struct Container {
    pub(super) entries: BTreeMap<String, Place>,
    contents: Option<Contents>,
    limits: Limits,
}

/// Where the content of an entry lies.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Packed(Packed),
    File { path: PathBuf, bytes: u64 },
}

impl Place {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Place::Packed(packed) => packed.bytes,
            Place::File { bytes, .. } => *bytes,
        }
    }
}

/// The content of an entry as it lies there.
pub(crate) enum Raw<'a> {
    /// Compressed, or stored in an archive.
    Packed(Sizes, &'a [u8]),
    /// A file of a folder.
    Plain(EntryStream<'a>),
}

impl Container {
    /// Opens a zip file or a folder, and refuses what lies or has no manifest.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Container, OpenError> {
        let io_error = |source| OpenError::Io { path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(io_error)?;
        if kind.is_dir() {
            let entries = Container::entries_of_folder(path, &limits)?;
            return Container::tidied(path, entries, None, limits);
        }
        if !kind.is_file() {
            let problem = "it is neither a file nor a folder; write the bundle to a file first";
            return Err(io_error(io::Error::other(problem)));
        }
        let contents = File::open(path).and_then(|file| Contents::of(&file)).map_err(io_error)?;
        Container::of_archive(path, contents, limits)
    }

    /// Opens the bytes of a zip.
    pub(super) fn of_archive(path: &Path, contents: Contents, limits: Limits) -> Result<Container, OpenError> {
        let entries = Container::entries_of_archive(path, &contents, &limits)?;
        Container::tidied(path, entries, Some(contents), limits)
    }

    fn tidied(
        path: &Path,
        entries: BTreeMap<String, Place>,
        contents: Option<Contents>,
        limits: Limits,
    ) -> Result<Container, OpenError> {
        let entries = tidy(entries)?;
        if !entries.contains_key(layout::MANIFEST) {
            return Err(no_manifest(path, &entries));
        }
        Ok(Container { entries, contents, limits })
    }

    fn entries_of_archive(
        path: &Path,
        contents: &Contents,
        limits: &Limits,
    ) -> Result<BTreeMap<String, Place>, OpenError> {
        let found = archive::directory(contents, limits).map_err(|error| match error {
            DirectoryError::Refused(refusal) => refusal.into(),
            DirectoryError::Broken(reason) => OpenError::NotABundle {
                path: path.to_owned(),
                reason: what_it_is(contents).map_or(reason, str::to_owned),
            },
        })?;
        Ok(found.into_iter().map(|(name, packed)| (name, Place::Packed(packed))).collect())
    }

    fn entries_of_folder(path: &Path, limits: &Limits) -> Result<BTreeMap<String, Place>, OpenError> {
        let found = folder::files(path, limits)?;
        Ok(found.into_iter().map(|(name, (path, bytes))| (name, Place::File { path, bytes })).collect())
    }

    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let mut stream = self.open_entry(path)?;
        let bytes = stream.len();
        if bytes > self.limits.entry_whole {
            let bound = format!("of {} bytes for an entry held whole", self.limits.entry_whole);
            return Err(ReadError::Bound { entry: path.to_owned(), bound });
        }
        // Bounded above, and by the ratio for what claims to be large; untouched memory costs nothing.
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        stream.read_to_end(&mut content).map_err(|error| ReadError::from_io(path, error))?;
        Ok(content)
    }

    pub(super) fn open_entry(&self, path: &str) -> Result<EntryStream<'_>, ReadError> {
        let missing = || ReadError::Missing(path.to_owned());
        let (path, place) = self.entries.get_key_value(path).ok_or_else(missing)?;
        self.check_bounds(path, place)?;
        match (place, &self.contents) {
            (Place::Packed(packed), Some(contents)) => {
                let bytes = packed_bytes(contents, packed).ok_or_else(missing)?;
                let body = match packed.deflated {
                    true => Body::Deflated(Box::new(DeflateDecoder::new(bytes))),
                    false => Body::Stored(bytes),
                };
                Ok(EntryStream::new(path, body, packed.bytes, Some(packed.crc)))
            }
            (Place::File { path: file, .. }, _) => {
                let damaged = |e: io::Error| ReadError::Damaged {
                    entry: path.clone(),
                    reason: format!("it cannot be read: {e}"),
                };
                let (file, bytes) = folder::open(file).map_err(damaged)?;
                Ok(EntryStream::new(path, Body::File(file), bytes, None))
            }
            (Place::Packed(_), None) => Err(missing()),
        }
    }

    /// Leaves out what desktop systems added, unless the bundle itself holds a file of that name.
    pub(super) fn drop_litter(&mut self, belongs: impl Fn(&str) -> bool) {
        self.entries.retain(|name, _| belongs(name) || !name::is_desktop_litter(name));
    }

    pub(super) fn raw(&self, path: &str) -> Result<Raw<'_>, ReadError> {
        let missing = || ReadError::Missing(path.to_owned());
        let (Some(Place::Packed(packed)), Some(contents)) = (self.entries.get(path), &self.contents) else {
            return Ok(Raw::Plain(self.open_entry(path)?));
        };
        let too_large = |_| ReadError::Bound { entry: path.to_owned(), bound: "of 4 GiB for an entry".to_owned() };
        let sizes = Sizes {
            crc: packed.crc,
            compressed: u32::try_from(packed.compressed).map_err(too_large)?,
            bytes: u32::try_from(packed.bytes).map_err(too_large)?,
            deflated: packed.deflated,
        };
        Ok(Raw::Packed(sizes, packed_bytes(contents, packed).ok_or_else(missing)?))
    }

    fn check_bounds(&self, path: &str, place: &Place) -> Result<(), ReadError> {
        let limits = &self.limits;
        let meets = |bound: String| Err(ReadError::Bound { entry: path.to_owned(), bound });
        let bytes = place.bytes();
        if bytes > limits.entry_streamed {
            return meets(format!("of {} bytes for an entry", limits.entry_streamed));
        }
        match place {
            Place::Packed(packed)
                if bytes > limits.ratio_from && bytes > packed.compressed.saturating_mul(limits.ratio) =>
            {
                meets(format!("of {} : 1 for compression above {} bytes", limits.ratio, limits.ratio_from))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of an entry in the archive; none where they lie outside of the file, which [`archive::directory`] has
/// ruled out.
fn packed_bytes<'a>(contents: &'a [u8], packed: &Packed) -> Option<&'a [u8]> {
    let start = usize::try_from(packed.start).ok()?;
    let length = usize::try_from(packed.compressed).ok()?;
    contents.get(start..)?.get(..length)
}

/// Strips one folder around everything, and refuses names that differ in case alone.
fn tidy(mut entries: BTreeMap<String, Place>) -> Result<BTreeMap<String, Place>, OpenError> {
    if let Some(folder) = folder_around(&entries) {
        let inside = |(name, place): (String, Place)| Some((name.strip_prefix(&folder)?.to_owned(), place));
        entries = entries.into_iter().filter_map(inside).collect();
    }
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    for name in entries.keys() {
        if let Some(other) = folded.insert(name::folded(name), name) {
            return Err(Refusal::new(name, format!("differs from {other:?} in case alone")).into());
        }
    }
    Ok(entries)
}

/// The folder, with its `/`, that everything but litter lies in, where the manifest is not at the top.
fn folder_around(entries: &BTreeMap<String, Place>) -> Option<String> {
    let mut names = entries.keys().filter(|name| !name::is_desktop_litter(name));
    let first = names.next()?;
    let folder = &first[..=first.find('/')?];
    let manifest = format!("{folder}{}", layout::MANIFEST);
    (entries.contains_key(&manifest) && names.all(|name| name.starts_with(folder))).then(|| folder.to_owned())
}

/// A word on what a file that is no zip seems to be.
fn what_it_is(contents: &[u8]) -> Option<&'static str> {
    if contents.is_empty() {
        return Some("it is empty");
    }
    if contents.starts_with(b"PK\x03\x04") {
        return Some("it begins like one, but its end is missing or damaged");
    }
    if contents.starts_with(b"\x1f\x8b") {
        return Some("it is a gzip file; bundles are zip files");
    }
    None
}

fn no_manifest(path: &Path, entries: &BTreeMap<String, Place>) -> OpenError {
    let inner = entries.keys().find(|name| name.to_lowercase().ends_with(".zip"));
    match inner {
        Some(inner) => OpenError::Wrapped { path: path.to_owned(), inner: inner.clone() },
        None => OpenError::NoManifest { path: path.to_owned() },
    }
}
