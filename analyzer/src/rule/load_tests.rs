//! Rules that are refused when they are loaded, and how that is told.

use super::diagnostic::SourceFile;
use super::load::{RuleFiles, RuleSet};

const GOOD: &str = "\
id: r
row: \"1\"
title: Something
severity: error
confidence: likely
for: node
needs: [node.sysctl]
when: node.name == 'x'
message: \"{{ node.name }} is x\"
evidence: [node]
";

fn load(text: &str) -> Result<RuleSet, String> {
    load_with(text, Some(""))
}

fn load_with(text: &str, cases: Option<&str>) -> Result<RuleSet, String> {
    let cases = cases.map(|text| SourceFile::new("rules/f/r.md", text));
    let rules = vec![(SourceFile::new("rules/f/r.yaml", text), cases)];
    RuleSet::compile(&RuleFiles { rules, patterns: Vec::new() }).map_err(|problems| problems.to_string())
}

/// Replaces text of the good rule; gives what is said of the result.
fn said(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "{old}");
    load(&GOOD.replace(old, new)).expect_err(new)
}

#[test]
fn a_good_rule_loads() {
    let rules = load(GOOD).unwrap();
    assert_eq!(rules.rules().len(), 1);
    assert!(rules.get("r").unwrap().can_find());
}

#[test]
fn an_unknown_name_is_shown_with_file_line_and_caret() {
    let said = said("node.name == 'x'", "node.name == node.nam");
    let expected = "\
error: a node has no field `nam`
 --> rules/f/r.yaml:8:25
  |
8 | when: node.name == node.nam
  |                         ^^^ node has: name";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn the_caret_is_right_in_a_folded_scalar() {
    let said = said("when: node.name == 'x'", "when: >-\n  node.name == 'x'\n  and node.nam");
    assert!(said.contains("rules/f/r.yaml:10:12"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (old, new, part) in [
        ("severity: error", "severity: fatal", "unknown variant `fatal`"),
        ("title:", "titel:", "unknown field `titel`"),
        ("row: \"1\"", "row: \"1\"\nrow: \"2\"", "duplicate"),
        ("[node.sysctl]", "[node.sysctls]", "unknown evidence id `node.sysctls`"),
        ("[node.sysctl]", "[any: [node.sysctl, nodes]]", "unknown evidence id `nodes`"),
        ("[node.sysctl]", "[]", "needs no evidence"),
        ("node.name == 'x'", "node.name == 'x' and", "unexpected end of input"),
        ("node.name == 'x'", "nod.name == 'x'", "unknown name `nod`"),
        ("{{ node.name }}", "{{ node.nam }}", "a node has no field `nam`"),
        ("{{ node.name }}", "{{ node.name | shout }}", "unknown filter `shout`"),
        ("[node]", "[node.name]", "a plain value has no citation"),
        ("[node]", "[]", "cites nothing"),
        ("id: r", "id: s", "the id and the name of the file differ"),
        ("for: node", "for: nodes", "unknown variant `nodes`"),
        ("for: node", "for: node\nselect: cluster.name == 'x'", "unknown name `cluster`"),
        ("for: node", "for: node\nlet: {node: '1'}", "`node` has a meaning already"),
        ("for: node", "for: node\nlet: {a: b, b: '1'}", "unknown name `b`"),
        ("when: node.name == 'x'", "grades: []", "it is not clear when something is wrong"),
    ] {
        let said = said(old, new);
        assert!(said.contains(part), "{new}: expected `{part}` in\n{said}");
        assert!(said.contains("rules/f/r.yaml:"), "{said}");
    }
}

#[test]
fn a_rule_without_cases_is_refused() {
    let said = load_with(GOOD, None).expect_err("no cases");
    assert!(said.contains("there is no rules/f/r.md"), "{said}");
}

#[test]
fn two_rules_of_one_id_are_refused() {
    let file = |path: &str| (SourceFile::new(path, GOOD), Some(SourceFile::new("rules/f/r.md", "")));
    let files = RuleFiles { rules: vec![file("rules/f/r.yaml"), file("rules/g/r.yaml")], patterns: Vec::new() };
    let said = RuleSet::compile(&files).err().map(|problems| problems.to_string()).unwrap();
    assert!(said.contains("the id `r` is taken by rules/f/r.yaml"), "{said}");
}
