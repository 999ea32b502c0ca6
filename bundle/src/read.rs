//! Reading a bundle: a zip file or an unpacked folder, nothing extracted, any thread, within [`Limits`].

mod archive;
mod container;
mod contents;
mod error;
mod folder;
mod local_header;
pub(crate) mod name;
mod stream;

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use crate::layout;
use crate::limits::Limits;
use crate::manifest::{FORMAT, Manifest};

use container::Container;
pub(crate) use container::Raw;
use contents::Contents;
pub(crate) use error::Refusal;
pub use error::{OpenError, ReadError};
pub use stream::EntryStream;

/// An entry of the bundle's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Uncompressed bytes, as the directory says.
    pub bytes: u64,
}

/// An open bundle. Cheap to share between threads by reference: every read has its own position.
pub struct Bundle {
    manifest: Manifest,
    container: Container,
}

impl Bundle {
    /// Opens a zip file or an unpacked folder.
    ///
    /// A bundle that a person packed again is taken too: one folder around everything is stripped, what desktop
    /// systems add (`__MACOSX/`, `.DS_Store`, `Thumbs.db`) is left out.
    pub fn open(path: &Path, limits: Limits) -> Result<Bundle, OpenError> {
        Bundle::of_container(Container::open(path, limits)?)
    }

    /// Opens a zip that is in memory; `name` is what errors call it.
    pub fn from_bytes(name: &Path, bytes: Vec<u8>, limits: Limits) -> Result<Bundle, OpenError> {
        Bundle::of_container(Container::of_archive(name, Contents::Memory(bytes), limits)?)
    }

    fn of_container(mut container: Container) -> Result<Bundle, OpenError> {
        let text = container.read(layout::MANIFEST).map_err(|e| OpenError::BadManifest { reason: e.to_string() })?;
        let manifest = parse_manifest(&text)?;
        let named: HashSet<&str> = manifest.items.iter().filter_map(|item| item.path.as_deref()).collect();
        container.drop_litter(|name| named.contains(name));
        Ok(Bundle { manifest, container })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.container.entries.iter().map(|(path, place)| Entry { path: path.clone(), bytes: place.bytes() })
    }

    /// Whether there is an entry at this path.
    pub fn contains(&self, path: &str) -> bool {
        self.container.entries.contains_key(path)
    }

    /// Uncompressed bytes of one entry, as the directory says.
    pub fn len_of(&self, path: &str) -> Option<u64> {
        self.container.entries.get(path).map(|place| place.bytes())
    }

    /// One entry, whole, within [`Limits::entry_whole`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.container.read(path)
    }

    /// One entry as a stream, within [`Limits::entry_streamed`]; the stream fails where the entry is longer or
    /// shorter than the directory says, or damaged. [`ReadError::from_io`] gives the typed error back.
    pub fn stream(&self, path: &str) -> Result<Box<dyn Read + Send + '_>, ReadError> {
        Ok(Box::new(self.open_entry(path)?))
    }

    /// Like [`Bundle::stream`], without the indirection.
    pub fn open_entry(&self, path: &str) -> Result<EntryStream<'_>, ReadError> {
        self.container.open_entry(path)
    }

    /// One entry as it lies there, compressed where it is.
    pub(crate) fn raw(&self, path: &str) -> Result<Raw<'_>, ReadError> {
        self.container.raw(path)
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
