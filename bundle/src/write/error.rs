//! What can go wrong while writing a bundle.

use std::io;
use std::path::PathBuf;

use zip::result::ZipError;

/// What went wrong while writing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The target cannot be made or written.
    #[error("cannot write {path}: {source}")]
    Target {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run is writing the same bundle.
    #[error("another run is writing {path}; wait for it, or choose another name with --out")]
    Busy {
        /// The other run's unfinished file.
        path: PathBuf,
    },
    /// Two items claim the same path.
    #[error("two items claim the path {0} in the bundle")]
    DuplicatePath(String),
    /// A reader would refuse the path.
    #[error("an item cannot lie at {path:?} in the bundle: it {problem}")]
    BadPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The item's filter failed, and its content was thrown away.
    #[error("the content of {path} was withheld, because its filter failed: {reason}")]
    Withheld {
        /// The path that it would have had.
        path: String,
        /// What the filter said.
        reason: String,
    },
    /// The bundle was finished or given up before this item ended.
    #[error("the bundle was finished before this item ended")]
    Finished,
    /// The container could not be written.
    #[error("cannot write the bundle: {0}")]
    Zip(#[from] ZipError),
    /// Compressed bytes could not be written.
    #[error("cannot write the bundle: {0}")]
    Io(#[from] io::Error),
    /// The manifest could not be turned into JSON.
    #[error("cannot write the manifest: {0}")]
    Manifest(#[from] serde_json::Error),
}

impl WriteError {
    /// Whether the disk, or the owner's share of it, is full.
    pub fn is_out_of_space(&self) -> bool {
        let kind = match self {
            WriteError::Target { source, .. } => source.kind(),
            WriteError::Io(error) | WriteError::Zip(ZipError::Io(error)) => error.kind(),
            _ => return false,
        };
        matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
    }
}
