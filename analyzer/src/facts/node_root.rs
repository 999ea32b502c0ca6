//! The root `node`: what the API says of the Node object, joined with what the node's folder says.

use std::collections::BTreeSet;
use std::sync::Arc;

use bundle::Scope;
use minijinja::Value;

use super::{Facts, node};
use crate::citation::Citation;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape, joined};

/// The shape of `node`.
pub static SHAPE: RecordShape =
    RecordShape { name: "node", doc: "A node, from the API and from its folder in the bundle.", fields: &FIELDS };

/// Fields that come from the API and from joins.
const API: &[Field] = &[Field { name: "name", shape: Shape::Scalar, doc: "Its name." }];

static FIELDS: [Field; API.len() + node::FIELDS.len()] = joined(API, node::FIELDS);

/// The names of all nodes, sorted.
pub(super) fn names(facts: &Facts) -> Vec<Arc<str>> {
    let manifest = facts.evidence().bundle().manifest();
    let hosts = manifest.hosts.iter().map(|host| host.node.as_str());
    let folders = manifest.items.iter().filter_map(|item| match &item.scope {
        Scope::Node(name) => Some(name.as_str()),
        _ => None,
    });
    let names: BTreeSet<&str> = hosts.chain(folders).collect();
    names.into_iter().map(Arc::from).collect()
}

/// The root variable of a node.
pub fn value(facts: &Facts, name: &Arc<str>) -> Value {
    Fact::value(NodeFact { facts: facts.clone(), name: name.clone() })
}

#[derive(Debug)]
struct NodeFact {
    facts: Facts,
    name: Arc<str>,
}

impl Fields for NodeFact {
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::from(self.name.clone())),
            _ => self.facts.node_files(&self.name)?.field(&self.facts, name),
        }
    }

    fn names(&self) -> Vec<&str> {
        FIELDS.iter().map(|field| field.name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        None
    }
}
