//! The manifest of a bundle that a benchmark makes; the writer adds its items.

use bundle::Manifest;
use bundle::manifest::{Cluster, Ended, FORMAT, RunKind, Tool};
use jiff::Timestamp;

/// Of a cluster and a tool of that name, gathered in no time.
pub fn manifest(name: &str, at: Timestamp) -> Manifest {
    Manifest {
        format: FORMAT,
        tool: Tool { name: name.to_owned(), version: "1".to_owned() },
        kind: RunKind::Cluster,
        started: at,
        finished: at,
        ended: Ended::Done,
        cluster: Some(Cluster { name: name.to_owned(), server: None, version: None, uid: None }),
        hosts: Vec::new(),
        clocks: Vec::new(),
        limits: Vec::new(),
        symptom: None,
        merged: None,
        items: Vec::new(),
    }
}
