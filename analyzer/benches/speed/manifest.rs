//! The manifest of a bundle that a benchmark makes; the writer adds its items.

use bundle::Manifest;
use bundle::manifest::{Cluster, RunKind, Tool};
use jiff::Timestamp;

/// Of a cluster and a tool of that name, gathered in no time.
pub fn manifest(name: &str, at: Timestamp) -> Manifest {
    let tool = Tool { name: name.to_owned(), version: "1".to_owned() };
    Manifest {
        cluster: Some(Cluster { name: name.to_owned(), server: None, version: None, uid: None }),
        ..Manifest::empty(tool, RunKind::Cluster, at)
    }
}
