//! The rules that come with the program. The build script finds them below `rules/`; there is no registry.

use super::diagnostic::SourceFile;
use super::load::RuleFiles;

/// A rule's path, its YAML, and its cases.
type EmbeddedRule = (&'static str, &'static str, Option<(&'static str, &'static str)>);

include!(concat!(env!("OUT_DIR"), "/builtin_rules.rs"));

/// The files of the built-in rules.
pub fn files() -> RuleFiles {
    let source = |path: &'static str, text: &'static str| SourceFile::new(path, text);
    RuleFiles {
        rules: RULES
            .iter()
            .map(|(path, rule, cases)| (source(path, rule), cases.map(|(path, text)| source(path, text))))
            .collect(),
        patterns: PATTERNS.iter().map(|(path, text)| source(path, text)).collect(),
    }
}
