//! A fact, as rule expressions see it: named fields, and the citation that proves it.
//!
//! Facts are parsed once and shared by all rules. Small facts are [`Record`]s; a kind of fact that exists a hundred
//! thousand times implements [`Fields`] itself and makes its fields when they are asked for.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::citation::Citation;

/// What a kind of fact offers to expressions.
pub trait Fields: fmt::Debug + Send + Sync + 'static {
    /// A field's value; `None` where this fact has none (an expression sees `undefined`, which chains).
    fn field(&self, name: &str) -> Option<Value>;
    /// The names of all fields that this kind of fact can have.
    fn names(&self) -> Vec<&str>;
    /// The place in the bundle that the fact comes from.
    fn citation(&self) -> Option<Citation>;
}

/// A fact in an expression. `evidence:` lines of a rule evaluate to facts, whose citations the finding shows.
#[derive(Debug, Clone)]
pub struct Fact(Arc<dyn Fields>);

impl Fact {
    /// Wraps a kind of fact.
    pub fn new(fields: impl Fields) -> Fact {
        Fact(Arc::new(fields))
    }

    /// The same as a value of an expression.
    pub fn value(fields: impl Fields) -> Value {
        Value::from_object(Fact::new(fields))
    }

    /// The place in the bundle that the fact comes from.
    pub fn citation(&self) -> Option<Citation> {
        self.0.citation()
    }
}

impl Object for Fact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.field(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.field(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().into_iter().map(Value::from).collect())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A small fact: its fields in a list, with their values made.
#[derive(Debug, Clone, Default)]
pub struct Record {
    fields: Vec<(&'static str, Value)>,
    citation: Option<Citation>,
}

impl Record {
    /// A fact that this citation proves.
    pub fn cited(citation: Citation) -> Record {
        Record { fields: Vec::new(), citation: Some(citation) }
    }

    /// A fact that is derived from others; its fields carry the citations.
    pub fn derived() -> Record {
        Record::default()
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Record {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a field where there is a value; without one an expression sees `undefined`.
    pub fn with_any(self, name: &'static str, value: Option<impl Into<Value>>) -> Record {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The finished fact.
    pub fn into_value(self) -> Value {
        Fact::value(self)
    }
}

impl Fields for Record {
    fn field(&self, name: &str) -> Option<Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone())
    }

    fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| *name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        self.citation.clone()
    }
}

/// The citations of a value: of the fact it is, or of the facts in the list it is.
pub fn citations(value: &Value) -> Vec<Citation> {
    if let Some(fact) = value.downcast_object_ref::<Fact>() {
        return fact.citation().into_iter().collect();
    }
    if value.kind() != minijinja::value::ValueKind::Seq && value.kind() != minijinja::value::ValueKind::Iterable {
        return Vec::new();
    }
    value.try_iter().map(|items| items.flat_map(|item| citations(&item)).collect()).unwrap_or_default()
}
