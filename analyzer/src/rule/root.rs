//! The names that a rule's expressions see before its own, with their types.

use super::expression::check::{Names, Type};
use crate::facts::{Facts, subject};
use crate::finding::SubjectKind;
use crate::pattern::{PatternSet, message};

/// The root that is in every expression: the cluster as a whole.
pub const CLUSTER: &str = "cluster";
/// The time of collection.
pub const COLLECTED: &str = "collected";
/// The function that tells whether evidence is there.
pub const KNOWN: &str = "known";

/// What message patterns found in the logs of the subject, by pattern.
pub const MESSAGES: &str = "messages";
/// The message patterns themselves, for `saying` and `captured`; expressions do not name it.
pub const PATTERNS: &str = "(patterns)";

/// The variable of the subject.
pub fn variable(kind: SubjectKind) -> &'static str {
    subject::root_name(kind)
}

/// What is known of the subject.
pub fn shape(kind: SubjectKind) -> Type {
    Type::Record(Facts::root(kind))
}

/// All names that a rule over these subjects has.
pub fn names(kind: SubjectKind, patterns: &PatternSet) -> Names {
    let ids = patterns.patterns().iter().map(|pattern| pattern.id.clone()).collect();
    Names::default()
        .with(CLUSTER, shape(SubjectKind::Cluster))
        .with(COLLECTED, Type::Scalar)
        .with(KNOWN, Type::Any)
        .with(MESSAGES, Type::Table(ids, Box::new(Type::Record(&message::MESSAGE))))
        .with(variable(kind), shape(kind))
}
