//! What a node's folder in the bundle says: `nodes/<node>/{net,firewall,dns,ipam,cni,kubelet,system,logs}/…`.
//!
//! Each file here reads one kind of evidence and knows nothing of the bundle; [`NodeFacts`] finds the entries
//! (bundle/EVIDENCE.md says what they are called), has each parsed once, and joins them where a rule needs several.
//! An optional field is `undefined` where the evidence is missing, so an expression must ask before it compares.

pub mod address_range;
pub mod addresses;
pub mod azure_ipam;
#[cfg(test)]
mod bundle_tests;
pub mod certificate;
pub mod cni;
pub mod conntrack;
pub mod default_route;
pub mod fields;
pub mod firewall;
pub mod folder;
pub mod forwarding;
pub mod host_local;
pub mod json;
pub mod kernel;
pub mod kubelet;
pub mod lines;
pub mod link;
pub mod listener;
pub mod parts;
#[cfg(test)]
mod properties;
pub mod resolv;
pub mod resolver;
pub mod sandbox;
pub mod selftest;
#[cfg(test)]
mod shape_test;
pub mod sockets;
pub mod store;
pub mod sysctl;
pub mod sysctl_chain;
pub mod sysctl_files;
pub mod system;

use minijinja::Value;

pub use certificate::CERTIFICATE;
pub use fields::{FIELDS, address_table};
pub use parts::NodeFacts;

use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// A value that is there, or the undefined value.
fn opt<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::UNDEFINED, Into::into)
}

/// A line of evidence as a fact of its own.
pub(in crate::facts) fn cited_line(citation: &Citation) -> Value {
    Record::cited(citation.clone()).with("text", citation.text.as_str()).with("number", opt(citation.line)).into_value()
}

/// The fields of a line.
pub static CITED_LINE: RecordShape = RecordShape {
    name: "line",
    doc: "A line of a file, or a value of a JSON entry, for citing.",
    fields: &[
        Field { name: "text", shape: Shape::Scalar, doc: "Its text." },
        Field { name: "number", shape: Shape::Scalar, doc: "The line's number, from 1; undefined for JSON." },
    ],
};
