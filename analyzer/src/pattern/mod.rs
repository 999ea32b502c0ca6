//! Message patterns: what components print when something is wrong, found in all logs in one pass.
//!
//! ```text
//! document.rs   a family of patterns as it is written: rules/patterns/<family>.yaml
//! set.rs        all patterns, compiled so that one search answers for all
//! chunk.rs      a log as a stream of line-aligned chunks
//! scan.rs       all logs, in parallel, in bounded memory
//! hits.rs       what was found
//! timestamp.rs  the time a line begins with
//! message.rs    what was found, as rules see it
//! ```

mod chunk;
pub mod document;
mod hits;
pub mod message;
mod scan;
mod set;
mod timestamp;

pub use hits::{Hit, Hits, LogHits};
pub use scan::scan;
pub use set::{Pattern, PatternSet, PatternValue};
