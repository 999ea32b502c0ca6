//! The report: `findings.json`, `report.html` and `report.md` from [`Findings`], and the summary in the terminal.

mod escape;
mod gap;
mod page;
mod summary;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::finding::Findings;

pub use escape::visible;
pub use summary::write_summary;

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// One HTML file, for people.
    Html,
    /// Markdown, for a ticket.
    Md,
    /// `findings.json`, for programs.
    Json,
}

impl Format {
    /// Every form, in the order in which they are written.
    pub const ALL: [Format; 3] = [Format::Html, Format::Md, Format::Json];

    /// The name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Html => "report.html",
            Format::Md => "report.md",
            Format::Json => "findings.json",
        }
    }
}

/// Why a report could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A template is wrong; the built-in ones are held right by tests.
    #[error("the report's template failed: {0}")]
    Template(#[from] minijinja::Error),
    /// The findings could not be turned into JSON.
    #[error("findings.json could not be made: {0}")]
    Json(#[from] serde_json::Error),
    /// The folder or a file in it cannot be written.
    #[error("cannot write {path}: {source}; name another folder with --out")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The report in one form.
pub fn render(findings: &Findings, format: Format) -> Result<String, ReportError> {
    match format {
        Format::Html => page::html(findings),
        Format::Md => page::markdown(findings),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(findings)?;
            text.push('\n');
            Ok(text)
        }
    }
}

/// Writes the report in these forms into a folder, which is made where it is missing. Everything is rendered before
/// anything is written, and each file appears whole or not at all.
pub fn write_all(findings: &Findings, formats: &[Format], folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let rendered = formats
        .iter()
        .map(|&format| Ok((format, render(findings, format)?)))
        .collect::<Result<Vec<_>, ReportError>>()?;
    std::fs::create_dir_all(folder).map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
    rendered.iter().map(|(format, text)| write_one(folder, format.file_name(), text)).collect()
}

fn write_one(folder: &Path, name: &str, text: &str) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    let failed = |source| ReportError::Write { path: path.clone(), source };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}

/// Names that a line lists before it says "and n more".
const SHOWN_NAMES: usize = 8;

/// "a, b, c and 5 more".
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let shown = names.iter().take(SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
