//! `dossier rules`: the rules themselves, their check, their cases, and the facts that they can use.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::facts::subject::KINDS;
use crate::pattern::message::MESSAGE;
use crate::report::visible;
use crate::rule::case::{self, Report};
use crate::rule::evidence_id::EVIDENCE_IDS;
use crate::rule::expression::{FILTERS, TESTS};
use crate::rule::load::{LoadError, RuleFiles};
use crate::rule::{RuleSet, root};
use crate::shape::{RecordShape, Shape};

/// Lists, explains, checks and tests rules.
#[derive(Debug, Args)]
pub struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the rules.
    List(Folder),
    /// Shows a rule and its cases.
    Show {
        /// The rule's id or the number of its row.
        id: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Checks the rules of a folder, and their cases, without a bundle.
    Check {
        /// The folder: FAMILY/ID.yaml with FAMILY/ID.md beside it.
        folder: PathBuf,
    },
    /// Runs the cases beside the built-in rules, or beside those of a folder.
    Test {
        /// A folder of rules; the built-in ones where it is not named.
        folder: Option<PathBuf>,
    },
    /// Prints what rules can say: facts with their fields, filters, tests, evidence ids.
    Facts,
}

#[derive(Debug, Args)]
struct Folder {
    /// A folder of rules beside the built-in ones.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

impl Folder {
    fn load(&self) -> Result<RuleSet, LoadError> {
        load(self.rules.as_deref())
    }
}

/// The built-in rules, and those of a folder where one is named.
pub fn load(folder: Option<&Path>) -> Result<RuleSet, LoadError> {
    match folder {
        Some(folder) => RuleSet::with_folder(folder),
        None => RuleSet::builtin(),
    }
}

impl Rules {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::List(folder) => list(&folder.load()?),
            Command::Show { id, folder } => show(&folder.load()?, id),
            Command::Check { folder } => check(folder),
            Command::Test { folder } => match folder {
                Some(folder) => test(&RuleSet::folder(folder)?),
                None => test(&RuleSet::builtin()?),
            },
            Command::Facts => facts(),
        }
    }
}

fn list(rules: &RuleSet) -> anyhow::Result<ExitCode> {
    let width = rules.rules().iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    super::print(|out| {
        for rule in rules.rules() {
            let severity = format!("{:?}", rule.severity).to_lowercase();
            writeln!(out, "{:>4}  {:<width$}  {severity:<8}  {}", rule.row, rule.id, rule.title)?;
        }
        writeln!(out, "\n{} rules", rules.rules().len())
    })?;
    Ok(super::FINE)
}

fn show(rules: &RuleSet, id: &str) -> anyhow::Result<ExitCode> {
    let rule = rules.rules().iter().find(|rule| rule.id == id || rule.row.eq_ignore_ascii_case(id));
    let Some(rule) = rule else {
        anyhow::bail!("there is no rule `{id}`; `dossier rules list` names them");
    };
    super::print(|out| {
        writeln!(out, "# {}\n{}", rule.file.path, rule.file.text.trim_end())?;
        if let Some(cases) = rules.cases(&rule.id) {
            writeln!(out, "\n# {}\n{}", cases.path, cases.text.trim_end())?;
        }
        Ok(())
    })?;
    Ok(super::FINE)
}

fn check(folder: &Path) -> anyhow::Result<ExitCode> {
    let files = RuleFiles::read(folder)?;
    let rules = match RuleSet::of_files(files) {
        Ok(rules) => rules,
        Err(LoadError::Problems(problems)) => {
            super::print(|out| writeln!(out, "{}", visible(&problems.to_string())))?;
            return Ok(super::could_not());
        }
        Err(error) => return Err(error.into()),
    };
    let mut problems = 0;
    super::print(|out| {
        for rule in rules.rules() {
            for problem in rules.cases(&rule.id).and_then(|cases| case::parse(cases).err()).into_iter().flatten() {
                problems += 1;
                writeln!(out, "{}", visible(&problem.render()))?;
            }
        }
        writeln!(out, "{} rules, {problems} problems in their cases", rules.rules().len())
    })?;
    Ok(if problems == 0 { super::FINE } else { super::found() })
}

fn test(rules: &RuleSet) -> anyhow::Result<ExitCode> {
    let report = case::run_all(rules);
    super::print(|out| write_report(&report, out))?;
    Ok(if report.failures.is_empty() && report.problems.is_empty() { super::FINE } else { super::found() })
}

fn write_report(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for problem in &report.problems {
        writeln!(out, "{}\n", visible(&problem.render()))?;
    }
    for failure in &report.failures {
        writeln!(out, "{}\n", visible(failure))?;
    }
    let [sick, twins, traps] = report.cases;
    writeln!(
        out,
        "{} rules: {sick} sick cases, {twins} twins, {traps} traps; {} do not agree, {} problems in case files",
        report.rules,
        report.failures.len(),
        report.problems.len()
    )
}

fn facts() -> anyhow::Result<ExitCode> {
    let rules = RuleSet::builtin()?;
    super::print(|out| {
        writeln!(out, "What a rule ranges over (`for:`), and the variable that its expressions have then.")?;
        writeln!(
            out,
            "`cluster` is always there; so are `collected`, the time of collection, and `known(\"evidence.id\")`.\n"
        )?;
        let mut queue: Vec<&'static RecordShape> = Vec::new();
        for kind in KINDS {
            let name = serde_json::to_value(kind)?;
            let shape = crate::facts::Facts::root(*kind);
            writeln!(out, "  for: {:<22}{}: {}", name.as_str().unwrap_or_default(), root::variable(*kind), shape.name)?;
            queue.push(shape);
        }
        writeln!(out, "\n`messages[\"ID\"]` is what a message pattern found in the subject's logs.")?;
        queue.push(&MESSAGE);
        write_shapes(queue, out)?;
        writeln!(out, "\nMessage patterns")?;
        for pattern in rules.patterns().patterns() {
            writeln!(out, "  {}", pattern.id)?;
        }
        write_table("Filters: `value | filter`", FILTERS, out)?;
        write_table("Tests: `value is test`", TESTS, out)?;
        write_table("Evidence ids, which may continue behind a dot", EVIDENCE_IDS, out)
    })?;
    Ok(super::FINE)
}

/// Every shape once, in the order in which they are met.
fn write_shapes(mut queue: Vec<&'static RecordShape>, out: &mut dyn Write) -> io::Result<()> {
    let mut seen = BTreeSet::new();
    queue.reverse();
    while let Some(shape) = queue.pop() {
        if !seen.insert(shape.name) {
            continue;
        }
        writeln!(out, "\n{}: {}", shape.name, shape.doc)?;
        let width = shape.fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
        let mut inner = Vec::new();
        for field in shape.fields {
            writeln!(out, "  {:<width$}  {:<24}  {}", field.name, described(&field.shape, &mut inner), field.doc)?;
        }
        queue.extend(inner.into_iter().rev());
    }
    Ok(())
}

/// A shape in words; the records in it are noted.
fn described(shape: &Shape, records: &mut Vec<&'static RecordShape>) -> String {
    match shape {
        Shape::Scalar => "value".to_owned(),
        Shape::Record(record) => {
            records.push(record);
            record.name.to_owned()
        }
        Shape::List(element) => format!("list of {}", described(element, records)),
        Shape::Map(value) => format!("map to {}", described(value, records)),
    }
}

fn write_table(title: &str, rows: &[(&str, &str)], out: &mut dyn Write) -> io::Result<()> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    writeln!(out, "\n{title}")?;
    for (name, what) in rows {
        writeln!(out, "  {name:<width$}  {what}")?;
    }
    Ok(())
}
