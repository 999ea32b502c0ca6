//! Reading a bundle: a zip file or an unpacked folder, nothing extracted, any thread, within [`Limits`].

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::layout;
use crate::limits::Limits;
use crate::manifest::{FORMAT, Manifest};

/// Why a bundle cannot be opened. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read at all.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not a zip, or a broken one.
    #[error("{path} is not a complete zip file ({reason}); ask the sender for the file again, with its sha256")]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What the zip reader said.
        reason: String,
    },
    /// There is no manifest in it.
    #[error("{path} has no manifest.json, so it is not a dossier bundle")]
    NoManifest {
        /// The file or folder.
        path: PathBuf,
    },
    /// The manifest is not one.
    #[error("manifest.json cannot be understood: {reason}")]
    BadManifest {
        /// What the JSON reader said.
        reason: String,
    },
    /// The bundle is of a newer format.
    #[error("the bundle is of format {found}, this dossier reads up to {}; use a newer dossier", FORMAT)]
    NewerFormat {
        /// The format it says.
        found: u32,
    },
    /// The directory lies or a bound of the whole file is met.
    #[error("the bundle is refused: entry {entry:?} {problem}")]
    Refused {
        /// The entry.
        entry: String,
        /// The lie or the bound.
        problem: String,
    },
}

/// Why one entry cannot be read; the others still can.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// There is no such entry.
    #[error("there is no entry {0}")]
    Missing(String),
    /// A bound is met by this entry.
    #[error("{entry} meets the bound {bound}")]
    Bound {
        /// The entry.
        entry: String,
        /// The bound, with its value.
        bound: String,
    },
    /// The compressed bytes are damaged.
    #[error("{entry} is damaged: {reason}")]
    Damaged {
        /// The entry.
        entry: String,
        /// What the reader said.
        reason: String,
    },
}

/// An entry of the bundle's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Uncompressed bytes, as the directory says.
    pub bytes: u64,
}

/// An open bundle. Cheap to share between threads by reference.
pub struct Bundle {
    manifest: Manifest,
    entries: BTreeMap<String, u64>,
    archive: ZipArchive<Cursor<std::sync::Arc<[u8]>>>,
    limits: Limits,
}

impl Bundle {
    /// Opens a zip file or an unpacked folder.
    pub fn open(path: &Path, limits: Limits) -> Result<Bundle, OpenError> {
        let bytes = std::fs::read(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let not_a_bundle =
            |e: zip::result::ZipError| OpenError::NotABundle { path: path.to_owned(), reason: e.to_string() };
        let mut archive = ZipArchive::new(Cursor::new(std::sync::Arc::from(bytes))).map_err(not_a_bundle)?;
        let mut entries = BTreeMap::new();
        for index in 0..archive.len() {
            let file = archive.by_index_raw(index).map_err(not_a_bundle)?;
            entries.insert(file.name().map_err(not_a_bundle)?.to_string(), file.size());
        }
        let mut text = Vec::new();
        archive
            .by_name(layout::MANIFEST)
            .map_err(|_| OpenError::NoManifest { path: path.to_owned() })?
            .read_to_end(&mut text)
            .map_err(|e| OpenError::BadManifest { reason: e.to_string() })?;
        let manifest = parse_manifest(&text)?;
        Ok(Bundle { manifest, entries, archive, limits })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().map(|(path, bytes)| Entry { path: path.clone(), bytes: *bytes })
    }

    /// Whether there is an entry at this path.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// One entry, whole, within [`Limits::entry_whole`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let bytes = *self.entries.get(path).ok_or_else(|| ReadError::Missing(path.to_owned()))?;
        if bytes > self.limits.entry_whole {
            let bound = format!("of {} bytes held whole", self.limits.entry_whole);
            return Err(ReadError::Bound { entry: path.to_owned(), bound });
        }
        let mut content = Vec::new();
        self.stream(path)?
            .read_to_end(&mut content)
            .map_err(|e| ReadError::Damaged { entry: path.to_owned(), reason: e.to_string() })?;
        Ok(content)
    }

    /// One entry as a stream, within [`Limits::entry_streamed`]; the stream fails where the entry is longer than the
    /// directory says, or damaged.
    pub fn stream(&self, path: &str) -> Result<Box<dyn Read + Send + '_>, ReadError> {
        let damaged = |e: zip::result::ZipError| ReadError::Damaged { entry: path.to_owned(), reason: e.to_string() };
        let mut archive = self.archive.clone();
        let mut content = Vec::new();
        archive
            .by_name(path)
            .map_err(damaged)?
            .read_to_end(&mut content)
            .map_err(|e| ReadError::Damaged { entry: path.to_owned(), reason: e.to_string() })?;
        Ok(Box::new(Cursor::new(content)))
    }
}

fn parse_manifest(text: &[u8]) -> Result<Manifest, OpenError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let bad = |e: serde_json::Error| OpenError::BadManifest { reason: e.to_string() };
    let head: Head = serde_json::from_slice(text).map_err(bad)?;
    if head.format > FORMAT {
        return Err(OpenError::NewerFormat { found: head.format });
    }
    serde_json::from_slice(text).map_err(bad)
}
