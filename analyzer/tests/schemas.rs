//! The JSON Schemas of rules and findings are generated from the types; this test keeps the files in `schemas/` current.
//! `UPDATE_SCHEMAS=1 cargo test -p analyzer --test schemas` writes them anew.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use analyzer::finding::Findings;
use analyzer::pattern::document::FamilyDocument;
use analyzer::rule::document::RuleDocument;
use analyzer::way::PathAnswer;
use analyzer::way::battery::Battery;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

/// Draft 7, which editors' YAML support documents.
fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>()
}

fn is_current(name: &str, schema: &Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "schemas/{name} is not current; run this test with UPDATE_SCHEMAS=1");
}

#[test]
fn the_schema_of_rules_is_current() {
    is_current("rule.schema.json", &schema::<RuleDocument>());
}

#[test]
fn the_schema_of_findings_is_current() {
    is_current("findings.schema.json", &schema::<Findings>());
}

#[test]
fn the_schema_of_patterns_is_current() {
    is_current("patterns.schema.json", &schema::<FamilyDocument>());
}

#[test]
fn the_schema_of_path_answers_is_current() {
    is_current("path.schema.json", &schema::<PathAnswer>());
}

#[test]
fn the_schema_of_the_battery_is_current() {
    is_current("path-all.schema.json", &schema::<Battery>());
}

#[test]
fn every_rule_names_its_schema() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    for entry in walkdir::WalkDir::new(rules).into_iter().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let of_patterns = path.parent().and_then(Path::file_name).is_some_and(|name| name == "patterns");
        let schema = if of_patterns { "patterns" } else { "rule" };
        let text = std::fs::read_to_string(path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let expected = format!("# yaml-language-server: $schema=../../schemas/{schema}.schema.json");
        assert_eq!(first, expected, "{}", path.display());
    }
}
