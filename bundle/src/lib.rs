//! The file between the collector and the analyzer: its layout, its manifest, writing and reading it.
//!
//! Format 1 is a zip (deflate) of items. `README.txt` comes first, `manifest.json` last, and the manifest holds a
//! record for everything that was asked for, whether or not it gave content. The collector and the analyzer meet
//! only in this crate; it knows nothing of Kubernetes beyond the names of folders.

pub mod filter;
mod hash;
mod in_one_line;
pub mod layout;
pub mod limits;
pub mod manifest;
pub mod merge;
pub mod read;
pub mod schema;
pub mod symptom;
pub mod verify;
pub mod write;

pub use filter::{Identity, ItemFilter};
pub use hash::sha256;
pub use in_one_line::in_one_line;
pub use limits::Limits;
pub use manifest::{ItemRecord, ItemStatus, Manifest, Scope, Source};
pub use read::{Bundle, OpenError, ReadError};
pub use write::{BundleWriter, ItemDraft, ItemEnd, ItemWriter, WriteError, WriteOptions, Written};
