//! A family of message patterns, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::rule::yaml::Located;

/// A family of message patterns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A family of message patterns of dossier")]
pub struct FamilyDocument {
    /// Who says such things, and when.
    pub about: String,
    /// The patterns by id, in kebab case.
    pub patterns: BTreeMap<String, PatternDocument>,
}

/// One pattern.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternDocument {
    /// What it means that it was said, in a sentence without its dot.
    pub means: String,
    /// A regular expression in the dialect of the `regex` crate, within one line; `^` and `$` are the line's ends, classes
    /// are ASCII. Named groups are kept as captures.
    pub regex: Located<String>,
    /// Lines in which it must be found.
    pub yes: Vec<String>,
    /// Lines in which it must not be found.
    #[serde(default)]
    pub no: Vec<String>,
}
