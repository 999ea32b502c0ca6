//! A rule as it is written: the document of `rules/<family>/<id>.yaml`, before anything in it is compiled.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::yaml::Located;
use crate::finding::{Confidence, Explains, Severity, SubjectKind};

/// A rule: what it needs, what it ranges over, when something is wrong, and what is said then.
///
/// `needs`, `select`, `applies` and `when` are asked in the order `select`, `needs`, `applies`, `when`; each has its own
/// outcome, so that "does not apply" and "could not be looked at" never look like "fine".
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A rule of dossier")]
pub struct RuleDocument {
    /// The catalogue's name for the row, in kebab case; the file has the same name.
    pub id: Located<String>,
    /// The catalogue's number of the row: "34", "E16".
    pub row: Located<String>,
    /// What is wrong, in a few words, without the names of a case.
    pub title: Located<String>,
    /// How bad it is. A grade may say otherwise.
    pub severity: Severity,
    /// How sure we are. A grade may say otherwise.
    pub confidence: Confidence,
    /// What the rule ranges over. The subject is the variable of that name (`node`, `pod`, `nnc` …).
    #[serde(rename = "for")]
    pub range: SubjectKind,
    /// Which of them: an expression over the subject alone, asked before anything else. What is not selected is not
    /// counted at all.
    #[serde(default)]
    pub select: Option<Located<String>>,
    /// Evidence without which nothing can be said. An entry is an evidence id, or `any:` of several.
    #[serde(default)]
    pub needs: Vec<Located<NeedDocument>>,
    /// Evidence without which the rule may find something wrong, but must not say that all is well.
    #[serde(default)]
    pub needs_to_pass: Vec<Located<NeedDocument>>,
    /// Named expressions, each over the names before it; evaluated when they are used.
    #[serde(default, rename = "let")]
    pub lets: Lets,
    /// Where one of these does not hold, the rule has nothing to say of the subject.
    #[serde(default)]
    pub applies: Vec<AppliesDocument>,
    /// Something is wrong where this holds. Either this with `message`, or `grades`, or neither where the rule only
    /// explains a pass.
    #[serde(default)]
    pub when: Option<Located<String>>,
    /// What is wrong, in one sentence with the names and numbers of the case.
    #[serde(default)]
    pub message: Option<Located<String>>,
    /// Several degrees of the same; the first that holds is taken.
    #[serde(default)]
    pub grades: Vec<GradeDocument>,
    /// What explains that all is well, where it needs an explanation.
    #[serde(default)]
    pub pass: Option<Located<String>>,
    /// Expressions that give facts, or lists of facts, whose citations prove the finding.
    #[serde(default)]
    pub evidence: Vec<Located<String>>,
    /// What the finding would explain.
    #[serde(default)]
    pub explains: Vec<Explains>,
    /// What to do.
    #[serde(default)]
    pub remedy: Option<RemedyDocument>,
    /// Where to read on.
    #[serde(default)]
    pub references: Vec<String>,
}

/// An evidence id, or several of which one is enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected an evidence id, or `any:` with a list of evidence ids")]
pub enum NeedDocument {
    /// This evidence.
    One(String),
    /// One of these.
    Any(AnyDocument),
}

/// Alternatives.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnyDocument {
    /// Evidence ids of which one is enough.
    pub any: Vec<String>,
}

/// A condition without which the rule has nothing to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppliesDocument {
    /// The condition.
    pub when: Located<String>,
    /// Why the rule has nothing to say where it does not hold: "the node runs no pod of the pod network".
    #[serde(rename = "else")]
    pub otherwise: Located<String>,
    /// The evidence id that would decide, where the condition fails because what was collected does not suffice: the
    /// subject was not checked then, rather than being none of the rule's business.
    #[serde(default)]
    pub lacks: Option<Located<String>>,
}

/// One degree of a finding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GradeDocument {
    /// The finding has this degree where this holds.
    pub when: Located<String>,
    /// What is wrong.
    pub message: Located<String>,
    /// How bad it is; the rule's where it is not said.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// How sure we are; the rule's where it is not said.
    #[serde(default)]
    pub confidence: Option<Confidence>,
    /// What proves it; the rule's where it is not said.
    #[serde(default)]
    pub evidence: Option<Vec<Located<String>>>,
}

/// What to do; the texts are messages, with the names of the case in them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemedyDocument {
    /// In words.
    pub text: Located<String>,
    /// Commands for the customer to run.
    #[serde(default)]
    pub commands: Vec<Located<String>>,
    /// What to mind, by provider: `aks`, `tke`, `any`.
    #[serde(default)]
    pub caveats: Lets,
}

/// Names and texts in the order in which they are written.
#[derive(Debug, Default)]
pub struct Lets(pub Vec<(Located<String>, Located<String>)>);

impl<'de> Deserialize<'de> for Lets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Lets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names, each with a text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lets, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Lets(entries))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Lets {
    fn schema_name() -> Cow<'static, str> {
        "Lets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
