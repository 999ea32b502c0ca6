//! What a node's folder in the bundle says: `nodes/<node>/{net,firewall,dns,ipam,cni,kubelet,system,logs}/…`.

use std::fmt;
use std::sync::Arc;

use bundle::Scope;
use minijinja::Value;

use super::Facts;
use crate::evidence::Evidence;
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape, Shape};

/// The fields of `node` that come from its folder.
pub const FIELDS: &[Field] = &[Field {
    name: "collected",
    shape: Shape::Scalar,
    doc: "Whether the bundle has any item that was gathered on the node itself.",
}];

/// The shape of `certificate`.
pub static CERTIFICATE: RecordShape =
    RecordShape { name: "certificate", doc: "A certificate on a node: names and dates, never keys.", fields: &[] };

/// The facts of one node's folder. Each part is parsed once, when it is first asked for.
pub struct NodeFacts {
    evidence: Arc<Evidence>,
    node: Arc<str>,
}

impl fmt::Debug for NodeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeFacts({})", self.node)
    }
}

impl NodeFacts {
    /// The facts of a node. Nothing is parsed yet.
    pub fn new(evidence: Arc<Evidence>, node: Arc<str>) -> NodeFacts {
        NodeFacts { evidence, node }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// A field of `node` that comes from the folder, one of [`FIELDS`]. Joins with the cluster's facts go through
    /// `facts`.
    pub fn field(&self, _facts: &Facts, name: &str) -> Option<Value> {
        match name {
            "collected" => {
                let scope = Scope::Node(self.node.to_string());
                let items = &self.evidence.bundle().manifest().items;
                Some(Value::from(items.iter().any(|item| item.scope == scope && item.path.is_some())))
            }
            _ => None,
        }
    }

    /// The node's certificates, each with a name that tells it apart on this node.
    pub fn certificates(&self) -> Vec<(String, Value)> {
        Vec::new()
    }

    /// What in the folder could not be read. Asking parses all of it.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        Vec::new()
    }
}
