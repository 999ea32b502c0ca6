//! JSON as the API server sends it, taken apart without building a tree: lists of hundreds of megabytes pass through
//! item by item, and each item is walked once over its bytes.

pub mod cursor;
pub mod list_reader;

pub use cursor::Malformed;
pub use list_reader::{ListError, ListReader, Part};
