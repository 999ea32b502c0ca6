//! Which addresses are for what: pods, Services, nodes, bridges of other programs; and where two want the same.
//!
//! ```text
//! range.rs      ranges that the cluster's configuration names
//! overlap.rs    ranges and addresses that collide
//! duplicate.rs  pods that claim one address
//! ```

pub mod duplicate;
pub mod overlap;
pub mod range;
