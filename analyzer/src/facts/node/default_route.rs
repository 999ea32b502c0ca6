//! The default route, which a node should have where others of its cluster have one.

use std::sync::Arc;

use minijinja::Value;

use super::link::{ROUTE, Route};
use super::opt;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `node.default_routes`.
pub static DEFAULT_ROUTES: RecordShape = RecordShape {
    name: "default routes",
    doc: "The default routes of a node, and whether other nodes have one.",
    fields: &[
        Field {
            name: "own",
            shape: Shape::List(&Shape::Record(&ROUTE)),
            doc: "Its own, of both families and all tables.",
        },
        Field::scalar("elsewhere", "How many of the other nodes whose routes are known have one."),
        Field::scalar("example_node", "The name of one of them."),
        Field::of("example", Shape::Record(&ROUTE), "The default route of that one."),
    ],
};

impl Route {
    /// Whether it leads on whatever no other route of its table knows.
    pub fn is_default(&self) -> bool {
        self.destination == "default" && self.kind == "unicast"
    }
}

/// A node that has a default route, and the first one.
pub type WithDefault = (Arc<str>, Route);

/// The first default route of each node that has one.
pub fn of_nodes<'n>(nodes: impl Iterator<Item = (&'n Arc<str>, &'n [Route])>) -> Vec<WithDefault> {
    let first = |routes: &[Route]| routes.iter().find(|route| route.is_default()).cloned();
    nodes.filter_map(|(name, routes)| Some((name.clone(), first(routes)?))).collect()
}

/// A node's own beside those of others.
pub fn value(node: &str, own: &[Route], all: &[WithDefault]) -> Value {
    let own: Vec<Value> = own.iter().filter(|route| route.is_default()).map(Route::value).collect();
    let example = all.iter().find(|(name, _)| **name != *node);
    Record::derived()
        .with("elsewhere", all.len() - usize::from(!own.is_empty()))
        .with("own", Value::from(own))
        .with("example_node", opt(example.map(|(name, _)| name.clone())))
        .with("example", opt(example.map(|(_, route)| route.value())))
        .into_value()
}
