//! The root `cluster`, which every expression has.

use minijinja::Value;

use super::{Facts, node_root};
use crate::citation::Citation;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `cluster`.
pub static SHAPE: RecordShape = RecordShape {
    name: "cluster",
    doc: "The cluster as a whole.",
    fields: &[
        Field { name: "name", shape: Shape::Scalar, doc: "Its name in the sender's kubeconfig." },
        Field { name: "version", shape: Shape::Scalar, doc: "The API server's gitVersion." },
        Field {
            name: "nodes",
            shape: Shape::List(&Shape::Record(&node_root::SHAPE)),
            doc: "All nodes, of the API and of the bundle's folders, by name.",
        },
    ],
};

/// The root variable.
pub fn value(facts: &Facts) -> Value {
    Fact::value(ClusterFact(facts.clone()))
}

#[derive(Debug)]
struct ClusterFact(Facts);

impl Fields for ClusterFact {
    fn field(&self, name: &str) -> Option<Value> {
        let cluster = self.0.evidence().bundle().manifest().cluster.as_ref();
        match name {
            "name" => cluster.map(|cluster| Value::from(cluster.name.as_str())),
            "version" => cluster.and_then(|cluster| cluster.version.as_deref()).map(Value::from),
            "nodes" => Some(self.0.node_names().iter().map(|node| node_root::value(&self.0, node)).collect()),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.fields.iter().map(|field| field.name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        None
    }
}
