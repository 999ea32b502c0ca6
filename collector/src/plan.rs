//! What a run will ask, before it asks: every request, command and path, with its cost and its bound.
//!
//! `--plan` prints these lines and contacts nobody. Every record of the manifest names the line that announced it,
//! and [`crate::run::finish`] sees to it that every line has a record.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};

use bundle::manifest::Scope;

/// What an item costs the system that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A small file, or a command that ends within milliseconds.
    Trivial,
    /// A long list, a log, or a command that takes a lock.
    Moderate,
    /// Something that a busy system feels; never done unasked.
    Heavy,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cost::Trivial => "trivial",
            Cost::Moderate => "moderate",
            Cost::Heavy => "heavy",
        })
    }
}

/// One line of `--plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// The line's name, unique within a plan: an evidence id or its continuation behind a dot. The records that the
    /// line leads to name it as their `plan`; their own id is this one or continues it.
    pub id: String,
    /// Whose evidence it is. Where that is known only after asking (the pods whose logs are taken), the scope of
    /// whoever is asked.
    pub scope: Scope,
    /// The request, command or path, as a person would type it; a pattern where it is known only after asking.
    pub what: String,
    /// What it costs.
    pub cost: Cost,
    /// What bounds it: a deadline, a size, a count.
    pub bound: String,
}

impl PlanLine {
    /// A line of the plan.
    pub fn new(
        id: impl Into<String>,
        scope: Scope,
        what: impl Into<String>,
        cost: Cost,
        bound: impl Into<String>,
    ) -> Self {
        PlanLine { id: id.into(), scope, what: what.into(), cost, bound: bound.into() }
    }
}

/// Everything that a run will ask.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    lines: Vec<PlanLine>,
    on_each_node: Vec<PlanLine>,
}

impl Plan {
    /// A plan of these lines; a second line of the same scope and id is left out.
    pub fn new(lines: impl IntoIterator<Item = PlanLine>) -> Self {
        let mut seen = BTreeSet::new();
        let lines = lines.into_iter().filter(|line| seen.insert((line.scope.clone(), line.id.clone()))).collect();
        Plan { lines, on_each_node: Vec::new() }
    }

    /// The same with what is asked on every node that is reached. Which those are is known only later, so that no record
    /// is owed for these lines.
    pub fn with_each_node(self, on_each_node: Vec<PlanLine>) -> Self {
        Plan { on_each_node, ..self }
    }

    /// The lines, in the order in which they are tried.
    pub fn lines(&self) -> &[PlanLine] {
        &self.lines
    }

    /// Prints the plan as aligned columns: id, cost, bound, what.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = || self.lines.iter().chain(&self.on_each_node);
        let id = all().map(|line| line.id.len()).max().unwrap_or(0);
        let bound = all().map(|line| line.bound.len()).max().unwrap_or(0);
        let mut scope = None;
        for line in all() {
            if scope != Some(&line.scope) {
                writeln!(out, "# {}", line.scope)?;
                scope = Some(&line.scope);
            }
            writeln!(out, "{:id$}  {:8}  {:bound$}  {}", line.id, line.cost, line.bound, line.what)?;
        }
        let costs = [Cost::Trivial, Cost::Moderate, Cost::Heavy].map(|cost| {
            let count = all().filter(|line| line.cost == cost).count();
            format!("{count} {cost}")
        });
        writeln!(out, "# {} lines: {}", all().count(), costs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(id: &str) -> PlanLine {
        PlanLine::new(id, Scope::Cluster, "GET /api/v1/nodes", Cost::Trivial, "30 s")
    }

    #[test]
    fn a_line_is_announced_once() {
        let plan = Plan::new([line("api.nodes"), line("api.pods"), line("api.nodes")]);
        assert_eq!(plan.lines().len(), 2);
    }

    #[test]
    fn the_print_names_scope_cost_and_bound() {
        let mut out = Vec::new();
        Plan::new([line("api.nodes"), line("api.pods")]).print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("# cluster\napi.nodes  trivial   30 s  GET /api/v1/nodes\n"), "{text}");
        assert!(text.ends_with("# 2 lines: 2 trivial, 0 moderate, 0 heavy\n"), "{text}");
    }
}
