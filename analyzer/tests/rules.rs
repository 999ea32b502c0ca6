//! The built-in rules load, and all their cases hold.

#![allow(clippy::unwrap_used)]

use analyzer::rule::{RuleSet, case};

#[test]
fn the_cases_of_all_built_in_rules_hold() {
    let rules = RuleSet::builtin().unwrap_or_else(|error| panic!("{error}"));
    let report = case::run_all(&rules);
    for problem in &report.problems {
        eprintln!("{problem}\n");
    }
    for failure in &report.failures {
        eprintln!("{failure}\n");
    }
    assert!(report.problems.is_empty() && report.failures.is_empty(), "cases do not hold; see above");
    let [sick, twins, traps] = report.cases;
    println!("{} rules: {sick} sick cases, {twins} twins, {traps} traps", report.rules);
}
