//! What is known of values before they exist, and the names that expressions may use.

use std::sync::Arc;

use super::definite::Known;
use crate::shape::{RecordShape, Shape};

/// What is known of a value before it exists.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Nothing.
    Any,
    /// A string, number, boolean or none.
    Scalar,
    /// A fact of this shape.
    Record(&'static RecordShape),
    /// A list of such values.
    List(Box<Type>),
    /// A map from any name to such values.
    Map(Box<Type>),
    /// A map from these names to such values.
    Table(Arc<[String]>, Box<Type>),
}

impl PartialEq for RecordShape {
    fn eq(&self, other: &RecordShape) -> bool {
        std::ptr::eq(self, other)
    }
}

impl From<&Shape> for Type {
    fn from(shape: &Shape) -> Type {
        match shape {
            Shape::Scalar => Type::Scalar,
            Shape::Record(record) => Type::Record(record),
            Shape::List(element) => Type::List(Box::new(Type::from(*element))),
            Shape::Map(value) => Type::Map(Box::new(Type::from(*value))),
        }
    }
}

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: Vec<(String, Type)>,
    /// Paths that are certainly there.
    pub(super) there: Known,
}

impl Names {
    /// Adds a name; a later one hides an earlier one of the same name.
    pub fn with(mut self, name: impl Into<String>, of: Type) -> Names {
        self.known.push((name.into(), of));
        self
    }

    /// From here on these paths are certainly there.
    pub fn know(&mut self, there: Known) {
        self.there.extend(there);
    }

    /// Whether the name has a meaning.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Type> {
        self.known.iter().rev().find(|(known, _)| known == name).map(|(_, of)| of)
    }

    pub(super) fn list(&self) -> String {
        let mut names: Vec<&str> = self.known.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}
