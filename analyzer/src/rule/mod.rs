//! Rules: read from YAML, checked as far as that is possible before a bundle is there, evaluated over subjects.
//!
//! ```text
//! document.rs      a rule as it is written
//! yaml.rs          YAML with places
//! diagnostic.rs    what is wrong with a file, with a caret under the word
//! evidence_id.rs   the ids that rules may need
//! expression/      the language: what is allowed, static checks, bounded work
//! root.rs          the names that expressions see, with their types
//! compile.rs       from document to rule
//! load.rs          from folders to a set of rules
//! context.rs       what an expression sees of one subject
//! availability.rs  which evidence is there, and why not
//! judge.rs         one rule, one subject: one outcome
//! tally.rs         outcomes of one rule over many subjects
//! verdict.rs       the sentence at the top of a report
//! analyze.rs       all rules over all subjects, in parallel
//! case/            the cases beside each rule
//! ```

pub mod analyze;
mod availability;
mod builtin;
pub mod case;
mod causes;
mod compile;
mod context;
pub mod diagnostic;
pub mod document;
pub mod evidence_id;
pub mod expression;
mod judge;
pub mod load;
#[cfg(test)]
mod load_tests;
pub mod root;
mod tally;
mod verdict;
pub mod yaml;

use std::sync::Arc;

use diagnostic::SourceFile;
use expression::{Expression, Template};

use crate::finding::{Confidence, Explains, Severity, SubjectKind};

pub use analyze::{Options, analyze};
pub use load::RuleSet;

/// A rule that is ready to be evaluated.
#[derive(Debug)]
pub struct Rule {
    /// The catalogue's name for the row.
    pub id: String,
    /// The catalogue's number of the row.
    pub row: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// Where it is written.
    pub file: SourceFile,
    /// How bad a finding is, where a grade does not say otherwise.
    pub severity: Severity,
    /// How sure a finding is, where a grade does not say otherwise.
    pub confidence: Confidence,
    /// What it ranges over.
    pub range: SubjectKind,
    /// Which of them.
    select: Option<Placed<Expression>>,
    /// Evidence without which nothing can be said.
    pub needs: Vec<Need>,
    /// Evidence without which nothing good can be said.
    pub needs_to_pass: Vec<Need>,
    lets: Vec<(String, Placed<Expression>)>,
    applies: Vec<Applies>,
    grades: Vec<Grade>,
    pass: Option<Placed<Template>>,
    explains: Vec<Explains>,
    remedy: Option<RemedyTemplates>,
    references: Vec<String>,
}

impl Rule {
    /// Whether the rule can find anything, or only explains passes.
    pub fn can_find(&self) -> bool {
        !self.grades.is_empty()
    }

    /// All evidence ids that the rule may ask for.
    pub fn evidence_ids(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().chain(&self.needs_to_pass).flat_map(|need| need.any.iter().map(String::as_str))
    }

    /// Whether one of the rule's expressions asks for a message pattern. A pattern is named in quotes, and nothing else
    /// in a rule has such a name.
    pub fn asks_pattern(&self, id: &str) -> bool {
        let text = &self.file.text;
        [format!("\"{id}\""), format!("'{id}'")].iter().any(|quoted| text.contains(quoted))
    }

    /// A runtime error of one of the rule's expressions, with its place.
    fn failed<T>(&self, part: &Placed<T>, error: &minijinja::Error) -> String {
        format!("{}:{}: `{}`: {}", self.file.path, part.line, part.field, expression::describe(error))
    }
}

/// Evidence that a rule needs: one of these ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Alternatives; one is enough.
    pub any: Vec<String>,
}

/// A part of a rule with its place in the file.
#[derive(Debug, Clone)]
struct Placed<T> {
    what: T,
    field: &'static str,
    line: usize,
}

#[derive(Debug)]
struct Applies {
    when: Placed<Expression>,
    otherwise: Placed<Template>,
    /// The evidence id without which nothing can be said where the condition does not hold.
    lacks: Option<String>,
}

#[derive(Debug)]
struct Grade {
    when: Placed<Expression>,
    message: Placed<Template>,
    severity: Severity,
    confidence: Confidence,
    evidence: Vec<Arc<Placed<Expression>>>,
}

#[derive(Debug)]
struct RemedyTemplates {
    text: Placed<Template>,
    commands: Vec<Placed<Template>>,
    caveats: Vec<(String, Placed<Template>)>,
}
