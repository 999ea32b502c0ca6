//! Facts: what a bundle's evidence says, parsed once, lazily, each with the place that it comes from.
//!
//! ```text
//! subject.rs       what rules range over, and the root variables of their expressions
//! unreadable.rs    what no parser could read: evidence too
//! list.rs          lists of objects, as streams: a list of 150,000 pods never lies in memory whole
//! cluster.rs       the root `cluster`
//! node_root.rs     the root `node`: the Node object, and what its folder below nodes/ says
//! node/            what a node's folder says
//! ```
//!
//! **Invariants.** The store holds data. The values that expressions see hold a handle to the store and are made when
//! they are asked for, so the store never holds itself. A part that is being parsed waits for no other thread of the
//! pool that rules run in: it uses threads of its own ([`list`]), because a waiting thread of a pool may take up
//! another rule, which would ask for the same part again.

pub mod cluster;
pub mod log;
pub mod node;
pub mod node_root;
pub mod subject;
pub mod unreadable;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bundle::Bundle;
use jiff::Timestamp;

use crate::evidence::Evidence;
use crate::finding::{SubjectKind, Unreadable};
use crate::shape::RecordShape;
use log::LogFile;
use node::NodeFacts;
pub use subject::Subjects;

/// All facts of a bundle. A handle: cloning it is cheap, and all clones share what was parsed.
#[derive(Clone)]
pub struct Facts(Arc<Store>);

struct Store {
    evidence: Arc<Evidence>,
    node_names: OnceLock<Vec<Arc<str>>>,
    node_files: OnceLock<BTreeMap<Arc<str>, NodeFacts>>,
    logs: OnceLock<Vec<LogFile>>,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

impl Facts {
    /// The facts of a bundle. Nothing is parsed yet.
    pub fn new(bundle: Bundle) -> Facts {
        Facts(Arc::new(Store {
            evidence: Arc::new(Evidence::new(bundle)),
            node_names: OnceLock::new(),
            node_files: OnceLock::new(),
            logs: OnceLock::new(),
        }))
    }

    /// The bundle, as evidence.
    pub fn evidence(&self) -> &Arc<Evidence> {
        &self.0.evidence
    }

    /// The time of collection, from which every age is counted.
    pub fn collected(&self) -> Timestamp {
        self.0.evidence.bundle().manifest().finished
    }

    /// The shape of the root variable that a rule over this kind of subject has, beside `cluster`.
    pub fn root(kind: SubjectKind) -> &'static RecordShape {
        subject::root(kind)
    }

    /// The subjects of a kind, in an order that depends on the bundle alone.
    pub fn subjects(&self, kind: SubjectKind) -> Subjects {
        Subjects::new(self.clone(), kind)
    }

    /// The names of all nodes, sorted: those of the API's list and those that have a folder in the bundle. A bundle
    /// that was gathered on a host alone knows only folders.
    pub fn node_names(&self) -> &[Arc<str>] {
        self.0.node_names.get_or_init(|| node_root::names(self))
    }

    /// What a node's folder in the bundle says. A node without a folder has such facts too, all of them absent.
    pub fn node_files(&self, node: &str) -> Option<&NodeFacts> {
        let make = |name: &Arc<str>| (name.clone(), NodeFacts::new(self.evidence().clone(), name.clone()));
        self.0.node_files.get_or_init(|| self.node_names().iter().map(make).collect()).get(node)
    }

    /// All logs in the bundle, by path.
    pub fn logs(&self) -> &[LogFile] {
        self.0.logs.get_or_init(|| log::files(self.evidence()))
    }

    /// What of this kind's evidence could not be read. Asking parses it.
    pub fn unreadable_of(&self, kind: SubjectKind) -> Vec<Unreadable> {
        unreadable::of(self, kind)
    }

    /// Everything that could not be read. Asking parses everything.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        unreadable::all(self)
    }
}
