//! What can be wrong with a bundle, and with one entry of it.

use std::io;
use std::path::PathBuf;

use crate::manifest::FORMAT;

/// Why a bundle cannot be opened. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read at all.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
    #[error(
        "{path} has no manifest.json, so it is not a dossier bundle; give the zip that dossier-collect wrote, or the folder it was unpacked into"
    )]
    NoManifest {
        /// The file or folder.
        path: PathBuf,
    },
    /// There is another zip in it instead of a manifest.
    #[error("{path} has no manifest.json, but holds {inner}; unpack it, and open that")]
    Wrapped {
        /// The file or folder.
        path: PathBuf,
        /// The zip in it.
        inner: String,
    },
    /// The manifest is not one.
    #[error("manifest.json cannot be understood ({reason}); ask the sender for the file again, with its sha256")]
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

/// A lie of the directory, or a bound of the whole file; becomes [`OpenError::Refused`].
#[derive(Debug)]
pub(crate) struct Refusal {
    entry: String,
    problem: String,
}

impl Refusal {
    pub(crate) fn new(entry: &str, problem: impl Into<String>) -> Refusal {
        Refusal { entry: entry.to_owned(), problem: problem.into() }
    }
}

impl From<Refusal> for OpenError {
    fn from(Refusal { entry, problem }: Refusal) -> Self {
        OpenError::Refused { entry, problem }
    }
}

/// Why one entry cannot be read; the others still can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

impl ReadError {
    /// The typed error inside an error of the stream of the entry at `path`.
    pub fn from_io(path: &str, error: io::Error) -> ReadError {
        match error.downcast::<ReadError>() {
            Ok(typed) => typed,
            Err(error) => ReadError::Damaged { entry: path.to_owned(), reason: error.to_string() },
        }
    }
}
